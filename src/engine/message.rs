//! What goes into the engine and what comes out of it. No behaviour.

use std::{net::IpAddr, sync::Arc, time::Duration};

use crate::{
    allocator::Attempt,
    domain::{PortRange, ProcessTable, Protocols, Snapshot, Text},
};

/// From the user's side to the worker threads.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    ScanNow,
    /// No scans until released; allocations go on.
    Freeze(bool),
    Allocation(AllocationRequest),
}

/// To the thread that owns the strategy, the binder and all held sockets.
#[derive(Clone, Debug, PartialEq)]
pub enum AllocationRequest {
    /// Begin a run with fresh figures, paused; drops the run before and what it held.
    Prepare(Setup),
    /// One attempt, then pause.
    Step,
    Run,
    Pause,
    Speed(Speed),
    /// Of a simulated site: so much (0 to 1) of the range is taken from now on. More keeps what was
    /// taken, and nothing takes a port that the run holds. Nothing happens on the machine.
    Fill(f64),
    /// Keep what is won from now on, or release it at once.
    Hold(bool),
    /// Give up one held port; nothing happens if it is not held.
    Release(u16),
    ReleaseAll,
}

/// Where a run's ports are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Site {
    /// Real bind() on the machine looked at.
    #[default]
    Machine,
    /// Only in memory: `share` (0 to 1) of the range's ports are taken, on all addresses. The
    /// machine's reserved ports stay reserved; `Setup::address` has no meaning there.
    Simulated { share: f64 },
}

/// What a run needs to be shown again.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    pub site: Site,
    pub protocols: Protocols,
    pub range: PortRange,
    pub max_attempts: u32,
    pub seed: u64,
    pub address: Option<IpAddr>,
    /// Skipped as candidates, ascending (from the snapshot's policy).
    pub reserved: Vec<PortRange>,
    /// Held ports never exceed this, nor what the descriptor limit allows.
    pub hold_limit: u32,
    /// Stop by itself after so many finished allocations.
    pub stop_after: Option<u64>,
}

/// Attempts a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speed {
    /// Only on `Step`.
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

    /// Time between two attempts; None: no waiting (`Max`) or no going on (`Step`).
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

/// From the worker threads to the user's side.
#[derive(Clone, Debug)]
pub enum Report {
    Scanned(Arc<Snapshot>),
    /// No snapshot this time; the words say why.
    ScanFailed(Text),
    /// All owners described so far.
    Described(Arc<ProcessTable>),
    Allocation(Box<AllocationDelta>),
    /// What stands on the simulated site from now on, without what the run holds there; its number
    /// is that of the run. Comes before the first attempt that meets it.
    Simulated(Arc<Snapshot>),
    /// The run cannot go on (no socket could be made, the binder was refused); the words say why.
    AllocationFailed(Text),
    /// A thread of ours panicked: the program must end with exit code 101.
    WorkerDied(Text),
}

/// What happened in a run since the last delta. Two merge into one without loss, except for
/// `recent` and `ended`, which are samples by design.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AllocationDelta {
    /// Which `Prepare` this belongs to, counted from 1.
    pub run: u64,
    pub attempts: u64,
    /// Attempts that met an occupied port.
    pub collisions: u64,
    pub successes: u64,
    pub failures: u64,
    /// Time spent in attempts.
    pub busy: Duration,
    /// How many successful allocations took so many attempts: (attempts, count).
    pub histogram: Vec<(u32, u64)>,
    /// Ports tried, and how often.
    pub touched: Vec<(u16, u32)>,
    /// The last 64 attempts at most, oldest first.
    pub recent: Vec<Attempt>,
    /// The last allocation that ended.
    pub finished: Option<Finished>,
    /// The last 64 at most that ended, oldest first.
    pub ended: Vec<Finished>,
    /// All ports held now, ascending.
    pub held: Vec<u16>,
    /// Why no more are held, if that is so.
    pub hold_note: Option<&'static str>,
    pub is_running: bool,
    /// "IPv4 only" and the like.
    pub limitation: Option<&'static str>,
}

/// How one allocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Counted from 1 within the run.
    pub number: u64,
    pub attempts: u32,
    /// None: gave up.
    pub port: Option<u16>,
}

/// Where reports go. The one that waits on the other side decides how many may wait.
pub trait Outbox: Send {
    /// Hands the report over if there is room, else gives it back to be merged or replaced.
    fn offer(&self, report: Report) -> Result<(), Report>;

    /// Hands the report over, waiting for room. False: nobody listens any more.
    fn deliver(&self, report: Report) -> bool;
}
