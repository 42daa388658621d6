//! The state of the terminal program and how events change it. Draws nothing, blocks never.

pub mod allocation;
pub mod event;
pub mod grid;

pub use event::{Effect, Event, Key, Screen, Target};
pub use grid::{Grid, Place, RowsPerLine};
