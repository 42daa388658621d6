//! Computes expected values of an allocation, for comparison with measured ones. Has no side
//! effects.
//!
//! An attempt misses if its port is occupied. If K of N candidates are occupied, M attempts with
//! replacement all miss with probability (K/N)^M, and M attempts without replacement with
//! probability C(K,M)/C(N,M). If consecutive ports are tried from a uniformly chosen start, the
//! first j attempts all miss if the j ports from the start on are all occupied. These formulas were
//! verified by Monte Carlo simulation; tests/kernel/lab_model.rs simulates them again.

mod runs;

use std::{sync::Arc, time::Duration};

pub use runs::runs_of_taken;

/// Order in which a strategy tries ports, as far as it matters for the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Uniform and independent: a port may be tried again.
    Replacement,
    /// Uniform, no port twice.
    Shuffled,
    /// Consecutive ports from a uniform start.
    Scan,
    /// No port twice, in another order that does not depend on the occupancy. No formula is known
    /// for a fixed occupancy.
    Fixed,
    /// Only free ports, so that the first attempt succeeds.
    OnlyFree,
    /// No formula is known.
    Unknown,
}

/// Distribution of the attempts of an allocation, while the occupancy does not change.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// Each attempt misses with this probability (0 to 1), independently of earlier attempts.
    Replacement { miss: f64 },
    /// No port is tried twice, and every untried port is equally likely to be occupied.
    Unique { occupied: u32, candidates: u32 },
    /// Consecutive ports are tried from a uniform start. `runs` are the runs of occupied ports.
    Scan { candidates: u32, runs: Arc<[OccupiedRun]> },
    /// Only free ports are tried, and at least one port is free. The first attempt succeeds.
    OnlyFree,
}

/// Length of runs of occupied ports, and the number of runs with that length.
pub type OccupiedRun = (u32, u32);

impl Model {
    /// Returns the distribution on occupancies that are drawn at random for each allocation. Every
    /// set of `occupied` ports has the same probability; `occupied` counts as `candidates` if it is
    /// greater. `None` if there are no candidates, or no formula is known.
    pub fn at_random(order: Order, occupied: u32, candidates: u32) -> Option<Self> {
        let occupied = occupied.min(candidates);
        if candidates == 0 {
            return None;
        }
        match order {
            Order::Replacement => {
                Some(Self::Replacement { miss: f64::from(occupied) / f64::from(candidates) })
            }
            // On a random occupancy, the number of attempts has the same distribution for every
            // order without repetition.
            Order::Shuffled | Order::Scan | Order::Fixed => {
                Some(Self::Unique { occupied, candidates })
            }
            // If no port is free, the number of attempts depends on how often the strategy tries
            // before it gives up.
            Order::OnlyFree if occupied == candidates => None,
            Order::OnlyFree => Some(Self::OnlyFree),
            Order::Unknown => None,
        }
    }

    /// Returns the probability (0 to 1) that the first `attempts` attempts all miss.
    pub fn survival(&self, attempts: u32) -> f64 {
        match self {
            Self::Replacement { miss } => miss.powf(f64::from(attempts)),
            &Self::Unique { occupied, candidates } => all_occupied(occupied, candidates, attempts),
            Self::Scan { candidates, runs } => survival_of_scan(*candidates, runs, attempts),
            Self::OnlyFree => f64::from(u8::from(attempts == 0)),
        }
    }

    /// Returns the probability (0 to 1) that an allocation of at most `max_attempts` attempts
    /// fails.
    pub fn failure(&self, max_attempts: u32) -> f64 {
        self.survival(max_attempts)
    }

