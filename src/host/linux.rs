//! The machine this program runs on, Linux.

pub mod describer;
pub mod owners;
pub mod users;
