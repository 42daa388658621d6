//! Strategies side by side on the same occupancies, and what is counted of each. Reads no clock.

mod contest;
mod entrant;
mod expectation;
mod tally;

use std::time::Duration;

use crate::allocator::{Law, Predictability};

pub use contest::{Contest, Terms};
pub use entrant::{Column, Ended, Entrant};
pub use expectation::{Expectation, Given};
pub use tally::{RECENT, Tally};

/// What is known of one strategy after some runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Allocations that ended.
    pub runs: u64,
    pub failures: u64,
    /// Of all runs; a failed one counts with all the attempts that it made.
    pub attempts: u64,
    /// Sum of the squares of each run's attempts.
    pub squares: f64,
    /// How many successful runs took so many attempts: (attempts, count), ascending.
    pub histogram: Vec<(u32, u64)>,
    /// What theory says of these runs; None: no law is known.
    pub predicted: Option<Predicted>,
    /// Of the occupancy as it is now, for the histogram; None: no law is known.
    pub law: Option<Law>,
    /// Different ports that were given.
    pub distinct: u32,
    /// Of the ports given: Shannon's entropy with Miller and Madow's correction; None: too few.
    pub entropy_bits: Option<f64>,
    /// From the last ports given.
    pub predictability: Predictability,
    /// The last ports given, oldest first, at most 64.
    pub recent: Vec<u16>,
    /// Runs of occupied ports: (length, how many), ascending; of the occupancy as it is now.
    pub lengths: Vec<(u32, u32)>,
    /// Time that the timed runs took (one in 16 of those in memory, all of those on the machine), and
    /// how many of them succeeded. In memory it holds the decision whether a port is occupied.
    pub timed: (Duration, u64),
    /// Snapshots that the strategy looked at, and the time that they took.
    pub snapshots: (u64, Duration),
}

/// The mean of what theory says of each run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Predicted {
    pub failure_rate: f64,
    pub mean_attempts: f64,
}

impl Figures {
    /// Attempts a run in the mean; None: no run ended.
    pub fn mean(&self) -> Option<f64> {
        (self.runs > 0).then(|| self.attempts as f64 / self.runs as f64)
    }

    /// 0 to 1; None: no run ended.
    pub fn failure_rate(&self) -> Option<f64> {
        (self.runs > 0).then(|| self.failures as f64 / self.runs as f64)
    }

    /// Of the mean; None: fewer than two runs ended.
    pub fn standard_error(&self) -> Option<f64> {
        let (runs, mean) = (self.runs as f64, self.mean()?);
        let variance = (self.squares / runs - mean * mean).max(0.0) * runs / (runs - 1.0);
        (self.runs > 1).then(|| (variance / runs).sqrt())
    }

    /// The fewest attempts within which that share (0 to 1) of all runs got a port; None: so many
    /// never did.
    pub fn quantile(&self, share: f64) -> Option<u32> {
        let wanted = (share * self.runs as f64).ceil().max(1.0) as u64;
        let mut sum = 0;
        self.histogram.iter().find_map(|&(attempts, count)| {
            sum += count;
            (sum >= wanted).then_some(attempts)
        })
    }

    /// The most attempts of a run that got a port.
    pub fn most(&self) -> Option<u32> {
        self.histogram.last().map(|&(attempts, _)| attempts)
    }

    /// Of one success, failed runs included; None: none was timed.
    pub fn time_of_success(&self) -> Option<Duration> {
        let (time, successes) = self.timed;
        (successes > 0).then(|| Duration::from_secs_f64(time.as_secs_f64() / successes as f64))
    }
}
