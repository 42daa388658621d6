//! The kernel's settings for automatic port choice. Does not know which ports are occupied.

use crate::domain::{Destination, PortRange, Socket, port};

/// Default of `tcp_tw_reuse_delay`: milliseconds from the start of TIME-WAIT until connect() may
/// reuse the socket's four-tuple. Kernels without this sysctl (before Linux 6.14) wait until the
/// next full second, at most as long.
pub const DEFAULT_REUSE_DELAY_MS: u32 = 1000;
/// `TCP_TIMEWAIT_LEN` (include/net/tcp.h), milliseconds.
pub(super) const TIME_WAIT_MS: u32 = 60_000;
/// Tolerance for a timer's remaining time. The kernel computes it from two times in ticks of up to
/// 10 ms, and each of the two is rounded.
const TICKS_MS: u32 = 20;
/// Index of the device `lo` (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;

/// Whether connect() may reuse the four-tuple of a TIME-WAIT socket, provided that it may choose
/// the socket's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TupleReuse {
    No,
    /// Depends on something unknown: a sysctl, or whether the peer sends timestamps.
    Unknown,
    Yes,
}

/// The `net.ipv4` sysctls for automatic port choice (ip-sysctl.rst); they apply to IPv6 too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ephemeral {
    /// `ip_local_port_range`.
    pub range: PortRange,
    /// `ip_local_reserved_ports`: ascending and disjoint. Never chosen automatically, but available
    /// to an explicit bind().
    reserved: Vec<PortRange>,
    /// `ip_unprivileged_port_start`: lower ports need `CAP_NET_BIND_SERVICE`.
    pub unprivileged_start: u16,
    /// `tcp_tw_reuse`: 0 off, 1 on, 2 loopback only; None when it could not be read.
    pub tw_reuse: Option<u8>,
    /// `tcp_tw_reuse_delay`, milliseconds; None when it could not be read.
    pub tw_reuse_delay_ms: Option<u32>,
    /// `tcp_timestamps`: 0 off, 1 and 2 on; None when it could not be read.
    pub timestamps: Option<u8>,
    /// `ip_autobind_reuse`: if no port is free, bind() to port 0 with SO_REUSEADDR may share a port
    /// whose sockets all have SO_REUSEADDR. False where the kernel has no such sysctl (before Linux
    /// 5.7); None when it could not be read.
    pub autobind_reuse: Option<bool>,
}

impl Ephemeral {
    pub fn new(range: PortRange, mut reserved: Vec<PortRange>) -> Self {
        reserved.sort_unstable();
        Self {
            range,
            reserved,
            unprivileged_start: 1024,
            tw_reuse: Some(2),
            tw_reuse_delay_ms: Some(DEFAULT_REUSE_DELAY_MS),
            timestamps: Some(1),
            autobind_reuse: Some(false),
        }
    }

    /// Returns ports that the kernel does not choose automatically: the longest run of IANA's
    /// dynamic ports outside `range`, or else the longest run of registered ports. A run must have
    /// at least 1,024 ports. If there is none, as with a range of 1024 to 65535, returns all
    /// dynamic ports instead, which `range` may include.
    pub fn outside(&self) -> PortRange {
        const MIN_PORTS: u32 = 1024;
        let longest = |of: PortRange| {
            let before = self.range.first().checked_sub(1);
            let before = before.and_then(|last| PortRange::new(0, last).ok());
            let after = self.range.last().checked_add(1);
            let after = after.and_then(|first| PortRange::new(first, u16::MAX).ok());
            let parts = [before, after].into_iter().flatten();
            parts.filter_map(|part| part.intersection(of)).max_by_key(|part| part.len())
        };
        let parts = [port::IANA_DYNAMIC, port::REGISTERED].into_iter().filter_map(longest);
        let mut parts = parts.filter(|part| part.len() >= MIN_PORTS);
        parts.next().unwrap_or(port::IANA_DYNAMIC)
    }

    pub fn reserved(&self) -> &[PortRange] {
        &self.reserved
    }

    /// Returns whether connect() and bind() to port 0 may choose the port.
    pub fn may_choose(&self, port: u16) -> bool {
        self.range.contains(port) && !self.is_reserved(port)
    }

    pub fn is_reserved(&self, port: u16) -> bool {
        // Fast path for machines without reserved ports: the map calls this for every port.
        if self.reserved.is_empty() {
            return false;
        }
        let after = self.reserved.partition_point(|r| r.first() <= port);
        after > 0 && self.reserved[after - 1].contains(port)
    }

    /// Returns the number of reserved ports in `range`.
    pub fn reserved_in(&self, range: PortRange) -> u32 {
        self.reserved.iter().filter_map(|r| r.intersection(range)).map(PortRange::len).sum()
    }

    /// Returns what the sysctls allow for TIME-WAIT sockets to `destination`, whatever their age.
    ///
    /// Reuse requires that the connection used TCP timestamps. If both ends are on this machine,
    /// the `tcp_timestamps` of this machine decides. If not, `sends_timestamps` says whether the
    /// peer is known to send timestamps.
    pub fn allows_reuse(&self, destination: &Destination, sends_timestamps: bool) -> TupleReuse {
        let is_loopback = destination.is_loopback() || destination.interface == Some(LOOPBACK);
        let allowed = match self.tw_reuse {
            Some(0) => TupleReuse::No,
            Some(2) if !is_loopback => TupleReuse::No,
            Some(1 | 2) => TupleReuse::Yes,
            _ => TupleReuse::Unknown,
        };
        let stamped = match self.timestamps {
            Some(0) => TupleReuse::No,
            Some(_) if sends_timestamps || destination.is_local() => TupleReuse::Yes,
            _ => TupleReuse::Unknown,
        };
        allowed.min(stamped)
    }

    pub(super) fn is_old_enough(&self, socket: &Socket) -> TupleReuse {
        let Some(left) = socket.expires_ms else { return TupleReuse::No };
        let age_ms = TIME_WAIT_MS.saturating_sub(left);
        match self.tw_reuse_delay_ms {
            Some(delay) if age_ms < delay.saturating_add(TICKS_MS) => TupleReuse::No,
            Some(_) => TupleReuse::Yes,
            None => TupleReuse::Unknown,
        }
    }

    /// Returns whether the port is the first or last one of a range with an odd number of ports,
    /// three or more. Each search of connect() and bind(0) skips one of the two (`remaining &= ~1`,
    /// `__inet_hash_connect` and `inet_csk_find_open_port`).
    pub fn is_odd_end(&self, port: u16) -> bool {
        self.range.len() > 1
            && !self.range.len().is_multiple_of(2)
            && (port == self.range.first() || port == self.range.last())
    }

    /// Returns whether the port has the parity of the range's first port.
    pub fn has_low_parity(&self, port: u16) -> bool {
        port % 2 == self.range.first() % 2
    }

    /// Returns the number of ports that the kernel may choose automatically.
    pub fn automatic_capacity(&self) -> u32 {
        self.range.len() - self.reserved_in(self.range)
    }
}

impl Default for Ephemeral {
    /// The defaults of Linux.
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
