//! Changes this machine: ends processes, closes sockets, reserves ports. Decides nothing.

pub mod process;
pub mod reserved;
mod supervisor;

use std::collections::BTreeSet;

use crate::{
    domain::{
        Errno, Protocol, Socket, State, Table,
        action::{
            ActionFacts, EndSignal, Permission, ProcessIdentity, ReservedChange, ReservedPorts,
        },
    },
    host::{
        actions::{ActionError, EndingProcess, HostActions},
        linux::{
            address,
            sock_diag::{ALL_STATES, DiagSocket, DumpError},
            socket_option,
        },
    },
};

/// What SOCK_DESTROY and a change of the reserved ports need.
const NET_ADMIN: &str = "CAP_NET_ADMIN";
const NO_DESTROY: &str = "the kernel has no SOCK_DESTROY (CONFIG_INET_DIAG_DESTROY)";
const NO_BOUND: &str = "the kernel closes no socket in BOUND";
const SAME_ENDPOINTS: &str =
    "the kernel finds another socket with the same endpoints (SO_REUSEPORT, SO_REUSEADDR)";
const IN_NAMESPACE: &str = "in the user namespace of the network namespace";

/// Acts in the network namespace of the calling thread.
pub struct LinuxActions {
    /// An error if netlink is refused.
    netlink: Result<DiagSocket, Errno>,
}

impl LinuxActions {
    pub fn new() -> Self {
        Self { netlink: DiagSocket::open().map_err(Errno::from) }
    }

    /// Returns the cookies of the sockets on the port that were bound by its number. None: the
    /// kernel does not report it.
    fn by_number(&mut self, protocol: Protocol, port: u16) -> Option<BTreeSet<u64>> {
        let netlink = self.netlink.as_mut().ok()?;
        let mut sockets = Vec::new();
        for table in tables(protocol) {
            netlink.dump_by_number(table, ALL_STATES, Some(port), &mut sockets).ok()?;
        }
        Some(sockets.iter().filter_map(|socket| socket.cookie).collect())
    }

    /// Returns why the kernel did not find a socket. It looks for a socket with the same endpoints,
    /// and only then compares the cookie: of several sockets with the same endpoints, it finds one.
    fn not_found(&mut self, socket: &Socket) -> ActionError {
        // No other TCP socket has the endpoints of a connection.
        if socket.protocol == Protocol::Tcp && socket.remote.is_some() {
            return ActionError::SocketGone;
        }
        match self.state_now(socket) {
            Ok(Some(State::Bound)) => ActionError::Unsupported(NO_BOUND),
            // Before Linux 6.8, the kernel does not list such a socket.
            Ok(None) if socket.state == State::Bound => ActionError::Unsupported(NO_BOUND),
            Ok(Some(_)) => ActionError::Unsupported(SAME_ENDPOINTS),
            Ok(None) => ActionError::SocketGone,
            Err(errno) => ActionError::failed("list the sockets on the port", errno),
        }
    }

    /// Returns the state of the socket with this cookie. None: the kernel does not list it.
    fn state_now(&mut self, socket: &Socket) -> Result<Option<State>, Errno> {
        let netlink = self.netlink.as_mut().map_err(|errno| *errno)?;
        let mut listed = Vec::new();
        let mut whole = Ok(());
        for table in tables(socket.protocol) {
            let port = Some(socket.local.port);
            whole = whole.and(netlink.dump(table, ALL_STATES, port, &mut listed));
        }
        match listed.iter().find(|listed| listed.cookie == socket.cookie) {
            Some(found) => Ok(Some(found.state)),
            None => whole.map(|()| None).map_err(|error| match error {
                DumpError::Refused(errno) => errno,
                _ => Errno::EBADMSG,
            }),
        }
    }

    /// Returns whether a socket of the protocol may be closed. The capability alone does not show it:
    /// the kernel may have been built without SOCK_DESTROY.
    fn may_close(&mut self, protocol: Protocol) -> Permission {
        let permission = has_net_admin();
        if permission != Permission::Granted {
            return permission;
        }
        match self.netlink.as_mut().map(|netlink| netlink.can_destroy(protocol)) {
            Ok(Ok(true)) => Permission::Granted,
            Ok(Ok(false)) => Permission::Unsupported(NO_DESTROY),
            Ok(Err(_)) | Err(_) => Permission::Unknown,
        }
    }
}

impl Default for LinuxActions {
    fn default() -> Self {
        Self::new()
    }
}

impl HostActions for LinuxActions {
    fn facts(&mut self, pids: &BTreeSet<u32>, protocol: Protocol, port: u16) -> ActionFacts {
        let processes = pids.iter().filter_map(|&pid| Some((pid, process::facts(pid)?)));
        ActionFacts {
            processes: processes.collect(),
            by_number: self.by_number(protocol, port),
            may_close: self.may_close(protocol),
            may_reserve: reserved::may_change(),
            own_pid: std::process::id(),
        }
    }

    fn may_reserve(&self) -> Permission {
        reserved::may_change()
    }

    fn end(
        &mut self,
        process: ProcessIdentity,
        signal: EndSignal,
        inodes: &[u32],
    ) -> Result<Box<dyn EndingProcess>, ActionError> {
        process::end(process, signal, inodes)
    }

    fn close(&mut self, socket: &Socket) -> Result<(), ActionError> {
        let closed = match &mut self.netlink {
            Ok(netlink) => netlink.destroy(socket),
            Err(errno) => Err(*errno),
        };
        closed.map_err(|errno| match errno {
            Errno::ENOENT | Errno::ESTALE => self.not_found(socket),
            Errno::EPERM => ActionError::Denied(NET_ADMIN),
            Errno::EOPNOTSUPP => ActionError::Unsupported(NO_DESTROY),
            errno => ActionError::failed("close the socket", errno),
        })
    }

    fn reserve(&mut self, change: &ReservedChange) -> Result<ReservedPorts, ActionError> {
        reserved::change(change)
    }
}

fn tables(protocol: Protocol) -> [Table; 2] {
    match protocol {
        Protocol::Tcp => [Table::Tcp4, Table::Tcp6],
        Protocol::Udp => [Table::Udp4, Table::Udp6],
    }
}

/// Returns whether this process has CAP_NET_ADMIN in the user namespace of the network namespace.
/// The kernel requires the same capability to open the namespace of a socket (`SIOCGSKNS`).
fn has_net_admin() -> Permission {
    let Ok(socket) = address::any_socket() else { return Permission::Unknown };
    match socket_option::network_namespace(socket) {
        Ok(_) => Permission::Granted,
        Err(rustix::io::Errno::PERM) => {
            Permission::Missing { capability: NET_ADMIN, what: IN_NAMESPACE }
        }
        Err(_) => Permission::Unknown,
    }
}
