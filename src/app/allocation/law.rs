//! Which law the figures of a run are held against. Not the figures.

use std::sync::Arc;

use crate::{
    allocator::{
        ALLOCATORS, AllocatorRow, Candidates, FreePorts, Law, Order,
        lab::{Expectation, Given},
        theory::{Run, runs_of_taken},
    },
    app::allocation::{Allocation, AllocationOptions, Ground},
    domain::Snapshot,
};

/// Longer than any strategy remembers what it gave.
const LONG_SINCE: u32 = u32::MAX;

/// What the law needs of one look at the occupancy besides its counts.
#[derive(Clone, Debug)]
pub(super) struct Terrain {
    candidates: Candidates,
    /// Of occupied ports; counted for strategies that scan.
    runs: Arc<[Run]>,
}

impl Terrain {
    /// `held` are occupied as well.
    pub fn count(options: &AllocationOptions, snapshot: &Snapshot, held: &[u16]) -> Self {
        let candidates = Candidates::new(options.range, snapshot.ephemeral.reserved());
        let mut runs = Arc::default();
        if ALLOCATORS[options.strategy].order == Order::Scan {
            let mut sight = FreePorts::seen(snapshot, options.protocols, options.address);
            for &port in held {
                sight.take(port);
            }
            runs = runs_of_taken(&candidates, &sight).into();
        }
        Self { candidates, runs }
    }
}

impl Allocation {
    /// The strategy.
    pub fn row(&self) -> &'static AllocatorRow {
        &ALLOCATORS[self.options.strategy]
    }

    /// The strategy tries one port after the other: only where it begins is chosen.
    pub fn is_scan(&self) -> bool {
        matches!(self.row().order, Order::Scan | Order::Fixed)
    }

    /// What holds for the strategy on the occupancy as it was seen last, while that stands still.
    /// None: not before the first look, or no law is known.
    pub fn law(&self) -> Option<Law> {
        self.expectation()?.law()
    }

    /// Attempts after which an allocation gives up by the strategy's own bound or the one that is
    /// set.
    pub fn most_attempts(&self) -> u32 {
        self.expectation().map_or(self.options.max_attempts, |e| e.most_attempts())
    }

    fn expectation(&self) -> Option<Expectation<'_>> {
        let (ground, terrain) = (self.ground?, self.terrain.as_ref()?);
        let (given, remembered) = if self.keeps_what_it_wins {
            (Given::Kept, LONG_SINCE)
        } else {
            // What was given is free again, so that it cannot be more than is free.
            (Given::Released, ground.free())
        };
        Some(Expectation {
            row: self.row(),
            candidates: &terrain.candidates,
            occupied: ground.occupied,
            runs: Some(Arc::clone(&terrain.runs)),
            max_attempts: self.options.max_attempts,
            remembered,
            given,
        })
    }

    /// After a look at the occupancy.
    pub(super) fn see_ground(&mut self, ground: Ground, snapshot: &Snapshot) {
        self.terrain = Some(Terrain::count(&self.options, snapshot, &self.held));
        self.ground = Some(ground);
    }

    pub(super) fn forget_ground(&mut self) {
        (self.ground, self.terrain) = (None, None);
    }
}
