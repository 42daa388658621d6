//! A machine that exists only in memory. Not a demo mode: it is a `Host` like the real one.

mod builder;
mod standing;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use builder::SimulatedHostBuilder;

use standing::{Fill, Standing};

use crate::{
    domain::{
        Binder, Endpoint, Ephemeral, Errno, Family, Gap, Holder, Machine, PortRange, Process,
        Protocol, Protocols, Refusal, Snapshot, Socket, Source, State, Timer, automatic,
        availability::{self, Bind, Verdict},
        owner::Span,
    },
    host::{Describer, Held, Host, HostBinder, HostError, OwnerDepth, Scanner},
};

/// The process that holds what the simulated binder bound.
pub const OWN_PID: u32 = 4242;

/// What one bind() takes in simulated time.
pub const BIND_TIME: Duration = Duration::from_nanos(500);

/// A population of sockets that stands still unless it is refilled, and the ports that its own
/// binders hold.
#[derive(Clone)]
pub struct SimulatedHost {
    world: Arc<World>,
}

struct World {
    machine: Arc<Machine>,
    ephemeral: Ephemeral,
    /// Those of the fills that do not stand now too.
    sockets: Vec<Socket>,
    fills: Vec<Fill>,
    pids: Vec<u32>,
    gaps: Vec<Gap>,
    processes: BTreeMap<u32, Process>,
    refusals: Vec<(PortRange, Errno)>,
    /// The time of scan 0; each scan is a second later than the one before.
    begin: Duration,
    standing: Mutex<Standing>,
}

impl SimulatedHost {
    pub fn builder() -> SimulatedHostBuilder {
        SimulatedHostBuilder::new()
    }

    /// One scan with owners, numbered 1.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::empty(self.machine(), Source::Simulated);
        SimulatedScanner { world: Arc::clone(&self.world), number: 0 }.fill(&mut snapshot);
        snapshot
    }

    /// As `snapshot`, without the ports that binders of this host hold.
    pub fn population(&self) -> Snapshot {
        let mut snapshot = Snapshot::empty(self.machine(), Source::Simulated);
        self.world.populate(&mut snapshot, &self.world.standing());
        snapshot.sort();
        snapshot
    }

    /// Ports that binders of this host hold now.
    pub fn held(&self) -> Vec<(Protocol, u16)> {
        self.world.standing().held().collect()
    }

    /// From now on `share` (0 to 1, rounded to ports) of the ports of each fill is taken. More
    /// keeps what was taken; a port that a binder of this host holds is left to it.
    pub fn refill(&self, share: f64) {
        let mut standing = self.world.standing();
        for &fill in &self.world.fills {
            standing.refill(fill, share, &self.world.sockets);
        }
    }
}

impl World {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        // Whole after each call on it, whoever panicked meanwhile.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn populate(&self, snapshot: &mut Snapshot, standing: &Standing) {
        snapshot.taken_at = self.begin + Duration::from_secs(snapshot.number);
        snapshot.machine = Arc::clone(&self.machine);
        snapshot.source = Source::Simulated;
        snapshot.ephemeral.clone_from(&self.ephemeral);
        snapshot.sockets.extend(standing.among(&self.sockets).copied());
        snapshot.pids.extend_from_slice(&self.pids);
        snapshot.gaps.extend_from_slice(&self.gaps);
        snapshot.cost = Duration::from_millis(1);
    }

    fn refusal(&self, port: u16) -> Option<Errno> {
        let given = self.refusals.iter().find(|(range, _)| range.contains(port));
        let privileged = port < self.ephemeral.unprivileged_start;
        given.map(|&(_, errno)| errno).or_else(|| privileged.then_some(Errno::EACCES))
    }
}

impl Host for SimulatedHost {
    fn machine(&self) -> Arc<Machine> {
        Arc::clone(&self.world.machine)
    }

    fn scanner(&self) -> Result<Box<dyn Scanner>, HostError> {
        Ok(Box::new(SimulatedScanner { world: Arc::clone(&self.world), number: 0 }))
    }

    fn describer(&self) -> Box<dyn Describer> {
        Box::new(SimulatedDescriber { world: Arc::clone(&self.world) })
    }

    fn binder(
        &self,
        protocols: Protocols,
        address: Option<IpAddr>,
    ) -> Result<Box<dyn HostBinder>, HostError> {
        let occupied = vec![[false; 2]; 65_536];
        let world = Arc::clone(&self.world);
        let (choice, choices) = (world.ephemeral.range, 0);
        let binder =
            SimulatedBinder { world, protocols, address, choice, choices, occupied, version: None };
        Ok(Box::new(binder))
    }

    /// None of its sockets has a reuse option: where that would decide, the bind fails.
    fn probe(&self, bind: Bind, port: u16) -> Result<(), Errno> {
        if let Some(errno) = self.world.refusal(port) {
            return Err(errno);
        }
        match availability::bind_answer(&self.snapshot(), port, bind).verdict {
            Verdict::Free | Verdict::Never => Ok(()),
            Verdict::InUse | Verdict::Unknown => Err(Errno::EADDRINUSE),
        }
    }
}

struct SimulatedScanner {
    world: Arc<World>,
    number: u64,
}

impl SimulatedScanner {
    fn fill(&mut self, snapshot: &mut Snapshot) {
        let world = &self.world;
        let standing = world.standing();
        self.number += 1;
        snapshot.clear();
        snapshot.number = self.number;
        world.populate(snapshot, &standing);
        let own = Span { first: snapshot.pids.len() as u32, length: 1 };
        snapshot.pids.push(OWN_PID);
        snapshot.sockets.extend(standing.held().map(|held| held_socket(held, own)));
        snapshot.sort();
    }
}

