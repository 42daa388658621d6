//! Strategy `random`: the design of 2024 of exo, a project for distributed inference
//! (exo-explore/exo#35). It differs from RFC 6056's algorithm 2 in that only the configured limit
//! on attempts applies.
//!
//! If K of N candidates are occupied, an allocation of at most M attempts fails with probability
//! (K/N)^M.

use rand::{Rng, RngExt};

use crate::allocator::{Strategy, strategy::StrategyContext};

/// Draws uniformly from all candidates, both ends of the range included, with replacement.
#[derive(Default)]
pub struct Random;

impl Strategy for Random {
    fn next(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) -> Option<u16> {
        Some(context.candidates.nth(random.random_range(0..context.candidates.len())))
    }
}
