//! The machine this program runs on, Linux.

pub mod binder;
pub mod owners;
