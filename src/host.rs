//! Traits of a machine that portscope examines, real or simulated. A host reports facts and does
//! not evaluate them.

pub mod actions;
pub mod actor;
pub mod descriptors;
pub mod lease_socket;
#[cfg(target_os = "linux")]
pub mod linux;
pub mod race_config;
pub mod race_line;
pub mod seed;
pub mod signals;
pub mod simulated;
pub mod standard_output;

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    os::fd::{BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
    time::Duration,
};

use crate::{
    domain::{
        AddressRefusal, Binder, Ephemeral, Errno, Gap, LocalAddress, Machine, PortRange, Process,
        Protocol, Protocols, Publication, ServiceNames, Snapshot, Source, Text,
        availability::{Bind, BindAddress},
    },
    host::{
        actions::{HostActions, NoActions},
        lease_socket::{LeaseSocket, NotTranslated, SocketError, SocketPath},
        race_config::RaceConfig,
    },
};

/// A machine to examine: the real one or a simulated one.
///
/// The scanner, the describer and the binder are separate objects, so that each can run in its own
/// thread. Reading from /proc/PID can block, and must not delay a scan. Neither a scan nor such a
/// read may delay an allocation.
pub trait Host: Send + Sync {
    fn machine(&self) -> Arc<Machine>;

    /// Creates a scanner. Errors: the network namespace cannot be entered.
    fn scanner(&self) -> Result<Box<dyn Scanner>, HostError>;

    /// Returns the kernel's rules for automatic ports, with a gap for each value that is only
    /// assumed. The default implementation makes a whole scan; a host that can read the rules alone
    /// overrides it.
    ///
    /// Errors: the network namespace cannot be entered, or the scan fails.
    fn policy(&self) -> Result<(Ephemeral, Vec<Gap>), HostError> {
        let mut snapshot = Snapshot::empty(self.machine(), Source::Simulated);
        self.scanner()?.scan(OwnerDepth::Skip, &mut snapshot)?;
        Ok((snapshot.ephemeral, snapshot.gaps))
    }

    /// Returns the service names of this machine. Names in its own list take precedence over
    /// IANA's.
    fn services(&self) -> ServiceNames {
        ServiceNames::default()
    }

    fn describer(&self) -> Box<dyn Describer>;

    /// Returns a binder for `protocols` on `address`; None: on all addresses of both families.
    ///
    /// Errors: the network namespace cannot be entered, the interface does not exist, or a socket
    /// cannot be opened.
    fn binder(
        &self,
        protocols: Protocols,
        address: Option<LocalAddress>,
    ) -> Result<Box<dyn HostBinder>, HostError>;

    /// Converts a local address to the argument of bind() on this machine; None: all addresses of
    /// both families.
    ///
    /// Errors: the network namespace cannot be entered, the interface does not exist, or its index
    /// cannot be read. The default implementation ignores the name of an interface.
    fn bind_address(&self, asked: Option<LocalAddress>) -> Result<BindAddress, AddressRefusal> {
        Ok(named_address(asked, asked.and_then(|asked| asked.interface?.index())))
    }

    /// Returns why the kernel refuses a bind() of this address. None: the kernel accepts it or
    /// refuses it for a reason that does not concern the address, or the host cannot test it.
    /// Occupies no port.
    fn address_refusal(&self, _protocol: Protocol, _: BindAddress) -> Option<AddressRefusal> {
        None
    }

    /// Returns whether this process may bind ports below `ip_unprivileged_port_start`; None:
    /// unknown.
    fn may_bind_privileged(&self) -> Option<bool> {
        None
    }

    /// Returns why no port can be bound on the address `asked` (None: all addresses) for one of
    /// `protocols`. None: `address_refusal` reports no reason.
    fn refusal(&self, protocols: Protocols, asked: Option<LocalAddress>) -> Option<AddressRefusal> {
        let address = match self.bind_address(asked) {
            Ok(address) => address,
            Err(refusal) => return Some(refusal),
        };
        let included = Protocol::EACH.into_iter().filter(|&protocol| protocols.includes(protocol));
        included.map(|protocol| self.address_refusal(protocol, address)).find_map(|refusal| {
            match refusal {
                // Without IPv6, a binder for all addresses uses IPv4 alone.
                Some(refusal) if asked.is_none() && refusal.errno == Errno::EAFNOSUPPORT => None,
                refusal => refusal,
            }
        })
    }

    /// Tests whether this bind() of `port` succeeds now, and releases the port at once. Errors: the
    /// errno of the failed call; ENOSYS if the host cannot test.
    fn probe(&self, _bind: Bind, _port: u16) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Finds the process with this pid. None: it has ended, is not visible, or cannot be read now.
    /// Costs much less than `Describer::describe`.
    fn running(&self, _pid: u32) -> Option<Running> {
        None
    }

    /// Returns whether the process with this pid and start time still exists. `LinuxHost` returns
    /// true also for a process that it cannot check now.
    fn is_alive(&self, pid: u32, started: u64) -> bool {
        self.running(pid).is_some_and(|found| found.started == started)
    }

