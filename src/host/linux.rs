//! The machine that this program runs on: Linux.

pub mod actions;
pub mod actor;
pub mod address;
pub mod binder;
mod bounded_file;
mod by_number;
pub mod describer;
pub mod handover;
mod inherited;
mod lease_socket;
pub mod machine;
pub mod meter;
mod netlink;
pub mod netns;
pub mod output_file;
pub mod owners;
mod peer;
pub mod policy;
pub mod probe;
pub mod process_status;
pub mod procfs;
mod rtnetlink;
pub mod scanner;
pub mod self_test;
pub mod services;
pub mod sock_diag;
mod socket_option;
mod tunnels;
pub mod unit;
mod unlisted;
pub mod users;
pub mod vitals;

use std::{fmt::Display, os::fd::BorrowedFd, path::Path, sync::Arc};

use crate::{
    domain::{
        AddressRefusal, Ephemeral, Errno, Gap, LocalAddress, Machine, Protocol, Protocols,
        ServiceNames, Text,
        availability::{Bind, BindAddress},
    },
    host::{
        ActorProcess, Describer, Host, HostBinder, HostError, Running, Scanner,
        actions::HostActions,
        lease_socket::{LeaseSocket, NotTranslated, SocketError, SocketPath},
        race_config::RaceConfig,
    },
};

pub use scanner::LinuxScanner;

use netns::{Namespace, NamespaceError};

/// Returns the values in ascending order, each once.
fn ascending<T: Ord>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// Parses a number without sign or blank, such as a pid.
fn parse_digits(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Returns `before` and the first `limit` values, as in `before a, b and 2 more`. Empty if there are
/// no values.
fn first_of(before: &str, values: &[impl Display], limit: usize) -> String {
    let shown: Vec<String> = values.iter().take(limit).map(ToString::to_string).collect();
    match (shown.is_empty(), values.len().saturating_sub(limit)) {
        (true, _) => String::new(),
        (false, 0) => format!("{before}{}", shown.join(", ")),
        (false, more) => format!("{before}{} and {more} more", shown.join(", ")),
    }
}

/// Examines the network namespace of the calling thread, or another one.
///
/// For another namespace, each method that examines the network **moves the calling thread into
/// that namespace for good**. A scanner and a binder work in the namespace of their thread, so each
/// thread of the engine is moved by its first call. A caller that must not be moved calls from
/// within [`netns::inside`]. Processes are reported for the whole machine, because socket inodes
/// are machine-wide, too.
pub struct LinuxHost {
    machine: Arc<Machine>,
    namespace: Option<Arc<Namespace>>,
}

impl LinuxHost {
    pub fn new() -> Self {
        Self { machine: Arc::new(machine::read(users::read())), namespace: None }
    }

    /// Creates a host that examines this namespace, whichever thread calls it. Moves no thread yet.
    ///
    /// Errors: the namespace cannot be entered.
    pub fn within(namespace: Arc<Namespace>) -> Result<Self, NamespaceError> {
        let mut machine = netns::inside(&namespace, || machine::read(users::read()))?;
        machine.namespace_label = Some(namespace.name.text.clone());
        machine.namespace_name = Some(namespace.name.clone());
        Ok(Self { machine: Arc::new(machine), namespace: Some(namespace) })
    }

    fn enter(&self) -> Result<(), HostError> {
        let Some(namespace) = &self.namespace else { return Ok(()) };
        namespace.enter().map_err(|error| {
            HostError::new(&format!("enter network namespace '{}'", namespace.name), error)
        })
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
        self.enter()?;
        Ok(Box::new(LinuxScanner::new(self.machine())))
    }

    fn policy(&self) -> Result<(Ephemeral, Vec<Gap>), HostError> {
        self.enter()?;
        let mut gaps = Vec::new();
        let policy = policy::PolicyReader::default().read(&mut gaps);
        Ok((policy, gaps))
    }

    fn services(&self) -> ServiceNames {
        services::read()
    }

    fn describer(&self) -> Box<dyn Describer> {
        Box::new(describer::ProcDescriber)
    }

    fn binder(
        &self,
        protocols: Protocols,
        address: Option<LocalAddress>,
    ) -> Result<Box<dyn HostBinder>, HostError> {
        self.enter()?;
        Ok(Box::new(binder::RealBinder::new(protocols, address)?))
    }

    fn bind_address(&self, asked: Option<LocalAddress>) -> Result<BindAddress, AddressRefusal> {
        self.enter()
            .map_err(|error| AddressRefusal::new(Errno::from(&error.source), error.to_string()))?;
        address::named(asked)
    }

    fn address_refusal(&self, protocol: Protocol, at: BindAddress) -> Option<AddressRefusal> {
        self.enter().ok()?;
        address::refusal(protocol, at)
    }

    fn probe(&self, bind: Bind, port: u16) -> Result<(), Errno> {
        self.enter().map_err(|error| Errno::from(&error.source))?;
        probe::bind(bind, port)
    }

    fn may_bind_privileged(&self) -> Option<bool> {
        address::may_bind_privileged()
    }

    fn running(&self, pid: u32) -> Option<Running> {
        process_status::find(pid)
    }

    fn is_alive(&self, pid: u32, started: u64) -> bool {
        process_status::is_alive(pid, started)
    }

    fn name_of(&self, pid: u32) -> Option<Text> {
        process_status::name(pid)
    }

    fn actions(&self) -> Result<Box<dyn HostActions>, HostError> {
        self.enter()?;
        Ok(Box::new(actions::LinuxActions::new()))
    }

    fn has_our_pids(&self) -> Result<bool, HostError> {
        peer::proc_is_ours()
    }

    fn lease_socket(&self, path: &SocketPath) -> Result<LeaseSocket, SocketError> {
        self.enter()?;
        lease_socket::open(path)
    }

    fn pid_of_client(&self, client: BorrowedFd<'_>, pid: u32) -> Result<u32, NotTranslated> {
        peer::translate(client, pid)
    }

    fn race(&self, program: &Path, config: &RaceConfig) -> Result<Box<dyn ActorProcess>, Text> {
        actor::start(program, &config.holder())
    }
}
