//! Ranges of port numbers. Does not know which ports are in use.

use std::fmt;

/// IANA's dynamic ports (RFC 6335, section 6).
pub const IANA_DYNAMIC: PortRange = PortRange { first: 49_152, last: 65_535 };
/// IANA's registered ports (RFC 6335, section 6).
pub const REGISTERED: PortRange = PortRange { first: 1024, last: 49_151 };
/// IANA's system ports (RFC 6335, section 6).
pub const SYSTEM: PortRange = PortRange { first: 0, last: 1023 };
/// The default of `ip_local_port_range` (net/ipv4/af_inet.c).
pub const LINUX_DEFAULT: PortRange = PortRange { first: 32_768, last: 60_999 };
/// The ports of most services. Does not include all of `REGISTERED`, because `LINUX_DEFAULT`
/// overlaps those.
pub const SERVICES: PortRange = PortRange { first: 0, last: 9_999 };
/// The default of `--service-node-port-range` of kube-apiserver.
pub const KUBERNETES_NODES: PortRange = PortRange { first: 30_000, last: 32_767 };
/// All port numbers. Includes 0, which no socket can be bound to.
pub const ALL: PortRange = PortRange { first: 0, last: 65_535 };

/// Ports that web browsers refuse to connect to, ascending (Fetch standard, "port blocking").
pub const BLOCKED_BY_BROWSERS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
];

/// Ports `first..=last`, both ends included; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// Error: the first port of a range is greater than the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the range {first}-{last} is reversed: the first port comes after the last")]
pub struct EmptyRange {
    pub first: u16,
    pub last: u16,
}

impl PortRange {
    /// Returns an error if `first` is greater than `last`.
    pub fn new(first: u16, last: u16) -> Result<Self, EmptyRange> {
        if first <= last { Ok(Self { first, last }) } else { Err(EmptyRange { first, last }) }
    }

    pub fn first(self) -> u16 {
        self.first
    }

    pub fn last(self) -> u16 {
        self.last
    }

    /// Returns the number of ports, as `u32` because 0..=65535 has 65,536.
    #[expect(clippy::len_without_is_empty, reason = "a PortRange is never empty")]
    pub fn len(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }

    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    pub fn ports(self) -> std::ops::RangeInclusive<u16> {
        self.first..=self.last
    }

    /// Merges ranges that overlap or are adjacent. Returns the same ports in ascending order.
    pub fn merged(mut ranges: Vec<Self>) -> Vec<Self> {
        ranges.sort_unstable();
        let mut merged: Vec<Self> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(before) if u32::from(range.first) <= u32::from(before.last) + 1 => {
                    before.last = before.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        merged
    }

    /// Returns the ports that are in both ranges; None if there are none.
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::new(self.first.max(other.first), self.last.min(other.last)).ok()
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_belong_to_a_range() {
        let range = PortRange::new(49_152, 65_535).unwrap();
        assert_eq!(range.len(), 16_384);
        assert!(range.contains(49_152) && range.contains(65_535) && !range.contains(49_151));
        assert_eq!(ALL.len(), 65_536);
    }

    #[test]
    fn a_reversed_range_is_refused() {
        assert_eq!(PortRange::new(9, 8), Err(EmptyRange { first: 9, last: 8 }));
    }
}
