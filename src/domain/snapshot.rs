//! The result of a scan: sockets, owners, kernel settings and gaps. Does not scan.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use crate::domain::{
    Destination, Endpoint, Ephemeral, Errno, Gap, Holder, Interfaces, Owner, PortSet, Protocol,
    Protocols, Socket, State, Text, UnreadHolders, Users, Vitals, ephemeral::TupleReuse,
    owner::Span,
};

/// The kind of machine behind a `Host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineKind {
    Live,
    Simulated,
    Recorded,
}

/// The machine that was scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub kind: MachineKind,
    pub name: Text,
    /// Release of the kernel, as in uname(2): `6.18.5`.
    pub kernel: Text,
    /// Inode number of the network namespace; None: unknown.
    pub network_namespace: Option<u64>,
    /// Name of the network namespace, if a namespace was requested.
    pub namespace_name: Option<NamespaceName>,
    /// What the network namespace is called on screen: its requested name, its name in /run/netns,
    /// or its number. None: it is the one of the machine itself, or it is unknown.
    pub namespace_label: Option<Text>,
    /// Whether the ports that portscope binds cannot affect others: the machine is simulated, or
    /// its network namespace is not the initial one and has only loopback and the kernel's fallback
    /// tunnel devices.
    pub is_isolated: bool,
    pub users: Arc<Users>,
}

impl Machine {
    /// Returns an isolated machine without users, in a namespace without name and number.
    pub fn new(kind: MachineKind, name: Text, kernel: Text) -> Self {
        Self {
            kind,
            name,
            kernel,
            network_namespace: None,
            namespace_name: None,
            namespace_label: None,
            is_isolated: true,
            users: Arc::new(Users::default()),
        }
    }

    /// Returns whether the kernel's version is at least `wanted` (major, minor). None: the release
    /// does not begin with two numbers.
    pub fn is_at_least(&self, wanted: (u32, u32)) -> Option<bool> {
        is_release_at_least(self.kernel.as_str(), wanted)
    }
}

/// Returns whether a kernel release, such as `6.8.0-45-generic`, is at least `wanted` (major,
/// minor). None: it does not begin with two numbers.
pub fn is_release_at_least(release: &str, wanted: (u32, u32)) -> Option<bool> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next()?.parse::<u32>().ok();
    Some((next()?, next()?) >= wanted)
}

/// The name of a network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceName {
    pub text: Text,
    /// Whether the name is from /run/netns, where it refers to this namespace until it is deleted.
    /// Otherwise it is the process or the path by which the namespace was found, and may refer to
    /// another namespace later.
    pub is_registered: bool,
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// Where the list of sockets comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    SockDiag,
    Procfs,
    Simulated,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Self::SockDiag => "sock_diag",
            Self::Procfs => "procfs",
            Self::Simulated => "simulated",
        }
    }
}

/// The result of one scan. Its buffers can be reused for the next one.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Number of the scan; a higher one is newer.
    pub number: u64,
    /// Time since 1970-01-01 UTC.
    pub taken_at: Duration,
    pub machine: Arc<Machine>,
    pub source: Source,
    pub ephemeral: Ephemeral,
    /// In the order of `Socket::sort_key` after a call of `sort`.
    pub sockets: Vec<Socket>,
    /// Names of the interfaces that sockets are bound to.
    pub interfaces: Interfaces,
    /// Pids of owners. The spans of `Holder` refer to them.
    pub pids: Vec<u32>,
    /// What was not read in the search for owners.
    pub unread_holders: UnreadHolders,
    pub gaps: Vec<Gap>,
    /// Upper bound of the number of unlisted TCP sockets that may be bound to an unknown port; 0:
    /// there are none. Does not include those of `Gap::PortsInDoubt`.
    pub unlisted: u32,
    /// Errno of portscope's own TCP bind() to port 0 on all addresses of both families; None: it
    /// succeeded, or no socket could be opened. The scanner calls bind() when it starts. If it
    /// fails, the scanner repeats it at each scan that searches all processes.
    pub refused_bind: Option<Errno>,
    pub vitals: Vitals,
    /// Ports of connected TCP sockets that were bound by number (`SOCK_BINDPORT_LOCK`); None: not
    /// queried, or the kernel does not report it. See [`Snapshot::needs_numbered`].
    pub numbered: Option<PortSet>,
    /// Ports of the ephemeral range on which this or an earlier scan of the same scanner found a
    /// listening or bound TCP socket, and which have been in use since then. None: there are none.
    pub listened: Option<PortSet>,
    /// Remote endpoints with an open connection that uses TCP timestamps, ascending. Contains only
    /// peers whose connections were queried, see [`Snapshot::unknown_peers`].
    pub timestamp_peers: Vec<Endpoint>,
    /// CPU time that the scan took.
    pub cost: Duration,
}

