//! How each band of a pool is used. Changes nothing.

use rand::Rng;

use crate::{
    allocator::pool::{Class, Pool},
    domain::{Binder, PortRange},
};

/// The ports kept for a class; of `Low`: everybody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BandUse {
    /// From its first port to its last; reserved ones between them are none of it. None: it has none.
    pub ports: Option<PortRange>,
    /// How many they are.
    pub size: u32,
    pub leased: u32,
    pub resting: u32,
}

impl BandUse {
    /// Neither leased nor resting; others may have them.
    pub fn free(&self) -> u32 {
        self.size - self.leased - self.resting
    }
}

impl<B: Binder, R: Rng> Pool<B, R> {
    /// In the order of `Class::EACH`.
    pub fn bands(&self) -> [BandUse; 3] {
        let candidates = &self.setup.candidates;
        let ends = [candidates.len(), self.first_of(Class::Low), self.first_of(Class::Normal)];
        let mut bands = Class::EACH.map(|class| {
            let (first, end) = (self.first_of(class), ends[class as usize]);
            let ports = || PortRange::new(candidates.nth(first), candidates.nth(end - 1)).ok();
            let ports = (first < end).then(ports).flatten();
            BandUse { ports, size: end - first, ..BandUse::default() }
        });
        for &port in self.leases.keys() {
            bands[self.band_of(port).unwrap_or_default() as usize].leased += 1;
        }
        for &port in self.resting.keys() {
            bands[self.band_of(port).unwrap_or_default() as usize].resting += 1;
        }
        bands
    }
}
