//! Compares strategies, and collects the statistics of their allocations. Reads no clock.

mod comparison;
mod expectation;
mod lab_strategy;
mod simulated_lab;
mod tally;

use std::time::Duration;

use crate::allocator::{Model, Predictability};

pub use comparison::{CurvePoint, LabReport, LabSetup, LabTarget, StrategyReport};
pub use expectation::{Expectation, Given};
pub use lab_strategy::LabStrategy;
pub use simulated_lab::{LabConfig, SimulatedLab};
pub use tally::{LabTally, RECENT};

/// Statistics of one strategy's runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StrategyFigures {
    /// Completed allocations, failed ones included.
    pub runs: u64,
    pub failures: u64,
    /// Attempts of all runs, failed runs included.
    pub attempts: u64,
    /// Sum of the squares of each run's attempts.
    pub squares: f64,
    /// Successful runs by number of attempts: (attempts, count), ascending.
    pub histogram: Vec<(u32, u64)>,
    /// Expected values of these runs; `None` if no run ended, or no formula is known for one of
    /// them.
    pub expected: Option<Expected>,
    /// Expected distribution on the current occupancy, for the histogram; `None` if no formula is
    /// known, or while the occupancy is being built.
    pub model: Option<Model>,
    /// Number of distinct allocated ports.
    pub distinct: u32,
    /// Shannon entropy of the allocated ports, with the Miller-Madow correction; `None` if too few
    /// were allocated.
    pub entropy_bits: Option<f64>,
    /// Predictability of the last allocated ports.
    pub predictability: Predictability,
    /// The last allocated ports, oldest first, at most 64.
    pub recent: Vec<u16>,
    /// Runs of consecutive occupied ports in the current occupancy: (length, count), ascending.
    pub lengths: Vec<(u32, u32)>,
    /// Total time of the timed runs, and how many of them succeeded. One run in 16 is timed in the
    /// simulation, and every run on the host; runs made step by step are not. In the simulation,
    /// the time includes drawing whether a port is occupied.
    pub timed: (Duration, u64),
    /// Number of snapshots that the strategy used, and the total time to take them.
    pub snapshots: (u64, Duration),
}

/// Expected values of one run, or their means over all runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expected {
    /// Probability that a run fails, 0 to 1.
    pub failure_rate: f64,
    /// Mean number of attempts per run, failed runs included.
    pub mean_attempts: f64,
}

impl StrategyFigures {
    /// Returns the mean number of attempts per run; `None` if no run ended.
    pub fn mean(&self) -> Option<f64> {
        (self.runs > 0).then(|| self.attempts as f64 / self.runs as f64)
    }

    /// Returns the share of runs that failed, 0 to 1; `None` if no run ended.
    pub fn failure_rate(&self) -> Option<f64> {
        (self.runs > 0).then(|| self.failures as f64 / self.runs as f64)
    }

    /// Returns the standard error of `mean`; `None` if fewer than two runs ended.
    pub fn standard_error(&self) -> Option<f64> {
        let (runs, mean) = (self.runs as f64, self.mean()?);
        let variance = (self.squares / runs - mean * mean).max(0.0) * runs / (runs - 1.0);
        (self.runs > 1).then(|| (variance / runs).sqrt())
    }

    /// Returns the lowest number of attempts within which this share (0 to 1) of all runs got a
    /// port; `None` if fewer runs succeeded.
    pub fn quantile(&self, share: f64) -> Option<u32> {
        let wanted = (share * self.runs as f64).ceil().max(1.0) as u64;
        let mut sum = 0;
        self.histogram.iter().find_map(|&(attempts, count)| {
            sum += count;
            (sum >= wanted).then_some(attempts)
        })
    }

    /// Returns the highest number of attempts of a run that got a port; `None` if no run got one.
    pub fn most(&self) -> Option<u32> {
        self.histogram.last().map(|&(attempts, _)| attempts)
    }

    /// Returns the time per success, including the time of failed runs; `None` if no success was
    /// timed.
    pub fn time_of_success(&self) -> Option<Duration> {
        let (time, successes) = self.timed;
        (successes > 0).then(|| Duration::from_secs_f64(time.as_secs_f64() / successes as f64))
    }
}
