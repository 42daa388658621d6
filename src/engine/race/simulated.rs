//! A race in memory and in simulated time, with the same rounds as a real one. Uses no processes
//! and no ports.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng, seq::SliceRandom as _};

use crate::{
    engine::{
        message::RaceReport,
        race::{REPORT_INTERVAL, tally::RaceTally},
    },
    host::{actor, race_config::RaceConfig, race_line::RoundReport},
};

/// Number of rounds between two checks of the clock.
const BATCH: u32 = 64;

/// Runs all rounds, or stops when `on_report` returns false. The results are added to `tally`.
pub fn run(
    config: &RaceConfig,
    tally: &mut RaceTally,
    on_report: &mut dyn FnMut(&RaceReport) -> bool,
) {
    let mut race = SimulatedRace::new(config);
    let mut reported = Instant::now();
    for number in 0..config.rounds {
        let round = race.round();
        tally.add(&round);
        if number % BATCH == 0 && reported.elapsed() >= REPORT_INTERVAL {
            reported = Instant::now();
            if !on_report(&tally.report(false)) {
                return;
            }
        }
    }
}

/// Minimum length of a window, because no rate can be computed over zero time.
const MIN_WINDOW: Duration = Duration::from_nanos(1);

/// State of a simulated race. A port is represented by its index in the range.
struct SimulatedRace<'a> {
    config: &'a RaceConfig,
    random: ChaCha8Rng,
    is_taken: Vec<bool>,
    now: Duration,
    /// Time of the competitor's next bind.
    due: Duration,
    /// Ports held by the competitor, oldest first: (time of release, port).
    held: VecDeque<(Duration, usize)>,
}

impl<'a> SimulatedRace<'a> {
    fn new(config: &'a RaceConfig) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        let mut is_taken = vec![false; config.range.len() as usize];
        is_taken[..config.others as usize].fill(true);
        is_taken.shuffle(&mut random);
        let due = gap(config, &mut random);
        Self { config, random, is_taken, now: Duration::ZERO, due, held: VecDeque::new() }
    }

    /// Binds two ports for the holder, closes one of them for the window, and keeps the other.
    fn round(&mut self) -> RoundReport {
        let closed = self.bind(|_| {});
        let kept = self.bind(|_| {});
        self.is_taken[closed] = false;
        let window = self.config.window.max(MIN_WINDOW);
        let end = self.now + window;
        let (mut held_sum, mut bound, mut refused) = (0, 0, 0);
        while self.due <= end {
            self.release(self.due);
            if self.held.len() < self.config.most as usize {
                held_sum += self.held.len();
                bound += 1;
                refused += self.steal(kept);
            }
            self.due += gap(self.config, &mut self.random);
        }
        self.now = end;
        self.release(end);
        let is_stolen = self.is_taken[closed];
        self.is_taken[kept] = false;
        let held = match bound {
            0 => self.held.len() as f64,
            bound => held_sum as f64 / f64::from(bound),
        };
        let free = f64::from(self.config.range.len() - self.config.others - 1) - held;
        RoundReport { window, free, is_stolen, is_kept: true, refused, bound }
    }

    /// Binds a free port at random for the competitor. Returns how often it tried the kept port
    /// first and was refused.
    fn steal(&mut self, kept: usize) -> u32 {
        let mut refused = 0;
        let port = self.bind(|port| refused += u32::from(port == kept));
        self.held.push_back((self.due + self.config.hold, port));
        refused
    }

    fn release(&mut self, now: Duration) {
        while let Some(&(release, port)) = self.held.front()
            && release <= now
        {
            self.is_taken[port] = false;
            self.held.pop_front();
        }
    }

    /// Binds a free port at random. There always is one, because the competitor holds at most half
    /// of the free ports. Calls `on_refusal` for each port that was tried before.
    fn bind(&mut self, mut on_refusal: impl FnMut(usize)) -> usize {
        loop {
            let port = self.random.random_range(0..self.is_taken.len());
            if !std::mem::replace(&mut self.is_taken[port], true) {
                return port;
            }
            on_refusal(port);
        }
    }
}

/// Draws the time between two binds of the competitor.
fn gap(config: &RaceConfig, random: &mut ChaCha8Rng) -> Duration {
    actor::exponential_gap(config.per_second, random.random())
}
