//! One strategy of a lab: its allocator, its figures, and the allocation that goes on.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng, rngs::ChaCha8Rng};

use crate::{
    allocator::{
        ALLOCATORS, Allocator, AllocatorRow, Attempt, Candidates, Figures, FreePorts, Progress,
        Sight, Strategy,
        lab::{
            Expectation, Predicted, Tally, Terms,
            expectation::{Given, HISTORY},
        },
    },
    domain::Binder,
};

/// Attempts of an allocation that are kept.
const TRAIL: usize = 64;

/// How an allocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub attempts: u32,
    /// None: gave up.
    pub port: Option<u16>,
}

/// How one strategy of a lab stands.
pub struct Column {
    /// Its number in `ALLOCATORS`.
    pub strategy: usize,
    pub figures: Figures,
    /// The occupancy that it meets now.
    pub ports: Arc<FreePorts>,
    /// The attempts of the allocation that goes on, or of the last one, oldest first, at most the
    /// last 64.
    pub trail: Vec<Attempt>,
    /// How the last allocation ended.
    pub last: Option<Ended>,
}

/// A strategy that takes part.
pub struct Entrant<B, V> {
    strategy: usize,
    allocator: Allocator<B, Box<dyn Strategy>, ChaCha8Rng, V>,
    max_attempts: u32,
    tally: Tally,
    /// The attempt of number n stands at n modulo its length.
    trail: [Option<Attempt>; TRAIL],
    /// Of the allocation that goes on, or of the last one.
    attempts: u32,
    is_going_on: bool,
    predicted: Option<Predicted>,
    last: Option<Ended>,
    /// Ports given, those that no figure counts included.
    given: u64,
    /// Of the allocation that goes on, as long as all of it is timed.
    spent: Option<Duration>,
}

impl<B: Binder, V: Sight> Entrant<B, V> {
    /// Its generator is ChaCha8 by the lab's seed, in a stream of its own, so that it chooses as it
    /// would without the others.
    pub fn new(strategy: usize, binder: B, sight: V, terms: &Terms) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(terms.seed);
        random.set_stream(strategy as u64 + 1);
        let made = (ALLOCATORS[strategy].make)(terms.tuning);
        let max_attempts = terms.max_attempts.max(1);
        let candidates = terms.candidates.clone();
        Self {
            strategy,
            allocator: Allocator::new(binder, made, random, candidates, max_attempts).seeing(sight),
            max_attempts,
            tally: Tally::default(),
            trail: [None; TRAIL],
            attempts: 0,
            is_going_on: false,
            predicted: None,
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

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    pub fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// How the last allocation that counts ended.
    pub fn last(&self) -> Option<Ended> {
        self.last
    }

    pub fn sight_mut(&mut self) -> &mut V {
        self.allocator.sight_mut()
    }

    pub fn is_going_on(&self) -> bool {
        self.is_going_on
    }

    /// An allocation begins that counts. `is_timed`: its time counts too, if all of it is spent
    /// within `attempt_timed`.
    pub fn begin(&mut self, destination: u32, predicted: Option<Predicted>, is_timed: bool) {
        self.allocator.turn_to(destination);
        self.allocator.allow(self.max_attempts);
        (self.is_going_on, self.predicted, self.attempts) = (true, predicted, 0);
        self.spent = is_timed.then_some(Duration::ZERO);
    }

    /// So many attempts, fewer if the allocation ends before. Says how many they were.
    pub fn attempt(&mut self, limit: u32) -> u32 {
        self.spent = None;
        self.go_on(limit)
    }

    /// As `attempt`, by that clock.
    pub fn attempt_timed(&mut self, limit: u32, clock: &dyn Fn() -> Duration) -> u32 {
        let Some(spent) = self.spent else { return self.go_on(limit) };
        let begun = clock();
        let made = self.go_on(limit);
        let spent = spent + clock().saturating_sub(begun);
        self.spent = Some(spent);
        if let Some(Ended { port, .. }) = self.last.filter(|_| !self.is_going_on) {
            self.tally.time(spent, port.is_some());
        }
        made
    }

    fn go_on(&mut self, limit: u32) -> u32 {
        let before = self.attempts;
        if let Some(ended) = self.steps(limit) {
            self.last = Some(ended);
            self.tally.count(ended.attempts, ended.port, self.predicted);
        }
        self.attempts - before
    }

    /// Attempts, without any bound on all of them, of an allocation that no figure counts: how it
    /// ended, if it did, and how many attempts they were.
    pub fn allocate_uncounted(&mut self, limit: u32, destination: u32) -> (u32, Option<Ended>) {
        if !std::mem::replace(&mut self.is_going_on, true) {
            self.attempts = 0;
            self.allocator.turn_to(destination);
            self.allocator.allow(u32::MAX);
        }
        let before = self.attempts;
        let ended = self.steps(limit);
        (self.attempts - before, ended)
    }

    fn steps(&mut self, limit: u32) -> Option<Ended> {
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
        Some(Ended { attempts: self.attempts, port })
    }

    /// What theory expects of its next allocation on that occupancy, if it is uniform by chance.
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

    /// Without the law and the lengths of the occupancy.
    pub fn column(&self, ports: Arc<FreePorts>) -> Column {
        let first = self.attempts.saturating_sub(TRAIL as u32) + 1;
        let trail = (first..=self.attempts).filter_map(|number| {
            self.trail[number as usize % TRAIL].filter(|attempt| attempt.number == number)
        });
        Column {
            strategy: self.strategy,
            figures: self.tally.figures(self.allocator.candidates().range()),
            ports,
            trail: trail.collect(),
            last: self.last,
        }
    }
}
