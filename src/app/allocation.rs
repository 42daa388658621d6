//! State of the Allocate screen: the options and the results of a run. Binds no port itself.

mod act;
mod attempt_marks;
mod heat;
mod log;
mod marks;
mod model;
mod settings;
mod target;

use std::{collections::VecDeque, time::Duration};

use crate::{
    allocator::Attempt,
    app::{
        Effect,
        run::{MAX_UNCONFIRMED_SPEED, RunControl, RunPanel, RunScreen as _},
    },
    domain::{LocalAddress, Occupancy, PortRange, Protocols, Snapshot, Text, port},
    engine::{
        Request,
        message::{AllocationDelta, Finished},
    },
};

pub use crate::{
    allocator::{AllocatorRow, Model, Reached, RunStats},
    engine::{AllocatorTarget, Speed},
};
pub use attempt_marks::Mark;
pub use log::{AttemptLog, HolderOwner, HolderSeen, LogEntry};
pub use model::OccupancyCounts;
pub use settings::next_strategy;
pub use target::FillRatio;

use attempt_marks::AttemptMarks;
use heat::AttemptDensity;
use model::OccupancyDetails;
use target::Simulated;

/// Options of a run of allocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocationOptions {
    /// Index of the strategy in `ALLOCATORS`.
    pub strategy: usize,
    pub protocols: Protocols,
    pub range: PortRange,
    pub max_attempts: u32,
    /// The same seed repeats a run if the other options and the occupancy are the same, too.
    pub seed: u64,
    /// None: all addresses of both families. A simulation ignores it.
    pub address: Option<LocalAddress>,
}

impl AllocationOptions {
    /// The settings of exo, a project for distributed inference: UDP, the IANA dynamic ports, 100
    /// attempts.
    pub fn exo(seed: u64) -> Self {
        Self {
            strategy: 0,
            protocols: Protocols::Udp,
            range: port::IANA_DYNAMIC,
            max_attempts: 100,
            seed,
            address: None,
        }
    }
}

/// User actions on the Allocate screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AllocationAction {
    RunOrPause,
    /// Makes one attempt, then pauses.
    Step,
    Slower,
    Faster,
    OpenSettings,
    /// Switches between this machine and a simulated occupancy.
    ToggleTarget,
    /// Lowers the simulated occupancy; `Fuller` raises it.
    Emptier,
    Fuller,
    NextStrategy,
    PreviousStrategy,
    ToggleHold,
    ReleaseOne,
    ReleaseAll,
    Reset,
}

/// The latest snapshot of the machine and its occupancy.
#[derive(Clone, Copy)]
pub struct LastScan<'a> {
    pub snapshot: &'a Snapshot,
    pub occupancy: &'a Occupancy,
}

pub type ActivePanel = RunPanel<AllocationOptions>;

/// Maximum number of ended allocations that are kept for the chart.
const LAST_ALLOCATIONS: usize = 200;

#[derive(Clone, Debug)]
pub struct Allocation {
    options: AllocationOptions,
    target: AllocatorTarget,
    /// Fill of the simulated occupancy. Also set while the run uses the machine itself.
    share: target::FillRatio,
    /// The simulated sockets. None: the run uses the machine, or the engine has not sent them yet.
    simulated: Option<Simulated>,
    /// Whether marks may fade and flash.
    motion: bool,
    keeps_bound_ports: bool,
    run: RunControl<AllocationOptions>,
    occupancy: Option<OccupancyDetails>,
    /// Counted since the run began, or since the simulated occupancy last changed.
    figures: RunStats,
    /// Number of allocations that ended in this run. `figures` may count fewer.
    ended: u64,
    log: AttemptLog,
    attempt_marks: AttemptMarks,
    heat: AttemptDensity,
    last_allocations: VecDeque<Finished>,
    last: Option<Finished>,
    held: Vec<u16>,
    hold_limit: u32,
    limitation: Option<&'static str>,
    hold_note: Option<&'static str>,
}

impl Allocation {
    pub fn new(options: &AllocationOptions, motion: bool) -> Self {
        Self {
            options: options.clone(),
            target: AllocatorTarget::default(),
            share: target::FillRatio::default(),
            simulated: None,
            motion,
            keeps_bound_ports: false,
            run: RunControl::new(Speed::Four),
            occupancy: None,
            figures: RunStats::default(),
            ended: 0,
            log: AttemptLog::default(),
            attempt_marks: AttemptMarks::default(),
            heat: AttemptDensity::default(),
            last_allocations: VecDeque::new(),
            last: None,
            held: Vec::new(),
            hold_limit: 0,
            limitation: None,
            hold_note: None,
        }
    }

