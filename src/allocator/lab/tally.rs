//! Counts the results of one strategy's allocations. Keeps no list of them, and contains no
//! formulas for expected values.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    allocator::{StrategyFigures, lab::Expected, predictability::assess},
    domain::PortRange,
};

/// Number of most recently allocated ports that are kept.
pub const RECENT: usize = 64;

/// Allocations with fewer attempts than this are counted in a vector, others in a map.
const DENSE: usize = 1 << 16;

/// Minimum ratio of allocations to distinct ports for an entropy estimate. At this ratio, the error
/// that remains after the Miller-Madow correction is about 0.016 bits for a uniform choice among
/// many ports. At smaller ratios, the error grows fast.
const GIVEN_PER_DISTINCT: u64 = 4;

/// Statistics of one strategy's allocations.
pub struct LabTally {
    /// The counters that need no computation; the other fields are empty.
    counted: StrategyFigures,
    /// Successes by number of attempts below `DENSE`; the others are in `by_many_attempts`.
    histogram: Vec<u64>,
    by_many_attempts: BTreeMap<u32, u64>,
    /// How often each port was allocated, by port.
    given: Vec<u64>,
    recent: [u16; RECENT],
    /// Sums of the expected values over the runs where they are known, and the number of those
    /// runs.
    expected: (Expected, u64),
}

impl Default for LabTally {
    fn default() -> Self {
        Self {
            counted: StrategyFigures::default(),
            histogram: Vec::new(),
            by_many_attempts: BTreeMap::new(),
            given: vec![0; 1 << 16],
            recent: [0; RECENT],
            expected: (Expected::default(), 0),
        }
    }
}

impl LabTally {
    /// Returns the counters; only `figures` returns the other statistics.
    pub fn counted(&self) -> &StrategyFigures {
        &self.counted
    }

    /// Counts an allocation that got `port`, or that failed if `port` is `None`.
    pub fn count(&mut self, attempts: u32, port: Option<u16>, expected: Option<Expected>) {
        self.counted.runs += 1;
        self.counted.attempts += u64::from(attempts);
        self.counted.squares += f64::from(attempts) * f64::from(attempts);
        if let Some(Expected { failure_rate, mean_attempts }) = expected {
            self.expected.0.failure_rate += failure_rate;
            self.expected.0.mean_attempts += mean_attempts;
            self.expected.1 += 1;
        }
        match port {
            Some(port) => self.count_success(attempts, port),
            None => self.counted.failures += 1,
        }
    }

    fn count_success(&mut self, attempts: u32, port: u16) {
        self.recent[((self.successes() - 1) % RECENT as u64) as usize] = port;
        let given = &mut self.given[usize::from(port)];
        self.counted.distinct += u32::from(*given == 0);
        *given += 1;
        let at = attempts as usize;
        if at >= self.histogram.len() && at < DENSE {
            self.histogram.resize((at + 1).next_power_of_two(), 0);
        }
        match self.histogram.get_mut(at) {
            Some(count) => *count += 1,
            None => *self.by_many_attempts.entry(attempts).or_insert(0) += 1,
        }
    }

    /// Adds the duration of an allocation to the total. Only successes are counted, so that the
    /// mean is per success.
    pub fn time(&mut self, took: Duration, is_success: bool) {
        self.counted.timed.0 += took;
        self.counted.timed.1 += u64::from(is_success);
    }

    /// Counts a snapshot that was taken for the strategy.
    pub fn count_snapshot(&mut self, took: Duration) {
        self.counted.snapshots.0 += 1;
        self.counted.snapshots.1 += took;
    }

    /// Returns the statistics. Leaves `model` and `lengths` empty, because they depend on the
    /// occupancy, which is unknown here.
    pub fn figures(&self, range: PortRange) -> StrategyFigures {
        let recent = self.recent();
        StrategyFigures {
            histogram: self.histogram(),
            expected: self.expected(),
            entropy_bits: self.entropy_bits(),
            predictability: assess(&recent, range),
            recent,
            ..self.counted.clone()
        }
    }

    fn successes(&self) -> u64 {
        self.counted.runs - self.counted.failures
    }

    fn histogram(&self) -> Vec<(u32, u64)> {
        let dense = self.histogram.iter().enumerate().map(|(at, &count)| (at as u32, count));
        let by_many_attempts =
            self.by_many_attempts.iter().map(|(&attempts, &count)| (attempts, count));
        dense.chain(by_many_attempts).filter(|&(_, count)| count > 0).collect()
    }

    /// Returns the mean expected values; `None` unless they are known for every run.
    fn expected(&self) -> Option<Expected> {
        let (sum, count) = &self.expected;
        (*count > 0 && *count == self.counted.runs).then(|| Expected {
            failure_rate: sum.failure_rate / *count as f64,
            mean_attempts: sum.mean_attempts / *count as f64,
        })
    }

    fn recent(&self) -> Vec<u16> {
        let given = self.successes();
        let kept = given.min(RECENT as u64);
        (given - kept..given).map(|at| self.recent[(at % RECENT as u64) as usize]).collect()
    }

    /// Returns the Shannon entropy of the allocated ports in bits, with the correction of Miller
    /// and Madow (1955) for the bias of a sample: (m - 1) / 2n nats for m distinct ports among n.
    /// `None` if n is below `GIVEN_PER_DISTINCT` * m or below `RECENT`.
    fn entropy_bits(&self) -> Option<f64> {
        let given = self.successes();
        let distinct = u64::from(self.counted.distinct);
        if given < GIVEN_PER_DISTINCT * distinct || given < RECENT as u64 {
            return None;
        }
        let total = given as f64;
        let counts = self.given.iter().filter(|&&count| count > 0).map(|&count| count as f64);
        let sum: f64 = counts.map(|count| count * count.log2()).sum();
        let bias = (distinct - 1) as f64 / (2.0 * total * std::f64::consts::LN_2);
        Some((total.log2() - sum / total + bias).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::port::IANA_DYNAMIC;

    #[test]
    fn entropy_of_a_uniform_choice_is_log2_of_the_range_and_needs_enough_ports() {
        let mut tally = LabTally::default();
        let mut state = 1_u64;
        for given in 1..=4_300 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            tally.count(1, Some(50_000 + (state >> 54) as u16), None);
            if given == 3_000 {
                assert_eq!(tally.entropy_bits(), None);
            }
        }
        let bits = tally.entropy_bits().unwrap();
        assert!((bits - 10.0).abs() < 0.02, "{bits}");
    }

    #[test]
    fn tally_counts_runs_failures_attempts_and_distinct_ports() {
        let mut tally = LabTally::default();
        for (attempts, port) in [(2, Some(9)), (70_000, Some(9)), (5, None), (2, Some(12))] {
            tally.count(attempts, port, None);
        }
        let figures = tally.figures(IANA_DYNAMIC);
        assert_eq!((figures.runs, figures.failures, figures.attempts), (4, 1, 70_009));
        assert_eq!(figures.histogram, [(2, 2), (70_000, 1)]);
        assert_eq!((figures.distinct, figures.recent), (2, vec![9, 9, 12]));
        assert_eq!((figures.expected, figures.entropy_bits), (None, None));
    }
}
