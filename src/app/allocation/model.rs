//! The expected number of attempts of a run, for comparison with its figures. Does not measure.

use std::sync::Arc;

use crate::{
    allocator::{
        ALLOCATORS, AllocatorRow, Candidates, FreePorts, Model, Order,
        lab::{Expectation, Given},
        theory::{OccupiedRun, runs_of_taken},
    },
    app::allocation::{Allocation, AllocationOptions, OccupancyCounts},
    domain::Snapshot,
};

/// Means all ports given before: more than any strategy remembers.
const LONG_SINCE: u32 = u32::MAX;

/// What the expected values need of a snapshot, besides the counts.
#[derive(Clone, Debug)]
pub(super) struct Terrain {
    candidates: Candidates,
    /// Runs of occupied ports; counted only for strategies that scan.
    runs: Arc<[OccupiedRun]>,
}

impl Terrain {
    /// Counts the snapshot. Ports in `held` count as occupied, too.
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
    /// The strategy's row in `ALLOCATORS`.
    pub fn row(&self) -> &'static AllocatorRow {
        &ALLOCATORS[self.options.strategy]
    }

    /// Whether the strategy tries the ports in a fixed order, so that allocations differ only in
    /// their first port.
    pub fn is_scan(&self) -> bool {
        matches!(self.row().order, Order::Scan | Order::Fixed)
    }

    /// The expected distribution of attempts for the strategy, if the last known occupancy does not
    /// change. None: there is no snapshot yet, or no model is known.
    pub fn model(&self) -> Option<Model> {
        self.expectation()?.model()
    }

    /// Number of attempts after which an allocation fails: the strategy's own limit or the limit in
    /// the options.
    pub fn most_attempts(&self) -> u32 {
        self.expectation().map_or(self.options.max_attempts, |e| e.most_attempts())
    }

    fn expectation(&self) -> Option<Expectation<'_>> {
        let (ground, terrain) = (self.ground?, self.terrain.as_ref()?);
        let (given, remembered) = if self.keeps_what_it_wins {
            (Given::Kept, LONG_SINCE)
        } else {
            // Ports given before are free again, so there are at most as many of them as free
            // ports.
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

    /// Stores the occupancy of a new snapshot.
    pub(super) fn see_ground(&mut self, ground: OccupancyCounts, snapshot: &Snapshot) {
        self.terrain = Some(Terrain::count(&self.options, snapshot, &self.held));
        self.ground = Some(ground);
    }

    pub(super) fn forget_ground(&mut self) {
        (self.ground, self.terrain) = (None, None);
    }
}
