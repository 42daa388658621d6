//! State of the simulated occupancy on the Allocate screen: fill, sockets, processes. Does not
//! contain the figures of the run.

use std::sync::{Arc, LazyLock};

use crate::{
    app::allocation::{
        Allocation, AllocationOptions, AllocatorTarget, LastScan, OccupancyCounts, RunStats,
    },
    domain::{Occupancy, ProcessTable, Snapshot},
    engine::allocation::simulated_processes,
};

/// Occupied share of the range's ports, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillRatio(u32);

impl Default for FillRatio {
    /// 90 %: about where the search for a port becomes expensive.
    fn default() -> Self {
        Self(900)
    }
}

impl FillRatio {
    /// The share, 0 to 1.
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// Adds a step, up to 100 %. Steps are smaller where they matter more: 5 % below 50 %, 1 %
    /// below 98 %, then 0.1 %.
    #[must_use]
    pub fn increased(self) -> Self {
        let step = match self.0 {
            ..500 => 50,
            500..980 => 10,
            _ => 1,
        };
        Self((self.0 + step).min(1000))
    }

    /// Subtracts a step, the reverse of `increased`.
    #[must_use]
    pub fn decreased(self) -> Self {
        let step = match self.0 {
            ..=500 => 50,
            501..=980 => 10,
            _ => 1,
        };
        Self(self.0.saturating_sub(step))
    }
}

/// The simulated sockets, without those of this run, and their counts.
#[derive(Clone, Debug)]
pub(super) struct Simulated {
    snapshot: Arc<Snapshot>,
    occupancy: Occupancy,
    occupancy_counts: OccupancyCounts,
}

impl Simulated {
    fn count(options: &AllocationOptions, snapshot: Arc<Snapshot>) -> Self {
        let occupancy = Occupancy::count(&snapshot);
        let last = LastScan { snapshot: &snapshot, occupancy: &occupancy };
        let occupancy_counts = OccupancyCounts::count(options, last);
        Self { snapshot, occupancy, occupancy_counts }
    }

    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn last(&self) -> LastScan<'_> {
        LastScan { snapshot: &self.snapshot, occupancy: &self.occupancy }
    }
}

static PROCESSES: LazyLock<ProcessTable> = LazyLock::new(simulated_processes);

impl Allocation {
    /// Stores the simulated sockets that are used from now on. A snapshot of another run is late
    /// and ignored.
    pub fn set_simulated(&mut self, snapshot: Arc<Snapshot>) {
        if self.target == AllocatorTarget::Machine
            || !self.run.is_prepared()
            || snapshot.number != self.run.number
        {
            return;
        }
        if self.simulated.is_some() {
            // Figures of two occupancies would match the expected values of neither.
            self.figures = RunStats::default();
            self.last_allocations.clear();
        }
        self.simulated = Some(Simulated::count(&self.options, snapshot));
        self.count_simulated_occupancy();
    }

    /// Returns the occupancy in which the allocator runs: that of the machine (`real`), or the
    /// simulated one. None: there is no scan yet.
    pub fn scan<'a>(&'a self, real: Option<LastScan<'a>>) -> Option<LastScan<'a>> {
        match self.target {
            AllocatorTarget::Machine => real,
            AllocatorTarget::Simulated { .. } => self.simulated.as_ref().map(Simulated::last),
        }
    }

    /// Returns the processes that hold the sockets of `scan`.
    pub fn processes<'a>(&self, real: &'a ProcessTable) -> &'a ProcessTable {
        match self.target {
            AllocatorTarget::Machine => real,
            AllocatorTarget::Simulated { .. } => &PROCESSES,
        }
    }

    pub fn target(&self) -> AllocatorTarget {
        self.target
    }

    /// Counts the simulated occupancy. Adds the ports that this run holds, because they are not in
    /// the snapshot.
    pub(super) fn count_simulated_occupancy(&mut self) {
        let Some(simulated) = &self.simulated else {
            self.occupancy = None;
            return;
        };
        let AllocationOptions { protocols, range, .. } = self.options;
        let is_added = |&&port: &&u16| {
            range.contains(port) && !simulated.occupancy.port(port).is_occupied(protocols)
        };
        let mut occupancy_counts = simulated.occupancy_counts;
        occupancy_counts.occupied += self.held.iter().filter(is_added).count() as u32;
        let snapshot = Arc::clone(&simulated.snapshot);
        self.store_occupancy(occupancy_counts, &snapshot);
    }
}
