//! Strategy `next-fit`: Docker's portallocator, the next free port after the one allocated last.
//!
//! Reuses a port as late as possible, but the next port is easy to predict.

use rand::Rng;

use crate::allocator::{Strategy, strategy::StrategyContext};

#[derive(Default)]
pub struct NextFit {
    given_last: Option<u16>,
    /// Number of the candidate to try next.
    number: u32,
}

impl Strategy for NextFit {
    fn begin(&mut self, context: &StrategyContext<'_>, _: &mut dyn Rng) {
        let last = self.given_last.and_then(|port| context.candidates.number_of(port));
        self.number = last.map_or(0, |number| (number + 1) % context.candidates.len());
    }

    fn next(&mut self, context: &StrategyContext<'_>, _: &mut dyn Rng) -> Option<u16> {
        let number = self.number;
        self.number = (number + 1) % context.candidates.len();
        Some(context.candidates.nth(number))
    }

    fn bound(&mut self, port: u16) {
        self.given_last = Some(port);
    }
}
