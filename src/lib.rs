//! portscope shows how the ports of a machine are really used.

pub mod allocator;
pub mod app;
pub mod cli;
pub mod domain;
pub mod engine;
pub mod host;
pub mod report;