    /// Returns the name of a process, without delay: unlike `Describer::describe`, it does not wait
    /// for the process. None: the process has ended, is not visible, or cannot be read now.
    fn name_of(&self, _pid: u32) -> Option<Text> {
        None
    }

    /// Returns what can change the machine: end processes, close sockets, reserve ports. The default
    /// implementation refuses each change.
    ///
    /// Errors: the network namespace cannot be entered.
    fn actions(&self) -> Result<Box<dyn HostActions>, HostError> {
        Ok(Box::new(NoActions("it is not the machine on which portscope runs")))
    }

    /// Returns the pid of the process that holds the ports bound by this host's binders.
    fn own_pid(&self) -> u32 {
        std::process::id()
    }

    /// Returns whether pids mean the same processes to the host and to this process. Errors: that
    /// cannot be found out.
    fn has_our_pids(&self) -> Result<bool, HostError> {
        Ok(true)
    }

    /// Opens the socket of a lease server. Errors: see [`SocketError`]; the default implementation
    /// can open none.
    fn lease_socket(&self, path: &SocketPath) -> Result<LeaseSocket, SocketError> {
        Err(HostError::new(&format!("create the socket {path}"), io::ErrorKind::Unsupported).into())
    }

    /// Returns the pid of the process that the client of a lease server calls `pid`. It may be in
    /// another pid namespace.
    fn pid_of_client(&self, _client: BorrowedFd<'_>, pid: u32) -> Result<u32, NotTranslated> {
        Ok(pid)
    }

    /// Starts the processes of a race in a network namespace of their own. They run `program`,
    /// which is portscope. Errors: why the race cannot be started.
    fn race(&self, _program: &Path, _config: &RaceConfig) -> Result<Box<dyn ActorProcess>, Text> {
        Err(Text::scrub("a race needs network namespaces, which only Linux has"))
    }
}

/// A process that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Start time, which together with the pid identifies the process. Linux counts it in clock
    /// ticks since boot, units of 1 / `sysconf(_SC_CLK_TCK)` seconds, a simulated host in seconds
    /// since 1970.
    pub started: u64,
    /// Whether it is a kernel thread, which normally never ends.
    pub is_kernel: bool,
}

/// The process of an actor. Dropping it ends the process.
pub trait ActorProcess {
    /// Waits for a line, at most for `wait`. Errors: the pipe cannot be read, or a line is too
    /// long.
    fn receive(&mut self, wait: Duration) -> io::Result<ChildInput>;
}

/// What was read from a child process within the timeout.
#[derive(Debug, PartialEq, Eq)]
pub enum ChildInput {
    /// A line without its newline.
    Line(Vec<u8>),
    Nothing,
    /// The process has closed its standard output.
    End,
}

/// Converts an address like `Host::bind_address`, given the index of its interface (None: it has
/// none).
pub fn named_address(asked: Option<LocalAddress>, interface: Option<u32>) -> BindAddress {
    match (asked.map(|asked| asked.address), interface) {
        (None, _) => BindAddress::AnyDual,
        (Some(IpAddr::V6(address)), _) if address.is_unspecified() => BindAddress::AnyDual,
        (Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), _) => BindAddress::Any4,
        (Some(IpAddr::V6(address)), Some(interface)) => BindAddress::Scoped { address, interface },
        (Some(address), _) => BindAddress::At(address),
    }
}

/// Takes snapshots, and keeps the buffers and results that make the next one cheaper.
pub trait Scanner: Send {
    /// Fills `snapshot`, whose buffers are reused. An incomplete answer is `Ok` with gaps; an error
    /// means that no socket could be listed at all.
    fn scan(&mut self, owners: OwnerDepth, snapshot: &mut Snapshot) -> Result<(), HostError>;

    /// Fills in `snapshot.numbered` by another dump of the connected TCP sockets, which costs a
    /// walk over the kernel's table. Sets `numbered` to None if the dump fails. The default
    /// implementation does nothing.
    fn ask_numbered(&mut self, _snapshot: &mut Snapshot) {}

    /// Fills in `snapshot.timestamp_peers` by one request for each of `Snapshot::unknown_peers`.
    /// The default implementation does nothing.
    fn ask_timestamps(&mut self, _snapshot: &mut Snapshot) {}

    /// Like `scan` with `OwnerDepth::Full`, but for one local port. `snapshot.vitals` may be empty.
    fn scan_port(&mut self, port: u16, snapshot: &mut Snapshot) -> Result<(), HostError> {
        self.scan(OwnerDepth::Full, snapshot)?;
        snapshot.sockets.retain(|socket| socket.local.port == port);
        Ok(())
    }

    /// Like `scan_port`, but without owners, at the lowest cost. The default implementation calls
    /// `scan_port`.
    fn list_port(&mut self, port: u16, snapshot: &mut Snapshot) -> Result<(), HostError> {
        self.scan_port(port, snapshot)
    }

