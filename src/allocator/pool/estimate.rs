//! Estimates from recent bind attempts which share of a range is occupied. Binds nothing.

/// Number of attempts that the estimate remembers. It is low, so that the misses of a single search
/// are enough to show that the range filled up since the previous search.
const MEMORY: f64 = 32.0;
/// Number of standard errors between the estimate and its upper bound.
const SURE: f64 = 3.0;

/// Numbers of attempts and of misses, in which older attempts weigh less.
#[derive(Clone, Copy, Debug, Default)]
pub struct Estimate {
    made: f64,
    missed: f64,
}

impl Estimate {
    pub fn of(share: f64) -> Self {
        Self { made: MEMORY, missed: share.clamp(0.0, 1.0) * MEMORY }
    }

    pub fn learn(&mut self, is_missed: bool) {
        let fade = 1.0 - 1.0 / MEMORY;
        self.made = self.made * fade + 1.0;
        self.missed = self.missed * fade + f64::from(u8::from(is_missed));
    }

    /// Returns the share of attempts that missed, 0 to 1; 0 before the first attempt.
    pub fn share(self) -> f64 {
        if self.made > 0.0 { self.missed / self.made } else { 0.0 }
    }

    /// Returns an upper bound of the share (Wilson, JASA 22, 1927); 1 before the first attempt.
    pub fn at_most(self) -> f64 {
        let square = SURE * SURE;
        let share = self.share();
        let spread = (self.made * share * (1.0 - share) + square / 4.0).sqrt();
        ((self.missed + square / 2.0 + SURE * spread) / (self.made + square)).min(1.0)
    }
}
