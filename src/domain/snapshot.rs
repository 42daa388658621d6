//! One look at a machine: its sockets, owners, policy and gaps. Not the looking.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use crate::domain::{
    Destination, Endpoint, Ephemeral, Errno, Gap, Holder, Interfaces, Owner, PortSet, Protocol,
    Socket, State, Text, Users, Vitals, ephemeral::TupleReuse, owner::Span,
};

/// Which kind of machine stands behind the `Host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineKind {
    Live,
    Simulated,
    Recorded,
}

/// The machine looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub kind: MachineKind,
    pub name: Text,
    pub kernel: Text,
    /// Inode number of the network namespace.
    pub network_namespace: Option<u64>,
    /// Of a network namespace that was asked for.
    pub namespace_name: Option<NamespaceName>,
    /// Nobody but us can be harmed: a simulated machine, or a network namespace that is not the
    /// first one and has no interface but loopback.
    pub is_isolated: bool,
    pub users: Arc<Users>,
}

impl Machine {
    /// Whether the kernel is of that version or newer; None: not Linux, or not known.
    pub fn is_at_least(&self, wanted: (u32, u32)) -> Option<bool> {
        let release = self.kernel.as_str();
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next()?.parse::<u32>().ok();
        Some((next()?, next()?) >= wanted)
    }
}

/// What a network namespace is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceName {
    pub text: Text,
    /// It is its name in /run/netns, and lasts as long as the namespace. Else it is that of a process
    /// or the path by which it was found: another look may find another one.
    pub is_registered: bool,
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// Where the sockets come from.
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

