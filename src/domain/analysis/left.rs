//! A number of ports that are left, or the interval in which it lies. Not of which ports.

use std::fmt;

use crate::domain::diagnosis::grouped;

/// Levels and forecasts go by `least`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Ports that are left for certain.
    pub least: u32,
    /// Ports that are left at most.
    pub most: u32,
}

impl Left {
    /// A `least` above `most` becomes `most`.
    pub fn new(least: u32, most: u32) -> Self {
        Self { least: least.min(most), most }
    }

    pub fn is_exact(self) -> bool {
        self.least == self.most
    }
}

/// `28,232`, or `24 to 64`.
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