    /// Returns the mean number of attempts of an allocation, failed ones included: the sum of
    /// `survival` from 0 to `max_attempts` - 1. If all ports are occupied and none is tried twice,
    /// the mean is at most the number of candidates.
    pub fn expected_attempts(&self, max_attempts: u32) -> f64 {
        let most = f64::from(max_attempts);
        match self {
            &Self::Replacement { miss } if miss < 1.0 => {
                (1.0 - self.failure(max_attempts)) / (1.0 - miss)
            }
            &Self::Unique { occupied, candidates } if occupied < candidates => {
                let [k, n] = [occupied, candidates].map(f64::from);
                // `rest` is the share of the unlimited sum that attempts beyond the limit
                // contribute.
                let rest = all_occupied(occupied, candidates + 1, max_attempts);
                (n + 1.0) / (n - k + 1.0) * (1.0 - rest)
            }
            Self::Scan { candidates, runs } if !is_one_run(*candidates, runs) => {
                let walked = runs.iter().map(|&(length, count)| {
                    let most = length.min(max_attempts.saturating_sub(1));
                    let [length, count, most] = [length, count, most].map(f64::from);
                    count * most * (length - (most - 1.0) / 2.0)
                });
                most.min(1.0) + walked.sum::<f64>() / f64::from(*candidates)
            }
            Self::OnlyFree => most.min(1.0),
            Self::Replacement { .. } => most,
            Self::Unique { candidates, .. } | Self::Scan { candidates, .. } => {
                most.min(f64::from(*candidates))
            }
        }
    }

    /// Returns the lowest number of attempts within which this share (0 to 1) of allocations get a
    /// port; `None` if `max_attempts` attempts are not enough.
    pub fn quantile(&self, share: f64, max_attempts: u32) -> Option<u32> {
        self.attempts_for(1.0 - share).filter(|&attempts| attempts <= max_attempts)
    }

    /// Returns the smallest limit on attempts, at least 1, with which at most this share (0 to 1)
    /// of allocations fails; `None` if no limit is enough.
    pub fn attempts_for(&self, failure_rate: f64) -> Option<u32> {
        let is_enough = |attempts| self.failure(attempts) <= failure_rate;
        if is_enough(1) {
            return Some(1);
        }
        let mut most = 2;
        while !is_enough(most) {
            most = most.checked_mul(2)?;
        }
        // `few` attempts are not enough, `most` are.
        let mut few = most / 2;
        while most - few > 1 {
            let middle = few + (most - few) / 2;
            *if is_enough(middle) { &mut most } else { &mut few } = middle;
        }
        Some(most)
    }
}

/// Returns the probability (0 to 1) that a competitor has bound a port within `window` (w) after
/// the port was closed: 1 - e^(-lambda w / F). The competitor binds on average `per_second`
/// (lambda) ports per second, each time one of `free` (F) ports at random.
pub fn stolen_probability(per_second: f64, window: Duration, free: f64) -> f64 {
    -(-per_second * window.as_secs_f64() / free).exp_m1()
}

/// Returns the mean attempts of linear probing from a uniform start, if `occupied` (K) of
/// `candidates` (N) ports were allocated in the same way, which forms clusters, and none was
/// released: (1 + Q1) / 2, where Q1 is the sum over k from 0 to K of (k+1) K(K-1)...(K-k+1) / N^k
/// (Knuth, The Art of Computer Programming 3, section 6.4, theorem K). `None` if no port is free.
pub fn scan_on_built(occupied: u32, candidates: u32) -> Option<f64> {
    if occupied >= candidates {
        return None;
    }
    let (mut sum, mut term) = (0.0, 1.0);
    for k in 0..=occupied {
        sum += f64::from(k + 1) * term;
        term *= f64::from(occupied - k) / f64::from(candidates);
    }
    Some(f64::midpoint(1.0, sum))
}

/// Returns C(K,M)/C(N,M), the probability that a random set of M ports is all occupied.
fn all_occupied(occupied: u32, candidates: u32, attempts: u32) -> f64 {
    if occupied >= candidates {
        return 1.0;
    }
    if attempts > occupied {
        return 0.0;
    }
    let mut product = 1.0;
    for tried in 0..attempts {
        product *= f64::from(occupied - tried) / f64::from(candidates - tried);
        if product < f64::MIN_POSITIVE {
            return 0.0;
        }
    }
    product
}

