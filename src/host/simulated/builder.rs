//! Builds a simulated machine, socket by socket or by filling a share of a range.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    domain::{
        Endpoint, Ephemeral, Errno, Family, Gap, Holder, Machine, MachineKind, PortRange, Process,
        Protocol, Socket, State, Text, Timer, Users, owner::Span,
    },
    host::simulated::{Fill, OWN_PID, SimulatedChanges, SimulatedHost, World},
};

/// Start of the simulated time: 2026-01-01 00:00:00 UTC, in seconds since 1970.
const BEGIN: u64 = 1_767_225_600;
/// Base of the numbers of sockets that exist only after a larger share is set. The number of such a
/// socket is this base plus its port; inode and cookie are computed from it.
const SPARE: u32 = 0x2000_0000;
/// Default local and remote address of connections, from the ranges for documentation (RFC 5737).
const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// Builds a [`SimulatedHost`]. `owned_by` and similar methods apply to the sockets that the last
/// call of `tcp`, `udp`, `fill` or `fill_ports` added.
///
/// ```
/// use portscope::{domain::{PortRange, State}, host::simulated::SimulatedHost};
///
/// let host = SimulatedHost::builder()
///     .process(812, "nginx", "nginx: worker", 33)
///     .tcp(([0, 0, 0, 0], 80), State::Listen)
///     .owned_by(&[812])
///     .fill(PortRange::new(49_152, 65_535)?, 0.9, State::Established, 7)
///     .hidden()
///     .build();
/// assert_eq!(host.snapshot().sockets.len(), 1 + 14_746);
/// # Ok::<(), portscope::domain::EmptyRange>(())
/// ```
pub struct SimulatedHostBuilder {
    name: Text,
    users: Vec<(u32, Text)>,
    ephemeral: Ephemeral,
    processes: BTreeMap<u32, Process>,
    sockets: Vec<Socket>,
    /// Index in `sockets` of the first socket that the last call added.
    last: usize,
    /// The last number given to a socket that exists from the start.
    number: u32,
    fills: Vec<(Fill, f64)>,
    pids: Vec<u32>,
    gaps: Vec<Gap>,
    refusals: Vec<(PortRange, Errno)>,
}

