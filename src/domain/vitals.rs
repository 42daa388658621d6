//! What the kernel reports besides its sockets: limits, counters, connection tracking. Does not
//! judge the values.

use std::net::IpAddr;

use crate::domain::{Endpoint, Gap, PortRange, Protocol, Socket, Tunnel};

/// Kernel values of the scanned network namespace, unless noted otherwise. None: the value could
/// not be read, or the namespace does not have it. Only values that could not be read are listed in
/// `gaps`, and not all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// `tcp_max_tw_buckets`: the kernel creates no TIME-WAIT sockets beyond this number.
    pub max_time_wait: Option<u32>,
    /// `tcp_max_orphans`, for the whole machine.
    pub max_orphans: Option<u32>,
    /// Orphans of the whole machine, as the kernel counts them (`TCP: orphan` of
    /// /proc/net/sockstat).
    pub orphans: Option<u32>,
    /// TCP sockets of the whole machine (`TCP: alloc`). Includes orphans, but not TIME-WAIT and
    /// SYN-RECEIVED, for which the kernel keeps smaller structures.
    pub allocated: Option<u32>,
    /// TIME-WAIT sockets (`TCP: tw` of /proc/net/sockstat).
    pub time_wait: Option<u32>,
    /// `TCPTimeWaitOverflow`. This and the next two fields are counters of /proc/net/netstat, which
    /// start at 0 when the namespace is created.
    pub time_wait_overflow: Option<u64>,
    pub listen_overflows: Option<u64>,
    pub listen_drops: Option<u64>,
    pub syn_queue: SynQueue,
    /// `net.core.somaxconn`: the maximum backlog of a listener. None: could not be read, or was not
    /// read because no connection waits and no queue overflowed.
    pub max_backlog: Option<u32>,
    /// `TCPAbortOnMemory`: connections that the kernel reset because there were too many orphans or
    /// TCP was out of memory (`tcp_check_oom`).
    pub orphans_killed: Option<u64>,
    /// `tcp_ehash_entries` (Linux 6.1): buckets of the connection table. Negative: the namespace
    /// has no table of its own and shares the machine's table with other namespaces.
    pub hash_buckets: Option<i64>,
    pub addresses: Option<SourceAddresses>,
    /// Cookies of the listening TCP and unconnected UDP sockets of the ephemeral range whose port
    /// was bound by number, not chosen by the kernel (`SOCK_BINDPORT_LOCK`); ascending. None: the
    /// kernel was not queried or did not answer.
    pub by_number: Option<Vec<u64>>,
    /// The kernel's tunnels over UDP. Not read, and therefore empty, while each UDP socket has a
    /// visible process: the socket of a tunnel has none. Also empty if they could not be read.
    pub tunnels: Vec<Tunnel>,
    pub conntrack: Option<Conntrack>,
    /// Descriptor use of the 32 processes with the most sockets. Highest used share first.
    pub descriptors: Vec<DescriptorUse>,
    /// Vitals that could not be read. Separate from the snapshot's gaps, because the sockets are
    /// complete without them.
    pub gaps: Vec<Gap>,
}

impl Vitals {
    /// Returns whether the cookie of the socket is in `by_number`; false for sockets that
    /// `by_number` does not cover. None: `by_number` is None, or the socket has no cookie.
    pub fn is_bound_by_number(&self, socket: &Socket) -> Option<bool> {
        let cookie = socket.cookie?;
        Some(self.by_number.as_ref()?.binary_search(&cookie).is_ok())
    }
}

/// Settings and counters of the SYN queues (`tcp_conn_request`). A listener's SYN queue holds
/// connections that are not established yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynQueue {
    /// `tcp_syncookies`: 0 off, 1 when a queue is full, 2 always. None: could not be read, or was
    /// not read because no SYN queue was in use or overflowed.
    pub cookies: Option<u8>,
    /// `tcp_max_syn_backlog`; None as for `cookies`.
    pub max_syn_backlog: Option<u32>,
    /// `TCPReqQFullDrop`: SYNs dropped because a SYN queue was full. This and the next two fields
    /// are counters that start at 0 when the namespace is created; None: could not be read.
    pub dropped: Option<u64>,
    /// `TCPReqQFullDoCookies`: SYNs answered with a SYN cookie because a SYN queue was full, or
    /// because `tcp_syncookies` is 2.
    pub cookies_for_full: Option<u64>,
    /// `SyncookiesFailed`: ACKs with an invalid cookie, at listeners that sent cookies recently.
    pub cookies_failed: Option<u64>,
}

/// Addresses that connect() may use as source. Without a source address, connect() fails even if
/// ports are available.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceAddresses {
    /// Whether the interface `lo` is up; None: could not be read.
    pub is_loopback_up: Option<bool>,
    /// Whether 127.0.0.1 is an address of this namespace; None: could not be tested.
    pub has_ipv4_loopback: Option<bool>,
    pub ipv6: Ipv6,
}

/// The IPv6 addresses of a network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ipv6 {
    /// The list could not be read.
    #[default]
    Unknown,
    /// The kernel has no IPv6, or was booted with `ipv6.disable=1`.
    Unsupported,
    Listed {
        /// Whether `::1` is among the addresses.
        has_loopback: bool,
        /// Number of addresses that a socket may be bound to. Addresses that are tentative (except
        /// optimistic ones) or failed duplicate address detection are not counted.
        usable: u32,
        /// The names among `all`, `default` and `lo` whose `net.ipv6.conf.NAME.disable_ipv6` is 1.
        /// Read only if `::1` is missing.
        disabled: Vec<&'static str>,
    },
}

/// Connection tracking, from /proc/sys/net/netfilter and /proc/net/stat/nf_conntrack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conntrack {
    /// Entries of the table (`nf_conntrack_count`).
    pub count: u32,
    /// Maximum number of entries (`nf_conntrack_max`).
    pub max: u32,
    /// `insert_failed`: entries that were not inserted because their tuple was in use. This and the
    /// next field are counters that start at 0 when the namespace is created. Both are 0 if they
    /// could not be read, which is a gap.
    pub insert_failed: u64,
    /// `drop`: packets dropped, for this or another reason.
    pub dropped: u64,
    /// Translated flows by source and destination, most ports first, at most 64; None: the table
    /// could not be read (reading it needs root), or was too large to read.
    pub translated: Option<Vec<Translation>>,
}

/// Flows to one destination whose source was translated to one address (SNAT). Each flow uses a
/// port of that address. No socket table shows these ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    pub protocol: Protocol,
    /// The source address after translation.
    pub source: IpAddr,
    /// The endpoint that the replies come from.
    pub destination: Endpoint,
    /// Distinct source ports after translation.
    pub ports: u32,
    /// Of `ports`: those that differ from the port before translation, because the translation
    /// chose them.
    pub moved: u32,
    /// The range from the lowest to the highest of `ports`. The configured range of the translation
    /// cannot be read.
    pub seen: PortRange,
}

/// Flows to one port of this machine that are forwarded to another endpoint (DNAT). They do not
/// reach a socket on that port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Publication {
    pub protocol: Protocol,
    /// The address that the clients send to.
    pub address: IpAddr,
    /// The endpoint that receives the flows.
    pub to: Endpoint,
    /// Flows that conntrack lists now.
    pub flows: u32,
}

/// Number of open descriptors of one process, and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorUse {
    pub pid: u32,
    pub open: u32,
    /// The soft RLIMIT_NOFILE.
    pub limit: u64,
    /// The hard RLIMIT_NOFILE.
    pub hard_limit: u64,
}
