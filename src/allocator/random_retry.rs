//! Strategy `random-retry`: RFC 6056, section 3.3.2, algorithm 2 ("another simple").
//!
//! port = min + random % N, at most N times, with replacement. The strategy may give up while ports
//! are free. The expected values are those of `random`, with N as a second limit on attempts.

use rand::{Rng, RngExt};

use crate::allocator::{Strategy, strategy::Surroundings};

#[derive(Default)]
pub struct RandomRetry {
    tries: u32,
}

impl Strategy for RandomRetry {
    fn begin(&mut self, _: &Surroundings<'_>, _: &mut dyn Rng) {
        self.tries = 0;
    }

    fn next(&mut self, about: &Surroundings<'_>, random: &mut dyn Rng) -> Option<u16> {
        let count = about.candidates.len();
        self.tries += 1;
        (self.tries <= count).then(|| about.candidates.nth(random.random_range(0..count)))
    }
}
