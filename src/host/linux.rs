//! The machine this program runs on, Linux.

pub mod owners;
