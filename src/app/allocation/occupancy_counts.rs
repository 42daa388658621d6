//! Occupancy of the allocator's range at the last scan. The occupancy may change before an attempt
//! is made.

use crate::app::allocation::{AllocationOptions, LastScan};

/// The counts from which expected values are computed.
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
