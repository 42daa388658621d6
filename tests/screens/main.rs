//! What the screens show and how they react to keys, on simulated machines.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../support/allocate.rs"]
mod allocate;
#[path = "../support/app_options.rs"]
mod app_options;
#[path = "../support/session.rs"]
mod session;
#[path = "../support/snapshots.rs"]
mod snapshots;
#[path = "../support/vision.rs"]
mod vision;

mod allocate_screen;
mod allocate_session;
mod allocation_marks;
mod free_dialog;
mod golden;
mod help;
mod inspector;
mod lab_screen;
mod lab_session;
mod lenses;
mod map_session;
mod overview;
mod palette;
mod pool_screen;
mod pool_session;
mod screens;
mod sessions;
mod sockets_screen;
mod sockets_session;
