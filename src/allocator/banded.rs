//! Strategy `banded`: Kubernetes' NodePort allocator since KEP-3668.
//!
//! The lowest ports are a static band, reserved for requests of a specific port. With N candidates,
//! the band has clamp(N/32, 16, 128) ports, or none if N is 16 or less. A dynamic allocation tries
//! the ports above the band in ascending order from a random start. Once these are exhausted, it
//! tries the ports of the band from another random start (`randomScanStrategyWithOffset`).

use rand::{Rng, RngExt};

use crate::allocator::{Strategy, strategy::StrategyContext};

pub struct Banded {
    /// Configured size of the band; `None` if the formula determines it.
    asked: Option<u32>,
    band: u32,
    /// The random starts above the band and within the band: the distance from the lowest port
    /// above the band, and from the lowest port of the band.
    starts: [u32; 2],
    tries: u32,
}

impl Banded {
    pub fn new(band: Option<u32>) -> Self {
        Self { asked: band, band: 0, starts: [0; 2], tries: 0 }
    }
}

/// Returns the number of ports in the band, like `calculateRangeOffset` in Kubernetes'
/// `pkg/registry/core/service/portallocator/allocator.go`.
pub fn band_of(candidates: u32) -> u32 {
    if candidates <= 16 { 0 } else { (candidates / 32).clamp(16, 128) }
}

impl Strategy for Banded {
    fn begin(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) {
        let count = context.candidates.len();
        self.band = self.asked.unwrap_or_else(|| band_of(count)).min(count - 1);
        let mut start = |ports: u32| if ports == 0 { 0 } else { random.random_range(0..ports) };
        self.starts = [start(count - self.band), start(self.band)];
        self.tries = 0;
    }

    fn next(&mut self, context: &StrategyContext<'_>, _: &mut dyn Rng) -> Option<u16> {
        let count = context.candidates.len();
        let above = count - self.band;
        if self.tries == count {
            return None;
        }
        let number = match self.tries.checked_sub(above) {
            None => self.band + (self.starts[0] + self.tries) % above,
            Some(tries) => (self.starts[1] + tries) % self.band,
        };
        self.tries += 1;
        Some(context.candidates.nth(number))
    }
}