impl Snapshot {
    pub fn empty(machine: Arc<Machine>, source: Source) -> Self {
        Self {
            number: 0,
            taken_at: Duration::ZERO,
            machine,
            source,
            ephemeral: Ephemeral::default(),
            sockets: Vec::new(),
            interfaces: Interfaces::default(),
            pids: Vec::new(),
            unread_holders: UnreadHolders::default(),
            gaps: Vec::new(),
            unlisted: 0,
            refused_bind: None,
            vitals: Vitals::default(),
            numbered: None,
            listened: None,
            timestamp_peers: Vec::new(),
            cost: Duration::ZERO,
        }
    }

    /// Clears the snapshot for the next scan; keeps the buffers.
    pub fn clear(&mut self) {
        self.sockets.clear();
        self.interfaces = Interfaces::default();
        self.pids.clear();
        self.unread_holders.clear();
        self.gaps.clear();
        self.unlisted = 0;
        self.refused_bind = None;
        self.vitals = Vitals::default();
        (self.numbered, self.listened) = (None, None);
        self.timestamp_peers.clear();
    }

    /// Removes the sockets for which `is_kept` returns false, and updates the counts of the gaps
    /// about owners.
    pub fn keep_sockets(&mut self, is_kept: impl Fn(&Socket) -> bool) {
        self.sockets.retain(is_kept);
        self.recount_hidden_owners();
    }

    /// Sets the count of each gap about owners to the number of sockets with a hidden owner.
    /// Removes those that then concern no socket, except for `Gap::OwnersUnreadable`: owners may be
    /// missing even if each socket has one.
    pub(super) fn recount_hidden_owners(&mut self) {
        let is_hidden = |socket: &&Socket| socket.holder == Holder::Hidden;
        let hidden = self.sockets.iter().filter(is_hidden).count() as u32;
        for gap in &mut self.gaps {
            gap.set_hidden_owners(hidden);
        }
        self.gaps.retain(|gap| {
            gap.hidden_owners() != Some(0) || matches!(gap, Gap::OwnersUnreadable { .. })
        });
    }

    pub fn sort(&mut self) {
        self.sockets.sort_unstable_by_key(Socket::sort_key);
    }

    /// Returns the sockets on one port of one protocol, of both families. The snapshot must be
    /// sorted.
    pub fn on_port(&self, protocol: Protocol, port: u16) -> &[Socket] {
        self.between((protocol, port), (protocol, port))
    }

    /// Returns whether the level of a range or destination may depend on which ports were bound by
    /// number. This is so in three cases: connections use at least two thirds of the ephemeral
    /// range; connections on ports of the high parity use at least a sixteenth of the range; or the
    /// range has at most 1,024 ports and a connection.
    pub fn needs_numbered(&self) -> bool {
        const SMALL: u32 = 1024;
        let (low, other) = self.connected_ports();
        let size = self.ephemeral.automatic_capacity();
        let is_most = (low + other) * 3 >= size * 2 && size > 0;
        is_most || other * 16 >= size.max(16) || size <= SMALL && low + other > 0
    }

    /// Counts the TCP ports of the ephemeral range with a connection, without reserved ports.
    /// Returns those of the low parity and those of the high parity.
    pub fn connected_ports(&self) -> (u32, u32) {
        let (mut low, mut other) = (0, 0);
        let ports = self.automatic_ports(Protocol::Tcp);
        for port in ports.filter(|port| port.iter().any(|socket| socket.remote.is_some())) {
            let is_low = self.ephemeral.has_low_parity(port[0].local.port);
            *if is_low { &mut low } else { &mut other } += 1;
        }
        (low, other)
    }

