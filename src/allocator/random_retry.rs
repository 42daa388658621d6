//! Strategy `random-retry`: RFC 6056, section 3.3.2, algorithm 2 ("another simple").
//!
//! Tries port = min + random % N, at most N times, where N is the number of candidates. A port may
//! be tried more than once, so the strategy may give up while ports are free. The expected values
//! are those of `random`, with N as a second limit on attempts.

use rand::{Rng, RngExt};

use crate::allocator::{Strategy, strategy::StrategyContext};

#[derive(Default)]
pub struct RandomRetry {
    tries: u32,
}

impl Strategy for RandomRetry {
    fn begin(&mut self, _: &StrategyContext<'_>, _: &mut dyn Rng) {
        self.tries = 0;
    }

    fn next(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) -> Option<u16> {
        let count = context.candidates.len();
        self.tries += 1;
        (self.tries <= count).then(|| context.candidates.nth(random.random_range(0..count)))
    }
}
