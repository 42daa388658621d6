//! Computes the expected result of a strategy's next allocation, from the distribution of its
//! attempts and its limit on attempts.

use std::sync::Arc;

use crate::allocator::{
    AllocatorRow, Candidates, Model, Order, lab::Expected, theory::OccupiedRun,
};

/// What the expected result of one allocation depends on.
pub struct Expectation<'a> {
    pub row: &'static AllocatorRow,
    pub candidates: &'a Candidates,
    /// Number of occupied candidates.
    pub occupied: u32,
    /// Lengths of the runs of occupied ports. `None` if the occupancy is uniformly random and drawn
    /// again for each allocation.
    pub runs: Option<Arc<[OccupiedRun]>>,
    pub max_attempts: u32,
    /// Number of allocated ports that the strategy can remember.
    pub remembered: u32,
    pub given: Given,
}

/// State of the ports that the strategy allocated before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// The ports belong to another occupancy and are irrelevant.
    Elsewhere,
    /// Released, and therefore free.
    Released,
    /// Occupied.
    Kept,
}

impl Expectation<'_> {
    /// Returns the expected distribution; `None` if no formula is known.
    pub fn model(&self) -> Option<Model> {
        let candidates = self.candidates.len();
        match (self.row.order, &self.runs) {
            (Order::Fixed | Order::Unknown, Some(_)) => None,
            (Order::Scan, Some(runs)) => Some(Model::Scan { candidates, runs: Arc::clone(runs) }),
            (order, _) => {
                let (occupied, candidates) = match self.given {
                    Given::Elsewhere => (self.occupied, candidates),
                    Given::Released => (self.occupied, candidates - self.avoids()),
                    Given::Kept => {
                        (self.occupied.saturating_sub(self.avoids()), candidates - self.avoids())
                    }
                };
                Model::at_random(order, occupied, candidates)
            }
        }
    }

    /// Returns the expected values; `None` if no formula is known.
    pub fn expected(&self) -> Option<Expected> {
        let most = self.attempt_limit();
        self.model().map(|model| Expected {
            failure_rate: model.failure(most),
            mean_attempts: model.expected_attempts(most),
        })
    }

    /// Returns the strategy's own limit on attempts or the configured one, whichever is lower.
    pub fn attempt_limit(&self) -> u32 {
        let own = (self.row.attempt_limit)(self.candidates) - self.avoids();
        own.min(self.max_attempts)
    }

    /// Returns the number of candidates that the strategy does not try because it remembers them.
    fn avoids(&self) -> u32 {
        self.remembered.min(self.row.remembered).min(self.candidates.len())
    }
}
