//! Strategies side by side on simulated occupancies: a fresh one for each run, the same for all.

use std::{rc::Rc, sync::Arc, time::Duration};

use crate::{
    allocator::{
        Candidates, Law, Order, Pattern, Population, Tuning,
        lab::{Column, Entrant, Expectation, Given, Predicted},
        theory::{Run, runs_of_taken},
    },
    domain::Protocols,
};

/// One run in so many is timed. All runs between two of them begin with the same strategy, since
/// whoever looks at a port first pays for its decision.
const TIMED: u64 = 16;

/// What a lab goes by.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Their numbers in `ALLOCATORS`.
    pub strategies: Vec<usize>,
    pub candidates: Candidates,
    pub protocols: Protocols,
    pub max_attempts: u32,
    pub seed: u64,
    /// At least 1: the runs go to them in turn.
    pub destinations: u32,
    pub tuning: Tuning,
}

/// Runs of all strategies, one allocation of each a run.
///
/// The choices of a strategy are its own whatever others take part; which ports of a uniform
/// occupancy are occupied is drawn as they are looked at, so it depends on who takes part.
pub struct Contest {
    candidates: Candidates,
    pattern: Pattern,
    occupied: u32,
    destinations: u32,
    /// One for all, or one for each.
    populations: Vec<Rc<Population>>,
    slots: Vec<Slot>,
    /// How many strategies have had their turn in this run, where they have it in turn.
    turn: usize,
}

/// A strategy's place in the run that goes on.
struct Slot {
    entrant: Entrant<Rc<Population>, Rc<Population>>,
    phase: Phase,
    /// That began.
    runs: u64,
    /// Ports that it gave to build its occupancy.
    built: u32,
    /// What was predicted last, for so many occupied and remembered ports.
    known: Option<((u32, u32), Option<Predicted>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Building,
    Waiting,
    GoingOn,
    Ended,
}

impl Contest {
    /// So many candidates are `occupied`, as `pattern` says.
    pub fn new(terms: &Terms, pattern: Pattern, occupied: u32) -> Self {
        let population = || {
            let candidates = terms.candidates.clone();
            Rc::new(Population::new(pattern, candidates, terms.protocols, occupied, terms.seed))
        };
        let shared = population();
        let populations: Vec<_> = match pattern {
            Pattern::Built => terms.strategies.iter().map(|_| population()).collect(),
            Pattern::Uniform | Pattern::Clustered => vec![shared; terms.strategies.len()],
        };
        let slots = terms.strategies.iter().zip(&populations).map(|(&strategy, population)| Slot {
            entrant: Entrant::new(strategy, Rc::clone(population), Rc::clone(population), terms),
            phase: Phase::Ended,
            runs: 0,
            built: 0,
            known: None,
        });
        Self {
            candidates: terms.candidates.clone(),
            pattern,
            occupied: occupied.min(terms.candidates.len()),
            destinations: terms.destinations.max(1),
            slots: slots.collect(),
            populations,
            turn: 0,
        }
    }

    pub fn occupied(&self) -> u32 {
        self.occupied
    }

    /// Runs that all strategies have ended.
    pub fn runs(&self) -> u64 {
        let ended = self.slots.iter().map(|slot| slot.runs - u64::from(slot.phase != Phase::Ended));
        ended.min().unwrap_or_default()
    }

    /// Mean attempts of each strategy; None: none of its allocations ended.
    pub fn means(&self) -> impl Iterator<Item = Option<f64>> {
        self.slots.iter().map(|slot| slot.entrant.tally().mean())
    }

    /// About so many attempts, strategy after strategy and run after run, until that many runs
    /// ended in all. One run in 16 is timed by the clock.
    pub fn advance(&mut self, budget: u32, until: u64, clock: &dyn Fn() -> Duration) {
        if self.pattern == Pattern::Built {
            return self.advance_apart(budget, until, clock);
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
            let index = (self.turn + rotated) % self.slots.len();
            let made = self.go_on(index, left, clock);
            left = left.saturating_sub(made.max(1));
            self.turn += usize::from(self.slots[index].phase == Phase::Ended);
        }
    }

    /// As `advance`, each strategy on its own: what one fills at once another fills for seconds.
    fn advance_apart(&mut self, budget: u32, until: u64, clock: &dyn Fn() -> Duration) {
        let share = budget / self.slots.len().max(1) as u32 + 1;
        for index in 0..self.slots.len() {
            let mut left = share;
            while left > 0 {
                if self.slots[index].phase == Phase::Ended {
                    if self.slots[index].runs >= until {
                        break;
                    }
                    self.begin_alone(index);
                }
                left = left.saturating_sub(self.go_on(index, left, clock).max(1));
            }
        }
    }

    /// Makes ready for a `step`, by about so many attempts that no figure counts. False: there is
    /// more to do.
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

    /// One attempt of each strategy whose allocation goes on; when all have ended, the next run
    /// begins with the next step. What `columns` shows before is what is met.
    pub fn step(&mut self) {
        while !self.prepare(u32::MAX) {}
        self.own_populations().iter().for_each(|population| population.settle());
        for index in 0..self.slots.len() {
            self.start_if_waiting(index, false);
            let slot = &mut self.slots[index];
            if slot.phase == Phase::GoingOn {
                slot.entrant.attempt(1);
                slot.end_if_over();
            }
        }
    }

