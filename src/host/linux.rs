//! The machine this program runs on, Linux.

pub mod binder;
pub mod describer;
pub mod machine;
pub mod owners;
pub mod policy;
pub mod probe;
pub mod procfs;
pub mod scanner;
pub mod self_test;
pub mod services;
pub mod sock_diag;
pub mod unit;
pub mod users;
pub mod vitals;

use std::{net::IpAddr, sync::Arc};

use crate::{
    domain::{Ephemeral, Errno, Gap, Machine, Protocols, ServiceNames, availability::Bind},
    host::{Describer, Host, HostBinder, HostError, Scanner},
};

pub use scanner::LinuxScanner;

/// Looks at the network namespace of the thread that asks.
pub struct LinuxHost {
    machine: Arc<Machine>,
}

impl LinuxHost {
    pub fn new() -> Self {
        Self { machine: Arc::new(machine::read(users::read())) }
    }
}

impl Default for LinuxHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for LinuxHost {
    fn machine(&self) -> Arc<Machine> {
        Arc::clone(&self.machine)
    }

    fn scanner(&self) -> Result<Box<dyn Scanner>, HostError> {
        Ok(Box::new(LinuxScanner::new(self.machine())))
    }

    fn policy(&self) -> Result<(Ephemeral, Vec<Gap>), HostError> {
        let mut gaps = Vec::new();
        let policy = policy::PolicyReader::default().read(&mut gaps);
        Ok((policy, gaps))
    }

    fn services(&self) -> ServiceNames {
        services::read()
    }

    fn describer(&self) -> Box<dyn Describer> {
        Box::new(describer::ProcDescriber::new())
    }

    fn binder(
        &self,
        protocols: Protocols,
        address: Option<IpAddr>,
    ) -> Result<Box<dyn HostBinder>, HostError> {
        Ok(Box::new(binder::RealBinder::new(protocols, address)?))
    }

    fn probe(&self, bind: Bind, port: u16) -> Result<(), Errno> {
        probe::bind(bind, port)
    }
}