impl Scanner for SimulatedScanner {
    fn scan(&mut self, owners: OwnerDepth, snapshot: &mut Snapshot) -> Result<(), HostError> {
        self.fill(snapshot);
        if owners == OwnerDepth::Skip {
            snapshot.pids.clear();
            for socket in &mut snapshot.sockets {
                socket.holder = Holder::NotAsked;
            }
        }
        Ok(())
    }
}

struct SimulatedDescriber {
    world: Arc<World>,
}

impl Describer for SimulatedDescriber {
    fn describe(&mut self, pids: &[u32]) -> Vec<Process> {
        pids.iter().filter_map(|pid| self.world.processes.get(pid)).cloned().collect()
    }
}

struct SimulatedBinder {
    world: Arc<World>,
    protocols: Protocols,
    address: Option<IpAddr>,
    /// Where port 0 leads, and how often it did.
    choice: PortRange,
    choices: u32,
    /// By port, then by protocol: sockets of the population that conflict with our address.
    occupied: Vec<[bool; 2]>,
    /// Of the population that was looked at; None: none was.
    version: Option<u64>,
}

impl Binder for SimulatedBinder {
    type Held = Box<dyn Held>;

    fn port_of(&self, held: &Self::Held, _: u16) -> u16 {
        held.port()
    }

    /// UDP first, as the real one. A port that a binder of this host holds is taken whatever the
    /// address.
    fn bind(&mut self, port: u16) -> (Result<Box<dyn Held>, Refusal>, Duration) {
        let Self { world, protocols, address, choice, choices, occupied, version } = self;
        let mut standing = world.standing();
        if *version != Some(standing.version) {
            *version = Some(standing.version);
            look(&standing, &world.sockets, *address, occupied);
        }
        let mut took = Duration::ZERO;
        let port = if port == 0 {
            *choices = choices.wrapping_add(1);
            let is_available = |port: u16| {
                let reserved = world.ephemeral.reserved();
                let mut each = standing::each(*protocols);
                !reserved.iter().any(|range| range.contains(port))
                    && world.refusal(port).is_none()
                    && each.all(|protocol| {
                        !occupied[usize::from(port)][protocol as usize]
                            && !standing.holds(protocol, port)
                    })
            };
            // Spread like chance, and the same ones each time (Knuth's multiplicative hash).
            let random = choices.wrapping_mul(2_654_435_761) >> 7;
            let chosen = automatic::choose(*protocols, *choice, random, is_available);
            let Some(port) = chosen else {
                let protocol = standing::each(*protocols).next().unwrap_or(Protocol::Udp);
                return (Err(Refusal { protocol, errno: Errno::EADDRINUSE }), BIND_TIME);
            };
            port
        } else {
            port
        };
        for protocol in standing::each(*protocols) {
            took += BIND_TIME;
            let is_taken =
                occupied[usize::from(port)][protocol as usize] || standing.holds(protocol, port);
            let taken = is_taken.then_some(Errno::EADDRINUSE);
            if let Some(errno) = world.refusal(port).or(taken) {
                return (Err(Refusal { protocol, errno }), took);
            }
        }
        standing.hold(*protocols, port);
        let (world, protocols) = (Arc::clone(world), *protocols);
        (Ok(Box::new(SimulatedPort { world, protocols, port })), took)
    }
}

/// Which ports the standing sockets take from a bind to that address.
fn look(
    standing: &Standing,
    sockets: &[Socket],
    address: Option<IpAddr>,
    occupied: &mut [[bool; 2]],
) {
    occupied.fill([false; 2]);
    for socket in standing.among(sockets).filter(|socket| conflicts(socket, address)) {
        occupied[usize::from(socket.local.port)][socket.protocol as usize] = true;
    }
}

impl HostBinder for SimulatedBinder {
    /// The machine's own range is as simulated as the rest: it gives way.
    fn choose_within(&mut self, range: PortRange) -> Result<(), HostError> {
        self.choice = range;
        Ok(())
    }
}

struct SimulatedPort {
    world: Arc<World>,
    protocols: Protocols,
    port: u16,
}

impl Held for SimulatedPort {
    fn port(&self) -> u16 {
        self.port
    }

    fn into_descriptors(self: Box<Self>) -> Vec<OwnedFd> {
        Vec::new()
    }
}

impl Drop for SimulatedPort {
    fn drop(&mut self) {
        self.world.standing().release(self.protocols, self.port);
    }
}

/// A bind to `address` meets a socket of the same address, or of an unspecified one that takes its
/// family; a bind to all addresses meets every socket (kernel.md 1c).
fn conflicts(socket: &Socket, address: Option<IpAddr>) -> bool {
    let Some(address) = address.filter(|a| !a.is_unspecified()) else {
        return true;
    };
    let takes_family = match socket.family {
        Family::Ipv4 => address.is_ipv4(),
        Family::Ipv6 => address.is_ipv6(),
        Family::Dual => true,
    };
    socket.local.address == address || (socket.local.address.is_unspecified() && takes_family)
}

/// What the scan of a held port shows: a dual-stack socket of our own process.
fn held_socket((protocol, port): (Protocol, u16), own: Span) -> Socket {
    let state = match protocol {
        Protocol::Tcp => State::Bound,
        Protocol::Udp => State::Unconnected,
    };
    let number = 0x4000_0000 + u32::from(port) * 2 + protocol as u32;
    Socket {
        protocol,
        family: Family::Dual,
        state,
        timer: Timer::None,
        local: Endpoint { address: Ipv6Addr::UNSPECIFIED.into(), port },
        remote: None,
        interface: None,
        inode: Some(number),
        uid: Some(1000),
        cookie: Some(u64::from(number)),
        expires_ms: None,
        cgroup: None,
        receive_queue: 0,
        send_queue: 0,
        holder: Holder::Process(own),
    }
}
