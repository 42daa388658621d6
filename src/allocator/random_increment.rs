//! Strategy `random-increment`: RFC 6056, section 3.3.5, algorithm 5.
//!
//! Each attempt computes next = next + 1 + random % 500 and tries port = min + next % N, at most N
//! times, where N is the number of candidates. With a maximum step of 1, the strategy would be a
//! counter. With a maximum step of N, it would be as unpredictable as a random choice. The value
//! 500 is NetBSD's. An observer has to guess log2(500) = 8.97 bits. Once the steps have gone around
//! the range, a port may be tried again, so no closed formula is known.

use rand::{Rng, RngExt};

use crate::allocator::{Strategy, strategy::StrategyContext};

/// Maximum step, in candidates (called N in RFC 6056).
const STEP: u32 = 500;

#[derive(Default)]
pub struct RandomIncrement {
    /// Number of the candidate tried last, initialized at random; `None` before the first attempt.
    next: Option<u32>,
}

impl Strategy for RandomIncrement {
    fn next(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) -> Option<u16> {
        let count = context.candidates.len();
        let before = *self.next.get_or_insert_with(|| random.random_range(0..count));
        let number = (before + random.random_range(1..=STEP)) % count;
        self.next = Some(number);
        Some(context.candidates.nth(number))
    }
}
