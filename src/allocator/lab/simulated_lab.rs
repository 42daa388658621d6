//! Compares strategies on simulated occupancies. Each run has a new occupancy, which all strategies
//! share unless each builds its own.

use std::{rc::Rc, sync::Arc, time::Duration};

use crate::{
    allocator::{
        Candidates, Model, Order, Pattern, Population, Tuning,
        lab::{Expectation, Expected, Given, LabStrategy, StrategyReport},
        theory::{OccupiedRun, runs_of_taken},
    },
    domain::Protocols,
};

/// One run in `TIMED` is timed. At each timed run, the order of the strategies is rotated by one.
/// Whether a port is occupied is drawn when a strategy first looks at the port. Without the
/// rotation, the time of these draws would always count for the same strategy.
const TIMED: u64 = 16;

/// Configuration of a lab.
#[derive(Clone, Debug)]
pub struct LabConfig {
    /// Indexes into `ALLOCATORS`.
    pub strategies: Vec<usize>,
    pub candidates: Candidates,
    pub protocols: Protocols,
    /// Maximum number of attempts per allocation; 0 counts as 1.
    pub max_attempts: u32,
    pub seed: u64,
    /// Number of destinations, at least 1; the runs use them in turn.
    pub destinations: u32,
    pub tuning: Tuning,
}

/// Runs all strategies, one allocation of each per run.
///
/// The random numbers of a strategy do not depend on which other strategies take part. A uniform
/// occupancy does, because whether a port is occupied is drawn when a strategy first looks at it.
pub struct SimulatedLab {
    candidates: Candidates,
    pattern: Pattern,
    occupied: u32,
    destinations: u32,
    /// The population of each strategy. With `Built` they differ, otherwise all are the same.
    populations: Vec<Rc<Population>>,
    slots: Vec<StrategySlot>,
    /// Number of strategies that have completed this run, if they run one after another.
    finished: usize,
}

/// State of a strategy in the current run.
struct StrategySlot {
    lab_strategy: LabStrategy<Rc<Population>, Rc<Population>>,
    phase: Phase,
    /// Number of runs started.
    runs: u64,
    /// Number of ports allocated to build the strategy's occupancy.
    built: u32,
    /// Last expected values, and the numbers of occupied and of remembered ports that they were
    /// computed for.
    known: Option<((u32, u32), Option<Expected>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Building,
    Waiting,
    InProgress,
    Ended,
}

impl SimulatedLab {
    /// Creates a lab with `occupied` occupied candidates, distributed according to `pattern`.
    pub fn new(config: &LabConfig, pattern: Pattern, occupied: u32) -> Self {
        let population = || {
            let candidates = config.candidates.clone();
            Rc::new(Population::new(pattern, candidates, config.protocols, occupied, config.seed))
        };
        let shared = population();
        let populations: Vec<_> = match pattern {
            Pattern::Built => config.strategies.iter().map(|_| population()).collect(),
            Pattern::Uniform | Pattern::Clustered => vec![shared; config.strategies.len()],
        };
        let slots = config.strategies.iter().zip(&populations).map(|(&strategy, population)| {
            StrategySlot {
                lab_strategy: LabStrategy::new(
                    strategy,
                    Rc::clone(population),
                    Rc::clone(population),
                    config,
                ),
                phase: Phase::Ended,
                runs: 0,
                built: 0,
                known: None,
            }
        });
        Self {
            candidates: config.candidates.clone(),
            pattern,
            occupied: occupied.min(config.candidates.len()),
            destinations: config.destinations.max(1),
            slots: slots.collect(),
            populations,
            finished: 0,
        }
    }

    pub fn occupied(&self) -> u32 {
        self.occupied
    }

    /// Returns the number of runs that all strategies have completed.
    pub fn runs(&self) -> u64 {
        let ended = self.slots.iter().map(|slot| slot.runs - u64::from(slot.phase != Phase::Ended));
        ended.min().unwrap_or_default()
    }

    /// Returns the mean attempts of each strategy; `None` if none of its allocations ended.
    pub fn means(&self) -> impl Iterator<Item = Option<f64>> {
        self.slots.iter().map(|slot| slot.lab_strategy.tally().counted().mean())
    }

