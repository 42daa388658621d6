//! Limits the attempts of a strategy to the number of candidates.
//!
//! The strategy `random-retry` is `random` with this limit: RFC 6056, section 3.3.2, algorithm 2
//! ("another simple"). It tries port = min + random % N, at most N times, where N is the number of
//! candidates. A port may be tried more than once, so the strategy may give up while ports are
//! free. The expected values are those of `random`, with N as a second limit on attempts.

use rand::Rng;

use crate::allocator::{Strategy, strategy::StrategyContext};

/// Makes at most as many attempts per allocation as there are candidates.
#[derive(Default)]
pub struct Capped<S> {
    strategy: S,
    tries: u32,
}

impl<S: Strategy> Strategy for Capped<S> {
    fn begin(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) {
        self.tries = 0;
        self.strategy.begin(context, random);
    }

    fn next(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) -> Option<u16> {
        if self.tries == context.candidates.len() {
            return None;
        }
        self.tries += 1;
        self.strategy.next(context, random)
    }

    fn bound(&mut self, port: u16) {
        self.strategy.bound(port);
    }
}
