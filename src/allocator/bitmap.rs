//! Strategy `bitmap`: draws among the ports that look free in a snapshot, then verifies by a bind.
//!
//! Needs one attempt at any occupancy while the snapshot is fresh. Taking the snapshot costs time.

use rand::{Rng, RngExt};

use crate::allocator::{Strategy, strategy::StrategyContext};

/// State of the strategy: the ports tried in this allocation, none of which is tried again.
#[derive(Default)]
pub struct Bitmap {
    refused: Vec<u16>,
}

impl Strategy for Bitmap {
    fn begin(&mut self, _: &StrategyContext<'_>, _: &mut dyn Rng) {
        self.refused.clear();
    }

    /// Draws until it finds a port that looks free, because checking a port in the snapshot is
    /// cheap. After as many draws as there are candidates, lists all free ports and draws one of
    /// them.
    fn next(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) -> Option<u16> {
        let StrategyContext { candidates, port_view, .. } = context;
        let looks_untried = |port: u16| port_view.looks_free(port) && !self.refused.contains(&port);
        let mut draws =
            (0..candidates.len()).map(|_| candidates.nth(random.random_range(0..candidates.len())));
        let found = draws.find(|&port| looks_untried(port)).or_else(|| {
            let free: Vec<u16> = candidates.ports().filter(|&port| looks_untried(port)).collect();
            (!free.is_empty()).then(|| free[random.random_range(0..free.len())])
        });
        self.refused.extend(found);
        found
    }
}
