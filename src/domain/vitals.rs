//! What the kernel tells besides its sockets: limits, counters, connection tracking. Not whether
//! that is good or bad.

use std::net::IpAddr;

use crate::domain::{Endpoint, Gap, PortRange, Protocol, Socket, Tunnel};

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
    /// TCP sockets of the machine, in any state but TIME-WAIT; orphans are among them (`TCP: alloc`).
    pub allocated: Option<u32>,
    /// `TCP: tw` of /proc/net/sockstat.
    pub time_wait: Option<u32>,
    /// Counters of /proc/net/netstat, since the namespace began.
    pub time_wait_overflow: Option<u64>,
    pub listen_overflows: Option<u64>,
    pub listen_drops: Option<u64>,
    pub syn_queue: SynQueue,
    /// `TCPAbortOnMemory`: connections that the kernel reset, for there were too many orphans or TCP
    /// was out of memory (`tcp_check_oom`).
    pub orphans_killed: Option<u64>,
    /// `tcp_ehash_entries`: buckets of the table of connections, the namespace's own where it has
    /// one; negative: those of the machine's, shared with other namespaces (Linux 6.1).
    pub hash_buckets: Option<i64>,
    pub addresses: Option<SourceAddresses>,
    /// Cookies of the listening and unconnected sockets of the ephemeral range whose port was
    /// bound by its number, not chosen by the kernel (`SOCK_BINDPORT_LOCK`); ascending.
    pub by_number: Option<Vec<u64>>,
    /// Where a UDP socket has no process: tunnels of the kernel.
    pub tunnels: Vec<Tunnel>,
    pub conntrack: Option<Conntrack>,
    /// Of the processes that own most sockets, at most 32 of them; fullest first.
    pub descriptors: Vec<DescriptorUse>,
    /// What of this could not be read. Apart from the snapshot's gaps: the sockets are complete
    /// without it.
    pub gaps: Vec<Gap>,
}

impl Vitals {
    /// None: the kernel was not asked, or the socket has no cookie.
    pub fn is_bound_by_number(&self, socket: &Socket) -> Option<bool> {
        let cookie = socket.cookie?;
        Some(self.by_number.as_ref()?.binary_search(&cookie).is_ok())
    }
}

/// Connections that a listener has not established yet (`tcp_conn_request`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynQueue {
    /// `tcp_syncookies`: 0 off, 1 when a queue is full, 2 always. None: not read, or nothing
    /// happened for which it matters.
    pub cookies: Option<u8>,
    /// `tcp_max_syn_backlog`; None as with `cookies`.
    pub max_backlog: Option<u32>,
    /// `TCPReqQFullDrop`: SYNs dropped because a queue held more than its listener's backlog.
    pub dropped: Option<u64>,
    /// `TCPReqQFullDoCookies`: SYNs that a cookie answered instead.
    pub cookies_for_full: Option<u64>,
    /// `SyncookiesFailed`: ACKs that bore no valid cookie.
    pub cookies_failed: Option<u64>,
}

/// Which addresses connect() may take as its source. Without one it fails though ports are left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceAddresses {
    /// The interface `lo` is up; None: not read.
    pub is_loopback_up: Option<bool>,
    /// 127.0.0.1 is an address of this namespace; None: could not be tried.
    pub has_ipv4_loopback: Option<bool>,
    pub ipv6: Ipv6,
}

/// The IPv6 addresses of a network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ipv6 {
    /// The list could not be read.
    #[default]
    Unknown,
    /// The kernel has no IPv6, or it began with `ipv6.disable=1`.
    Unsupported,
    Listed {
        /// `::1` is among them.
        has_loopback: bool,
        /// All that a socket may be bound to: not those whose uniqueness is still being tested.
        usable: u32,
        /// Of `all`, `default` and `lo`: `net.ipv6.conf.NAME.disable_ipv6` is 1. Looked at only
        /// where `::1` is missing.
        disabled: Vec<&'static str>,
    },
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

/// Flows to a port of this machine that are sent on to another endpoint (DNAT). No socket holds
/// such a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Publication {
    pub protocol: Protocol,
    /// Where the clients send to.
    pub address: IpAddr,
    pub to: Endpoint,
    /// That conntrack lists now.
    pub flows: u32,
}

/// Of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorUse {
    pub pid: u32,
    pub open: u32,
    /// The soft RLIMIT_NOFILE.
    pub limit: u64,
}
