//! Strategy `bitmap`: draws among the ports that a snapshot shows free, then verifies by a bind.
//!
//! One attempt as long as the snapshot is fresh, at any occupancy; what it costs is the snapshot.

use rand::{Rng, RngExt};

use crate::allocator::{Strategy, strategy::Surroundings};

/// Remembers what was refused although it looked free.
#[derive(Default)]
pub struct Bitmap {
    refused: Vec<u16>,
}

impl Strategy for Bitmap {
    fn begin(&mut self, _: &Surroundings<'_>, _: &mut dyn Rng) {
        self.refused.clear();
    }

    /// Looking is cheap: it draws until it meets a port that looks free, and counts them all only when
    /// that takes longer than counting would.
    fn next(&mut self, about: &Surroundings<'_>, random: &mut dyn Rng) -> Option<u16> {
        let Surroundings { candidates, sight, .. } = about;
        let is_hope = |port: u16| sight.looks_free(port) && !self.refused.contains(&port);
        let mut draws =
            (0..candidates.len()).map(|_| candidates.nth(random.random_range(0..candidates.len())));
        let found = draws.find(|&port| is_hope(port)).or_else(|| {
            let free: Vec<u16> = candidates.ports().filter(|&port| is_hope(port)).collect();
            (!free.is_empty()).then(|| free[random.random_range(0..free.len())])
        });
        self.refused.extend(found);
        found
    }
}
