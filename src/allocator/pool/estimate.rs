//! Estimates from recent bind attempts which share of a range is occupied. Binds nothing.

/// Number of attempts after which the weight of an attempt has fallen to about 1/e. The number is
/// low, so that the misses of a single search are enough to show that the range filled up since the
/// previous search.
const MEMORY: f64 = 32.0;
/// Number of standard errors between the estimate and its upper bound.
const UPPER_BOUND_ERRORS: f64 = 3.0;

/// Numbers of attempts and of misses, in which older attempts weigh less.
#[derive(Clone, Copy, Debug, Default)]
pub struct Estimate {
    attempts: f64,
    refused: f64,
}

impl Estimate {
    /// Creates an estimate as after `MEMORY` attempts, of which this share (limited to 0 to 1)
    /// missed.
    pub fn of(share: f64) -> Self {
        Self { attempts: MEMORY, refused: share.clamp(0.0, 1.0) * MEMORY }
    }

    /// Adds an attempt.
    pub fn learn(&mut self, is_missed: bool) {
        let fade = 1.0 - 1.0 / MEMORY;
        self.attempts = self.attempts * fade + 1.0;
        self.refused = self.refused * fade + f64::from(u8::from(is_missed));
    }

    /// Returns the share of attempts that missed, 0 to 1; 0 before the first attempt.
    pub fn share(self) -> f64 {
        if self.attempts > 0.0 { self.refused / self.attempts } else { 0.0 }
    }

    /// Returns an upper bound of the share, 0 to 1 (Wilson, JASA 22, 1927); 1 before the first
    /// attempt.
    pub fn at_most(self) -> f64 {
        let square = UPPER_BOUND_ERRORS * UPPER_BOUND_ERRORS;
        let share = self.share();
        let spread = (self.attempts * share * (1.0 - share) + square / 4.0).sqrt();
        ((self.refused + square / 2.0 + UPPER_BOUND_ERRORS * spread) / (self.attempts + square))
            .min(1.0)
    }
}