impl SimulatedHostBuilder {
    pub(super) fn new() -> Self {
        let start = Self {
            name: Text::scrub("simulated"),
            users: vec![(0, Text::scrub("root")), (1000, Text::scrub("user"))],
            ephemeral: Ephemeral::default(),
            processes: BTreeMap::new(),
            sockets: Vec::new(),
            last: 0,
            number: 0,
            fills: Vec::new(),
            pids: Vec::new(),
            gaps: Vec::new(),
            refusals: Vec::new(),
        };
        start.process(OWN_PID, "portscope", "portscope", 1000)
    }

    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Text::scrub(name);
        self
    }

    #[must_use]
    pub fn user(mut self, uid: u32, name: &str) -> Self {
        self.users.push((uid, Text::scrub(name)));
        self
    }

    #[must_use]
    pub fn ephemeral(mut self, ephemeral: Ephemeral) -> Self {
        self.ephemeral = ephemeral;
        self
    }

    /// Adds a process. Its start time is one day before the simulated time begins, plus `pid`
    /// seconds.
    #[must_use]
    pub fn process(mut self, pid: u32, name: &str, command: &str, uid: u32) -> Self {
        let process = Process {
            command: Some(Text::scrub(command)),
            uid: Some(uid),
            started: Some(BEGIN - 86_400 + u64::from(pid)),
            ..Process::new(pid, Text::scrub(name))
        };
        self.processes.insert(pid, process);
        self
    }

    /// Sets the systemd unit or container of a process that was added.
    #[must_use]
    pub fn in_unit(mut self, pid: u32, unit: &str) -> Self {
        if let Some(process) = self.processes.get_mut(&pid) {
            process.unit = Some(Text::scrub(unit));
        }
        self
    }

    /// Adds a TCP socket of uid 0 that no process holds. `owned_by` sets its processes, and the uid
    /// of the first one. A TIME-WAIT socket belongs to the kernel and has no uid.
    #[must_use]
    pub fn tcp(self, local: impl Into<Endpoint>, state: State) -> Self {
        self.one(Protocol::Tcp, local.into(), state)
    }

    /// Adds a UDP socket without a peer; `connected_to` gives it one.
    #[must_use]
    pub fn udp(self, local: impl Into<Endpoint>) -> Self {
        self.one(Protocol::Udp, local.into(), State::Unconnected)
    }

    #[must_use]
    pub fn connected_to(self, remote: impl Into<Endpoint>) -> Self {
        let remote = remote.into();
        self.each(|socket| {
            socket.remote = Some(remote);
            if socket.state == State::Unconnected {
                socket.state = State::Connected;
            }
        })
    }

    #[must_use]
    pub fn owned_by(mut self, pids: &[u32]) -> Self {
        let uid = pids.first().and_then(|pid| self.processes.get(pid)).and_then(|p| p.uid);
        let span = self.span(pids);
        self.each(|socket| (socket.holder, socket.uid) = (Holder::Process(span), uid))
    }

    /// Assigns the sockets to these processes in turn, one process each.
    #[must_use]
    pub fn dealt_to(mut self, pids: &[u32]) -> Self {
        let Span { first, .. } = self.span(pids);
        let uids: Vec<_> = pids.iter().map(|pid| self.processes.get(pid)?.uid).collect();
        let deal = (first..).zip(uids).cycle();
        for (socket, (first, uid)) in self.sockets.iter_mut().skip(self.last).zip(deal) {
            (socket.holder, socket.uid) = (Holder::Process(Span { first, length: 1 }), uid);
        }
        self
    }

    /// Marks the sockets as closed by these processes and kept by the kernel.
    #[must_use]
    pub fn departed_from(self, pids: &[u32]) -> Self {
        self.without_inode(Holder::Departed, pids)
    }

    /// Marks the connections as not yet accepted by these processes.
    #[must_use]
    pub fn in_backlog_of(self, pids: &[u32]) -> Self {
        self.without_inode(Holder::Backlog, pids)
    }

    /// Marks the sockets as held by a process that portscope has no permission to see. Adds no gap.
    #[must_use]
    pub fn hidden(self) -> Self {
        self.each(|socket| socket.holder = Holder::Hidden)
    }

    /// Applies `change` to each socket that the last call added.
    #[must_use]
    pub fn each(mut self, change: impl Fn(&mut Socket)) -> Self {
        let last = self.last;
        self.sockets.iter_mut().skip(last).for_each(change);
        self
    }

    /// Adds sockets on a share (0 to 1, rounded to ports) of the range's ports, which `seed`
    /// selects. The sockets are UDP if `state` is a state of UDP. `SimulatedHost::refill` changes
    /// the share.
    #[must_use]
    pub fn fill(self, range: PortRange, share: f64, state: State, seed: u64) -> Self {
        self.fill_ports(range.ports(), share, state, seed)
    }

    /// Like `fill`, for any list of ports. Two fills with the same list, share and seed select the
    /// same ports.
    #[must_use]
    pub fn fill_ports(
        mut self,
        ports: impl IntoIterator<Item = u16>,
        share: f64,
        state: State,
        seed: u64,
    ) -> Self {
        let mut ports: Vec<u16> = ports.into_iter().collect();
        let mut random = SplitMix(seed);
        // Shuffles all ports, so that a larger share contains the ports of a smaller one.
        for chosen in 0..ports.len() {
            let other = chosen + random.below((ports.len() - chosen) as u64) as usize;
            ports.swap(chosen, other);
        }
        self.last = self.sockets.len();
        let fill = Fill { first: self.last, length: ports.len() };
        let is_at = self.number + fill.count(share) as u32;
        for &port in &ports {
            // The sockets that exist from the start have consecutive numbers; the others have
            // numbers from `SPARE` on.
            let number =
                if self.number < is_at { self.next_number() } else { SPARE + u32::from(port) };
            let address = if state.has_peer() { HERE } else { Ipv4Addr::UNSPECIFIED };
            self.push(state.protocol(), (address, port).into(), state, number);
        }
        self.fills.push((fill, share));
        self
    }

    #[must_use]
    pub fn gap(mut self, gap: Gap) -> Self {
        self.gaps.push(gap);
        self
    }

    /// Makes each bind() in the range fail with this errno, as a security policy or the descriptor
    /// limit would.
    #[must_use]
    pub fn refusing(mut self, range: PortRange, errno: Errno) -> Self {
        self.refusals.push((range, errno));
        self
    }

    pub fn build(self) -> SimulatedHost {
        let machine = Machine {
            users: Arc::new(self.users.into_iter().collect::<Users>()),
            ..Machine::new(MachineKind::Simulated, self.name, Text::scrub("simulated"))
        };
        let mut changes = SimulatedChanges::of(self.sockets.len());
        for &(fill, share) in &self.fills {
            changes.refill(fill, share, &self.sockets);
        }
        let world = World {
            machine: Arc::new(machine),
            ephemeral: self.ephemeral,
            sockets: self.sockets,
            fills: self.fills.iter().map(|&(fill, _)| fill).collect(),
            pids: self.pids,
            gaps: self.gaps,
            processes: self.processes,
            refusals: self.refusals,
            begin: Duration::from_secs(BEGIN),
            changes: Mutex::new(changes),
        };
        SimulatedHost { world: Arc::new(world) }
    }

    fn without_inode(mut self, holder: fn(Span) -> Holder, pids: &[u32]) -> Self {
        let holder = holder(self.span(pids));
        self.each(|socket| (socket.holder, socket.uid, socket.inode) = (holder, None, None))
    }

    fn one(mut self, protocol: Protocol, local: Endpoint, state: State) -> Self {
        self.last = self.sockets.len();
        let number = self.next_number();
        self.push(protocol, local, state, number);
        self
    }

    fn next_number(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    fn push(&mut self, protocol: Protocol, local: Endpoint, state: State, number: u32) {
        let (holder, timer) = match state {
            State::TimeWait => (Holder::Kernel, Timer::TimeWait),
            _ => (Holder::Nobody, Timer::None),
        };
        let kept = holder == Holder::Kernel;
        self.sockets.push(Socket {
            family: family_of(local.address, state),
            timer,
            remote: state.has_peer().then_some((THERE, 443).into()),
            inode: (!kept).then_some(100_000 + number),
            uid: (!kept).then_some(0),
            cookie: Some(u64::from(number)),
            expires_ms: kept.then_some(30_000),
            holder,
            ..Socket::new(protocol, state, local)
        });
    }

    fn span(&mut self, pids: &[u32]) -> Span {
        let first = self.pids.len() as u32;
        self.pids.extend_from_slice(pids);
        Span { first, length: pids.len() as u32 }
    }
}

/// Returns the family of a socket. A socket without a peer on `[::]` is dual-stack, as on Linux by
/// default.
fn family_of(address: IpAddr, state: State) -> Family {
    match address {
        IpAddr::V4(_) => Family::Ipv4,
        IpAddr::V6(address) if address.is_unspecified() && !state.has_peer() => Family::Dual,
        IpAddr::V6(_) => Family::Ipv6,
    }
}

/// Vigna's splitmix64: random enough to scatter ports, and the same on every machine.
pub(super) struct SplitMix(pub(super) u64);

impl SplitMix {
    /// Returns a number below `limit`, by multiplication; the bias is under limit / 2^64.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * u128::from(limit)) >> 64) as u64
    }
}
