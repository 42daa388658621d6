//! What goes into the engine and what comes out of it. No behaviour.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    allocator::{
        Attempt, Bands, Class, Counts, Figures, FreePorts, Lease, Pattern, Quarantine, Resting,
        Tuning, pool::BandUse,
    },
    domain::{LocalAddress, PortRange, ProcessTable, Protocols, Snapshot, Text},
};

/// From the user's side to the worker threads.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    ScanNow,
    /// No scans until released; allocations go on.
    Freeze(bool),
    Allocation(AllocationRequest),
    Lab(LabRequest),
    Pool(PoolRequest),
}

/// To the thread that owns the pool of leased ports and the sockets that hold them.
#[derive(Clone, Debug, PartialEq)]
pub enum PoolRequest {
    /// A pool by that plan; the one before is given up with all that it held.
    Open(PoolPlan),
    /// So many leases, or as many of them as can be had.
    Take {
        class: Class,
        count: u32,
    },
    /// Whose the next leases are; None: our own process.
    Tenant(Option<u32>),
    /// Ends the lease of that port; nothing happens if there is none.
    Release(u16),
    ReleaseAll,
    /// Ends the leases of processes that are gone, without waiting for the next look at them.
    Reclaim,
    /// Gives all up at once.
    Close,
}

/// What a pool is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolPlan {
    pub site: Site,
    pub protocols: Protocols,
    pub range: PortRange,
    /// Skipped as candidates, ascending.
    pub reserved: Vec<PortRange>,
    pub address: Option<LocalAddress>,
    pub bands: Bands,
    pub quarantine: Quarantine,
    /// How often a search may give up although a port is free, 0 to 1.
    pub failure_rate: f64,
    pub max_attempts: u32,
    /// So much (0 to 1) of what others leave free when the pool opens may be kept bound, and never
    /// more than the descriptor limit allows.
    pub hold_share: f64,
    pub seed: u64,
    /// Whose the leases are; None: our own process.
    pub tenant: Option<u32>,
}

/// How the pool stands.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolReport {
    /// Which `Open` this belongs to, counted from 1.
    pub number: u64,
    /// When, on the clock of `Lease::since` and `Resting::until`.
    pub now: Duration,
    /// By port.
    pub leases: Vec<Lease>,
    /// By port.
    pub resting: Vec<Resting>,
    /// In the order of `Class::EACH`; of `Low`: everybody's.
    pub bands: [BandUse; 3],
    pub counts: Counts,
    /// Leased and resting ports that keep a socket, at most.
    pub hold_limit: u32,
    /// Share of ports that others have, as bind() met them of late.
    pub occupied: f64,
    /// Attempts that the next search may make in everybody's band.
    pub attempts_allowed: u32,
    /// Of the last `Take`, at most 64.
    pub attempts: Vec<Attempt>,
    /// Why the last `Take` got fewer than it asked for, or why the pool cannot do something.
    pub trouble: Option<Text>,
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
    /// Its number in `ALLOCATORS`.
    pub strategy: usize,
    pub protocols: Protocols,
    pub range: PortRange,
    pub max_attempts: u32,
    pub seed: u64,
    pub address: Option<LocalAddress>,
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
    Lab(Arc<LabReport>),
    /// The lab cannot go on; the words say why.
    LabFailed(Text),
    Race(Box<RaceReport>),
    Pool(Arc<PoolReport>),
    /// There is no pool; the words say why.
    PoolFailed(Text),
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
    /// Attempts of the allocations that failed.
    pub in_vain: u64,
    /// Time spent in attempts.
    pub busy: Duration,
    /// Looks at the machine that the strategy needed, and the time that they took.
    pub snapshots: (u64, Duration),
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

/// To the thread that runs strategies side by side.
#[derive(Clone, Debug, PartialEq)]
pub enum LabRequest {
    /// Begin with fresh figures, paused.
    Prepare(LabSetup),
    /// One attempt of each strategy whose allocation goes on, then pause.
    Step,
    Run,
    Pause,
    Speed(Speed),
    /// Of a simulated occupancy: so much (0 to 1) is taken from now on; fresh figures, the same curve.
    Fill(f64),
    /// Begin a race, beside everything else; one that goes on ends.
    Race(RaceSetup),
    EndRace,
}

