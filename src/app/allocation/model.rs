//! The expected number of attempts of a run, for comparison with its figures. Does not measure.

use std::sync::Arc;

use crate::{
    allocator::{
        ALLOCATORS, AllocatorRow, Candidates, FreePorts, Model, Order,
        lab::{Expectation, Given},
        theory::{OccupiedRun, runs_of_taken},
    },
    app::allocation::{Allocation, AllocationOptions, LastScan},
    domain::Snapshot,
};

/// Value of `Expectation::remembered` that is no limit: a strategy remembers as many allocated
/// ports as it can.
const ALL_GIVEN: u32 = u32::MAX;

/// Occupancy of the allocator's range at the last scan. The occupancy may change before an attempt
/// is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OccupancyCounts {
    /// Ports of the range that are not reserved.
    pub candidates: u32,
    /// Candidates with at least one socket of the chosen protocols.
    pub occupied: u32,
}

impl OccupancyCounts {
    pub fn count(options: &AllocationOptions, scan: LastScan<'_>) -> Self {
        let ephemeral = &scan.snapshot.ephemeral;
        let occupied_in = |range| scan.occupancy.occupied_in(range, options.protocols);
        let reserved = ephemeral.reserved().iter().filter_map(|r| r.intersection(options.range));
        Self {
            candidates: options.range.len() - ephemeral.reserved_in(options.range),
            occupied: occupied_in(options.range) - reserved.map(occupied_in).sum::<u32>(),
        }
    }

    pub fn free(self) -> u32 {
        self.candidates.saturating_sub(self.occupied)
    }

    /// Occupied share of the candidates, 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.occupied) / f64::from(self.candidates.max(1))
    }
}

/// Data of a snapshot from which expected values are computed.
#[derive(Clone, Debug)]
pub(super) struct OccupancyDetails {
    pub counts: OccupancyCounts,
    candidates: Candidates,
    /// Runs of occupied ports; empty unless the strategy tries consecutive ports (`Order::Scan`).
    runs: Arc<[OccupiedRun]>,
}

impl OccupancyDetails {
    /// Extracts the data from a snapshot. Ports in `held` count as occupied, too, as in `counts`.
    fn new(
        options: &AllocationOptions,
        counts: OccupancyCounts,
        snapshot: &Snapshot,
        held: &[u16],
    ) -> Self {
        let candidates = Candidates::new(options.range, snapshot.ephemeral.reserved());
        let mut runs = Arc::default();
        if ALLOCATORS[options.strategy].order == Order::Scan {
            let mut port_view =
                FreePorts::from_snapshot(snapshot, options.protocols, options.address);
            for &port in held {
                port_view.mark_occupied(port);
            }
            runs = runs_of_taken(&candidates, &port_view).into();
        }
        Self { counts, candidates, runs }
    }
}

impl Allocation {
    /// The strategy's row in `ALLOCATORS`.
    pub fn row(&self) -> &'static AllocatorRow {
        &ALLOCATORS[self.options.strategy]
    }

    /// Whether the strategy tries the ports in an order that is the same for all allocations, apart
    /// from the first port.
    pub fn is_scan(&self) -> bool {
        matches!(self.row().order, Order::Scan | Order::Fixed)
    }

    /// The expected distribution of attempts for the strategy, while the last known occupancy does
    /// not change. None: there is no snapshot yet, or no formula is known.
    pub fn model(&self) -> Option<Model> {
        self.expectation()?.model()
    }

    /// Number of attempts after which an allocation fails: the strategy's own limit or the limit in
    /// the options, whichever is lower.
    pub fn attempt_limit(&self) -> u32 {
        self.expectation().map_or(self.options.max_attempts, |e| e.attempt_limit())
    }

    fn expectation(&self) -> Option<Expectation<'_>> {
        let OccupancyDetails { counts, candidates, runs } = self.occupancy.as_ref()?;
        let (given, remembered) = if self.keeps_bound_ports {
            (Given::Kept, ALL_GIVEN)
        } else {
            // Allocated ports were released, so the strategy can remember no more ports than are
            // free.
            (Given::Released, counts.free())
        };
        Some(Expectation {
            row: self.row(),
            candidates,
            occupied: counts.occupied,
            runs: Some(Arc::clone(runs)),
            max_attempts: self.options.max_attempts,
            remembered,
            given,
        })
    }

    /// Stores the occupancy of a new snapshot.
    pub(super) fn store_occupancy(&mut self, counts: OccupancyCounts, snapshot: &Snapshot) {
        self.occupancy = Some(OccupancyDetails::new(&self.options, counts, snapshot, &self.held));
    }
}