    /// Makes about `budget` attempts, strategy after strategy and run after run. Stops earlier if
    /// `until` runs in total are complete. Times one run in 16 with `clock`.
    pub fn advance(&mut self, budget: u32, until: u64, clock: &dyn Fn() -> Duration) {
        if self.pattern == Pattern::Built {
            return self.advance_separately(budget, until, clock);
        }
        let mut left = budget;
        while left > 0 && !self.slots.is_empty() {
            if self.has_ended() {
                if self.runs() >= until {
                    return;
                }
                self.begin();
            }
            let rotated = (self.slots[0].runs / TIMED) as usize;
            let index = (self.finished + rotated) % self.slots.len();
            let attempts = self.continue_run(index, left, clock);
            left = left.saturating_sub(attempts.max(1));
            self.finished += usize::from(self.slots[index].phase == Phase::Ended);
        }
    }

    /// Makes attempts like `advance`, but each strategy proceeds independently, because some
    /// strategies build their occupancy immediately, while others need seconds.
    fn advance_separately(&mut self, budget: u32, until: u64, clock: &dyn Fn() -> Duration) {
        let share = budget / self.slots.len().max(1) as u32 + 1;
        for index in 0..self.slots.len() {
            let mut left = share;
            while left > 0 {
                if self.slots[index].phase == Phase::Ended {
                    if self.slots[index].runs >= until {
                        break;
                    }
                    self.begin_one(index);
                }
                left = left.saturating_sub(self.continue_run(index, left, clock).max(1));
            }
        }
    }

    /// Prepares the next `step`: starts a run if none is in progress, and builds occupancies with
    /// at most about `budget` attempts, which no statistic counts. Returns false if the occupancies
    /// are not complete yet.
    pub fn prepare(&mut self, budget: u32) -> bool {
        if self.has_ended() {
            self.begin();
        }
        let mut left = budget;
        for index in 0..self.slots.len() {
            while self.slots[index].phase == Phase::Building {
                if left == 0 {
                    return false;
                }
                left = left.saturating_sub(self.build(index, left).max(1));
            }
        }
        true
    }

    /// Makes one attempt for each strategy whose allocation is in progress. Once all allocations
    /// have ended, the next call starts the next run. Once `prepare` has returned true for a run,
    /// `reports` returns the occupancy on which the attempts of the run are made.
    pub fn step(&mut self) {
        while !self.prepare(u32::MAX) {}
        self.distinct_populations().iter().for_each(|population| population.draw_all());
        for index in 0..self.slots.len() {
            self.start_if_waiting(index, false);
            let slot = &mut self.slots[index];
            if slot.phase == Phase::InProgress {
                slot.lab_strategy.attempt(1);
                slot.end_if_over();
            }
        }
    }

    /// Returns the state of all strategies, in the order of `LabConfig::strategies`.
    pub fn reports(&self) -> Vec<StrategyReport> {
        let ports = |population: &Rc<Population>| {
            let ports = Arc::new(population.free_ports());
            let lengths = runs_of_taken(&self.candidates, &*ports);
            (ports, lengths)
        };
        let all_ports: Vec<_> = self.distinct_populations().iter().map(ports).collect();
        let slots = self.slots.iter().zip(all_ports.iter().cycle());
        let reports = slots.map(|(slot, (ports, lengths))| {
            let mut report = slot.lab_strategy.report(Arc::clone(ports));
            report.figures.model = self.model(slot, lengths);
            report.figures.lengths.clone_from(lengths);
            report
        });
        reports.collect()
    }

    /// Returns each distinct population once.
    fn distinct_populations(&self) -> &[Rc<Population>] {
        let count = if self.pattern == Pattern::Built { self.populations.len() } else { 1 };
        &self.populations[..count.min(self.populations.len())]
    }

    fn has_ended(&self) -> bool {
        self.slots.iter().all(|slot| slot.phase == Phase::Ended)
    }

    /// Starts a run of one strategy on its own occupancy.
    fn begin_one(&mut self, index: usize) {
        self.populations[index].renew();
        let is_built = self.occupied > 0;
        let slot = &mut self.slots[index];
        slot.phase = if is_built { Phase::Building } else { Phase::Waiting };
        (slot.built, slot.runs) = (0, slot.runs + 1);
    }

