//! What the law says of independent uniform tries, to hold the figures of a run against.
//!
//! With K of N candidates occupied an attempt misses with p = K/N, so that an allocation of at most
//! M attempts fails with p^M. It holds while the population stands still and for strategy `random`.

use std::time::Duration;

/// In which order a strategy tries ports, as far as a law needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Uniform and independent: a port may be tried again.
    Replacement,
    /// Uniform, no port twice.
    Shuffled,
    /// A uniform start, then one port after the other.
    Scan,
    /// No port twice, in an order that knows nothing of the occupancy, but is not drawn anew.
    Fixed,
    /// Only ports that are free: one attempt.
    OnlyFree,
    /// No law is known.
    Unknown,
}

/// The law of one occupancy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    miss: f64,
}

impl Law {
    /// None: without candidates there is nothing to try. `occupied` above `candidates` counts as all.
    pub fn new(occupied: u32, candidates: u32) -> Option<Self> {
        let share = f64::from(occupied.min(candidates)) / f64::from(candidates);
        (candidates > 0).then_some(Self { miss: share })
    }

    /// The probability p that one attempt meets an occupied port.
    pub fn miss(self) -> f64 {
        self.miss
    }

    /// The probability that all of so many attempts miss: p^M.
    pub fn failure(self, max_attempts: u32) -> f64 {
        self.miss.powf(f64::from(max_attempts))
    }

    /// Mean attempts of an allocation, failed ones included: (1 - p^M) / (1 - p).
    pub fn expected_attempts(self, max_attempts: u32) -> f64 {
        if self.miss >= 1.0 {
            return f64::from(max_attempts);
        }
        (1.0 - self.failure(max_attempts)) / (1.0 - self.miss)
    }

    /// Mean attempts of the allocations that got a port; None: none of them can.
    pub fn expected_attempts_of_success(self, max_attempts: u32) -> Option<f64> {
        let failure = self.failure(max_attempts);
        let tail = f64::from(max_attempts) * failure / (1.0 - failure);
        (failure < 1.0).then(|| 1.0 / (1.0 - self.miss) - tail)
    }

    /// The share of all allocations that get their port with exactly that attempt, counted from 1.
    pub fn share_taking(self, attempts: u32) -> f64 {
        if attempts == 0 { 0.0 } else { self.failure(attempts - 1) * (1.0 - self.miss) }
    }

    /// The fewest attempts within which that share (0 to 1) of allocations got a port; None: so
    /// many never do within `max_attempts`.
    pub fn quantile(self, share: f64, max_attempts: u32) -> Option<u32> {
        self.attempts_for(1.0 - share).filter(|&attempts| attempts <= max_attempts)
    }

    /// The fewest attempts, at least 1, that fail no more often than this; None: no number of
    /// attempts is enough.
    pub fn attempts_for(self, failure_rate: f64) -> Option<u32> {
        if self.miss <= failure_rate {
            return Some(1);
        }
        if self.miss >= 1.0 || failure_rate <= 0.0 {
            return None;
        }
        let estimate = (failure_rate.ln() / self.miss.ln()).ceil();
        if estimate >= f64::from(u32::MAX) {
            return None;
        }
        // The logarithms may be off by their last bit just where the answer jumps.
        let estimate = estimate as u32;
        (estimate.saturating_sub(1).max(1)..=estimate + 1)
            .find(|&attempts| self.failure(attempts) <= failure_rate)
    }
}

/// The probability that somebody else has a port `window` after it was given up: a thief binds
/// `per_second` ports a second, each time one of `free` by chance: 1 - e^(-lambda w / F).
pub fn theft(per_second: f64, window: Duration, free: f64) -> f64 {
    -(-per_second * window.as_secs_f64() / free).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANDIDATES: u32 = 16_384;

    /// (occupied, P(fail), E, E given success, attempts for one failure in a million) at 100
    /// attempts, verified by Monte-Carlo (allocators.md section 4).
    const TABLE: [(u32, f64, f64, f64, u32); 4] = [
        (8_192, 7.9e-31, 2.000, 2.000, 20),
        (14_746, 2.663e-5, 10.0022, 9.9998, 132),
        (15_565, 5.928e-3, 19.886, 19.409, 270),
        (16_220, 0.365_67, 63.371, 42.255, 1_374),
    ];

    fn law(occupied: u32) -> Law {
        Law::new(occupied, CANDIDATES).unwrap()
    }

    fn agree(value: f64, expected: f64) -> bool {
        (value / expected - 1.0).abs() < 2e-3
    }

    #[test]
    fn the_law_gives_the_verified_table() {
        for (occupied, failure, expected, of_success, needed) in TABLE {
            let law = law(occupied);
            assert!(agree(law.failure(100), failure), "{occupied}: {}", law.failure(100));
            assert!(agree(law.expected_attempts(100), expected), "{occupied}");
            assert!(agree(law.expected_attempts_of_success(100).unwrap(), of_success));
            assert_eq!(law.attempts_for(1e-6), Some(needed), "{occupied}");
        }
    }

    #[test]
    fn the_attempts_needed_are_the_fewest_that_suffice() {
        for occupied in (1..CANDIDATES).step_by(97) {
            for rate in [0.5, 0.1, 1e-3, 1e-6, 1e-9] {
                let needed = law(occupied).attempts_for(rate).unwrap();
                assert!(law(occupied).failure(needed) <= rate);
                assert!(needed == 1 || law(occupied).failure(needed - 1) > rate);
            }
        }
    }

    #[test]
    fn shares_of_all_attempts_and_the_failures_add_up_to_one() {
        let law = law(16_220);
        let sum: f64 = (1..=100).map(|attempts| law.share_taking(attempts)).sum();
        assert!((sum + law.failure(100) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn half_of_the_allocations_at_99_percent_take_69_attempts_and_70_percent_never_get_a_port() {
        assert_eq!(law(16_220).quantile(0.5, 100), Some(69));
        assert_eq!(law(16_220).quantile(0.7, 100), None);
    }

    #[test]
    fn a_full_range_always_fails_and_an_empty_one_never() {
        let (full, empty) = (law(CANDIDATES), law(0));
        assert!((full.failure(100) - 1.0).abs() < f64::EPSILON);
        assert!((full.expected_attempts(100) - 100.0).abs() < f64::EPSILON);
        assert_eq!(full.expected_attempts_of_success(100), None);
        assert_eq!(full.attempts_for(1e-6), None);
        assert!(empty.failure(1).abs() < f64::EPSILON);
        assert_eq!((empty.attempts_for(1e-6), empty.quantile(0.99, 100)), (Some(1), Some(1)));
        assert_eq!(Law::new(0, 0), None);
    }
}