    /// Returns the flows to this port of this machine that are forwarded to another endpoint
    /// (DNAT).
    fn publications(&mut self, _port: u16) -> Publications {
        None
    }
}

/// The forwarded flows of a port. None: the kernel tracks no flow in the network namespace. An
/// error: the flows cannot be read; EFBIG if there are more than portscope reads.
pub type Publications = Option<Result<Vec<Publication>, Errno>>;

/// How much work a scan spends on owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerDepth {
    /// Finds no owners: each socket has `Holder::NotAsked`.
    Skip,
    /// Walks all processes only if a socket has an unknown inode, if the last walk failed, or if
    /// the kernel does not list bound-inactive sockets.
    Incremental,
    /// Always walks all processes: fork() and descriptor passing change owners without a new inode.
    Full,
}

/// Describes processes: name, command line, user, start time.
pub trait Describer: Send {
    /// Returns one entry for each process that still exists and can be described.
    fn describe(&mut self, pids: &[u32]) -> Vec<Process>;

    /// Returns why an existing process could not be described. None: the process has ended, or it
    /// was described.
    fn refusal(&mut self, _pid: u32) -> Option<Errno> {
        None
    }
}

/// A binder whose `Held` is boxed, so that all hosts share one type.
pub trait HostBinder: Binder<Held = Box<dyn Held>> + Send {
    /// Returns how this binder falls short of the request ("IPv4 only"). None: it fulfils the whole
    /// request.
    fn limitation(&self) -> Option<&'static str> {
        None
    }

    /// Makes bind() to port 0 choose from `range` from now on.
    ///
    /// Errors: the machine cannot limit its choice to a range, or its ephemeral range has no port
    /// in `range`.
    fn choose_within(&mut self, range: PortRange) -> Result<(), HostError>;

    /// Sets SO_REUSEADDR on TCP sockets from now on. A bind() then also succeeds if all sockets on
    /// the port have the option and none listens, for example if only TIME-WAIT connections of a
    /// server with the option are left (`inet_bind_conflict`, net/ipv4/inet_connection_sock.c).
    fn reuse_address(&mut self) {}

    /// Returns how many ports of this binder the process can hold at once.
    fn hold_capacity(&self) -> u32 {
        u32::MAX
    }
}

/// A bound port; dropping it releases the port.
pub trait Held: Send {
    fn port(&self) -> u16;

    /// Discards the datagrams that arrived since the last call, and returns their number. A call
    /// discards a limited number, so that it takes almost no time.
    fn late_datagrams(&mut self) -> u64 {
        0
    }

    /// Keeps the port bound, but stops accepting connections, disconnects a connected UDP socket,
    /// and discards queued connections and datagrams.
    fn retire(&mut self) {}

    /// Returns duplicates of the sockets, in the order of `into_descriptors`. The port stays bound
    /// while an original or a duplicate is open. Errors: no descriptor is left.
    fn copies(&self) -> io::Result<Vec<OwnedFd>> {
        Ok(Vec::new())
    }

    /// Returns the sockets: TCP first, then UDP, as far as requested; none on a simulated host.
    fn into_descriptors(self: Box<Self>) -> Vec<OwnedFd>;
}

const RAISE_LIMIT: &str =
    "raise the limit of open files (ulimit -n; for ENFILE: sysctl fs.file-max)";

/// A failed operation, described in words, and its cause.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation}: {}", named(.source))]
pub struct HostError {
    /// What failed: a verb with its object, such as `read /proc`.
    pub operation: Text,
    pub source: io::Error,
}

impl HostError {
    /// Creates the error of `operation`, a verb with its object (`read /proc`). Text from outside
    /// in `operation` must have passed `Text::scrub`.
    pub fn new(operation: &str, source: impl Into<io::Error>) -> Self {
        Self { operation: Text::around_scrubbed(operation), source: source.into() }
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        Self(errno.raw_os_error())
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

/// Formats an error with the name of its errno, as in `Permission denied (EACCES)`; std shows the
/// number. Adds what to do if no descriptor is left.
fn named(error: &io::Error) -> String {
    let words = error.to_string();
    match (error.raw_os_error().map(Errno), words.rsplit_once(" (os error ")) {
        (Some(errno), Some((words, _))) if errno.is_out_of_descriptors() => {
            format!("{words} ({errno}): {RAISE_LIMIT}")
        }
        (Some(errno), Some((words, _))) => format!("{words} ({errno})"),
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_name_of_its_errno() {
        let error = HostError::new("read /proc", Errno::EACCES);
        assert_eq!(error.to_string(), "could not read /proc: Permission denied (EACCES)");
        let error = HostError::new("read /proc", Errno::EMFILE);
        let words = "could not read /proc: Too many open files (EMFILE): raise the limit of open files \
                     (ulimit -n; for ENFILE: sysctl fs.file-max)";
        assert_eq!(error.to_string(), words);
        let error = HostError::new("read /proc", io::Error::other("no"));
        assert_eq!(error.to_string(), "could not read /proc: no");
    }
}
