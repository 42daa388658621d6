//! A machine that exists only in memory. Not a demo mode: it is a `Host` like the real one.

mod builder;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use builder::SimulatedHostBuilder;

use crate::{
    domain::{
        Binder, Endpoint, Ephemeral, Errno, Family, Gap, Holder, Machine, PortRange, Process,
        Protocol, Protocols, Refusal, Snapshot, Socket, Source, State, Timer, owner::Span,
    },
    host::{Describer, Held, Host, HostBinder, HostError, OwnerDepth, Scanner},
};

/// The process that holds what the simulated binder bound.
pub const OWN_PID: u32 = 4242;

/// What one bind() takes in simulated time.
pub const BIND_TIME: Duration = Duration::from_nanos(500);

/// A population of sockets that stands still, and the ports that its own binders hold.
#[derive(Clone)]
pub struct SimulatedHost {
    world: Arc<World>,
}

struct World {
    machine: Arc<Machine>,
    ephemeral: Ephemeral,
    sockets: Vec<Socket>,
    pids: Vec<u32>,
    gaps: Vec<Gap>,
    processes: BTreeMap<u32, Process>,
    refusals: Vec<(PortRange, Errno)>,
    /// The time of scan 0; each scan is a second later than the one before.
    begin: Duration,
    held: Mutex<BTreeSet<(Protocol, u16)>>,
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

    /// Ports that binders of this host hold now.
    pub fn held(&self) -> Vec<(Protocol, u16)> {
        self.world.held().iter().copied().collect()
    }
}

impl World {
    fn held(&self) -> MutexGuard<'_, BTreeSet<(Protocol, u16)>> {
        // A set of ports is whole after each call on it, whoever panicked meanwhile.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut occupied = vec![[false; 2]; 65_536];
        for socket in self.world.sockets.iter().filter(|s| conflicts(s, address)) {
            occupied[usize::from(socket.local.port)][socket.protocol as usize] = true;
        }
        Ok(Box::new(SimulatedBinder { world: Arc::clone(&self.world), protocols, occupied }))
    }
}

struct SimulatedScanner {
    world: Arc<World>,
    number: u64,
}

impl SimulatedScanner {
    fn fill(&mut self, snapshot: &mut Snapshot) {
        let world = &self.world;
        self.number += 1;
        snapshot.clear();
        snapshot.number = self.number;
        snapshot.taken_at = world.begin + Duration::from_secs(self.number);
        snapshot.machine = Arc::clone(&world.machine);
        snapshot.source = Source::Simulated;
        snapshot.ephemeral.clone_from(&world.ephemeral);
        snapshot.sockets.extend_from_slice(&world.sockets);
        snapshot.pids.extend_from_slice(&world.pids);
        snapshot.gaps.extend_from_slice(&world.gaps);
        snapshot.cost = Duration::from_millis(1);
        let own = Span { first: snapshot.pids.len() as u32, length: 1 };
        snapshot.pids.push(OWN_PID);
        snapshot.sockets.extend(world.held().iter().map(|&held| held_socket(held, own)));
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
    /// By port, then by protocol: sockets of the population that conflict with our address.
    occupied: Vec<[bool; 2]>,
}

impl SimulatedBinder {
    fn refusal(&self, port: u16, protocol: Protocol) -> Option<Errno> {
        let occupied = self.occupied[usize::from(port)][protocol as usize];
        let errno = self.world.refusal(port);
        errno.or_else(|| occupied.then_some(Errno::EADDRINUSE))
    }
}

impl Binder for SimulatedBinder {
    type Held = Box<dyn Held>;

    /// UDP first, as the real one. A port that a binder of this host holds is taken whatever the
    /// address.
    fn bind(&mut self, port: u16) -> (Result<Box<dyn Held>, Refusal>, Duration) {
        let mut took = Duration::ZERO;
        let mut held = self.world.held();
        let asked = [Protocol::Udp, Protocol::Tcp];
        for protocol in asked.into_iter().filter(|&p| self.protocols.includes(p)) {
            took += BIND_TIME;
            let taken = held.contains(&(protocol, port)).then_some(Errno::EADDRINUSE);
            if let Some(errno) = self.refusal(port, protocol).or(taken) {
                return (Err(Refusal { protocol, errno }), took);
            }
        }
        held.extend(
            asked
                .into_iter()
                .filter(|&p| self.protocols.includes(p))
                .map(|protocol| (protocol, port)),
        );
        let world = Arc::clone(&self.world);
        (Ok(Box::new(SimulatedPort { world, protocols: self.protocols, port })), took)
    }
}

impl HostBinder for SimulatedBinder {}

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
        let (protocols, own) = (self.protocols, self.port);
        self.world.held().retain(|&(protocol, port)| port != own || !protocols.includes(protocol));
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
