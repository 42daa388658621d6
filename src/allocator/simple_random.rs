//! Strategy `simple-random`: RFC 6056, section 3.3.1, algorithm 1.
//!
//! Tries port = min + random % N, then the next ports in ascending order until one is free, at most
//! N ports, where N is the number of candidates. If the occupied ports form runs of lengths L, an
//! allocation takes 1 + sum(L(L+1)) / 2N attempts on average. If K ports are occupied at random,
//! this is (N+1)/(N-K+1). If the strategy itself allocated the occupied ports, the mean is higher,
//! because linear probing forms clusters.

use rand::{Rng, RngExt};

use crate::allocator::{Strategy, strategy::StrategyContext};

#[derive(Default)]
pub struct SimpleRandom {
    /// Number of the candidate to try next.
    number: u32,
}

impl Strategy for SimpleRandom {
    fn begin(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) {
        self.number = random.random_range(0..context.candidates.len());
    }

    fn next(&mut self, context: &StrategyContext<'_>, _: &mut dyn Rng) -> Option<u16> {
        let number = self.number;
        self.number = (number + 1) % context.candidates.len();
        Some(context.candidates.nth(number))
    }
}
