//! Types of a pool: priorities, lease holders, leases, quarantine, errors. Leases nothing.

use std::time::Duration;

use crate::{
    allocator::Candidates,
    domain::{Errno, Refusal, notation},
};

/// Priority of a lease: each class may use all ports that a lower class may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
}

impl Priority {
    pub const EACH: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// Number of ports reserved for the higher classes. The lowest candidates are for `High`, those
/// after them for `Normal` and `High`, and the rest for every class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bands {
    pub high: u32,
    pub normal: u32,
}

/// What happens to a port after its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quarantine {
    /// The port is closed, and not leased again for this time.
    Time(Duration),
    /// The port stays bound until no datagram has arrived for this time. The pool binds a booked
    /// port again for this purpose. If that bind fails, or the pool keeps `max_held` ports bound
    /// already, it tries once more after this time: if it can bind the port then, the quarantine
    /// lasts for this time again, and otherwise it ends.
    Drain(Duration),
}

/// Configuration of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSetup {
    pub candidates: Candidates,
    pub bands: Bands,
    pub quarantine: Quarantine,
    /// Share of searches (0 to 1) that may give up although a port is free. Together with the
    /// measured occupancy, it determines the number of attempts.
    pub failure_rate: f64,
    /// Maximum number of attempts of one search in one band; 0 counts as 1.
    pub max_attempts: u32,
    /// Maximum number of ports, leased or in quarantine, that the pool keeps bound: the lower one
    /// of the configured limit and the descriptor limit.
    pub max_held: u32,
}

/// Error: the bands have more ports than there are candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bands of {asked} ports are too large: expected at most {candidates}")]
pub struct BandsTooLarge {
    pub asked: u64,
    pub candidates: u32,
}

/// Lease holder: a process. The start time distinguishes it from a later process with the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseHolder {
    pub pid: u32,
    /// Start time, in ticks since boot (proc_pid_stat(5), field 22).
    pub started: u64,
}

/// A leased port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub port: u16,
    /// Number of the lease, counted from 1 over the life of the pool.
    pub number: u64,
    pub class: Priority,
    pub holder: LeaseHolder,
    /// Time when the port was leased, on the clock of the pool's caller.
    pub since: Duration,
    /// Whether the pool keeps the port bound. Otherwise the lease is booked: the holder binds the
    /// port.
    pub is_held: bool,
}

/// A port in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuarantineEntry {
    pub port: u16,
    /// Time when the quarantine ends if no datagram arrives, on the clock of the pool's caller.
    pub until: Duration,
    /// Number of datagrams that arrived during the quarantine.
    pub late_datagrams: u64,
    /// Whether the pool keeps the port bound.
    pub is_held: bool,
}

/// Reason why a port could not be leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// All ports that the class may use are leased, in quarantine, or refused with EADDRINUSE
    /// because others use them.
    #[error(
        "no port left for class {}: {} leased, {} in quarantine, {} in use by others",
        class.name(),
        notation::grouped(*.leased),
        notation::grouped(*.quarantined),
        notation::grouped(*.refused)
    )]
    NoneLeft { class: Priority, leased: u32, quarantined: u32, refused: u32 },
    /// The search gave up after `attempts` attempts: `untried` ports were not tried, or `last` has
    /// an error other than EADDRINUSE.
    #[error(
        "failed after {}, {} not tried{}",
        notation::counted(*.attempts, "attempt"),
        notation::counted(*.untried, "port"),
        but_for(*.last)
    )]
    GaveUp { attempts: u32, untried: u32, last: Refusal },
    /// `PoolSetup::max_held` is reached.
    #[error("limit of open files reached: {} held", notation::counted(*.held, "port"))]
    Limit { held: u32 },
}

/// Counters since the pool was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Number of leases made.
    pub given: u64,
    /// Attempts of searches that were refused.
    pub refused: u64,
    /// Leases that ended, including `reclaimed`.
    pub released: u64,
    /// Leases that ended because their holder no longer existed.
    pub reclaimed: u64,
    /// Datagrams that arrived at ports in quarantine.
    pub late_datagrams: u64,
}

fn but_for(last: Refusal) -> String {
    match last.errno {
        Errno::EADDRINUSE => String::new(),
        errno => format!("; {} refused by {errno}", last.protocol.name()),
    }
}
