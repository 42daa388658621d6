//! Changes to a machine: the end of a process, the end of a socket, reserved ports. Each is made only
//! by an explicit call. Does not decide which change is useful: see `domain::action`.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    domain::{
        Errno, Protocol, Socket,
        action::{
            ActionFacts, EndSignal, Permission, ProcessIdentity, ReservedChange, ReservedPorts,
        },
    },
    host::HostError,
};

/// Changes one machine, in the network namespace of the thread that created it.
pub trait HostActions {
    /// Reads what the forecasts for a port depend on. `pids` are the processes with a socket on it.
    /// Changes nothing.
    fn facts(&mut self, pids: &BTreeSet<u32>, protocol: Protocol, port: u16) -> ActionFacts;

    /// Returns whether the reserved ports may be changed. Changes nothing.
    fn may_reserve(&self) -> Permission;

    /// Sends the signal to the process. A process that has the pid by now, but not the start time,
    /// does not receive it; nor does one that no longer holds a socket with one of the inodes, which
    /// are ascending.
    fn end(
        &mut self,
        process: ProcessIdentity,
        signal: EndSignal,
        inodes: &[u32],
    ) -> Result<Box<dyn EndingProcess>, ActionError>;

    /// Closes the socket with this cookie (SOCK_DESTROY). Another socket with the same endpoints is
    /// not closed.
    fn close(&mut self, socket: &Socket) -> Result<(), ActionError>;

    /// Changes the reserved ports, and verifies the result by reading it. Changes of several
    /// portscope processes follow each other.
    fn reserve(&mut self, change: &ReservedChange) -> Result<ReservedPorts, ActionError>;
}

/// A process that received a signal.
pub trait EndingProcess {
    /// Waits until the process has ended, at most for `timeout`. Returns whether it has.
    fn wait(&mut self, timeout: Duration) -> bool;
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    #[error("the process has ended")]
    Ended,
    /// Another process has the pid.
    #[error("the process has ended, and another one has its pid")]
    Replaced,
    #[error("the process no longer holds a socket on the port")]
    NotHolder,
    #[error("the socket no longer exists")]
    SocketGone,
    #[error("permission denied: needs {0}")]
    Denied(&'static str),
    #[error("not possible: {0}")]
    Unsupported(&'static str),
    /// The list of reserved ports has other ports than were written, after several attempts.
    #[error("another process changes the reserved ports at the same time")]
    Contended,
    #[error(transparent)]
    Failed(#[from] HostError),
}

impl ActionError {
    /// Creates the error of `operation`, a verb with its object.
    pub fn failed(operation: &str, errno: Errno) -> Self {
        Self::Failed(HostError::new(operation, errno))
    }
}

/// The actions of a machine that cannot be changed, for this reason.
pub struct NoActions(pub &'static str);

impl HostActions for NoActions {
    fn facts(&mut self, _: &BTreeSet<u32>, _: Protocol, _: u16) -> ActionFacts {
        ActionFacts {
            processes: std::collections::BTreeMap::new(),
            by_number: None,
            may_close: Permission::Unsupported(self.0),
            may_reserve: Permission::Unsupported(self.0),
            own_pid: std::process::id(),
        }
    }

    fn may_reserve(&self) -> Permission {
        Permission::Unsupported(self.0)
    }

    fn end(
        &mut self,
        _: ProcessIdentity,
        _: EndSignal,
        _: &[u32],
    ) -> Result<Box<dyn EndingProcess>, ActionError> {
        Err(ActionError::Unsupported(self.0))
    }

    fn close(&mut self, _: &Socket) -> Result<(), ActionError> {
        Err(ActionError::Unsupported(self.0))
    }

    fn reserve(&mut self, _: &ReservedChange) -> Result<ReservedPorts, ActionError> {
        Err(ActionError::Unsupported(self.0))
    }
}