    /// Returns the indexes of established connections that are to be queried for TCP timestamps.
    /// Selects up to 2 connections to each of up to 16 peers, those with most TIME-WAIT sockets.
    /// Each peer has at least a sixteenth of the range in TIME-WAIT, and connect() may reuse these
    /// ports only if the peer sends timestamps.
    pub fn unknown_peers(&self) -> Vec<usize> {
        const MAX_DESTINATIONS: usize = 16;
        const MAX_PER_DESTINATION: usize = 2;
        let of_reuse = |socket: &Socket| {
            let to = Destination::of(socket)?;
            (self.ephemeral.allows_reuse(&to, false) == TupleReuse::Unknown).then_some(to.remote)
        };
        if matches!(self.ephemeral.tw_reuse, Some(0 | 2)) || self.ephemeral.timestamps == Some(0) {
            return Vec::new();
        }
        let mut counts: HashMap<Endpoint, u32> = HashMap::new();
        let sockets = self.of_protocol_in_range(Protocol::Tcp);
        for socket in sockets.iter().filter(|socket| socket.state == State::TimeWait) {
            if let Some(remote) = of_reuse(socket) {
                *counts.entry(remote).or_default() += 1;
            }
        }
        counts.retain(|_, count| *count * 16 >= self.ephemeral.automatic_capacity());
        let mut wanted: Vec<(Endpoint, u32)> = counts.into_iter().collect();
        wanted.sort_unstable_by_key(|&(remote, count)| (std::cmp::Reverse(count), remote));
        wanted.truncate(MAX_DESTINATIONS);
        let mut indexes = Vec::new();
        for (remote, _) in wanted {
            let is_open = |socket: &Socket| {
                socket.state == State::Established && of_reuse(socket) == Some(remote)
            };
            let open = self.sockets.iter().enumerate().filter(|(_, socket)| is_open(socket));
            indexes.extend(open.map(|(index, _)| index).take(MAX_PER_DESTINATION));
        }
        indexes
    }

    /// Returns whether connect() may reuse the four-tuple of a socket that is connected to
    /// `destination`, provided that it may choose the socket's port (`tcp_twsk_unique`,
    /// net/ipv4/tcp_ipv4.c).
    pub fn tuple_reuse(&self, socket: &Socket, destination: &Destination) -> TupleReuse {
        if socket.state != State::TimeWait {
            return TupleReuse::No;
        }
        self.allows_reuse(destination).min(self.ephemeral.is_old_enough(socket))
    }

    /// Returns what the sysctls allow for TIME-WAIT sockets to `destination`, whatever their age.
    pub fn allows_reuse(&self, destination: &Destination) -> TupleReuse {
        let sends_timestamps = self.timestamp_peers.binary_search(&destination.remote).is_ok();
        self.ephemeral.allows_reuse(destination, sends_timestamps)
    }

    /// Returns the sockets of a protocol in the ephemeral range, reserved ports included. The
    /// snapshot must be sorted.
    pub fn of_protocol_in_range(&self, protocol: Protocol) -> &[Socket] {
        let range = self.ephemeral.range;
        self.between((protocol, range.first()), (protocol, range.last()))
    }

    /// Iterates over the ports in use that the kernel may choose; yields the sockets of each. The
    /// snapshot must be sorted.
    pub fn automatic_ports(&self, protocol: Protocol) -> impl Iterator<Item = &[Socket]> {
        let ports = self.of_protocol_in_range(protocol).chunk_by(Socket::shares_port);
        ports.filter(|port| !self.ephemeral.is_reserved(port[0].local.port))
    }

    fn between(&self, first: (Protocol, u16), last: (Protocol, u16)) -> &[Socket] {
        let start = self.sockets.partition_point(|socket| socket.protocol_port() < first);
        let end = self.sockets.partition_point(|socket| socket.protocol_port() <= last);
        &self.sockets[start..end]
    }

