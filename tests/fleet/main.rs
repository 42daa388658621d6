//! The program beside Prometheus, its rules, its dashboard and the units of systemd.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../support/folder.rs"]
mod folder;
#[path = "../support/grafana.rs"]
mod grafana;
#[path = "../support/namespace.rs"]
mod namespace;
#[path = "../support/processes.rs"]
mod processes;
#[path = "../support/prometheus_host.rs"]
mod prometheus_host;

mod metrics;
mod prometheus;
