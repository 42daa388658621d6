//! Strategy `exo-history`: what exo shipped (commit 35177690b, 2024): `random.choice` over the list of
//! all ports but the last 20 given, no port twice, without a bound of its own.
//!
//! exo kept the history in a file that all programs of the machine shared without a lock; here it is
//! the allocator's own. On an occupancy that knows nothing of the history the law is that of
//! `random-unique`, with 20 candidates fewer to try.

use std::collections::VecDeque;

use rand::Rng;

use crate::allocator::{Strategy, random_unique::RandomUnique, strategy::Surroundings};

/// Ports given last that are not tried.
const HISTORY: usize = 20;

#[derive(Default)]
pub struct ExoHistory {
    draw: RandomUnique,
    given: VecDeque<u16>,
}

impl Strategy for ExoHistory {
    fn begin(&mut self, about: &Surroundings<'_>, random: &mut dyn Rng) {
        self.draw.begin(about, random);
    }

    fn next(&mut self, about: &Surroundings<'_>, random: &mut dyn Rng) -> Option<u16> {
        loop {
            let port = self.draw.next(about, random)?;
            if !self.given.contains(&port) {
                return Some(port);
            }
        }
    }

    fn bound(&mut self, port: u16) {
        if self.given.len() == HISTORY {
            self.given.pop_front();
        }
        self.given.push_back(port);
    }
}
