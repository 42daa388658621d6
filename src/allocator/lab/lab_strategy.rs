//! One strategy of a lab: its allocator, its statistics, and its current allocation.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng, rngs::ChaCha8Rng};

use crate::{
    allocator::{
        ALLOCATORS, AllocatorRow, Attempt, AttemptSearch, Candidates, FreePorts, PortView,
        Progress, Strategy,
        attempt::Finished,
        lab::{Expectation, Expected, Given, LabConfig, LabTally, StrategyReport},
    },
    domain::Binder,
};

/// Maximum number of attempts kept per allocation.
const LAST_ATTEMPTS: usize = 64;

/// Strategy that takes part in a lab.
pub struct LabStrategy<B, V> {
    strategy: usize,
    allocator: AttemptSearch<B, Box<dyn Strategy>, ChaCha8Rng, V>,
    max_attempts: u32,
    tally: LabTally,
    /// Ring buffer of the last attempts: attempt n is at index n modulo `LAST_ATTEMPTS`.
    last_attempts: [Option<Attempt>; LAST_ATTEMPTS],
    /// Number of attempts of the current or last allocation.
    attempts: u32,
    is_in_progress: bool,
    expected: Option<Expected>,
    last: Option<Finished>,
    /// Number of allocated ports, including those that no statistic counts.
    given: u64,
    /// Time spent on the current allocation; `None` if not all of it is timed.
    elapsed: Option<Duration>,
}

impl<B: Binder, V: PortView> LabStrategy<B, V> {
    /// Creates a strategy of a lab. Its generator is ChaCha8 with the lab's seed, in a separate
    /// stream, so that its random numbers do not depend on the other strategies.
    pub fn new(strategy: usize, binder: B, port_view: V, config: &LabConfig) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        random.set_stream(strategy as u64 + 1);
        let strategy_box = (ALLOCATORS[strategy].make)(config.tuning);
        let candidates = config.candidates.clone();
        Self {
            strategy,
            allocator: AttemptSearch::new(binder, strategy_box, random, candidates, port_view),
            max_attempts: config.max_attempts.max(1),
            tally: LabTally::default(),
            last_attempts: [None; LAST_ATTEMPTS],
            attempts: 0,
            is_in_progress: false,
            expected: None,
            last: None,
            given: 0,
            elapsed: None,
        }
    }

    pub fn row(&self) -> &'static AllocatorRow {
        &ALLOCATORS[self.strategy]
    }

    pub fn tally(&self) -> &LabTally {
        &self.tally
    }

    pub fn tally_mut(&mut self) -> &mut LabTally {
        &mut self.tally
    }

    /// Returns the result of the last counted allocation; `None` if there is none.
    pub fn last(&self) -> Option<Finished> {
        self.last
    }

    pub fn port_view_mut(&mut self) -> &mut V {
        self.allocator.port_view_mut()
    }

    pub fn is_in_progress(&self) -> bool {
        self.is_in_progress
    }

    /// Starts a counted allocation. If `is_timed` is true, its time is counted too, but only if all
    /// its attempts are made by `attempt_timed`.
    pub fn begin(&mut self, destination: u32, expected: Option<Expected>, is_timed: bool) {
        self.allocator.set_destination(destination);
        self.allocator.set_max_attempts(self.max_attempts);
        (self.is_in_progress, self.expected, self.attempts) = (true, expected, 0);
        self.elapsed = is_timed.then_some(Duration::ZERO);
    }

    /// Makes `limit` attempts, or fewer if the allocation ends before. Returns the number of
    /// attempts made.
    pub fn attempt(&mut self, limit: u32) -> u32 {
        self.elapsed = None;
        self.continue_allocation(limit)
    }

    /// Like `attempt`, but measures the time with `clock`, if the allocation is timed.
    pub fn attempt_timed(&mut self, limit: u32, clock: &dyn Fn() -> Duration) -> u32 {
        let Some(elapsed) = self.elapsed else { return self.continue_allocation(limit) };
        let begun = clock();
        let attempts_made = self.continue_allocation(limit);
        let elapsed = elapsed + clock().saturating_sub(begun);
        self.elapsed = Some(elapsed);
        if let Some(Finished { port, .. }) = self.last.filter(|_| !self.is_in_progress) {
            self.tally.time(elapsed, port.is_some());
        }
        attempts_made
    }

    fn continue_allocation(&mut self, limit: u32) -> u32 {
        let before = self.attempts;
        if let Some(ended) = self.steps(limit) {
            self.last = Some(ended);
            self.tally.count(ended.attempts, ended.port, self.expected);
        }
        self.attempts - before
    }

    /// Makes up to `limit` attempts of an allocation that no statistic counts. The configured limit
    /// on attempts does not apply. Returns the number of attempts, and the result if the allocation
    /// ended.
    pub fn allocate_uncounted(&mut self, limit: u32, destination: u32) -> (u32, Option<Finished>) {
        if !std::mem::replace(&mut self.is_in_progress, true) {
            self.attempts = 0;
            self.allocator.set_destination(destination);
            self.allocator.set_max_attempts(u32::MAX);
        }
        let before = self.attempts;
        let ended = self.steps(limit);
        (self.attempts - before, ended)
    }

    fn steps(&mut self, limit: u32) -> Option<Finished> {
        let Self { allocator, attempts, last_attempts, .. } = self;
        let progress = allocator.steps(limit, |attempt| {
            *attempts = attempt.number;
            last_attempts[attempt.number as usize % LAST_ATTEMPTS] = Some(*attempt);
        });
        let port = match progress {
            Progress::Refused(_) => return None,
            Progress::Bound(attempt, _) => Some(attempt.port),
            Progress::GaveUp(_) => None,
        };
        self.given += u64::from(port.is_some());
        self.is_in_progress = false;
        Some(Finished { number: self.tally.counted().runs + 1, attempts: self.attempts, port })
    }

    /// Returns what the expected result of the next allocation depends on, for a uniformly random
    /// occupancy.
    pub fn expectation<'a>(&self, candidates: &'a Candidates, occupied: u32) -> Expectation<'a> {
        Expectation {
            row: self.row(),
            candidates,
            occupied,
            runs: None,
            max_attempts: self.max_attempts,
            remembered: self.given.min(self.row().remembered.into()) as u32,
            given: Given::Elsewhere,
        }
    }

    /// Returns the state, without the expected distribution and the run lengths of the occupancy.
    pub fn report(&self, ports: Arc<FreePorts>) -> StrategyReport {
        let first = self.attempts.saturating_sub(LAST_ATTEMPTS as u32) + 1;
        let last_attempts = (first..=self.attempts).filter_map(|number| {
            self.last_attempts[number as usize % LAST_ATTEMPTS]
                .filter(|attempt| attempt.number == number)
        });
        StrategyReport {
            strategy: self.strategy,
            figures: self.tally.figures(self.allocator.candidates().range()),
            ports,
            last_attempts: last_attempts.collect(),
            last: self.last,
        }
    }
}
