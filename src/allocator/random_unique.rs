//! Strategy `random-unique`: uniform without replacement, as a lottery draws its numbers.
//!
//! With N candidates of which K are occupied, j attempts all miss with probability C(K,j)/C(N,j);
//! without a bound an allocation takes (N+1)/(N-K+1) attempts in the mean and fails only at K = N.

use rand::{Rng, RngExt};

use crate::allocator::{Strategy, strategy::Surroundings};

/// A shuffle (Fisher and Yates) that goes on where it is asked to.
#[derive(Default)]
pub struct RandomUnique {
    /// Numbers of the candidates; those before `drawn` were tried.
    order: Vec<u16>,
    drawn: usize,
}

impl Strategy for RandomUnique {
    /// Any order is as good as the sorted one to begin a shuffle from.
    fn begin(&mut self, about: &Surroundings<'_>, _: &mut dyn Rng) {
        self.drawn = 0;
        if self.order.len() != about.candidates.len() as usize {
            self.order = (0..about.candidates.len()).map(|number| number as u16).collect();
        }
    }

    fn next(&mut self, about: &Surroundings<'_>, random: &mut dyn Rng) -> Option<u16> {
        if self.drawn == self.order.len() {
            return None;
        }
        let chosen = random.random_range(self.drawn..self.order.len());
        self.order.swap(self.drawn, chosen);
        self.drawn += 1;
        Some(about.candidates.nth(u32::from(self.order[self.drawn - 1])))
    }
}
