//! The simulated occupancy as the screen knows it: fill, sockets, processes. Does not hold the run.

use std::sync::{Arc, LazyLock};

use crate::{
    app::allocation::{
        Allocation, AllocationFigures, AllocationOptions, LastScan, OccupancyCounts, Site,
    },
    domain::{Occupancy, ProcessTable, Snapshot},
    engine::allocation::simulated_processes,
};

/// Occupied share of the range's ports, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u32);

impl Default for Share {
    /// 90 %: about where the search for a port becomes expensive.
    fn default() -> Self {
        Self(900)
    }
}

impl Share {
    /// The share, 0 to 1.
    pub fn part(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// Adds a step. Steps are finer where they matter more: 5 % below 50 %, 1 % up to 98 %, then
    /// 0.1 %.
    #[must_use]
    pub fn fuller(self) -> Self {
        let step = match self.0 {
            ..500 => 50,
            500..980 => 10,
            _ => 1,
        };
        Self((self.0 + step).min(1000))
    }

    /// Reverses one `fuller`.
    #[must_use]
    pub fn emptier(self) -> Self {
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
    ground: OccupancyCounts,
}

impl Simulated {
    fn count(options: &AllocationOptions, snapshot: Arc<Snapshot>) -> Self {
        let occupancy = Occupancy::count(&snapshot);
        let last = LastScan { snapshot: &snapshot, occupancy: &occupancy };
        let ground = OccupancyCounts::count(options, last);
        Self { snapshot, occupancy, ground }
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
    /// Stores the simulated sockets to use from now on. A snapshot of another run is late and
    /// ignored.
    pub fn see_simulated(&mut self, snapshot: Arc<Snapshot>) {
        if self.site == Site::Machine || !self.is_prepared() || snapshot.number != self.run.number {
            return;
        }
        if self.simulated.is_some() {
            // Figures that mix two occupancies would match no expected values.
            self.figures = AllocationFigures::default();
            self.last_allocations.clear();
        }
        self.simulated = Some(Simulated::count(&self.options, snapshot));
        self.count_simulated_ground();
    }

    /// The occupancy that the allocator meets: the machine's, or the simulated one.
    pub fn scan<'a>(&'a self, real: Option<LastScan<'a>>) -> Option<LastScan<'a>> {
        match self.site {
            Site::Machine => real,
            Site::Simulated { .. } => self.simulated.as_ref().map(Simulated::last),
        }
    }

    /// The processes that hold the sockets of that occupancy.
    pub fn processes<'a>(&self, real: &'a ProcessTable) -> &'a ProcessTable {
        match self.site {
            Site::Machine => real,
            Site::Simulated { .. } => &PROCESSES,
        }
    }

    pub fn site(&self) -> Site {
        self.site
    }

    /// Counts the simulated occupancy. Adds the ports that this run holds, because they are not in
    /// the snapshot.
    pub(super) fn count_simulated_ground(&mut self) {
        let Some(simulated) = &self.simulated else { return self.forget_ground() };
        let AllocationOptions { protocols, range, .. } = self.options;
        let is_added = |&&port: &&u16| {
            range.contains(port) && !simulated.occupancy.port(port).is_occupied(protocols)
        };
        let mut ground = simulated.ground;
        ground.occupied += self.held.iter().filter(is_added).count() as u32;
        let snapshot = Arc::clone(&simulated.snapshot);
        self.see_ground(ground, &snapshot);
    }
}
