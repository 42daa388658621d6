//! The Lab screen's state: which strategies, on what, and what came of it. Runs nothing.

mod act;
mod race;
mod settings;

use std::{path::PathBuf, sync::Arc};

use crate::{
    allocator::{ALLOCATORS, Law, Order, Tuning, theory},
    app::allocation::Share,
    domain::{PortRange, Protocols, Text, port},
};

pub use crate::{
    allocator::{AllocatorRow, Attempt, Figures, FreePorts, Habit, Pattern, Predictability, Sight},
    engine::{
        LabSite, Speed,
        message::{Contender, CurvePoint, Finished, LabReport, RacePlace, RaceReport, Rounds},
    },
};
pub use settings::{LabField, LabSettingsPanel};

/// What a person wants of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LabAction {
    RunOrPause,
    /// One attempt of each strategy, then pause.
    Step,
    Slower,
    Faster,
    /// This machine, or a simulated occupancy.
    ToggleSite,
    /// Less, more of the simulated occupancy.
    Emptier,
    Fuller,
    /// How the simulated occupancy lies.
    NextPattern,
    /// The strategy of the selected column.
    NextStrategy,
    PreviousStrategy,
    /// One column more, one fewer.
    Add,
    Remove,
    OpenSettings,
    /// Close-then-rebind against a thief: begin, end.
    Race,
    Reset,
}

/// What the lab goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct LabOptions {
    pub protocols: Protocols,
    pub range: PortRange,
    pub max_attempts: u32,
    pub seed: u64,
    pub destinations: u32,
    pub tuning: Tuning,
    /// Our own program, for the race.
    pub program: Option<PathBuf>,
}

impl LabOptions {
    /// The allocator's demo: UDP, the IANA dynamic ports, 100 attempts.
    pub fn new(seed: u64, program: Option<PathBuf>) -> Self {
        Self {
            protocols: Protocols::Udp,
            range: port::IANA_DYNAMIC,
            max_attempts: 100,
            seed,
            destinations: 1,
            tuning: Tuning::default(),
            program,
        }
    }
}

/// What lies over the screen and takes the keys.
#[derive(Clone, Debug, PartialEq)]
pub enum LabPanel {
    Settings(LabSettingsPanel),
    /// May this speed be used although others share the machine's ports?
    ConfirmSpeed(Speed),
    /// How the race stands; it has keys of its own.
    Race,
}

/// How full the range is: in each run where it is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabGround {
    pub candidates: u32,
    pub occupied: u32,
}

/// Columns at first, by name.
const FIRST: [&str; 4] = ["random", "sequential", "linux-connect", "double-hash"];

/// Columns at most.
pub const MOST_COLUMNS: usize = 4;

/// The fastest speed that needs no leave on a machine which others use.
const POLITE: Speed = Speed::Twenty;

/// What the engine has of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing that it could go on with.
    None,
    Paused,
    Running,
}

#[derive(Clone, Debug)]
pub struct Lab {
    options: LabOptions,
    is_simulated: bool,
    pattern: Pattern,
    share: Share,
    /// Numbers of `ALLOCATORS`.
    picked: Vec<usize>,
    selected: usize,
    /// Of what is simulated.
    simulated_speed: Speed,
    /// Of real binds on the machine.
    machine_speed: Speed,
    /// Given once, for the rest of the program.
    has_leave_for_speed: bool,
    state: State,
    /// The screen was open once: what is simulated began by itself then.
    was_visited: bool,
    /// Counts what was sent as `Prepare`; reports of others are too late.
    number: u64,
    report: Option<Arc<LabReport>>,
    race: Option<RaceReport>,
    /// Counts what was sent as `Race`; reports of others are too late.
    race_number: u64,
    panel: Option<LabPanel>,
    notice: Option<Text>,
}

