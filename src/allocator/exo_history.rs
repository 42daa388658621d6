//! Strategy `exo-history`: the allocator that exo, a project for distributed inference, shipped in
//! 2024 (commit 35177690b). Draws at random from all ports except the last 20 allocated ones, no
//! port twice, without a limit on attempts.
//!
//! exo kept the history in a file that its processes shared without a lock. Here, each allocator
//! has its own history. If the last 20 allocated ports are free again, the expected values are
//! those of `random-unique` with 20 fewer candidates.

use std::collections::VecDeque;

use rand::Rng;

use crate::allocator::{Strategy, random_unique::RandomUnique, strategy::StrategyContext};

/// Number of most recently allocated ports that are not tried.
pub const HISTORY: usize = 20;

#[derive(Default)]
pub struct ExoHistory {
    draw: RandomUnique,
    given: VecDeque<u16>,
}

impl Strategy for ExoHistory {
    fn begin(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) {
        self.draw.begin(context, random);
    }

    fn next(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) -> Option<u16> {
        loop {
            let port = self.draw.next(context, random)?;
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
