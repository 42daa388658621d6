//! State of the Lab screen: strategies, options and results. Runs nothing itself.

mod act;
mod race;
mod settings;

use std::{path::PathBuf, sync::Arc};

use crate::{
    allocator::{ALLOCATORS, Model, Order, Tuning, theory},
    app::{
        allocation::{FillRatio, OccupancyCounts},
        run::{RunControl, RunPanel},
        settings::cycle,
    },
    domain::{PortRange, Protocols, Text, port},
};

pub use crate::{
    allocator::{
        AllocatorRow, Attempt, FreePorts, Habit, Pattern, PortView, Predictability, StrategyFigures,
    },
    engine::{
        LabTarget, Speed,
        message::{
            CurvePoint, Finished, LabReport, RaceBackend, RaceReport, Rounds, StrategyReport,
        },
    },
};

/// User actions on the Lab screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LabAction {
    RunOrPause,
    /// Makes one attempt of each strategy, then pauses.
    Step,
    Slower,
    Faster,
    /// Switches between this machine and a simulated occupancy.
    ToggleTarget,
    /// Lowers the simulated occupancy; `Fuller` raises it.
    Emptier,
    Fuller,
    /// Selects the next distribution of the simulated occupied ports.
    NextPattern,
    /// Selects the next strategy for the selected column.
    NextStrategy,
    PreviousStrategy,
    /// Adds a column; `Remove` removes the selected one.
    Add,
    Remove,
    OpenSettings,
    /// Starts or ends a race: a competitor tries to take a port between its close and its rebind.
    Race,
    Reset,
}

/// Options of the lab.
#[derive(Clone, Debug, PartialEq)]
pub struct LabOptions {
    pub protocols: Protocols,
    pub range: PortRange,
    pub max_attempts: u32,
    pub seed: u64,
    /// Number of remote endpoints, at least 1; the runs use them in turn.
    pub destinations: u32,
    pub tuning: Tuning,
    /// Path of this executable, for a race with real ports. Without it, or if the host cannot run
    /// the race, the race is simulated.
    pub program: Option<PathBuf>,
}

impl LabOptions {
    /// The options at the start, which are the defaults of `portscope lab`: TCP and UDP, the IANA
    /// dynamic ports, 100 attempts.
    pub fn new(seed: u64, program: Option<PathBuf>) -> Self {
        Self {
            protocols: Protocols::Both,
            range: port::IANA_DYNAMIC,
            max_attempts: 100,
            seed,
            destinations: 1,
            tuning: Tuning::default(),
            program,
        }
    }
}

pub type LabPanel = RunPanel<LabOptions>;

/// Names of the strategies that are in the columns at the start.
const INITIAL_STRATEGIES: [&str; 4] = ["random", "sequential", "linux-connect", "double-hash"];

/// Maximum number of columns.
pub const MAX_COLUMNS: usize = 4;

#[derive(Clone, Debug)]
pub struct LabScreen {
    options: LabOptions,
    is_simulated: bool,
    pattern: Pattern,
    share: FillRatio,
    /// Indexes into `ALLOCATORS`.
    picked: Vec<usize>,
    selected: usize,
    /// The speed after a switch between machine and simulation.
    other_speed: Speed,
    run: RunControl<LabOptions>,
    report: Option<Arc<LabReport>>,
    /// Covers the lab and has its own keys; None: no race is shown.
    race: Option<RaceReport>,
    /// Number of `Race` requests sent. Reports with another number are late and ignored.
    race_number: u64,
}

impl LabScreen {
    pub fn new(options: LabOptions) -> Self {
        let position = |name: &&str| ALLOCATORS.iter().position(|row| row.name == *name);
        Self {
            options,
            is_simulated: true,
            // The default of `portscope lab`.
            pattern: Pattern::Uniform,
            share: FillRatio::default(),
            picked: INITIAL_STRATEGIES.iter().filter_map(position).collect(),
            selected: 0,
            other_speed: Speed::Four,
            run: RunControl::new(Speed::Max),
            report: None,
            race: None,
            race_number: 0,
        }
    }