impl Lab {
    pub fn new(options: LabOptions) -> Self {
        let position = |name: &&str| ALLOCATORS.iter().position(|row| row.name == *name);
        Self {
            options,
            is_simulated: true,
            // Where strategies differ: by chance alone all of them need the same attempts.
            pattern: Pattern::Clustered,
            share: Share::default(),
            picked: FIRST.iter().filter_map(position).collect(),
            selected: 0,
            simulated_speed: Speed::Max,
            machine_speed: Speed::Four,
            has_leave_for_speed: false,
            state: State::None,
            was_visited: false,
            number: 0,
            report: None,
            race: None,
            race_number: 0,
            panel: None,
            notice: None,
        }
    }

    /// What the engine reports; late news of another number are ignored.
    pub fn take(&mut self, report: Arc<LabReport>) {
        // `is_running` is not read: it may be older than the last key.
        if report.number == self.number && self.state != State::None {
            self.report = Some(report);
        }
    }

    /// The lab cannot go on. What was measured stays to be read.
    pub fn fail(&mut self, why: Text) {
        (self.state, self.notice) = (State::None, Some(why));
    }

    pub fn options(&self) -> &LabOptions {
        &self.options
    }

    pub fn site(&self) -> LabSite {
        if self.is_simulated {
            LabSite::Simulated { pattern: self.pattern, share: self.share.part() }
        } else {
            LabSite::Machine
        }
    }

    /// How the simulated occupancy lies, whether it is used or not.
    pub fn pattern(&self) -> Pattern {
        self.pattern
    }

    /// Of the range's ports, 0 to 1: what is simulated, or as the machine is; None: not seen yet.
    pub fn share(&self) -> Option<f64> {
        if self.is_simulated {
            return Some(self.share.part());
        }
        self.ground().map(|g| f64::from(g.occupied) / f64::from(g.candidates.max(1)))
    }

    /// None before the engine's first word.
    pub fn ground(&self) -> Option<LabGround> {
        let report = self.report.as_ref()?;
        Some(LabGround { candidates: report.candidates, occupied: report.occupied })
    }

    /// The strategies of the columns, from left to right.
    pub fn picked(&self) -> impl ExactSizeIterator<Item = &'static AllocatorRow> {
        self.picked.iter().map(|&number| &ALLOCATORS[number])
    }

    /// The column that keys are about.
    pub fn selected(&self) -> usize {
        self.selected
    }

    pub fn speed(&self) -> Speed {
        if self.is_simulated { self.simulated_speed } else { self.machine_speed }
    }

    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// The engine's latest word; None: there is none since the last change of the columns.
    pub fn report(&self) -> Option<&LabReport> {
        self.report.as_deref()
    }

    /// What came of a column so far.
    pub fn contender(&self, column: usize) -> Option<&Contender> {
        self.report.as_ref()?.contenders.get(column)
    }

    pub fn panel(&self) -> Option<&LabPanel> {
        self.panel.as_ref()
    }

    /// Why the last key did nothing, or why the lab cannot go on.
    pub fn notice(&self) -> Option<&Text> {
        self.notice.as_ref()
    }

    /// So fast that the screen shows a sample of what happens.
    pub fn is_sampled(&self) -> bool {
        self.speed() > POLITE
    }

    /// Mean attempts by the law at a share (0 to 1) of the range, for a curve. None: no law is known
    /// there.
    pub fn predicted_mean(&self, row: &AllocatorRow, share: f64) -> Option<f64> {
        let candidates = self.ground().map_or(self.options.range.len(), |g| g.candidates);
        let occupied = (share * f64::from(candidates)).round() as u32;
        let most = self.options.max_attempts;
        let is_by_chance = self.is_simulated && self.pattern == Pattern::Uniform;
        let is_built = self.is_simulated && self.pattern == Pattern::Built;
        match row.order {
            // How the occupied ports lie decides how long a search is.
            Order::Scan | Order::Fixed if !is_by_chance => {
                // Knuth's formula is that of a search without bound.
                let has_formula = is_built && row.order == Order::Scan && most >= candidates;
                has_formula.then(|| theory::scan_on_built(occupied, candidates)).flatten()
            }
            order => {
                Law::by_chance(order, occupied, candidates).map(|law| law.expected_attempts(most))
            }
        }
    }
}
