//! The built program from outside: output, exit codes, and the programs that it starts and serves.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../support/folder.rs"]
mod folder;
#[path = "../support/handover.rs"]
mod handover;
#[path = "../support/lease_server.rs"]
mod lease_server;
#[path = "../support/namespace.rs"]
mod namespace;
#[path = "../support/outputs.rs"]
mod outputs;
#[path = "../support/processes.rs"]
mod processes;
#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/side_by_side.rs"]
mod side_by_side;
#[path = "../support/snapshots.rs"]
mod snapshots;

mod acting;
mod at_once;
mod cli;
mod diagnose_cli;
mod exec;
mod explain_answers;
mod handover_race;
mod help_texts;
mod lab_cli;
mod netns;
mod output;
mod owners_cli;
mod readme;
mod rows_file;
mod scan_arguments;
mod scan_filter;
mod scan_listing;
mod scan_sockets;
mod serve;
mod serve_abuse;
mod serve_namespaces;
mod serve_race;
mod serve_socket;
mod text_output;
