//! The trait for the machine that portscope examines. A host reports facts and does not evaluate
//! them.

#[cfg(target_os = "linux")]
pub mod linux;
pub mod race_config;
pub mod seed;
pub mod signals;
pub mod simulated;
pub mod standard_output;

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    os::fd::OwnedFd,
    sync::Arc,
};

use crate::domain::{
    AddressRefusal, Binder, Ephemeral, Errno, Gap, LocalAddress, Machine, PortRange, Process,
    Protocol, Protocols, Publication, ServiceNames, Snapshot, Source, Text,
    availability::{Bind, BindAddress},
};

/// A machine to examine: the real one or a simulated one.
///
/// A scanner, a describer and a binder are separate objects, so that each can run in its own
/// thread: reading about a process can block, and must not delay a scan; neither of the two may
/// delay an allocation.
pub trait Host: Send + Sync {
    fn machine(&self) -> Arc<Machine>;

    fn scanner(&self) -> Result<Box<dyn Scanner>, HostError>;

    /// Returns the kernel's port policy, with a gap for each value that is only assumed. The
    /// default implementation makes a whole scan; a host that can read the policy alone overrides
    /// it.
    fn policy(&self) -> Result<(Ephemeral, Vec<Gap>), HostError> {
        let mut snapshot = Snapshot::empty(self.machine(), Source::Simulated);
        self.scanner()?.scan(OwnerDepth::Skip, &mut snapshot)?;
        Ok((snapshot.ephemeral, snapshot.gaps))
    }

    /// Returns the service names of this machine. Names in its own list come before IANA's.
    fn services(&self) -> ServiceNames {
        ServiceNames::default()
    }

    fn describer(&self) -> Box<dyn Describer>;

    /// Returns a binder for `protocols` on `address`; None: on all addresses of both families.
    fn binder(
        &self,
        protocols: Protocols,
        address: Option<LocalAddress>,
    ) -> Result<Box<dyn HostBinder>, HostError>;

    /// Converts a local address to the address that bind() gets on this machine; None: all
    /// addresses of both families.
    ///
    /// Errors: the interface does not exist.
    fn bind_address(&self, asked: Option<LocalAddress>) -> Result<BindAddress, AddressRefusal> {
        Ok(named_address(asked, asked.and_then(|asked| asked.interface?.index())))
    }

    /// Returns why the kernel refuses a bind() of this address; None: the kernel accepts it.
    /// Occupies no port. A host that cannot try reports no refusal.
    fn address_refusal(&self, _protocol: Protocol, _: BindAddress) -> Option<AddressRefusal> {
        None
    }

    /// Whether this process may bind ports below `ip_unprivileged_port_start`; None: unknown.
    fn may_bind_privileged(&self) -> Option<bool> {
        None
    }

    /// Returns why no port of this address can be bound on `protocols`; None: ports can be bound.
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

    /// Tests whether this bind() of `port` succeeds now, and releases the port at once. A host that
    /// cannot test returns `ENOSYS`.
    fn probe(&self, _bind: Bind, _port: u16) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Returns when the process started, in ticks since boot; None: it does not exist, or this host
    /// has no processes.
    fn started(&self, _pid: u32) -> Option<u64> {
        None
    }

    /// Whether the process with this pid and start time still exists. A process that cannot be
    /// checked now counts as existing.
    fn is_alive(&self, pid: u32, started: u64) -> bool {
        self.started(pid) == Some(started)
    }

    /// Returns the pid of the process that holds the ports bound by this host's binders.
    fn own_pid(&self) -> u32 {
        std::process::id()
    }
}

/// Like `Host::bind_address`, given the index of the interface.
pub fn named_address(asked: Option<LocalAddress>, interface: Option<u32>) -> BindAddress {
    match (asked.map(|asked| asked.address), interface) {
        (None, _) => BindAddress::AnyDual,
        (Some(IpAddr::V6(address)), _) if address.is_unspecified() => BindAddress::AnyDual,
        (Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), _) => BindAddress::Any4,
        (Some(IpAddr::V6(address)), Some(interface)) => BindAddress::Scoped { address, interface },
        (Some(address), _) => BindAddress::At(address),
    }
}

/// Takes snapshots, and keeps what makes the next one cheap.
pub trait Scanner: Send {
    /// Fills `snapshot`, whose buffers are reused. An incomplete answer is `Ok` with gaps; an error
    /// means that no socket could be listed at all.
    fn scan(&mut self, owners: OwnerDepth, snapshot: &mut Snapshot) -> Result<(), HostError>;

    /// Fills in `snapshot.numbered` by another dump of the connected TCP sockets. The dump costs as
    /// much as a walk over the kernel's table. A host without an answer leaves the field unchanged.
    fn ask_numbered(&mut self, _snapshot: &mut Snapshot) {}