    /// Returns whether portscope's own bind() to port 0 failed with EADDRINUSE although the listed
    /// sockets do not use all ports, and bound-inactive sockets may be unlisted. Such sockets may
    /// hold all ports that appear available.
    pub fn is_bind_refused(&self) -> bool {
        self.refused_bind == Some(Errno::EADDRINUSE)
            && self.hides_bound_inactive()
            && (self.automatic_ports(Protocol::Tcp).count() as u32)
                < self.ephemeral.automatic_capacity()
    }

    /// Returns an upper bound of the number of TCP ports of the ephemeral range to which unlisted
    /// sockets may be bound.
    pub fn unlisted_in_range(&self) -> u32 {
        let size = self.ephemeral.automatic_capacity();
        let in_doubt = self.gaps.iter().map(|gap| match gap {
            Gap::PortsInDoubt { ports } => {
                self.ephemeral.range.ports().filter(|&port| ports.contains(port)).count() as u32
            }
            _ => 0,
        });
        match self.hides_bound_inactive() {
            false => 0,
            true if self.is_bind_refused() => size,
            true => in_doubt.sum::<u32>().saturating_add(self.unlisted).min(size),
        }
    }

    /// Returns whether a TCP socket may be bound to a port without being listed.
    pub fn hides_bound_inactive(&self) -> bool {
        self.gaps.iter().any(Gap::hides_bound_inactive)
    }

    /// Returns whether sockets of these protocols may exist without being listed.
    pub fn may_lack_sockets(&self, protocols: Protocols) -> bool {
        self.gaps.iter().any(|gap| gap.protocol().is_some_and(|of| protocols.includes(of)))
    }

    pub fn owner(&self, socket: &Socket) -> Owner<'_> {
        socket.holder.map(|span| self.span(span))
    }

    /// Returns whether the ephemeral range and the reserved ports were read from the kernel, not
    /// assumed.
    pub fn knows_range(&self) -> bool {
        !self.gaps.iter().any(Gap::hides_capacity)
    }

    /// Returns whether this sysctl (`net.ipv4.ip_local_port_range`) could not be read, so that its
    /// value is assumed.
    pub fn assumes(&self, name: &str) -> bool {
        let mut gaps = self.gaps.iter();
        gaps.any(|gap| matches!(gap, Gap::PolicyAssumed { sysctl, .. } if sysctl.as_str() == name))
    }

    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty()
    }

    pub(super) fn span(&self, span: Span) -> &[u32] {
        let first = span.first as usize;
        self.pids.get(first..first + span.length as usize).unwrap_or_default()
    }
}

/// TCP ports of the ephemeral range that had a listening or bound socket and have been in use
/// since. connect() cannot use such a port while it has a connection that was accepted, or whose
/// port was bound before connect().
#[derive(Clone, Debug, Default)]
pub struct Listened(PortSet);

impl Listened {
    /// Adds the ports of a sorted snapshot, removes ports without a socket, and sets
    /// `snapshot.listened`.
    pub fn observe(&mut self, snapshot: &mut Snapshot) {
        let sockets = snapshot.of_protocol_in_range(Protocol::Tcp);
        let ports = sockets.chunk_by(Socket::shares_port).filter_map(|port| {
            let number = port[0].local.port;
            (self.0.contains(number) || port.iter().any(|socket| socket.state.blocks_connect()))
                .then_some(number)
        });
        let ports: PortSet = ports.collect();
        snapshot.listened = (!ports.is_empty()).then(|| ports.clone());
        self.0 = ports;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_compare_as_numbers() {
        for (release, is_new) in [
            ("6.18.44-fc-v669", true),
            ("6.8.0-45-generic", true),
            ("6.8", true),
            ("7.0-rc1", true),
            ("6.7.12", false),
            ("5.15.0", false),
            ("6", false),
            ("", false),
            ("unknown", false),
        ] {
            let is_at_least = is_release_at_least(release, (6, 8));
            assert_eq!(is_at_least.unwrap_or(false), is_new, "{release}");
        }
    }
}
