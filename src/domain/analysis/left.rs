//! The number of ports left, exact or as an interval. Does not say which ports.

use std::fmt;

use crate::domain::notation::grouped;

/// The number of ports left, between two bounds. Levels and forecasts use `least`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Ports that are certainly left.
    pub least: u32,
    /// Ports that are possibly left, `least` included.
    pub most: u32,
}

impl Left {
    /// Creates the interval; a `least` above `most` is lowered to `most`.
    pub fn new(least: u32, most: u32) -> Self {
        Self { least: least.min(most), most }
    }

    pub fn is_exact(self) -> bool {
        self.least == self.most
    }
}

/// Prints `28,232`, or `24 to 64`.
impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.is_exact() {
            grouped(self.most)
        } else {
            format!("{} to {}", grouped(self.least), grouped(self.most))
        };
        f.pad(&text)
    }
}
