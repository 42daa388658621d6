//! Reports how each band of a pool is used. Changes nothing.

use rand::Rng;

use crate::{
    allocator::pool::{Pool, Priority},
    domain::{Binder, PortRange},
};

/// Use of the ports of one band. The band of `Low` has the ports that every class may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BandUse {
    /// Range from the band's first port to its last; `None` if the band is empty. Reserved ports in
    /// between are in this range, but not in the band.
    pub ports: Option<PortRange>,
    /// Number of ports in the band.
    pub size: u32,
    pub leased: u32,
    pub quarantined: u32,
}

impl BandUse {
    /// Returns the number of ports that are neither leased nor in quarantine. Other programs may
    /// have bound some of them.
    pub fn free(&self) -> u32 {
        self.size - self.leased - self.quarantined
    }
}

impl<B: Binder, R: Rng> Pool<B, R> {
    /// Returns the use of each band, in the order of `Priority::EACH`.
    pub fn bands(&self) -> [BandUse; 3] {
        let candidates = &self.setup.candidates;
        let ends =
            [candidates.len(), self.first_of(Priority::Low), self.first_of(Priority::Normal)];
        let mut bands = Priority::EACH.map(|class| {
            let (first, end) = (self.first_of(class), ends[class as usize]);
            let ports = || PortRange::new(candidates.nth(first), candidates.nth(end - 1)).ok();
            let ports = (first < end).then(ports).flatten();
            BandUse { ports, size: end - first, ..BandUse::default() }
        });
        for &port in self.leases.keys() {
            bands[self.band_of(port).unwrap_or_default() as usize].leased += 1;
        }
        for &port in self.quarantined.keys() {
            bands[self.band_of(port).unwrap_or_default() as usize].quarantined += 1;
        }
        bands
    }
}
