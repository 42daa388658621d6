//! Strategy `sequential`: the lowest free port (the crates openport and get-port).
//!
//! Anyone who knows the range and its occupied ports can predict the next port. If the strategy
//! itself allocated the K lowest ports, the next allocation takes K + 1 attempts.

use rand::Rng;

use crate::allocator::{Strategy, strategy::StrategyContext};

#[derive(Default)]
pub struct Sequential {
    /// Number of the candidate to try next.
    number: u32,
}

impl Strategy for Sequential {
    fn begin(&mut self, _: &StrategyContext<'_>, _: &mut dyn Rng) {
        self.number = 0;
    }

    fn next(&mut self, context: &StrategyContext<'_>, _: &mut dyn Rng) -> Option<u16> {
        let number = self.number;
        self.number += 1;
        Some(context.candidates.nth(number))
    }
}
