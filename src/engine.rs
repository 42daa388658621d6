//! Worker threads between a host and whoever asks. Knows no keys and no colours.

pub mod allocation;
pub mod message;
pub mod scanner;

pub use message::{AllocationRequest, Outbox, Report, Request, Setup, Speed};
