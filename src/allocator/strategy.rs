//! What an allocation strategy is, and the table of them. One strategy a file.

use rand::Rng;

use crate::allocator::{Candidates, random::Random};

/// Chooses which port to try next.
pub trait Strategy: Send {
    /// The next port to try; None: there is nothing left to try.
    fn next(&mut self, candidates: &Candidates, random: &mut dyn Rng) -> Option<u16>;
}

/// A row of the table.
pub struct AllocatorRow {
    /// As in `--strategy`.
    pub name: &'static str,
    /// One sentence for lists.
    pub summary: &'static str,
    pub make: fn() -> Box<dyn Strategy>,
}

/// All strategies.
pub const ALLOCATORS: &[AllocatorRow] = &[AllocatorRow {
    name: "random",
    summary: "uniform over the range, with replacement, at most --max-attempts attempts (exo)",
    make: || Box::new(Random),
}];

impl<S: Strategy + ?Sized> Strategy for Box<S> {
    fn next(&mut self, candidates: &Candidates, random: &mut dyn Rng) -> Option<u16> {
        (**self).next(candidates, random)
    }
}
