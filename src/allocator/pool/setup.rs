//! Types of a pool: priorities, lease holders, leases, quarantine, errors. No behaviour.

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

    pub fn named(name: &str) -> Option<Self> {
        Self::EACH.into_iter().find(|class| class.name() == name)
    }
}

/// Number of ports reserved for each class. The first candidates are for `high`, those after them
/// for `normal` and `high`, and the rest for every class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bands {
    pub high: u32,
    pub normal: u32,
}

/// What happens to a port after its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quarantine {
    /// The port is closed, and not given again for this time.
    Time(Duration),
    /// The port stays bound until no datagram has arrived for this time. The pool binds a booked
    /// port again for this purpose. If that fails, the pool tries once more after this time: if it
    /// succeeds, the quarantine lasts for this time again, and otherwise it ends.
    Drain(Duration),
}

/// Configuration of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSetup {
    pub candidates: Candidates,
    pub bands: Bands,
    pub quarantine: Quarantine,
    /// Rate at which a search may give up although a port is free, 0 to 1. Together with the
    /// measured occupancy it determines the number of attempts.
    pub failure_rate: f64,
    /// Maximum number of attempts of one search in one band. At least one attempt is made.
    pub max_attempts: u32,
    /// Maximum number of leases and quarantined ports that keep a socket, from the configured limit
    /// and the descriptor limit.
    pub max_held: u32,
}

/// Error: the bands are larger than their range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bands of {asked} ports are too large: expected at most {candidates}")]
pub struct BandsTooLarge {
    pub asked: u64,
    pub candidates: u32,
}

/// Lease holder: a process, distinguished by its start time from a later one with the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseHolder {
    pub pid: u32,
    /// Start time, in ticks since boot (proc_pid_stat(5), field 22).
    pub started: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub port: u16,
    /// Number of the lease, counted from 1 over the life of the pool.
    pub number: u64,
    pub class: Priority,
    pub holder: LeaseHolder,
    /// Time when the port was leased.
    pub since: Duration,
    /// The pool has its socket.
    pub is_held: bool,
}

/// A port in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuarantineEntry {
    pub port: u16,
    /// Time when the port is given again if no datagram arrives.
    pub until: Duration,
    /// Number of datagrams that arrived during the quarantine.
    pub stray_datagrams: u64,
    /// The port stays bound.
    pub is_held: bool,
}

/// Reason why a port could not be leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// All ports that the class may use are leased, in quarantine, or bound by others (`refused`).
    #[error(
        "no port left for class {}: {} leased, {} in quarantine, {} in use by others",
        class.name(),
        notation::grouped(*.leased),
        notation::grouped(*.quarantined),
        notation::grouped(*.refused)
    )]
    NoneLeft { class: Priority, leased: u32, quarantined: u32, refused: u32 },
    /// Some ports were not tried, or `last` has an error other than EADDRINUSE.
    #[error(
        "failed after {}, {} not tried{}",
        notation::counted(*.attempts, "attempt"),
        notation::counted(*.untried, "port"),
        but_for(*.last)
    )]
    GaveUp { attempts: u32, untried: u32, last: Refusal },
    /// The limit on sockets kept is reached.
    #[error("limit of open files reached: {} held", notation::counted(*.held, "port"))]
    Limit { held: u32 },
}

/// Counters since the pool was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounts {
    pub given: u64,
    pub refused: u64,
    pub released: u64,
    /// Released leases whose holder no longer existed.
    pub reclaimed: u64,
    pub stray_datagrams: u64,
}

fn but_for(last: Refusal) -> String {
    match last.errno {
        Errno::EADDRINUSE => String::new(),
        errno => format!("; {} refused by {errno}", last.protocol.name()),
    }
}
