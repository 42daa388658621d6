//! The kernel's policy for ports it chooses itself. Not which of them are occupied.

use crate::domain::{PortRange, port};

/// The sysctls of `net.ipv4` that rule automatic ports (ip-sysctl.rst); they hold for IPv6 too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ephemeral {
    /// `ip_local_port_range`.
    pub range: PortRange,
    /// `ip_local_reserved_ports`: ascending, apart from each other. Skipped by automatic choice,
    /// free to an explicit bind().
    reserved: Vec<PortRange>,
    /// `ip_unprivileged_port_start`: lower ports need `CAP_NET_BIND_SERVICE`.
    pub unprivileged_start: u16,
    /// `tcp_tw_reuse`: 0 off, 1 on, 2 loopback only; None when it could not be read.
    pub tw_reuse: Option<u8>,
}

impl Ephemeral {
    pub fn new(range: PortRange, mut reserved: Vec<PortRange>) -> Self {
        reserved.sort_unstable();
        Self { range, reserved, unprivileged_start: 1024, tw_reuse: Some(2) }
    }

    pub fn reserved(&self) -> &[PortRange] {
        &self.reserved
    }

    pub fn is_reserved(&self, port: u16) -> bool {
        // Asked for every port of the map, on machines that reserve none.
        if self.reserved.is_empty() {
            return false;
        }
        let after = self.reserved.partition_point(|r| r.first() <= port);
        after > 0 && self.reserved[after - 1].contains(port)
    }

    /// How many ports of `range` are reserved.
    pub fn reserved_in(&self, range: PortRange) -> u32 {
        self.reserved.iter().filter_map(|r| r.intersection(range)).map(PortRange::len).sum()
    }

    /// Ports that the kernel may choose by itself.
    pub fn automatic_capacity(&self) -> u32 {
        self.range.len() - self.reserved_in(self.range)
    }
}

impl Default for Ephemeral {
    /// What Linux does when nobody changed it.
    fn default() -> Self {
        Self::new(port::LINUX_DEFAULT, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_do_not_count_as_automatic_capacity() {
        let reserved = vec![PortRange::new(40_000, 40_063).unwrap()];
        let ephemeral = Ephemeral::new(port::LINUX_DEFAULT, reserved);
        assert_eq!(ephemeral.automatic_capacity(), 28_168);
        assert!(ephemeral.is_reserved(40_063) && !ephemeral.is_reserved(40_064));
    }
}