    /// How all strategies stand, in the order of the terms.
    pub fn columns(&self) -> Vec<Column> {
        let picture = |population: &Rc<Population>| {
            let picture = Arc::new(population.picture());
            let lengths = runs_of_taken(&self.candidates, &*picture);
            (picture, lengths)
        };
        let pictures: Vec<_> = self.own_populations().iter().map(picture).collect();
        let columns = self.slots.iter().zip(pictures.iter().cycle());
        let columns = columns.map(|(slot, (picture, lengths))| {
            let mut column = slot.entrant.column(Arc::clone(picture));
            column.figures.law = self.law(slot, lengths);
            column.figures.lengths.clone_from(lengths);
            column
        });
        columns.collect()
    }

    /// Each once.
    fn own_populations(&self) -> &[Rc<Population>] {
        let count = if self.pattern == Pattern::Built { self.populations.len() } else { 1 };
        &self.populations[..count.min(self.populations.len())]
    }

    fn has_ended(&self) -> bool {
        self.slots.iter().all(|slot| slot.phase == Phase::Ended)
    }

    /// On an occupancy of its own.
    fn begin_alone(&mut self, index: usize) {
        self.populations[index].renew();
        let is_built = self.occupied > 0;
        let slot = &mut self.slots[index];
        slot.phase = if is_built { Phase::Building } else { Phase::Waiting };
        (slot.built, slot.runs) = (0, slot.runs + 1);
    }

    fn begin(&mut self) {
        self.turn = 0;
        if self.pattern == Pattern::Built {
            (0..self.slots.len()).for_each(|index| self.begin_alone(index));
            return;
        }
        self.own_populations().iter().for_each(|population| population.renew());
        for slot in &mut self.slots {
            (slot.phase, slot.runs) = (Phase::Waiting, slot.runs + 1);
        }
    }

    /// Says how many attempts were made.
    fn go_on(&mut self, index: usize, limit: u32, clock: &dyn Fn() -> Duration) -> u32 {
        if self.slots[index].phase == Phase::Building {
            return self.build(index, limit);
        }
        self.start_if_waiting(index, self.slots[index].runs.is_multiple_of(TIMED));
        let slot = &mut self.slots[index];
        if slot.phase == Phase::Ended {
            return 0;
        }
        let made = slot.entrant.attempt_timed(limit, clock);
        slot.end_if_over();
        made
    }

    /// One more port that the strategy gives to its own occupancy, or a part of the search for it.
    fn build(&mut self, index: usize, limit: u32) -> u32 {
        let slot = &mut self.slots[index];
        let destination = slot.built % self.destinations;
        let (made, ended) = slot.entrant.allocate_uncounted(limit, destination);
        let Some(ended) = ended else { return made };
        // One that gives up once leaves its occupancy as it is.
        let Some(port) = ended.port else {
            slot.phase = Phase::Waiting;
            return made;
        };
        self.populations[index].take(port);
        slot.built += 1;
        if slot.built == self.occupied {
            slot.phase = Phase::Waiting;
        }
        made
    }

    fn start_if_waiting(&mut self, index: usize, is_timed: bool) {
        if self.slots[index].phase != Phase::Waiting {
            return;
        }
        let predicted = self.predict(index);
        let slot = &mut self.slots[index];
        let destination = ((slot.runs - 1) % u64::from(self.destinations)) as u32;
        slot.entrant.begin(destination, predicted, is_timed);
        slot.phase = Phase::GoingOn;
    }

    fn predict(&mut self, index: usize) -> Option<Predicted> {
        let slot = &self.slots[index];
        if slot.entrant.row().order == Order::Scan && self.pattern != Pattern::Uniform {
            let runs = self.populations[index].known_runs().unwrap_or_default();
            return self.expectation(slot, runs).predicted();
        }
        // Only the law of a scan asks for the runs.
        let expectation = self.expectation(slot, Arc::default());
        let key = (expectation.occupied, expectation.remembered);
        let predicted = match slot.known {
            Some((known, predicted)) if known == key => predicted,
            _ => expectation.predicted(),
        };
        self.slots[index].known = Some((key, predicted));
        predicted
    }

    /// The runs are those of occupied ports; they mean nothing where the occupancy is uniform.
    fn expectation(&self, slot: &Slot, runs: Arc<[Run]>) -> Expectation<'_> {
        let is_built = self.pattern == Pattern::Built;
        let occupied = if is_built { slot.built } else { self.occupied };
        Expectation {
            runs: (self.pattern != Pattern::Uniform).then_some(runs),
            given: if is_built { Given::Kept } else { Given::Elsewhere },
            ..slot.entrant.expectation(&self.candidates, occupied)
        }
    }

    /// None while it builds: there is no law of what is half built.
    fn law(&self, slot: &Slot, lengths: &[Run]) -> Option<Law> {
        let is_whole = slot.phase != Phase::Building;
        is_whole.then(|| self.expectation(slot, lengths.into()).law()).flatten()
    }
}

impl Slot {
    fn end_if_over(&mut self) {
        if !self.entrant.is_going_on() {
            self.phase = Phase::Ended;
        }
    }
}
