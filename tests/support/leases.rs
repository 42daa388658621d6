//! A pool on a simulated machine, where the test occupies ports and sends late datagrams.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use portscope::{
    allocator::{Bands, Candidates, LeaseHolder, Pool, PoolSetup, Priority, Quarantine, Shortage},
    domain::{Binder, Errno, PortRange, Protocol, Refusal},
};
use rand::{SeedableRng, rngs::ChaCha8Rng};

pub const FIRST: u16 = 50_000;
pub const REST: Duration = Duration::from_secs(10);

/// The holders of the ports, and the datagrams that arrived.
#[derive(Default)]
pub struct PortState {
    pub ours: BTreeSet<u16>,
    pub others: BTreeSet<u16>,
    late_datagrams: BTreeMap<u16, u64>,
    /// Every bind() fails with this error.
    pub broken: Option<Errno>,
}

#[derive(Clone, Default)]
pub struct Machine(pub Rc<RefCell<PortState>>);

impl Machine {
    pub fn ours(&self) -> usize {
        self.0.borrow().ours.len()
    }

    pub fn send(&self, port: u16) {
        let mut port_state = self.0.borrow_mut();
        if port_state.ours.contains(&port) {
            *port_state.late_datagrams.entry(port).or_default() += 1;
        }
    }

    pub fn occupy(&self, port: u16) -> bool {
        let mut port_state = self.0.borrow_mut();
        !port_state.ours.contains(&port) && port_state.others.insert(port)
    }
}

pub struct Socket {
    machine: Machine,
    pub port: u16,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut port_state = self.machine.0.borrow_mut();
        assert!(port_state.ours.remove(&self.port));
        port_state.late_datagrams.remove(&self.port);
    }
}

impl Binder for Machine {
    type Held = Socket;

    fn bind(&mut self, port: u16) -> (Result<Socket, Refusal>, Duration) {
        let mut port_state = self.0.borrow_mut();
        let in_use = port_state.others.contains(&port) || port_state.ours.contains(&port);
        let errno = port_state.broken.or(in_use.then_some(Errno::EADDRINUSE));
        let result = if let Some(errno) = errno {
            Err(Refusal { protocol: Protocol::Udp, errno })
        } else {
            port_state.ours.insert(port);
            Ok(Socket { machine: self.clone(), port })
        };
        (result, Duration::from_micros(1))
    }

    fn late_datagrams(&mut self, held: &mut Socket) -> u64 {
        self.0.borrow_mut().late_datagrams.remove(&held.port).unwrap_or(0)
    }
}

pub type TestPool = Pool<Machine, ChaCha8Rng>;

pub fn setup(ports: u16, bands: Bands, quarantine: Quarantine) -> PoolSetup {
    PoolSetup {
        candidates: Candidates::new(PortRange::new(FIRST, FIRST + (ports - 1)).unwrap(), &[]),
        bands,
        quarantine,
        failure_rate: 1e-6,
        max_attempts: u32::MAX,
        max_held: u32::MAX,
    }
}

pub fn pool(setup: PoolSetup) -> (TestPool, Machine) {
    let machine = Machine::default();
    (Pool::new(setup, machine.clone(), ChaCha8Rng::seed_from_u64(1)).unwrap(), machine)
}

pub fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn holder(pid: u32) -> LeaseHolder {
    LeaseHolder { pid, started: 7 }
}

pub fn take(pool: &mut TestPool, now: Duration, class: Priority) -> Result<u16, Shortage> {
    pool.take(now, class, holder(1), |_| ()).map(|lease| lease.port)
}

pub fn take_all(pool: &mut TestPool, class: Priority) -> Vec<u16> {
    std::iter::from_fn(|| take(pool, at(0), class).ok()).collect()
}
