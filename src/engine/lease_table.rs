//! A pool of leases with its clock: ends quarantines that are over, and leases whose holder has
//! ended. Communicates with nobody.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rand::{SeedableRng as _, rngs::ChaCha8Rng};

use crate::{
    allocator::{Lease, LeaseHolder, Pool, PoolSetup, Priority, Shortage, pool::BandsTooLarge},
    host::{Host, HostBinder, lease_socket::NotTranslated},
};

/// Interval of checks whether a quarantine is over, while there is one.
const PASS_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum number of quarantines ended in one check.
const MAX_PASSING: usize = 1024;

/// Minimum interval of checks whether lease holders are alive, while there are leases.
const HOLDER_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Minimum pause after a check of lease holders, as a multiple of the check's duration.
const IDLE: u32 = 20;
/// Pause after a check of lease holders if a client found no port left, as a multiple of the
/// check's duration.
const IDLE_IN_NEED: u32 = 4;

/// Maximum pause after a check of lease holders if a client found no port left.
const MAX_URGENT_INTERVAL: Duration = Duration::from_secs(1);

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

/// The leases of a host, and when they are checked.
pub struct LeaseTable {
    pub pool: Pool<Box<dyn HostBinder>, ChaCha8Rng>,
    /// Start of the pool's clock.
    begun: Instant,
    next_pass: Instant,
    next_check: Instant,
    /// Earliest time of a check that is made because a client found no port left.
    pub next_urgent_check: Instant,
}

impl LeaseTable {
    /// Creates a table without leases.
    ///
    /// Errors: the bands of the priorities (`Bands`) have more ports than there are candidates.
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
            next_check: now + HOLDER_CHECK_INTERVAL,
            next_urgent_check: now,
        })
    }

    /// Returns the time on the clock of `Lease::since`.
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Leases a port that can be bound now on all requested protocols, and leases it to nobody else
    /// until the process has ended.
    ///
    /// Errors: the process is not visible, would not end before this server, or no port was found.
    pub fn lease(&mut self, host: &dyn Host, pid: u32) -> Result<Lease, NoLease> {
        let found = host.running(pid).ok_or(NoLease::NoProcess)?;
        // None of these processes ends before this server.
        if pid <= INIT || found.is_kernel || pid == std::process::id() {
            return Err(NoLease::Endless(pid));
        }
        let holder = LeaseHolder { pid, started: found.started };
        Ok(self.pool.book(self.now(), Priority::Normal, holder, |_| {})?)
    }

    /// Ends the lease of this port, which goes into quarantine. Does nothing if there is none.
    pub fn release(&mut self, port: u16) {
        self.pool.release(self.now(), port);
    }

    /// Returns the time of the next check; `None` if nothing is leased or in quarantine.
    pub fn due(&self) -> Option<Instant> {
        let next_update = (self.pool.quarantined().len() > 0).then_some(self.next_pass);
        let next_check = (self.pool.leases().len() > 0).then_some(self.next_check);
        next_update.into_iter().chain(next_check).min()
    }

    /// Returns how many ports are leased, free and in quarantine. Other programs may have bound
    /// some of the free ports.
    pub fn ports(&self) -> PoolPorts {
        PoolPorts {
            leased: self.pool.leases().len(),
            free: self.pool.left_for(Priority::Normal),
            in_quarantine: self.pool.quarantined().len(),
        }
    }

    /// Makes the checks that are due. Returns the ports that were taken back.
    pub fn keep(&mut self, host: &dyn Host) -> Vec<u16> {
        let now = Instant::now();
        let is_check_due = self.pool.leases().len() > 0 && now >= self.next_check;
        let reclaimed = if is_check_due { self.reclaim_ended(host) } else { Vec::new() };
        if self.pool.quarantined().len() > 0 && now >= self.next_pass {
            let are_more = self.pool.update_quarantines(self.now(), MAX_PASSING);
            self.next_pass = if are_more { now } else { now + PASS_INTERVAL };
        }
        reclaimed
    }

    /// Takes back the ports of processes that have ended, and returns them. A port that cannot be
    /// bound again stays leased. Ends quarantines that are over, at most `MAX_PASSING`.
    pub fn reclaim_ended(&mut self, host: &dyn Host) -> Vec<u16> {
        let begin = Instant::now();
        // A process with many leases is checked once.
        let mut checked = HashMap::new();
        let is_alive = |holder: LeaseHolder| {
            let is_holder_alive = || host.is_alive(holder.pid, holder.started);
            *checked.entry(holder).or_insert_with(is_holder_alive)
        };
        let reclaimed = self.pool.reclaim(self.now(), is_alive);
        self.pool.update_quarantines(self.now(), MAX_PASSING);
        let took = begin.elapsed();
        let now = begin + took;
        self.next_check = now + HOLDER_CHECK_INTERVAL.max(took * IDLE);
        self.next_urgent_check = now + MAX_URGENT_INTERVAL.min(took * IDLE_IN_NEED);
        reclaimed
    }
}
