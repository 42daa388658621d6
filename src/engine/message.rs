//! Messages to and from the engine. Does not handle them.

use std::{sync::Arc, time::Duration};

use crate::{
    allocator::{
        Attempt, Bands, Lease, PoolCounts, Priority, Quarantine, QuarantineEntry, RunStats,
        pool::BandUse,
    },
    domain::{LocalAddress, PortRange, ProcessTable, Protocols, Snapshot, Text},
    host::HostError,
};

pub use super::freeing::offer::{FreeNews, FreeOffer, FreeRequest, OfferedPort};
pub use crate::allocator::{
    attempt::Finished,
    lab::{CurvePoint, LabReport, LabSetup, LabTarget, StrategyReport},
    race::{RaceBackend, RaceReport, RaceSetup, Rounds},
};

/// Request from the user interface to the worker threads.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    ScanNow,
    /// Scans after a quarter of the interval, unless paused.
    ScanSoon,
    /// Pauses (true) or resumes (false) scans; allocations continue.
    Freeze(bool),
    Allocation(AllocationRequest),
    Lab(LabRequest),
    Pool(PoolRequest),
    Free(FreeRequest),
}

/// Request to the thread that owns the pool of leased ports and the sockets that hold them.
#[derive(Clone, Debug, PartialEq)]
pub enum PoolRequest {
    /// Opens a pool with this plan; closes the previous pool and releases its ports.
    Open(PoolPlan),
    /// Takes `count` leases, or as many as are available. `u32::MAX` takes all.
    Take {
        class: Priority,
        count: u32,
    },
    /// Sets the pid of the holder of the next leases; `None`: this process.
    LeaseHolder(Option<u32>),
    /// Ends the lease of this port; does nothing if there is none.
    Release(u16),
    ReleaseAll,
    /// Ends the leases of processes that have ended, without waiting for the next check.
    Reclaim,
    /// Closes the pool and releases its ports at once, without quarantine.
    Close,
}

/// Configuration of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolPlan {
    pub target: AllocatorTarget,
    pub protocols: Protocols,
    pub range: PortRange,
    /// Ports that are not candidates, ascending.
    pub reserved: Vec<PortRange>,
    /// Address to bind; `None`: all addresses of IPv4 and IPv6.
    pub address: Option<LocalAddress>,
    pub bands: Bands,
    pub quarantine: Quarantine,
    /// Share of searches (0 to 1) that may give up although a port is free.
    pub failure_rate: f64,
    /// Maximum number of attempts of one search in one band; 0 counts as 1.
    pub max_attempts: u32,
    /// Maximum number of ports kept bound, as a share (0 to 1) of the ports that are not in use by
    /// others when the pool opens. A share of 1 sets no limit. The descriptor limit applies too.
    pub hold_share: f64,
    pub seed: u64,
    /// Pid of the lease holder; `None`: this process.
    pub holder: Option<u32>,
}

/// State of the pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolReport {
    /// Number of the `Open` request that this report belongs to, counted from 1.
    pub number: u64,
    /// Time of the report, on the clock of `Lease::since` and `QuarantineEntry::until`.
    pub now: Duration,
    /// In order of port.
    pub leases: Vec<Lease>,
    /// Ports in quarantine, ascending.
    pub quarantined: Vec<QuarantineEntry>,
    /// In the order of `Priority::EACH`. Every class may use the band of `Low`.
    pub bands: [BandUse; 3],
    pub counts: PoolCounts,
    /// Maximum number of ports, leased or in quarantine, that the pool keeps bound.
    pub hold_limit: u32,
    /// Share of ports (0 to 1) in use by others, as recent bind() calls found it.
    pub occupied: f64,
    /// Number of attempts that the next search may make in the band that every class may use.
    pub attempts_allowed: u32,
    /// The last attempts of the last `Take`, at most 64.
    pub attempts: Vec<Attempt>,
    /// Why the last `Take` got fewer leases than requested, why the lease holder or the initial
    /// occupancy is unknown, or how the host limits the pool, for example "IPv4 only". `None`: none
    /// of these applies.
    pub failure: Option<Text>,
}

/// Request to the thread that owns the strategy, the binder and all held sockets.
#[derive(Clone, Debug, PartialEq)]
pub enum AllocationRequest {
    /// Prepares a run with new statistics, paused; ends the previous run and releases its ports.
    Prepare(Setup),
    /// Makes one attempt, then pauses.
    Step,
    Run,
    Pause,
    Speed(Speed),
    /// Sets the share (0 to 1) of the candidates that are occupied on the simulated host from now
    /// on. A larger share keeps the occupied ports, and a port that the run holds is never taken.
    /// Does nothing on the real host.
    Fill(f64),
    /// Keeps the ports that are bound from now on (true), or releases them at once (false).
    Hold(bool),
    /// Releases one held port; does nothing if it is not held.
    Release(u16),
    ReleaseAll,
}

/// Where the ports of a run are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum AllocatorTarget {
    /// Real bind() on the host.
    #[default]
    Machine,
    /// Only in memory: `share` (0 to 1) of the candidates are occupied, on all addresses. The
    /// host's reserved ports stay reserved; `Setup::reserved` and `Setup::address` are ignored.
    Simulated { share: f64 },
}

