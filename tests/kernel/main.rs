//! The real kernel: real sockets in private network namespaces. Never uses the machine's own ports.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../support/churn.rs"]
mod churn;
#[path = "../support/counting.rs"]
mod counting;
#[path = "../support/diagnoser.rs"]
mod diagnoser;
#[path = "../support/harness.rs"]
mod harness;
#[path = "../support/holders.rs"]
mod holders;
#[path = "../support/ip_option.rs"]
mod ip_option;
#[path = "../support/mailbox.rs"]
mod mailbox;
#[path = "../support/mixture.rs"]
mod mixture;
#[path = "../support/namespace.rs"]
mod namespace;
#[path = "../support/outputs.rs"]
mod outputs;
#[path = "../support/population.rs"]
mod population;
#[path = "../support/processes.rs"]
mod processes;

mod action_setup;
mod action_situations;
mod actions;
mod actors;
mod allocation_thread_linux;
mod allocator;
mod async_programs;
mod explain_fuzz;
mod filter_ss;
mod freeing;
mod kernel_ports;
mod lab_model;
mod left;
mod linux;
mod linux_departed;
mod linux_describer;
mod linux_owners;
mod linux_suspicion;
mod matrix;
mod monitor;
mod namespaces;
mod pool_linux;
mod pool_thread;
mod predictability;
mod race;
mod refusals;
mod rules;
mod rules_ports;
mod rules_refused;
mod rules_vitals;
mod steady;
mod steady_run;
mod strategies_linux;
mod trends_linux;
