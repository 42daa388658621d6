//! The machine this program runs on, Linux.

pub mod binder;
pub mod machine;
pub mod owners;
pub mod policy;
pub mod procfs;
pub mod scanner;
pub mod self_test;
pub mod sock_diag;

use std::sync::Arc;

use crate::{
    domain::{Machine, Users},
    host::{HostError, Scanner},
};

pub use scanner::LinuxScanner;

/// Looks at the network namespace of the thread that asks.
pub struct LinuxHost {
    machine: Arc<Machine>,
}

impl LinuxHost {
    pub fn new(users: Users) -> Self {
        Self { machine: Arc::new(machine::read(users)) }
    }

    pub fn machine(&self) -> Arc<Machine> {
        Arc::clone(&self.machine)
    }

    pub fn scanner(&self) -> Result<Box<dyn Scanner>, HostError> {
        Ok(Box::new(LinuxScanner::new(self.machine())))
    }
}