    /// Fills in `snapshot.stamping_peers` by one request for each of `Snapshot::unknown_peers`. A
    /// host without an answer leaves the field unchanged.
    fn ask_timestamps(&mut self, _snapshot: &mut Snapshot) {}

    /// Like `scan` with all owners, but for one local port, and possibly without vitals.
    fn scan_port(&mut self, port: u16, snapshot: &mut Snapshot) -> Result<(), HostError> {
        self.scan(OwnerDepth::Full, snapshot)?;
        snapshot.sockets.retain(|socket| socket.local.port == port);
        Ok(())
    }

    /// Returns the flows to this port of this machine that are forwarded to another endpoint
    /// (DNAT).
    fn publications(&mut self, _port: u16) -> Publications {
        None
    }
}

/// The forwarded flows of a port. None: no flow is tracked in the network namespace. An error: the
/// flows cannot be read, or there are more than portscope reads.
pub type Publications = Option<Result<Vec<Publication>, Errno>>;

/// How much work a scan spends on owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerDepth {
    /// Finds no owners: each socket has `Holder::NotAsked`.
    Skip,
    /// Walks the processes only if an unknown inode appears.
    Incremental,
    /// Walks all processes: fork and descriptor passing change owners without a new inode.
    Full,
}

/// Describes processes: name, command line, user, start time.
pub trait Describer: Send {
    /// Returns one entry for each pid that still exists.
    fn describe(&mut self, pids: &[u32]) -> Vec<Process>;

    /// Returns why an existing process could not be described. None: the process has ended, or it
    /// was described.
    fn refusal(&mut self, _pid: u32) -> Option<Errno> {
        None
    }

    /// Returns when the process with this pid started, in ticks since boot; a different start time
    /// is a different process. None: it has ended or is not visible. Costs much less than
    /// `describe`.
    fn started(&mut self, _pid: u32) -> Option<u64> {
        None
    }
}

/// A binder whose `Held` is boxed, so that all hosts share one type.
pub trait HostBinder: Binder<Held = Box<dyn Held>> + Send {
    /// Returns the part of the request that this binder cannot fulfil ("IPv4 only"), if any.
    fn limitation(&self) -> Option<&'static str> {
        None
    }

    /// Makes bind() to port 0 choose from `range` from now on.
    ///
    /// Errors: the machine cannot limit its choice to a range, or its own range has no port in
    /// `range`.
    fn choose_within(&mut self, range: PortRange) -> Result<(), HostError>;

    /// Sets SO_REUSEADDR on TCP sockets from now on. A bind() then also succeeds beside connections
    /// whose sockets had the option, such as those in TIME-WAIT, but never beside a listening
    /// socket.
    fn reuse_address(&mut self) {}

    /// Returns how many ports of this binder the process can hold at once.
    fn hold_capacity(&self) -> u32 {
        u32::MAX
    }
}

/// A bound port; dropping it releases the port.
pub trait Held: Send {
    fn port(&self) -> u16;

    /// Discards the datagrams that arrived since the last call, and returns their number. The
    /// number per call is limited, so that a call takes almost no time.
    fn stray_datagrams(&mut self) -> u64 {
        0
    }

    /// Keeps the port bound, but stops accepting connections, receives datagrams from any sender
    /// again, and discards everything that is queued.
    fn retire(&mut self) {}

    /// Returns copies of the sockets, in the order of `into_descriptors`. The port stays bound
    /// while an original or a copy is open.
    fn copies(&self) -> io::Result<Vec<OwnedFd>> {
        Ok(Vec::new())
    }

    /// Returns the sockets: TCP first, then UDP, as far as requested; none on a simulated host.
    fn into_descriptors(self: Box<Self>) -> Vec<OwnedFd>;
}

const RAISE_LIMIT: &str = "raise the limit of open files (ulimit -n)";

/// A failed operation, described in words, and its cause.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation}: {}", named(.source))]
pub struct HostError {
    pub operation: Text,
    pub source: io::Error,
}

impl HostError {
    /// Text from outside in `operation` must be scrubbed already.
    pub fn new(operation: &str, source: impl Into<io::Error>) -> Self {
        Self { operation: Text::around_scrubbed(operation), source: source.into() }
    }
}

/// Formats an error as in `Too many open files (EMFILE)`; std shows an errno as a number, not a
/// name.
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
                     (ulimit -n)";
        assert_eq!(error.to_string(), words);
        let error = HostError::new("read /proc", io::Error::other("no"));
        assert_eq!(error.to_string(), "could not read /proc: no");
    }
}
