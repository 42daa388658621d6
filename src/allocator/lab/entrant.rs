//! One strategy of a lab: its allocator, its statistics, and its current allocation.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng, rngs::ChaCha8Rng};

use crate::{
    allocator::{
        ALLOCATORS, AllocatorRow, Attempt, AttemptSearch, Candidates, FreePorts, PortView,
        Progress, Strategy, StrategyFigures,
        lab::{
            Expectation, Expected, LabConfig, LabTally,
            expectation::{Given, HISTORY},
        },
    },
    domain::Binder,
};

/// Number of attempts kept per allocation.
const TRAIL: usize = 64;

/// Result of an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocationEnd {
    pub attempts: u32,
    /// `None` if the allocation gave up.
    pub port: Option<u16>,
}

/// State of one strategy of a lab.
pub struct StrategyColumn {
    /// Index into `ALLOCATORS`.
    pub strategy: usize,
    pub figures: StrategyFigures,
    /// Current occupancy of the strategy.
    pub ports: Arc<FreePorts>,
    /// Attempts of the current or last allocation, oldest first, at most the last 64.
    pub trail: Vec<Attempt>,
    /// Result of the last allocation.
    pub last: Option<AllocationEnd>,
}

/// Strategy that takes part in a lab.
pub struct Entrant<B, V> {
    strategy: usize,
    allocator: AttemptSearch<B, Box<dyn Strategy>, ChaCha8Rng, V>,
    max_attempts: u32,
    tally: LabTally,
    /// Ring buffer of the last attempts: attempt n is at index n modulo `TRAIL`.
    trail: [Option<Attempt>; TRAIL],
    /// Number of attempts of the current or last allocation.
    attempts: u32,
    is_going_on: bool,
    expected: Option<Expected>,
    last: Option<AllocationEnd>,
    /// Number of ports given, including those that no statistic counts.
    given: u64,
    /// Time spent on the current allocation, if all of it is timed.
    spent: Option<Duration>,
}

impl<B: Binder, V: PortView> Entrant<B, V> {
    /// Creates a strategy of a lab. Its generator is ChaCha8 with the lab's seed, in a separate
    /// stream, so that its choices do not depend on the other strategies.
    pub fn new(strategy: usize, binder: B, sight: V, terms: &LabConfig) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(terms.seed);
        random.set_stream(strategy as u64 + 1);
        let made = (ALLOCATORS[strategy].make)(terms.tuning);
        let max_attempts = terms.max_attempts.max(1);
        let candidates = terms.candidates.clone();
        Self {
            strategy,
            allocator: AttemptSearch::new(binder, made, random, candidates, max_attempts)
                .seeing(sight),
            max_attempts,
            tally: LabTally::default(),
            trail: [None; TRAIL],
            attempts: 0,
            is_going_on: false,
            expected: None,
            last: None,
            given: 0,
            spent: None,
        }
    }

    pub fn strategy(&self) -> usize {
        self.strategy
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

    /// Returns the result of the last counted allocation.
    pub fn last(&self) -> Option<AllocationEnd> {
        self.last
    }

    pub fn sight_mut(&mut self) -> &mut V {
        self.allocator.sight_mut()
    }

    pub fn is_going_on(&self) -> bool {
        self.is_going_on
    }

    /// Starts a counted allocation. If `is_timed` is true, its time is counted too, but only if all
    /// its attempts are made by `attempt_timed`.
    pub fn begin(&mut self, destination: u32, expected: Option<Expected>, is_timed: bool) {
        self.allocator.turn_to(destination);
        self.allocator.allow(self.max_attempts);
        (self.is_going_on, self.expected, self.attempts) = (true, expected, 0);
        self.spent = is_timed.then_some(Duration::ZERO);
    }

    /// Makes `limit` attempts, or fewer if the allocation ends before. Returns the number of
    /// attempts made.
    pub fn attempt(&mut self, limit: u32) -> u32 {
        self.spent = None;
        self.go_on(limit)
    }

    /// Like `attempt`, but measures the time with `clock`.
    pub fn attempt_timed(&mut self, limit: u32, clock: &dyn Fn() -> Duration) -> u32 {
        let Some(spent) = self.spent else { return self.go_on(limit) };
        let begun = clock();
        let made = self.go_on(limit);
        let spent = spent + clock().saturating_sub(begun);
        self.spent = Some(spent);
        if let Some(AllocationEnd { port, .. }) = self.last.filter(|_| !self.is_going_on) {
            self.tally.time(spent, port.is_some());
        }
        made
    }

    fn go_on(&mut self, limit: u32) -> u32 {
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
    pub fn allocate_uncounted(
        &mut self,
        limit: u32,
        destination: u32,
    ) -> (u32, Option<AllocationEnd>) {
        if !std::mem::replace(&mut self.is_going_on, true) {
            self.attempts = 0;
            self.allocator.turn_to(destination);
            self.allocator.allow(u32::MAX);
        }
        let before = self.attempts;
        let ended = self.steps(limit);
        (self.attempts - before, ended)
    }

    fn steps(&mut self, limit: u32) -> Option<AllocationEnd> {
        let Self { allocator, attempts, trail, .. } = self;
        let progress = allocator.steps(limit, |attempt| {
            *attempts = attempt.number;
            trail[attempt.number as usize % TRAIL] = Some(*attempt);
        });
        let port = match progress {
            Progress::Refused(_) => return None,
            Progress::Bound(attempt, _) => Some(attempt.port),
            Progress::GaveUp(_) => None,
        };
        self.given += u64::from(port.is_some());
        self.is_going_on = false;
        Some(AllocationEnd { attempts: self.attempts, port })
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
            remembered: self.given.min(u64::from(HISTORY)) as u32,
            given: Given::Elsewhere,
        }
    }

    /// Returns the state, without the expected distribution and the run lengths of the occupancy.
    pub fn column(&self, ports: Arc<FreePorts>) -> StrategyColumn {
        let first = self.attempts.saturating_sub(TRAIL as u32) + 1;
        let trail = (first..=self.attempts).filter_map(|number| {
            self.trail[number as usize % TRAIL].filter(|attempt| attempt.number == number)
        });
        StrategyColumn {
            strategy: self.strategy,
            figures: self.tally.figures(self.allocator.candidates().range()),
            ports,
            trail: trail.collect(),
            last: self.last,
        }
    }
}
