//! What the kernel tells besides its sockets: limits, counters, connection tracking. Not whether
//! that is good or bad.

use std::net::IpAddr;

use crate::domain::{Endpoint, Gap, PortRange, Protocol};

/// Of the network namespace looked at, unless said otherwise. None: could not be read, or does not
/// exist there (then no gap stands in the snapshot).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// `tcp_max_tw_buckets`: more TIME-WAIT sockets are not made.
    pub max_time_wait: Option<u32>,
    /// `tcp_max_orphans`, of the machine.
    pub max_orphans: Option<u32>,
    /// Orphans of the machine as it counts them (`TCP: orphan` of /proc/net/sockstat).
    pub orphans: Option<u32>,
    /// `TCP: tw` of /proc/net/sockstat.
    pub time_wait: Option<u32>,
    /// Counters of /proc/net/netstat, since the namespace began.
    pub time_wait_overflow: Option<u64>,
    pub listen_overflows: Option<u64>,
    pub listen_drops: Option<u64>,
    /// `TCPAbortOnMemory`: connections that the kernel reset, for there were too many orphans or TCP
    /// was out of memory (`tcp_check_oom`).
    pub orphans_killed: Option<u64>,
    pub conntrack: Option<Conntrack>,
    /// Of the processes that own most sockets, at most 32 of them; fullest first.
    pub descriptors: Vec<DescriptorUse>,
    /// What of this could not be read. Apart from the snapshot's gaps: the sockets are complete
    /// without it.
    pub gaps: Vec<Gap>,
}

/// /proc/sys/net/netfilter and /proc/net/stat/nf_conntrack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conntrack {
    pub count: u32,
    pub max: u32,
    /// Since boot: no tuple was left (`insert_failed`), packets dropped for it (`drop`).
    pub insert_failed: u64,
    pub dropped: u64,
    /// Translated flows by what they share, most first, at most 64; None: the table could not be
    /// read (it needs root), or was larger than we read.
    pub translated: Option<Vec<Translation>>,
}

/// Flows whose source was translated to one address, towards one destination: each holds a port
/// there that no socket table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    pub protocol: Protocol,
    /// The address they have outside.
    pub source: IpAddr,
    /// Where the replies come from.
    pub destination: Endpoint,
    /// Distinct outer ports in use.
    pub ports: u32,
    /// Of these, ports that are not the ones inside: the translation chose them.
    pub moved: u32,
    /// The lowest and the highest of them: the translation's own range is not readable.
    pub seen: PortRange,
}

/// Of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorUse {
    pub pid: u32,
    pub open: u32,
    /// The soft RLIMIT_NOFILE.
    pub limit: u64,
}
