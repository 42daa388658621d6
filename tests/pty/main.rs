//! The real program in a pseudo terminal.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../support/namespace.rs"]
mod namespace;
#[path = "../support/outputs.rs"]
mod outputs;
#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/side_by_side.rs"]
mod side_by_side;

mod at_once;
mod clipboard;
mod pty_flow;
mod pty_storms;
mod restore;
mod sockets_tasks;
mod start_arguments;
mod tense_linux;