/// What the strategies of a lab are held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LabSite {
    /// Real bind() on the machine looked at.
    Machine,
    /// In memory: a fresh occupancy for each run, the same for all strategies (but for `Built`).
    Simulated { pattern: Pattern, share: f64 },
}

/// What a lab needs to be shown again.
#[derive(Clone, Debug, PartialEq)]
pub struct LabSetup {
    pub site: LabSite,
    /// Their numbers in `ALLOCATORS`.
    pub strategies: Vec<usize>,
    pub protocols: Protocols,
    pub range: PortRange,
    /// Skipped as candidates, ascending.
    pub reserved: Vec<PortRange>,
    pub address: Option<LocalAddress>,
    pub max_attempts: u32,
    pub seed: u64,
    /// At least 1: the runs go to them in turn.
    pub destinations: u32,
    pub tuning: Tuning,
}

/// How a lab stands. The newest says everything: an older one need not be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabReport {
    /// Which `Prepare` this belongs to, counted from 1.
    pub number: u64,
    pub candidates: u32,
    /// Candidates that are occupied (in a simulated occupancy: of each run).
    pub occupied: u32,
    /// In the order of the setup.
    pub contenders: Vec<Contender>,
    /// Mean attempts by occupancy, as measured; ascending by share.
    pub curve: Vec<CurvePoint>,
    pub is_running: bool,
    /// "IPv4 only" and the like.
    pub limitation: Option<&'static str>,
}

/// One strategy in a lab.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    /// Its number in `ALLOCATORS`.
    pub strategy: usize,
    pub figures: Figures,
    /// The occupancy that it meets now.
    pub ports: Arc<FreePorts>,
    /// The attempts of the allocation that goes on, or of the last one, oldest first, at most the last
    /// 64.
    pub trail: Vec<Attempt>,
    /// How the last allocation ended.
    pub last: Option<Finished>,
}

/// What was measured at one occupancy.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePoint {
    /// 0 to 1.
    pub share: f64,
    /// By contender; None: not measured there.
    pub means: Vec<Option<f64>>,
}

/// What a race goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct RaceSetup {
    /// Our own program, started again as victim and thief; None: the race is simulated.
    pub program: Option<PathBuf>,
    /// Of each kind: close and rebind, hand over.
    pub rounds: u32,
    /// Between close and rebind.
    pub window: Duration,
    /// Ports that the thief binds a second.
    pub thefts_per_second: f64,
    pub range: PortRange,
    /// Of the range's ports, 0 to 1, that are held by others.
    pub share: f64,
    pub seed: u64,
}

/// How a race stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RaceReport {
    /// Which `Race` this belongs to, counted from 1.
    pub number: u64,
    pub place: RacePlace,
    /// The port is closed and bound again after the window.
    pub rebound: Rounds,
    /// The socket is kept and handed over.
    pub handed_over: Rounds,
    /// Why it ended before its last round, if that is so.
    pub trouble: Option<Text>,
    pub is_over: bool,
}

/// Where a race is run.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum RacePlace {
    #[default]
    Unknown,
    /// Two processes in a network namespace of their own.
    Namespace,
    /// In memory, because of that.
    Simulated { because: Text },
}

/// Rounds of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rounds {
    pub count: u32,
    /// The port was somebody else's in the end.
    pub thefts: u32,
    /// Of sockets that were kept: rounds in which the thief tried that very port, and was refused.
    pub refused: u32,
    /// The mean number of thefts by the law, 1 - e^(-lambda w / F), of the rounds as they went; of
    /// sockets that were kept: as many as if they had been closed, hence of rounds with a refusal.
    pub predicted: f64,
    /// Its standard deviation.
    pub deviation: f64,
    /// Measured: the mean window, ports that the thief bound a second, free ports in the mean.
    pub window: Duration,
    pub thief_per_second: f64,
    pub free: f64,
}

/// Where reports go. The one that waits on the other side decides how many may wait.
pub trait Outbox: Send {
    /// Hands the report over if there is room, else gives it back to be merged or replaced.
    fn offer(&self, report: Report) -> Result<(), Report>;

    /// Hands the report over, waiting for room. False: nobody listens any more.
    fn deliver(&self, report: Report) -> bool;
}