    /// Applies a report of the engine. A report of another run is late and ignored. On the machine,
    /// at up to 20/s, returns a request for a scan if the holder of a port is unknown and no
    /// requested scan is pending.
    pub fn apply(
        &mut self,
        at: Duration,
        delta: AllocationDelta,
        scan: Option<LastScan<'_>>,
    ) -> Vec<Effect> {
        if !self.run.is_prepared() || delta.run != self.run.number {
            return Vec::new();
        }
        self.figures.add(&delta.stats);
        self.ended += delta.stats.finished();
        self.attempt_marks.add(at, &delta.recent);
        self.heat.add(at, delta.attempts_by_port);
        self.last = delta.finished.or(self.last);
        self.last_allocations.extend(&delta.ended);
        let surplus = self.last_allocations.len().saturating_sub(LAST_ALLOCATIONS);
        self.last_allocations.drain(..surplus);
        let holds_others = self.held != delta.held;
        self.held = delta.held;
        if holds_others && self.target != AllocatorTarget::Machine {
            self.count_simulated_occupancy();
        }
        self.limitation = delta.limitation;
        self.hold_note = delta.hold_note;
        // `delta.is_running` is ignored: it may be older than the last key press.
        self.write_log(&delta.recent, delta.finished, scan)
    }

    fn write_log(
        &mut self,
        attempts: &[Attempt],
        finished: Option<Finished>,
        scan: Option<LastScan<'_>>,
    ) -> Vec<Effect> {
        // If the strategy ran out of ports, only `finished` shows that the allocation ended.
        let is_end = |last: &Attempt| {
            let has_run_out = |end: Finished| end.port.is_none() && end.attempts == last.number;
            last.refusal.is_none()
                || last.number >= self.options.max_attempts
                || finished.is_some_and(has_run_out)
        };
        let newest = self.ended + u64::from(!attempts.last().is_some_and(is_end));
        let snapshot = match (self.target, &self.simulated) {
            (AllocatorTarget::Machine, _) => scan.map(|scan| scan.snapshot),
            (AllocatorTarget::Simulated { .. }, simulated) => {
                simulated.as_ref().map(Simulated::snapshot)
            }
        };
        self.log.add(attempts, newest, &self.held, snapshot);
        if let AllocatorTarget::Simulated { .. } = self.target {
            // The simulated snapshot is complete: there is no later one to wait for.
            if let Some(snapshot) = snapshot {
                self.log.resolve_holders(snapshot);
            }
            return Vec::new();
        }
        let needs_scan = self.run.speed <= MAX_UNCONFIRMED_SPEED && self.log.wants_scan();
        if needs_scan { vec![Effect::Ask(Request::ScanNow)] } else { Vec::new() }
    }

    /// Updates the occupancy and the log from a new snapshot of the machine. Does nothing in a
    /// simulation.
    pub fn observe(&mut self, scan: LastScan<'_>) {
        if self.target == AllocatorTarget::Machine {
            self.store_occupancy(OccupancyCounts::count(&self.options, scan), scan.snapshot);
            self.log.resolve_holders(scan.snapshot);
        }
    }

    /// Ends the run because it cannot continue. The notice then shows `why`.
    pub fn fail(&mut self, why: Text) {
        self.run.fail(why);
        self.held.clear();
    }

    /// Called when the user leaves the screen: pauses the run; held ports stay held.
    pub fn leave(&mut self) -> Vec<Effect> {
        self.run.panel = None;
        self.pause()
    }

    pub fn options(&self) -> &AllocationOptions {
        &self.options
    }

    pub fn speed(&self) -> Speed {
        self.run.speed
    }

    pub fn is_running(&self) -> bool {
        self.run.is_running()
    }

    /// Whether the run is so fast that only a sample of the attempts is shown.
    pub fn is_sampled(&self) -> bool {
        self.run.is_sampled()
    }

    pub fn keeps_bound_ports(&self) -> bool {
        self.keeps_bound_ports
    }

    pub fn panel(&self) -> Option<&ActivePanel> {
        self.run.panel.as_ref()
    }

    /// None before the first snapshot of the machine, or of the simulated occupancy.
    pub fn occupancy_counts(&self) -> Option<OccupancyCounts> {
        self.occupancy.as_ref().map(|occupancy| occupancy.counts)
    }

    pub fn figures(&self) -> &RunStats {
        &self.figures
    }

    pub fn log(&self) -> &AttemptLog {
        &self.log
    }

    /// Result of the last allocation; None: none has ended in this run.
    pub fn last(&self) -> Option<Finished> {
        self.last
    }

    /// Ports held by this run, ascending.
    pub fn held(&self) -> &[u16] {
        &self.held
    }

    /// Maximum number of ports that this run may hold. In a simulation it may hold all free ports.
    /// None: no run is prepared, or the simulated occupancy is not known yet.
    pub fn hold_limit(&self) -> Option<u32> {
        let limit = match self.target {
            AllocatorTarget::Machine => Some(self.hold_limit),
            AllocatorTarget::Simulated { .. } => {
                self.occupancy_counts().map(|g| g.free() + self.held.len() as u32)
            }
        };
        limit.filter(|_| self.run.is_prepared())
    }

    /// How the host limits this run, for example "IPv4 only"; None: it does not.
    pub fn limitation(&self) -> Option<&'static str> {
        self.limitation
    }

    /// Why the last key had no effect, why the run failed, or why further ports are not held. None:
    /// there is nothing to report.
    pub fn notice(&self) -> Option<&str> {
        self.run.notice.as_ref().map(Text::as_str).or(self.hold_note)
    }

    /// Results of the last allocations, at most 200, oldest first; at high speeds a sample of them.
    pub fn last_allocations(
        &self,
    ) -> impl DoubleEndedIterator<Item = Finished> + ExactSizeIterator {
        self.last_allocations.iter().copied()
    }
}
