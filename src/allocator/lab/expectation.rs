//! What theory expects of a strategy's next allocation: the law, and the attempts that it allows.

use std::sync::Arc;

use crate::allocator::{AllocatorRow, Candidates, Law, Order, lab::Predicted, theory::Run};

/// Of one allocation.
pub struct Expectation<'a> {
    pub row: &'static AllocatorRow,
    pub candidates: &'a Candidates,
    pub occupied: u32,
    /// The runs of an occupancy that is not uniform by chance; None: it is, for each run anew.
    pub runs: Option<Arc<[Run]>>,
    pub max_attempts: u32,
    /// Ports that the strategy gave last, as far as it can remember them.
    pub remembered: u32,
    pub given: Given,
}

/// What became of the ports that the strategy gave before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// They say nothing: that was another occupancy.
    Elsewhere,
    /// They were released, and so are free.
    Released,
    /// They are occupied.
    Kept,
}

/// Ports that `exo-history` remembers.
pub const HISTORY: u32 = 20;

impl Expectation<'_> {
    /// None: no law is known.
    pub fn law(&self) -> Option<Law> {
        let candidates = self.candidates.len();
        match (self.row.order, &self.runs) {
            (Order::Fixed | Order::Unknown, Some(_)) => None,
            (Order::Scan, Some(runs)) => Some(Law::Scan { candidates, runs: Arc::clone(runs) }),
            (order, _) => {
                let (occupied, candidates) = match self.given {
                    Given::Elsewhere => (self.occupied, candidates),
                    Given::Released => (self.occupied, candidates - self.avoids()),
                    Given::Kept => {
                        (self.occupied.saturating_sub(self.avoids()), candidates - self.avoids())
                    }
                };
                Law::by_chance(order, occupied, candidates)
            }
        }
    }

    pub fn predicted(&self) -> Option<Predicted> {
        let most = self.most_attempts();
        self.law().map(|law| Predicted {
            failure_rate: law.failure(most),
            mean_attempts: law.expected_attempts(most),
        })
    }

    /// The strategy's own bound, or the one that is set.
    pub fn most_attempts(&self) -> u32 {
        let candidates = self.candidates.len();
        let own = match self.row.name {
            "random" | "kernel-bind" => u32::MAX,
            "linux-connect" => candidates - self.never_tried_by_connect(),
            _ => candidates - self.avoids(),
        };
        own.min(self.max_attempts)
    }

    fn avoids(&self) -> u32 {
        let remembered = self.remembered.min(HISTORY).min(self.candidates.len());
        if self.row.name == "exo-history" { remembered } else { 0 }
    }

    /// Of an odd number of ports connect() leaves one out: the last where it began at the first,
    /// else the first.
    fn never_tried_by_connect(&self) -> u32 {
        let range = self.candidates.range();
        let is_left_out = range.len() > 1 && range.len() % 2 == 1;
        u32::from(is_left_out && self.candidates.contains(range.first()))
    }
}
