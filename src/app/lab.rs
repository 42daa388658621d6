//! The Lab screen's state: which strategies, on what, and what came of it. Runs nothing.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    allocator::{ALLOCATORS, AllocatorRow, Pattern, Tuning},
    domain::{PortRange, Protocols, Text, port},
    engine::{
        LabSite, Speed,
        message::{Contender, LabReport, RaceReport},
    },
};

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
    /// One column more (or fewer).
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

/// Columns at first, by name.
const FIRST: [&str; 4] = ["random", "sequential", "linux-connect", "double-hash"];

/// Columns at most.
pub const MOST_COLUMNS: usize = 4;

#[derive(Clone, Debug)]
pub struct Lab {
    options: LabOptions,
    site: LabSite,
    /// Numbers of `ALLOCATORS`.
    picked: Vec<usize>,
    selected: usize,
    speed: Speed,
    is_running: bool,
    /// Counts what was sent as `Prepare`; reports of others are too late.
    number: u64,
    report: Option<Arc<LabReport>>,
    race: Option<RaceReport>,
    notice: Option<Text>,
    /// When the latest report came, since the program's start.
    reported: Duration,
}

impl Lab {
    pub fn new(options: LabOptions) -> Self {
        let position = |name: &&str| ALLOCATORS.iter().position(|row| row.name == *name);
        Self {
            options,
            site: LabSite::Simulated { pattern: Pattern::Uniform, share: 0.9 },
            picked: FIRST.iter().filter_map(position).collect(),
            selected: 0,
            speed: Speed::Four,
            is_running: false,
            number: 0,
            report: None,
            race: None,
            notice: None,
            reported: Duration::ZERO,
        }
    }

    /// What the engine reports; late news of another number are ignored.
    pub fn take(&mut self, at: Duration, report: Arc<LabReport>) {
        if report.number == self.number {
            self.reported = at;
            self.report = Some(report);
        }
    }

    pub fn fail(&mut self, why: Text) {
        (self.is_running, self.notice) = (false, Some(why));
    }

    pub fn take_race(&mut self, race: RaceReport) {
        self.race = Some(race);
    }

    pub fn options(&self) -> &LabOptions {
        &self.options
    }

    pub fn site(&self) -> LabSite {
        self.site
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
        self.speed
    }

    pub fn is_running(&self) -> bool {
        self.is_running
    }

    /// The engine's latest word; None: there is none since the last change of the columns.
    pub fn report(&self) -> Option<&LabReport> {
        self.report.as_deref()
    }

    /// What came of a column so far.
    pub fn contender(&self, column: usize) -> Option<&Contender> {
        self.report.as_ref()?.contenders.get(column)
    }

    /// None: no race was begun.
    pub fn race(&self) -> Option<&RaceReport> {
        self.race.as_ref()
    }

    /// Why the last key did nothing, or why the lab cannot go on.
    pub fn notice(&self) -> Option<&Text> {
        self.notice.as_ref()
    }

    /// So fast that the screen shows a sample of what happens.
    pub fn is_sampled(&self) -> bool {
        self.speed > Speed::Twenty
    }
}
