//! Allocation strategies and the retry loop that drives a `Binder`. Opens no socket, reads no clock.

pub mod attempt;
pub mod candidates;
pub mod random;
pub mod strategy;
pub mod theory;

pub use attempt::{Allocator, Attempt, GaveUp, Progress};
pub use candidates::Candidates;
pub use strategy::{ALLOCATORS, Strategy};
pub use theory::Law;