/// Returns whether all candidates are occupied.
fn is_one_run(candidates: u32, runs: &[OccupiedRun]) -> bool {
    runs.first().is_some_and(|&(length, _)| length >= candidates)
}

/// Returns the probability (0 to 1) that the first `attempts` attempts all miss, if consecutive
/// ports are tried from a uniform start. A run of length L has L - j + 1 starts from which the
/// first j attempts miss.
fn survival_of_scan(candidates: u32, runs: &[OccupiedRun], attempts: u32) -> f64 {
    if attempts == 0 || is_one_run(candidates, runs) {
        return 1.0;
    }
    let starts = runs.iter().map(|&(length, count)| {
        f64::from(count) * f64::from((length + 1).saturating_sub(attempts))
    });
    starts.sum::<f64>() / f64::from(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        allocator::{Candidates, FreePorts},
        domain::PortRange,
    };

    const CANDIDATES: u32 = 16_384;

    /// (occupied, P(fail), E, attempts for one failure in a million) at 100 attempts, verified by
    /// Monte Carlo simulation.
    const TABLE: [(u32, f64, f64, u32); 4] = [
        (8_192, 7.9e-31, 2.000, 20),
        (14_746, 2.663e-5, 10.0022, 132),
        (15_565, 5.928e-3, 19.886, 270),
        (16_220, 0.365_67, 63.371, 1_374),
    ];

    fn model(occupied: u32) -> Model {
        at_random(Order::Replacement, occupied)
    }

    fn agree(value: f64, expected: f64) -> bool {
        (value / expected - 1.0).abs() < 2e-3
    }

    #[test]
    fn expected_values_match_the_verified_table() {
        for (occupied, failure, expected, needed) in TABLE {
            let model = model(occupied);
            assert!(agree(model.failure(100), failure), "{occupied}: {}", model.failure(100));
            assert!(agree(model.expected_attempts(100), expected), "{occupied}");
            assert_eq!(model.attempts_for(1e-6), Some(needed), "{occupied}");
        }
    }

    #[test]
    fn attempts_for_returns_the_minimum_for_a_failure_rate() {
        for occupied in (1..CANDIDATES).step_by(97) {
            for rate in [0.5, 0.1, 1e-3, 1e-6, 1e-9] {
                let needed = model(occupied).attempts_for(rate).unwrap();
                assert!(model(occupied).failure(needed) <= rate);
                assert!(needed == 1 || model(occupied).failure(needed - 1) > rate);
            }
        }
    }

    #[test]
    fn quantiles_at_99_percent_occupancy_and_with_a_low_attempt_limit() {
        assert_eq!(model(16_220).quantile(0.5, 100), Some(69));
        assert_eq!(model(16_220).quantile(0.7, 100), None);
    }

    #[test]
    fn a_full_range_always_fails_and_an_empty_one_never() {
        let (full, empty) = (model(CANDIDATES), model(0));
        assert!((full.failure(100) - 1.0).abs() < f64::EPSILON);
        assert!((full.expected_attempts(100) - 100.0).abs() < f64::EPSILON);
        assert_eq!(full.attempts_for(1e-6), None);
        assert!(empty.failure(1).abs() < f64::EPSILON);
        assert_eq!((empty.attempts_for(1e-6), empty.quantile(0.99, 100)), (Some(1), Some(1)));
        assert_eq!(Model::at_random(Order::Replacement, 0, 0), None);
    }

    fn at_random(order: Order, occupied: u32) -> Model {
        Model::at_random(order, occupied, CANDIDATES).unwrap()
    }

    #[test]
    fn means_without_replacement_match_the_verified_values() {
        for (occupied, mean) in
            [(8_192, 1.999_88), (14_746, 9.996_95), (15_565, 19.982), (16_220, 99.303)]
        {
            let model = at_random(Order::Shuffled, occupied);
            assert!(agree(model.expected_attempts(CANDIDATES), mean), "{occupied}");
            assert!(model.failure(CANDIDATES) < f64::MIN_POSITIVE);
        }
    }

    #[test]
    fn mean_attempts_is_the_sum_of_the_survival_function() {
        let candidates = Candidates::new(PortRange::new(1, 200).unwrap(), &[]);
        let port_view =
            FreePorts::without((1..=200).filter(|port| port % 7 != 0 && port % 31 != 3));
        let runs = runs_of_taken(&candidates, &port_view);
        let occupied = runs.iter().map(|(length, count)| length * count).sum();
        let orders = [Order::Replacement, Order::Shuffled, Order::OnlyFree].into_iter();
        let models = orders.filter_map(|order| Model::at_random(order, occupied, 200));
        for model in models.chain([Model::Scan { candidates: 200, runs: runs.into() }]) {
            for most in [1, 2, 3, 5, 17, 100, 200] {
                let sum: f64 = (0..most).map(|attempts| model.survival(attempts)).sum();
                assert!((model.expected_attempts(most) - sum).abs() < 1e-9, "{model:?} {most}");
            }
        }
    }

    /// Compares the formula with a walk from every start.
    #[test]
    fn model_of_a_scan_is_exact_for_any_bitmap() {
        let candidates = Candidates::new(PortRange::new(10, 73).unwrap(), &[]);
        for pattern in [0_u64, 1, 0xffff_0000_ffff_0001, 0x8000_0000_0000_0001, u64::MAX - 1] {
            let taken = (0..64).filter(|bit| pattern >> bit & 1 == 1).map(|bit| bit + 10);
            let port_view = FreePorts::without(taken);
            let runs = runs_of_taken(&candidates, &port_view).into();
            let model = Model::Scan { candidates: 64, runs };
            let walk = |start: u32| {
                (0..64).find(|by| pattern >> ((start + by) % 64) & 1 == 0).unwrap() + 1
            };
            let walks: Vec<u32> = (0..64).map(walk).collect();
            let mean = f64::from(walks.iter().sum::<u32>()) / 64.0;
            assert!((model.expected_attempts(64) - mean).abs() < 1e-9, "{pattern:x}");
            let failed = walks.iter().filter(|&&walk| walk > 5).count() as f64 / 64.0;
            assert!((model.failure(5) - failed).abs() < 1e-9, "{pattern:x}");
        }
    }

    #[test]
    fn a_strategy_that_tries_only_free_ports_needs_one_attempt() {
        let model = at_random(Order::OnlyFree, CANDIDATES - 1);
        assert!((model.expected_attempts(100) - 1.0).abs() < f64::EPSILON);
        assert!(model.failure(1).abs() < f64::EPSILON);
        assert_eq!(Model::at_random(Order::OnlyFree, 9, 9), None);
    }

    #[test]
    fn means_of_linear_probing_match_the_verified_values() {
        for (occupied, mean) in
            [(8_192, 2.4993), (14_746, 49.723), (15_565, 188.10), (16_220, 2228.8)]
        {
            let computed = scan_on_built(occupied, CANDIDATES).unwrap();
            assert!((computed / mean - 1.0).abs() < 1e-4, "{occupied}: {computed}");
        }
        assert_eq!((scan_on_built(0, 9), scan_on_built(9, 9)), (Some(1.0), None));
    }

    #[test]
    fn stolen_probability_matches_the_verified_value() {
        assert!((stolen_probability(100.0, Duration::from_secs(1), 164.0) - 0.4565).abs() < 1e-4);
    }

    #[test]
    fn an_unknown_order_has_no_model() {
        assert_eq!(Model::at_random(Order::Unknown, 1, 9), None);
    }
}
