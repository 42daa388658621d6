//! A race in memory, in simulated time: the same rounds as the real one's, no process and no port.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng, seq::SliceRandom as _};

use crate::{
    engine::{
        message::RaceReport,
        race::{
            REPORT_INTERVAL,
            tally::{Round, Tally},
        },
    },
    host::course::Course,
};

/// Rounds between two looks at the clock.
const BATCH: u32 = 64;

pub fn run(course: &Course, tally: &mut Tally, told: &mut dyn FnMut(&RaceReport) -> bool) {
    let mut arena = Arena::new(course);
    let mut reported = Instant::now();
    for number in 0..course.rounds {
        let round = arena.round();
        tally.add(&round, arena.bound, arena.now);
        if number % BATCH == 0 && reported.elapsed() >= REPORT_INTERVAL {
            reported = Instant::now();
            if !told(&tally.report(false)) {
                return;
            }
        }
    }
}

/// Ports by their number in the range.
struct Arena<'a> {
    course: &'a Course,
    random: ChaCha8Rng,
    is_taken: Vec<bool>,
    now: Duration,
    /// The thief's next bind.
    due: Duration,
    bound: u64,
    /// Held by the thief, oldest first, with the time of release.
    held: VecDeque<(Duration, usize)>,
}

impl<'a> Arena<'a> {
    fn new(course: &'a Course) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(course.seed);
        let mut is_taken = vec![false; course.range.len() as usize];
        is_taken[..course.others as usize].fill(true);
        is_taken.shuffle(&mut random);
        let mut arena = Self {
            course,
            random,
            is_taken,
            now: Duration::ZERO,
            due: Duration::ZERO,
            bound: 0,
            held: VecDeque::new(),
        };
        arena.due = arena.gap();
        arena
    }

    fn round(&mut self) -> Round {
        let closed = self.bind();
        let kept = self.bind();
        self.is_taken[closed] = false;
        let end = self.now + self.course.window.max(Duration::from_nanos(1));
        let (mut held_sum, mut binds, mut is_refused) = (0, 0, false);
        while self.due <= end {
            self.release(self.due);
            held_sum += self.held.len();
            binds += 1;
            is_refused |= self.steal(kept);
        }
        self.now = end;
        self.release(end);
        let is_stolen = self.is_taken[closed];
        self.is_taken[kept] = false;
        let held = if binds == 0 { self.held.len() as f64 } else { held_sum as f64 / binds as f64 };
        let free = f64::from(self.course.range.len() - self.course.others - 1) - held;
        Round { window: self.course.window, free, is_stolen, is_kept: true, is_refused }
    }

    /// A bind of the thief: whether it tried the kept port before.
    fn steal(&mut self, kept: usize) -> bool {
        let now = self.due;
        self.due = now + self.gap();
        if self.held.len() >= self.course.most as usize {
            return false;
        }
        let mut is_refused = false;
        let port = loop {
            let port = self.random.random_range(0..self.is_taken.len());
            if !self.is_taken[port] {
                break port;
            }
            is_refused |= port == kept;
        };
        self.is_taken[port] = true;
        self.held.push_back((now + self.course.hold, port));
        self.bound += 1;
        is_refused
    }

    fn release(&mut self, now: Duration) {
        while let Some(&(release, port)) = self.held.front()
            && release <= now
        {
            self.is_taken[port] = false;
            self.held.pop_front();
        }
    }

    /// A free port by chance; there is one, for the thief leaves half of them.
    fn bind(&mut self) -> usize {
        loop {
            let port = self.random.random_range(0..self.is_taken.len());
            if !self.is_taken[port] {
                self.is_taken[port] = true;
                return port;
            }
        }
    }

    fn gap(&mut self) -> Duration {
        let share: f64 = self.random.random();
        Duration::from_secs_f64((-(1.0 - share).ln() / self.course.per_second).min(3600.0))
    }
}
