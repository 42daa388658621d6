//! The counters of allocations and statistics from them. Does not compute expected values.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    allocator::attempt::{Attempt, Finished},
    domain::Outcome,
};

/// Number of attempts after which an allocation succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    After(u32),
    /// It did not succeed within the allowed attempts.
    GaveUp,
}

/// Counters of a run, or of a part of it. Those of two parts add up to those of both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunStats {
    pub attempts: u64,
    /// Number of attempts that failed with EADDRINUSE.
    pub collisions: u64,
    pub successes: u64,
    pub failures: u64,
    /// Number of attempts of the allocations that failed.
    pub failed_attempts: u64,
    /// Time spent in attempts.
    pub busy: Duration,
    /// Number of snapshots that the strategy needed, and the total time to take them.
    pub snapshots: (u64, Duration),
    /// Number of successful allocations, by their number of attempts.
    pub histogram: BTreeMap<u32, u64>,
}

impl RunStats {
    /// Counts an attempt. Allocates no memory.
    pub fn count(&mut self, attempt: &Attempt) {
        self.attempts += 1;
        self.collisions += u64::from(attempt.outcome() == Outcome::InUse);
        self.busy += attempt.took;
    }

    /// Counts a snapshot that the strategy needed. `took` is the time to take it.
    pub fn count_snapshot(&mut self, took: Duration) {
        self.snapshots.0 += 1;
        self.snapshots.1 += took;
    }

    /// Counts an allocation that ended.
    pub fn finish(&mut self, finished: Finished) {
        if finished.port.is_some() {
            self.successes += 1;
            *self.histogram.entry(finished.attempts).or_default() += 1;
        } else {
            self.failures += 1;
            self.failed_attempts += u64::from(finished.attempts);
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.collisions += other.collisions;
        self.successes += other.successes;
        self.failures += other.failures;
        self.failed_attempts += other.failed_attempts;
        self.busy = self.busy.saturating_add(other.busy);
        self.snapshots.0 += other.snapshots.0;
        self.snapshots.1 = self.snapshots.1.saturating_add(other.snapshots.1);
        for (&attempts, count) in &other.histogram {
            *self.histogram.entry(attempts).or_default() += count;
        }
    }

    /// Number of allocations that ended, with or without a port.
    pub fn finished(&self) -> u64 {
        self.successes + self.failures
    }

    /// Mean attempts per allocation. Includes failed allocations, as the expected mean does. None:
    /// no allocation has ended.
    pub fn mean(&self) -> Option<f64> {
        let won: u64 = self.histogram.iter().map(|(&n, &count)| u64::from(n) * count).sum();
        (self.finished() > 0).then(|| (won + self.failed_attempts) as f64 / self.finished() as f64)
    }

    /// Number of attempts within which this share (0 to 1) of all allocations succeeded. None: no
    /// allocation has ended.
    pub fn quantile(&self, share: f64) -> Option<Reached> {
        if self.finished() == 0 {
            return None;
        }
        let rank = (share * self.finished() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = self.histogram.iter().find(|&(_, count)| {
            seen += count;
            seen >= rank
        });
        Some(reached.map_or(Reached::GaveUp, |(&attempts, _)| Reached::After(attempts)))
    }

    /// Like `quantile`, but returns `limit` for `GaveUp`, and 0 if no allocation has ended.
    pub fn quantile_or(&self, share: f64, limit: u32) -> u32 {
        self.quantile(share).map_or(0, |reached| match reached {
            Reached::After(attempts) => attempts,
            Reached::GaveUp => limit,
        })
    }

    /// The largest number of attempts of a successful allocation; None: none has succeeded.
    pub fn most(&self) -> Option<u32> {
        self.histogram.last_key_value().map(|(&attempts, _)| attempts)
    }

    /// Share (0 to 1) of the attempts that failed because the port was in use; None: no attempts.
    pub fn collision_rate(&self) -> Option<f64> {
        (self.attempts > 0).then(|| self.collisions as f64 / self.attempts as f64)
    }

    /// Mean time of an attempt, in nanoseconds; None: no attempts.
    pub fn nanoseconds_per_attempt(&self) -> Option<u64> {
        (self.attempts > 0).then(|| self.busy.as_nanos() as u64 / self.attempts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_allocations_count_with_all_their_attempts() {
        let figures = RunStats {
            attempts: 104,
            successes: 3,
            failures: 1,
            failed_attempts: 100,
            histogram: [(1, 2), (2, 1)].into(),
            ..RunStats::default()
        };
        assert_eq!(figures.mean(), Some(26.0));
        assert_eq!(figures.quantile(0.5), Some(Reached::After(1)));
        assert_eq!(figures.quantile(0.75), Some(Reached::After(2)));
        assert_eq!(figures.quantile(0.99), Some(Reached::GaveUp));
        assert_eq!(figures.most(), Some(2));
    }

    #[test]
    fn a_run_without_attempts_has_no_figures() {
        let figures = RunStats::default();
        assert_eq!(figures.mean(), None);
        assert_eq!(figures.quantile(0.5), None);
        assert_eq!(figures.collision_rate(), None);
        assert_eq!(figures.nanoseconds_per_attempt(), None);
    }
}
