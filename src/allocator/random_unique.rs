//! Strategy `random-unique`: draws uniformly without replacement.
//!
//! With N candidates of which K are occupied, the first j attempts all fail with probability
//! C(K,j)/C(N,j). Without a limit on attempts, an allocation takes (N+1)/(N-K+1) attempts on
//! average and fails only if K = N.

use rand::{Rng, RngExt};

use crate::allocator::{Strategy, strategy::StrategyContext};

/// Fisher-Yates shuffle that makes one step per attempt.
#[derive(Default)]
pub struct RandomUnique {
    /// Numbers of the candidates. Those before index `drawn` were tried in this allocation.
    order: Vec<u16>,
    drawn: usize,
}

impl Strategy for RandomUnique {
    /// Keeps the order of the last allocation, because a shuffle may start from any order.
    fn begin(&mut self, context: &StrategyContext<'_>, _: &mut dyn Rng) {
        self.drawn = 0;
        if self.order.len() != context.candidates.len() as usize {
            self.order = (0..context.candidates.len()).map(|number| number as u16).collect();
        }
    }

    fn next(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) -> Option<u16> {
        if self.drawn == self.order.len() {
            return None;
        }
        let chosen = random.random_range(self.drawn..self.order.len());
        self.order.swap(self.drawn, chosen);
        self.drawn += 1;
        Some(context.candidates.nth(u32::from(self.order[self.drawn - 1])))
    }
}
