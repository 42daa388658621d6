//! What needs no kernel: the port model, allocators, diagnosis and threads on simulated machines.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../support/app_options.rs"]
mod app_options;
#[path = "../support/churn.rs"]
mod churn;
#[path = "../support/harness.rs"]
mod harness;
#[path = "../support/leases.rs"]
mod leases;
#[path = "../support/mailbox.rs"]
mod mailbox;
#[path = "../support/target.rs"]
mod target;

mod actions;
mod allocate_strategies;
mod allocation_thread;
mod allocator_properties;
mod analysis;
mod architecture;
mod filter_properties;
mod freeing;
mod geometry;
mod groups;
mod history;
mod lab_core;
mod lab_thread;
mod language;
mod listing;
mod pool;
mod pool_properties;
mod properties;
mod scans;
mod services;
mod simulated_site;
mod sock_diag;
mod strategies;
mod strategy_properties;
mod tense;
mod trends;
