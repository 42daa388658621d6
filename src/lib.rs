//! Shows how the ports of a machine are used, and finds free ones.
//!
//! A port that is found is returned with its bound socket. If a caller keeps only the number,
//! another process may bind the port before the caller does.
//!
//! ```
//! use portscope::{Allocator, domain::{PortRange, Protocols}};
//!
//! let range = PortRange::new(49_152, 65_535)?;
//! let mut allocator =
//!     Allocator::over(range).protocols(Protocols::Udp).address([127, 0, 0, 1].into()).build()?;
//! let held = allocator.allocate(|attempt| println!("{} {:?}", attempt.port, attempt.outcome()))?;
//! let port = held.port();
//! let socket = held.into_udp_socket()?;
//! assert_eq!(socket.local_addr()?.port(), port);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Programs that allocate and release many ports should lease them from a [`LeasePool`], which is
//! also suitable for async programs.
//!
//! The glossary in `.github/CONTRIBUTING.md` explains the terms of the project.

pub mod allocator;
mod api;
#[doc(hidden)]
pub mod app;
#[doc(hidden)]
pub mod cli;
pub mod domain;
#[doc(hidden)]
pub mod engine;
pub mod host;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod tui;
#[doc(hidden)]
pub mod view;

pub use api::{
    Allocator, AllocatorBuilder, FindError, HeldPort, LeasePool, LeasePoolBuilder, LeasedPort,
    PoolError, Step, find_free_port,
};
