//! Books ports for processes and takes them back when the processes end. Knows no clients.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rand::{SeedableRng as _, rngs::ChaCha8Rng};

use crate::{
    allocator::{Lease, LeaseHolder, Pool, PoolSetup, Priority, Shortage, pool::BandsTooLarge},
    engine::lease_server::{Say, ServerEvent},
    host::{
        HostBinder,
        linux::{lease_holder, peer::NotTranslated},
    },
};

/// Interval of checks whether a quarantine is over, while there is one.
const PASS_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum number of quarantines ended in one check.
const MOST_PASSING: usize = 1024;

/// Interval of checks whether lease holders are alive, while there are leases.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Minimum pause after a check of lease holders, as a multiple of the check's duration.
const IDLE: u32 = 20;
/// Pause after a check of lease holders if a client found no port left, as a multiple of the
/// check's duration.
const IDLE_IN_NEED: u32 = 4;

/// Maximum pause after a check of lease holders if a client found no port left.
const LONGEST_IN_NEED: Duration = Duration::from_secs(1);

/// Pid of init, which never ends. A client that sends its parent's pid sends this one if the parent
/// has ended.
const INIT: u32 = 1;

/// Reason why a process gets no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLease {
    #[error("a lease of pid {0} would never end")]
    Endless(u32),
    #[error("no such process, or it is not visible")]
    NoProcess,
    #[error(transparent)]
    Client(#[from] NotTranslated),
    #[error(transparent)]
    Shortage(#[from] Shortage),
}

/// Number of the pool's ports in each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolPorts {
    pub leased: usize,
    pub free: u32,
    pub in_quarantine: usize,
}

pub struct LeaseTable {
    pool: Pool<Box<dyn HostBinder>, ChaCha8Rng>,
    /// Start of the pool's clock.
    begun: Instant,
    next_pass: Instant,
    next_look: Instant,
    /// Earliest time of a check that is made because a client found no port left.
    next_look_in_need: Instant,
}

impl LeaseTable {
    pub fn new(
        setup: PoolSetup,
        binder: Box<dyn HostBinder>,
        seed: u64,
    ) -> Result<Self, BandsTooLarge> {
        let pool = Pool::new(setup, binder, ChaCha8Rng::seed_from_u64(seed))?;
        let now = Instant::now();
        Ok(Self {
            pool,
            begun: now,
            next_pass: now,
            next_look: now + LOOK_INTERVAL,
            next_look_in_need: now,
        })
    }

    /// Returns the time on the clock of `Lease::since`.
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Leases a port that can be bound now on all requested protocols, and gives it to nobody else
    /// until the process has ended.
    pub fn lease(&mut self, pid: u32) -> Result<Lease, NoLease> {
        let found = lease_holder::find(pid).ok_or(NoLease::NoProcess)?;
        // None of these processes ends before this server.
        if pid <= INIT || found.is_kernel || pid == std::process::id() {
            return Err(NoLease::Endless(pid));
        }
        let holder = LeaseHolder { pid, started: found.started };
        Ok(self.pool.book(self.now(), Priority::Normal, holder, |_| {})?)
    }

    /// Releases a lease whose answer did not reach the client. The port goes into quarantine like
    /// any other returned port.
    pub fn give_back(&mut self, lease: &Lease) {
        self.pool.release(self.now(), lease.port);
    }

    /// Returns the time of the next check; `None` if nothing is leased or in quarantine.
    pub fn due(&self) -> Option<Instant> {
        let pass = (self.pool.resting().len() > 0).then_some(self.next_pass);
        let look = (self.pool.leases().len() > 0).then_some(self.next_look);
        pass.into_iter().chain(look).min()
    }

    /// Returns the earliest time of a check that is made because no port is left.
    pub fn next_look_in_need(&self) -> Instant {
        self.next_look_in_need
    }

    /// Returns how many ports are leased, free and in quarantine. Other programs may have bound
    /// some of the free ports.
    pub fn ports(&self) -> PoolPorts {
        PoolPorts {
            leased: self.pool.leases().len(),
            free: self.pool.left_for(Priority::Normal),
            in_quarantine: self.pool.resting().len(),
        }
    }

    /// Makes the checks that are due.
    pub fn keep(&mut self, now: Instant, say: Say<'_>) {
        if self.pool.leases().len() > 0 && now >= self.next_look {
            self.look(say);
        }
        if self.pool.resting().len() > 0 && now >= self.next_pass {
            let are_more = self.pool.pass_some(self.now(), MOST_PASSING);
            self.next_pass = if are_more { now } else { now + PASS_INTERVAL };
        }
    }

    /// Takes back the ports of processes that have ended, and ends quarantines that are over.
    pub fn look(&mut self, say: Say<'_>) {
        let begin = Instant::now();
        // A process with many leases is checked once.
        let mut seen = HashMap::new();
        let is_alive = |holder: LeaseHolder| {
            let look = || lease_holder::is_alive(holder.pid, holder.started);
            *seen.entry(holder).or_insert_with(look)
        };
        for port in self.pool.reclaim(self.now(), is_alive) {
            say(&ServerEvent::Reclaimed(port));
        }
        self.pool.pass_some(self.now(), MOST_PASSING);
        let took = begin.elapsed();
        let now = begin + took;
        self.next_look = now + LOOK_INTERVAL.max(took * IDLE);
        self.next_look_in_need = now + LONGEST_IN_NEED.min(took * IDLE_IN_NEED);
    }
}
