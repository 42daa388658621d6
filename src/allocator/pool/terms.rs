//! The words of a pool: who leases what, how it rests, why there is none. No behaviour.

use std::time::Duration;

use crate::{
    allocator::Candidates,
    domain::{Errno, Refusal},
};

/// Who may have what: each class may have all that a lower one may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Low,
    #[default]
    Normal,
    High,
}

impl Class {
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

/// How many ports are kept for a class, in ports. The first candidates are `high`'s, those after
/// them `normal`'s and `high`'s, and the rest everybody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bands {
    pub high: u32,
    pub normal: u32,
}

/// What a port goes through after its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quarantine {
    /// It is closed, and not given again for so long.
    Time(Duration),
    /// It stays bound until no datagram came for so long. What was booked is bound for it; where
    /// that fails it rests so long unwatched, and is bound then.
    Drain(Duration),
}

/// What a pool is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSetup {
    pub candidates: Candidates,
    pub bands: Bands,
    pub quarantine: Quarantine,
    /// How often a search may give up although a port is free, 0 to 1: the attempts follow from it
    /// and from how occupied the range was found.
    pub failure_rate: f64,
    /// Attempts of one search in one band, at most; one is always made.
    pub max_attempts: u32,
    /// Leases and resting ports that keep a socket, at most: what the descriptor limit allows.
    pub max_held: u32,
}

/// The bands are larger than their range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bands of {asked} ports in a range of {candidates}")]
pub struct BandsTooLarge {
    pub asked: u64,
    pub candidates: u32,
}

/// Whose lease it is: a process, told from a later one of the same pid by its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tenant {
    pub pid: u32,
    /// In ticks since boot (proc_pid_stat(5), field 22).
    pub started: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub port: u16,
    /// Counted from 1 over the life of the pool.
    pub number: u64,
    pub class: Class,
    pub tenant: Tenant,
    /// When it was taken.
    pub since: Duration,
    /// The pool has its socket.
    pub is_held: bool,
}

/// A port in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resting {
    pub port: u16,
    /// When it is given again if nothing comes.
    pub until: Duration,
    /// Datagrams that came for it meanwhile.
    pub strays: u64,
    /// It stays bound.
    pub is_held: bool,
}

/// Why there is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// All that the class may have is leased, rests, or (`refused`) is bound by others.
    #[error(
        "no port is left for class {}: {leased} leased, {resting} resting, {refused} in use by others",
        class.name()
    )]
    NoneLeft { class: Class, leased: u32, resting: u32, refused: u32 },
    /// Not all were tried, or what refused one of them is not a socket of others (`last`).
    #[error("gave up after {attempts} attempts, {untried} ports not tried{}", but_for(*.last))]
    GaveUp { attempts: u32, untried: u32, last: Refusal },
    /// No more sockets can be kept.
    #[error("{held} ports are held, as many as open files allow")]
    Limit { held: u32 },
}

/// What the pool did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub given: u64,
    pub refused: u64,
    pub released: u64,
    /// Of the released ones, those whose tenant was gone.
    pub reclaimed: u64,
    pub strays: u64,
}

fn but_for(last: Refusal) -> String {
    match last.errno {
        Errno::EADDRINUSE => String::new(),
        errno => format!("; {} refused by {errno}", last.protocol.name()),
    }
}