/// Parameters of a run. The seed makes the choices of the strategy reproducible.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    pub target: AllocatorTarget,
    /// Index into `ALLOCATORS`.
    pub strategy: usize,
    pub protocols: Protocols,
    pub range: PortRange,
    /// Maximum number of attempts per allocation; 0 counts as 1.
    pub max_attempts: u32,
    pub seed: u64,
    /// Address to bind; `None`: all addresses of IPv4 and IPv6.
    pub address: Option<LocalAddress>,
    /// Ports that are not candidates, ascending (from the snapshot's policy).
    pub reserved: Vec<PortRange>,
    /// Maximum number of held ports; the descriptor limit applies too.
    pub hold_limit: u32,
    /// Number of finished allocations after which the run stops; `None`: it does not stop.
    pub stop_after: Option<u64>,
}

/// Speed at which attempts are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speed {
    /// An attempt is made only on a `Step` request.
    Step,
    One,
    Four,
    Twenty,
    Thousand,
    Max,
}

impl Speed {
    pub const EACH: [Self; 6] =
        [Self::Step, Self::One, Self::Four, Self::Twenty, Self::Thousand, Self::Max];

    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::One => "1/s",
            Self::Four => "4/s",
            Self::Twenty => "20/s",
            Self::Thousand => "1k/s",
            Self::Max => "max",
        }
    }

    /// Returns the time between two attempts. `None`: there is no pause (`Max`), or each attempt is
    /// requested (`Step`).
    pub fn pause(self) -> Option<Duration> {
        match self {
            Self::Step | Self::Max => None,
            Self::One => Some(Duration::from_secs(1)),
            Self::Four => Some(Duration::from_millis(250)),
            Self::Twenty => Some(Duration::from_millis(50)),
            Self::Thousand => Some(Duration::from_millis(1)),
        }
    }
}

/// Report from the worker threads to the user interface.
#[derive(Clone, Debug)]
pub enum Report {
    Scanned(Arc<Snapshot>),
    /// The scan failed; the text says why.
    ScanFailed(Text),
    /// All owners described so far.
    Described(Arc<ProcessTable>),
    Allocation(Box<AllocationDelta>),
    /// Occupancy of the simulated host from now on. Does not contain the ports that the run holds.
    /// The snapshot's number is that of the run. Sent before the first attempt on this occupancy.
    Simulated(Arc<Snapshot>),
    /// The run could not be prepared; the text says why.
    AllocationFailed(Text),
    Lab(Arc<LabReport>),
    /// The lab could not be prepared or cannot continue, or a race could not start; the text says
    /// why.
    LabFailed(Text),
    Race(Box<RaceReport>),
    Pool(Arc<PoolReport>),
    /// The pool could not be opened; the text says why.
    PoolFailed(Text),
    /// The answer to the `FreeRequest` with this number. Errors: the sockets could not be listed.
    Free {
        number: u64,
        offer: Result<Box<FreeOffer>, Text>,
    },
    /// A worker thread panicked; the text says which. The program must end with exit code 101.
    WorkerDied(Text),
}

/// What a run did since the last delta. Two deltas merge into one without loss, except for `recent`
/// and `ended`, which keep only the last 64 entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AllocationDelta {
    /// Number of the `Prepare` request that this delta belongs to, counted from 1.
    pub run: u64,
    pub stats: RunStats,
    /// Number of attempts by port: (port, attempts), ascending.
    pub attempts_by_port: Vec<(u16, u32)>,
    /// The last attempts, at most 64, oldest first.
    pub recent: Vec<Attempt>,
    /// The last allocation that ended; `None` if none ended since the last delta.
    pub finished: Option<Finished>,
    /// The last allocations that ended, at most 64, oldest first.
    pub ended: Vec<Finished>,
    /// All ports held now, ascending.
    pub held: Vec<u16>,
    /// Why a bound port was released although ports are to be held; `None` if this did not happen.
    pub hold_note: Option<&'static str>,
    pub is_running: bool,
    /// How the host limits the binds, for example "IPv4 only"; `None`: it does not.
    pub limitation: Option<&'static str>,
}

/// Request to the thread that compares strategies.
#[derive(Clone, Debug, PartialEq)]
pub enum LabRequest {
    /// Prepares a lab with new statistics, paused.
    Prepare(LabSetup),
    /// Makes one attempt for each strategy whose allocation is in progress, then pauses.
    Step,
    Run,
    Pause,
    Speed(Speed),
    /// Sets the share (0 to 1) of the candidates that are occupied in the simulation from now on.
    /// Starts new statistics and keeps the curve. Does nothing on the real host.
    Fill(f64),
    /// Starts a race; the current race, if any, ends without a report. The lab continues.
    Race(RaceSetup),
    /// Ends the current race, which then reports its result.
    EndRace,
}

/// An error of the host, as reports show it.
impl From<HostError> for Text {
    fn from(error: HostError) -> Self {
        Self::around_scrubbed(error.to_string())
    }
}

/// Destination of reports. The implementation decides how many reports may be pending.
pub trait Outbox: Send {
    /// Sends the report if there is room. Otherwise returns it, so that the caller can merge or
    /// replace it.
    fn offer(&self, report: Report) -> Result<(), Report>;

    /// Sends the report, waiting for room. Returns false if the receiver is gone.
    fn deliver(&self, report: Report) -> bool;
}
