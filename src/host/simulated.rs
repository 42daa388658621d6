//! A machine that exists only in memory. It implements `Host`, as the real machine does.

mod binder;
mod builder;
mod changes;

use std::{
    collections::BTreeMap,
    net::Ipv6Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use builder::SimulatedHostBuilder;

use binder::SimulatedBinder;
use changes::{Fill, SimulatedChanges};

use crate::{
    domain::{
        Ephemeral, Errno, Family, Gap, Holder, LocalAddress, Machine, PortRange, Process, Protocol,
        Protocols, Snapshot, Socket, Source, State,
        availability::{self, Bind, Verdict},
        owner::Span,
    },
    host::{
        Describer, Host, HostBinder, HostError, OwnerDepth, Running, Scanner,
        actions::{HostActions, NoActions},
    },
};

/// Pid of the process that holds the ports bound by the simulated binder.
pub const OWN_PID: u32 = 4242;

/// Duration of one bind() in simulated time.
pub const BIND_TIME: Duration = Duration::from_nanos(500);

/// A simulated machine: a population of sockets that only `refill` changes, and the ports that its
/// binders hold.
#[derive(Clone)]
pub struct SimulatedHost {
    world: Arc<World>,
}

struct World {
    machine: Arc<Machine>,
    ephemeral: Ephemeral,
    /// All sockets that can exist, including those that a fill adds only at a larger share.
    sockets: Vec<Socket>,
    fills: Vec<Fill>,
    pids: Vec<u32>,
    gaps: Vec<Gap>,
    processes: BTreeMap<u32, Process>,
    refusals: Vec<(PortRange, Errno)>,
    /// Time of scan 0, since 1970; each scan is one second later than the one before.
    begin: Duration,
    changes: Mutex<SimulatedChanges>,
}

impl SimulatedHost {
    pub fn builder() -> SimulatedHostBuilder {
        SimulatedHostBuilder::new()
    }

    /// Returns one scan with owners, numbered 1.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::empty(self.machine(), Source::Simulated);
        SimulatedScanner { world: Arc::clone(&self.world), number: 0 }.fill(&mut snapshot);
        snapshot
    }

    /// Like `snapshot`, but numbered 0 and without the ports that binders of this host hold.
    pub fn population(&self) -> Snapshot {
        let mut snapshot = Snapshot::empty(self.machine(), Source::Simulated);
        self.world.populate(&mut snapshot, &self.world.changes());
        snapshot.sort();
        snapshot
    }

    /// Returns the ports that binders of this host hold now.
    pub fn held(&self) -> Vec<(Protocol, u16)> {
        self.world.changes().held().collect()
    }

    /// Changes the share (0 to 1, rounded to ports) of each fill's ports that are in use. A larger
    /// share keeps the ports already in use. A port that a binder of this host holds for the same
    /// protocol has no socket of the fill afterwards.
    pub fn refill(&self, share: f64) {
        let mut changes = self.world.changes();
        for &fill in &self.world.fills {
            changes.refill(fill, share, &self.world.sockets);
        }
    }
}

impl World {
    fn changes(&self) -> MutexGuard<'_, SimulatedChanges> {
        // Ignores poisoning: each method of `SimulatedChanges` leaves it consistent, even if
        // another thread panicked.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn populate(&self, snapshot: &mut Snapshot, changes: &SimulatedChanges) {
        snapshot.taken_at = self.begin + Duration::from_secs(snapshot.number);
        snapshot.machine = Arc::clone(&self.machine);
        snapshot.source = Source::Simulated;
        snapshot.ephemeral.clone_from(&self.ephemeral);
        snapshot.sockets.extend(changes.among(&self.sockets).copied());
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
        Box::new(self.clone())
    }

    fn binder(
        &self,
        protocols: Protocols,
        address: Option<LocalAddress>,
    ) -> Result<Box<dyn HostBinder>, HostError> {
        Ok(Box::new(SimulatedBinder::new(
            Arc::clone(&self.world),
            protocols,
            address.map(|asked| asked.address),
        )))
    }

    /// No socket of this host has a reuse option, so a bind() that depends on one fails.
    fn probe(&self, bind: Bind, port: u16) -> Result<(), Errno> {
        if let Some(errno) = self.world.refusal(port) {
            return Err(errno);
        }
        match availability::bind_answer(&self.snapshot(), port, bind).verdict {
            Verdict::Free | Verdict::Never => Ok(()),
            Verdict::InUse | Verdict::Unknown => Err(Errno::EADDRINUSE),
        }
    }

    fn running(&self, pid: u32) -> Option<Running> {
        let started = self.world.processes.get(&pid)?.started?;
        Some(Running { started, is_kernel: false })
    }

    fn actions(&self) -> Result<Box<dyn HostActions>, HostError> {
        Ok(Box::new(NoActions("the machine is simulated")))
    }

    fn own_pid(&self) -> u32 {
        OWN_PID
    }
}

struct SimulatedScanner {
    world: Arc<World>,
    number: u64,
}

impl SimulatedScanner {
    fn fill(&mut self, snapshot: &mut Snapshot) {
        let world = &self.world;
        let changes = world.changes();
        self.number += 1;
        snapshot.clear();
        snapshot.number = self.number;
        world.populate(snapshot, &changes);
        let own = Span { first: snapshot.pids.len() as u32, length: 1 };
        snapshot.pids.push(OWN_PID);
        snapshot.sockets.extend(changes.held().map(|held| held_socket(held, own)));
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

impl Describer for SimulatedHost {
    fn describe(&mut self, pids: &[u32]) -> Vec<Process> {
        pids.iter().filter_map(|pid| self.world.processes.get(pid)).cloned().collect()
    }
}

/// Returns a held port as a scan shows it: a dual-stack socket of this host's own process.
fn held_socket((protocol, port): (Protocol, u16), own: Span) -> Socket {
    let state = match protocol {
        Protocol::Tcp => State::Bound,
        Protocol::Udp => State::Unconnected,
    };
    let number = 0x4000_0000 + u32::from(port) * 2 + protocol as u32;
    Socket {
        family: Family::Dual,
        inode: Some(number),
        uid: Some(1000),
        cookie: Some(u64::from(number)),
        holder: Holder::Process(own),
        ..Socket::new(protocol, state, (Ipv6Addr::UNSPECIFIED, port).into())
    }
}