/// One look. Its buffers can be used again for the next one.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts scans; a higher one is newer.
    pub number: u64,
    /// Since 1970-01-01 UTC.
    pub taken_at: Duration,
    pub machine: Arc<Machine>,
    pub source: Source,
    pub ephemeral: Ephemeral,
    /// In the order of `Socket::sort_key` once `sort` was called.
    pub sockets: Vec<Socket>,
    /// Those that sockets are bound to.
    pub interfaces: Interfaces,
    /// The pool that `Holder` spans point into.
    pub pids: Vec<u32>,
    pub gaps: Vec<Gap>,
    /// TCP sockets, at most, that may be bound to a port and are not listed, with a port that is not
    /// known; 0: there are none. Those of `Gap::PortsInDoubt` are not among them.
    pub unlisted: u32,
    /// Errno of our own TCP bind() to port 0 of all addresses of both families, made when the scanner
    /// started, and again with each full walk as long as it is refused; None: it succeeded.
    pub refused_bind: Option<Errno>,
    pub vitals: Vitals,
    /// Ports of connected TCP sockets that were bound by number (`SOCK_BINDPORT_LOCK`); None: not
    /// asked, or the kernel does not say. See [`Snapshot::needs_numbered`].
    pub numbered: Option<PortSet>,
    /// Ports of the ephemeral range on which an earlier scan of the same scanner saw a TCP socket
    /// that listens or is bound, and that have been in use since; None: there are none.
    pub listened: Option<PortSet>,
    /// Remote endpoints to which a connection with TCP timestamps is open, ascending; of those that
    /// were asked for, see [`Snapshot::unknown_peers`].
    pub stamping_peers: Vec<Endpoint>,
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
            gaps: Vec::new(),
            unlisted: 0,
            refused_bind: None,
            vitals: Vitals::default(),
            numbered: None,
            listened: None,
            stamping_peers: Vec::new(),
            cost: Duration::ZERO,
        }
    }

    /// Makes room for the next scan; keeps the buffers.
    pub fn clear(&mut self) {
        self.sockets.clear();
        self.interfaces = Interfaces::default();
        self.pids.clear();
        self.gaps.clear();
        self.unlisted = 0;
        self.refused_bind = None;
        self.vitals = Vitals::default();
        (self.numbered, self.listened) = (None, None);
        self.stamping_peers.clear();
    }

    pub fn sort(&mut self) {
        self.sockets.sort_unstable_by_key(Socket::sort_key);
    }

    /// The sockets on one port of one protocol, of both families.
    pub fn on_port(&self, protocol: Protocol, port: u16) -> &[Socket] {
        let key = |s: &Socket| (s.protocol, s.local.port);
        let start = self.sockets.partition_point(|s| key(s) < (protocol, port));
        let rest = &self.sockets[start..];
        &rest[..rest.partition_point(|s| key(s) == (protocol, port))]
    }

    /// Whether it can change a level which ports were bound by number: connections hold most of the
    /// ephemeral range, or many ports of the parity that connect() takes last, or the range is small.
    pub fn needs_numbered(&self) -> bool {
        const SMALL: u32 = 1024;
        let (low, other) = self.connected_ports();
        let size = self.ephemeral.automatic_capacity();
        let is_most = (low + other) * 3 >= size * 2 && size > 0;
        is_most || other * 16 >= size.max(16) || size <= SMALL && low + other > 0
    }

    /// TCP ports of the ephemeral range on which a connection is: of the parity of the first port,
    /// and of the other one.
    pub fn connected_ports(&self) -> (u32, u32) {
        let (ephemeral, mut low, mut other) = (&self.ephemeral, 0, 0);
        for port in self.of_protocol_in_range(Protocol::Tcp).chunk_by(is_same_port) {
            let number = port[0].local.port;
            if port.iter().any(|socket| socket.remote.is_some()) && !ephemeral.is_reserved(number) {
                let is_low = number % 2 == ephemeral.range.first() % 2;
                *if is_low { &mut low } else { &mut other } += 1;
            }
        }
        (low, other)
    }

    /// Places of established connections to peers of which it matters whether they send timestamps:
    /// TIME-WAIT towards them takes many ports and could be reused if they do. Some of each, of the
    /// destinations with most TIME-WAIT.
    pub fn unknown_peers(&self) -> Vec<usize> {
        const MOST_DESTINATIONS: usize = 16;
        const MOST_OF_EACH: usize = 2;
        let of_reuse = |socket: &Socket| {
            let to = Destination::of(socket)?;
            (self.ephemeral.allows_reuse(&to, false) == TupleReuse::Perhaps).then_some(to.remote)
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
        wanted.truncate(MOST_DESTINATIONS);
        let mut places = Vec::new();
        for (remote, _) in wanted {
            let is_open = |socket: &Socket| {
                socket.state == State::Established && of_reuse(socket) == Some(remote)
            };
            let open = self.sockets.iter().enumerate().filter(|(_, socket)| is_open(socket));
            places.extend(open.map(|(place, _)| place).take(MOST_OF_EACH));
        }
        places
    }

    /// Whether connect() may reuse the four-tuple of a socket, which goes to `destination`, as far as
    /// its port is a choice of connect().
    pub fn tuple_reuse(&self, socket: &Socket, destination: &Destination) -> TupleReuse {
        self.ephemeral.tuple_reuse(socket, destination, self.is_stamping(destination))
    }

    /// What the sysctls say of TIME-WAIT to `destination`, whatever its age.
    pub fn allows_reuse(&self, destination: &Destination) -> TupleReuse {
        self.ephemeral.allows_reuse(destination, self.is_stamping(destination))
    }

    /// Whether a connection to that peer shows that it sends timestamps.
    fn is_stamping(&self, destination: &Destination) -> bool {
        self.stamping_peers.binary_search(&destination.remote).is_ok()
    }

    /// The sockets of the ephemeral range, reserved ports included.
    pub fn of_protocol_in_range(&self, protocol: Protocol) -> &[Socket] {
        let range = self.ephemeral.range;
        let place = |socket: &Socket| (socket.protocol, socket.local.port);
        let start = self.sockets.partition_point(|s| place(s) < (protocol, range.first()));
        let end = self.sockets.partition_point(|s| place(s) <= (protocol, range.last()));
        &self.sockets[start..end]
    }

    /// Our own bind() to port 0 failed with EADDRINUSE although the listed sockets leave ports, and
    /// bound sockets are not listed: all that seems left may be theirs.
    pub fn is_bind_refused(&self) -> bool {
        self.refused_bind == Some(Errno::EADDRINUSE)
            && self.hides_bound_inactive()
            && self.occupied_tcp_ports() < self.ephemeral.automatic_capacity()
    }

    /// Of the ephemeral range, without reserved ones.
    fn occupied_tcp_ports(&self) -> u32 {
        let ports = self.of_protocol_in_range(Protocol::Tcp).chunk_by(is_same_port);
        ports.filter(|port| !self.ephemeral.is_reserved(port[0].local.port)).count() as u32
    }

    /// TCP ports of the ephemeral range, at most, that sockets which are not listed may be bound to.
    pub fn unlisted_in_range(&self) -> u32 {
        let size = self.ephemeral.automatic_capacity();
        let in_doubt = self.gaps.iter().map(|gap| match gap {
            Gap::PortsInDoubt { ports } => ports.count_in(self.ephemeral.range),
            _ => 0,
        });
        match self.hides_bound_inactive() {
            false => 0,
            true if self.is_bind_refused() => size,
            true => in_doubt.sum::<u32>().saturating_add(self.unlisted).min(size),
        }
    }

    /// Whether a TCP socket may be bound to a port without being listed.
    pub fn hides_bound_inactive(&self) -> bool {
        self.gaps.iter().any(Gap::hides_bound_inactive)
    }

    pub fn owner(&self, socket: &Socket) -> Owner<'_> {
        match socket.holder {
            Holder::Process(span) => Owner::Process(self.span(span)),
            Holder::Departed(span) => Owner::Departed(self.span(span)),
            Holder::Backlog(span) => Owner::Backlog(self.span(span)),
            Holder::Kernel => Owner::Kernel,
            Holder::Hidden => Owner::Hidden,
            Holder::Nobody => Owner::Nobody,
            Holder::Unresolved => Owner::Unresolved,
            Holder::NotAsked => Owner::NotAsked,
        }
    }

    /// Whether the ephemeral range and the reserved ports are the kernel's, not assumed.
    pub fn knows_range(&self) -> bool {
        !self.gaps.iter().any(Gap::hides_capacity)
    }

    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty()
    }

    pub(super) fn span(&self, span: Span) -> &[u32] {
        let first = span.first as usize;
        self.pids.get(first..first + span.length as usize).unwrap_or_default()
    }
}

fn is_same_port(one: &Socket, other: &Socket) -> bool {
    one.local.port == other.local.port
}

/// Ports of the ephemeral range on which a TCP socket was seen to listen or to be bound, as long as
/// the port stays in use: what was accepted there, or connected after bind(), keeps it from connect().
#[derive(Clone, Debug, Default)]
pub struct Listened(PortSet);

impl Listened {
    /// Notes the ports of a sorted snapshot, forgets those without a socket, and fills in
    /// `snapshot.listened`.
    pub fn observe(&mut self, snapshot: &mut Snapshot) {
        let is_held = |socket: &Socket| matches!(socket.state, State::Listen | State::Bound);
        let sockets = snapshot.of_protocol_in_range(Protocol::Tcp);
        let ports = sockets.chunk_by(is_same_port).filter_map(|port| {
            let number = port[0].local.port;
            (self.0.contains(number) || port.iter().any(is_held)).then_some(number)
        });
        let ports: PortSet = ports.collect();
        snapshot.listened = (!ports.is_empty()).then(|| ports.clone());
        self.0 = ports;
    }
}