    fn begin(&mut self) {
        self.finished = 0;
        if self.pattern == Pattern::Built {
            (0..self.slots.len()).for_each(|index| self.begin_one(index));
            return;
        }
        self.distinct_populations().iter().for_each(|population| population.renew());
        for slot in &mut self.slots {
            (slot.phase, slot.runs) = (Phase::Waiting, slot.runs + 1);
        }
    }

    /// Continues the run of one strategy. Returns the number of attempts made.
    fn continue_run(&mut self, index: usize, limit: u32, clock: &dyn Fn() -> Duration) -> u32 {
        if self.slots[index].phase == Phase::Building {
            return self.build(index, limit);
        }
        self.start_if_waiting(index, self.slots[index].runs.is_multiple_of(TIMED));
        let slot = &mut self.slots[index];
        if slot.phase == Phase::Ended {
            return 0;
        }
        let attempts = slot.lab_strategy.attempt_timed(limit, clock);
        slot.end_if_over();
        attempts
    }

    /// Continues the search for one more port of the strategy's own occupancy. Returns the number
    /// of attempts made.
    fn build(&mut self, index: usize, limit: u32) -> u32 {
        let slot = &mut self.slots[index];
        let destination = slot.built % self.destinations;
        let (attempts, ended) = slot.lab_strategy.allocate_uncounted(limit, destination);
        let Some(ended) = ended else { return attempts };
        // Once the strategy gives up, its occupancy stays as it is.
        let Some(port) = ended.port else {
            slot.phase = Phase::Waiting;
            return attempts;
        };
        self.populations[index].take(port);
        slot.built += 1;
        if slot.built == self.occupied {
            slot.phase = Phase::Waiting;
        }
        attempts
    }

    fn start_if_waiting(&mut self, index: usize, is_timed: bool) {
        if self.slots[index].phase != Phase::Waiting {
            return;
        }
        let expected = self.predict(index);
        let slot = &mut self.slots[index];
        let destination = ((slot.runs - 1) % u64::from(self.destinations)) as u32;
        slot.lab_strategy.begin(destination, expected, is_timed);
        slot.phase = Phase::InProgress;
    }

    fn predict(&mut self, index: usize) -> Option<Expected> {
        let slot = &self.slots[index];
        if slot.lab_strategy.row().order == Order::Scan && self.pattern != Pattern::Uniform {
            let runs = self.populations[index].known_runs().unwrap_or_default();
            return self.expectation(slot, runs).expected();
        }
        // Only the formula of `Order::Scan` needs the runs.
        let expectation = self.expectation(slot, Arc::default());
        let key = (expectation.occupied, expectation.remembered);
        let expected = match slot.known {
            Some((known, expected)) if known == key => expected,
            _ => expectation.expected(),
        };
        self.slots[index].known = Some((key, expected));
        expected
    }

    /// Returns what the expected result of a strategy's allocation depends on. `runs` are the runs
    /// of occupied ports; they are ignored if the occupancy is uniform.
    fn expectation(&self, slot: &StrategySlot, runs: Arc<[OccupiedRun]>) -> Expectation<'_> {
        let is_built = self.pattern == Pattern::Built;
        let occupied = if is_built { slot.built } else { self.occupied };
        Expectation {
            runs: (self.pattern != Pattern::Uniform).then_some(runs),
            given: if is_built { Given::Kept } else { Given::Elsewhere },
            ..slot.lab_strategy.expectation(&self.candidates, occupied)
        }
    }

    /// Returns the expected distribution; `None` if no formula is known, or while the occupancy is
    /// being built, because no formula covers a partial occupancy.
    fn model(&self, slot: &StrategySlot, lengths: &[OccupiedRun]) -> Option<Model> {
        let is_whole = slot.phase != Phase::Building;
        is_whole.then(|| self.expectation(slot, lengths.into()).model()).flatten()
    }
}

impl StrategySlot {
    fn end_if_over(&mut self) {
        if !self.lab_strategy.is_in_progress() {
            self.phase = Phase::Ended;
        }
    }
}