    /// Stores the engine's report. A report with another number is late and ignored.
    pub fn take(&mut self, report: Arc<LabReport>) {
        // `is_running` is not read: it may be older than the last key.
        if report.number == self.run.number && self.run.is_prepared() {
            self.report = Some(report);
        }
    }

    /// Ends the lab because it cannot continue. The measured values stay on screen.
    pub fn fail(&mut self, why: Text) {
        self.run.fail(why);
    }

    pub fn options(&self) -> &LabOptions {
        &self.options
    }

    pub fn target(&self) -> LabTarget {
        if self.is_simulated {
            LabTarget::Simulated { pattern: self.pattern, share: self.share.ratio() }
        } else {
            LabTarget::Machine
        }
    }

    /// Distribution of the simulated occupied ports. Also set while the lab uses the machine
    /// itself.
    pub fn pattern(&self) -> Pattern {
        self.pattern
    }

    /// The distribution after the next one is selected.
    pub fn next_pattern_name(&self) -> Pattern {
        cycle(&Pattern::EACH, self.pattern, 1)
    }

    /// Occupied share of the range, 0 to 1, in the simulation or on the machine. None: the engine
    /// has not reported that of the machine yet.
    pub fn share(&self) -> Option<f64> {
        if self.is_simulated {
            return Some(self.share.ratio());
        }
        self.occupancy_counts().map(OccupancyCounts::share)
    }

    /// The occupancy of the range in the engine's latest report; in a simulation, that of each run.
    /// None: there is no report yet.
    pub fn occupancy_counts(&self) -> Option<OccupancyCounts> {
        let report = self.report.as_ref()?;
        Some(OccupancyCounts { candidates: report.candidates, occupied: report.occupied })
    }

    /// The strategies of the columns, from left to right.
    pub fn picked(&self) -> impl ExactSizeIterator<Item = &'static AllocatorRow> {
        self.picked.iter().map(|&number| &ALLOCATORS[number])
    }

    /// The column that the keys act on, counted from 0.
    pub fn selected(&self) -> usize {
        self.selected
    }

    pub fn speed(&self) -> Speed {
        self.run.speed
    }

    pub fn is_running(&self) -> bool {
        self.run.is_running()
    }

    /// The engine's latest report. None: there is none since the lab was last prepared.
    pub fn report(&self) -> Option<&LabReport> {
        self.report.as_deref()
    }

    /// Results of a column so far; None: there is no report yet, or no such column.
    pub fn strategy_report(&self, column: usize) -> Option<&StrategyReport> {
        self.report.as_ref()?.strategy_reports.get(column)
    }

    pub fn panel(&self) -> Option<&LabPanel> {
        self.run.panel.as_ref()
    }

    /// Why the last key had no effect, or why the lab cannot continue. None: there is nothing to
    /// report.
    pub fn notice(&self) -> Option<&Text> {
        self.run.notice.as_ref()
    }

    /// Whether the lab is so fast that the screen shows only a sample.
    pub fn is_sampled(&self) -> bool {
        self.run.is_sampled()
    }

    /// Expected mean number of attempts at an occupied share (0 to 1) of the range, for the curve.
    /// None: no formula is known.
    pub fn expected_mean(&self, row: &AllocatorRow, share: f64) -> Option<f64> {
        let candidates = self.occupancy_counts().map_or(self.options.range.len(), |g| g.candidates);
        let occupied = (share * f64::from(candidates)).round() as u32;
        let most = self.options.max_attempts;
        let is_by_chance = self.is_simulated && self.pattern == Pattern::Uniform;
        let is_built = self.is_simulated && self.pattern == Pattern::Built;
        match row.order {
            // With these orders the number of attempts depends on the distribution of the occupied
            // ports.
            Order::Scan | Order::Fixed if !is_by_chance => {
                // Knuth's formula is for a search without an attempt limit.
                let has_formula = is_built && row.order == Order::Scan && most >= candidates;
                has_formula.then(|| theory::scan_on_built(occupied, candidates)).flatten()
            }
            order => Model::at_random(order, occupied, candidates)
                .map(|model| model.expected_attempts(most)),
        }
    }
}
