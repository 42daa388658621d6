//! Draws the app. Reads state, changes nothing.

pub mod heatmap;
pub mod theme;

pub use theme::{Depth, Ground, Role, Theme};
