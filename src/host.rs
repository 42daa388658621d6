//! The machine looked at, behind one trait. Says what is there, not whether it is good or bad.

pub mod course;
#[cfg(target_os = "linux")]
pub mod linux;
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

/// A machine: the real one, a simulated one, later a recorded one.
///
/// It has three doors, each for a thread of its own: blocking reads about a process must not hold
/// up the scan, and neither may hold up an allocation.
pub trait Host: Send + Sync {
    fn machine(&self) -> Arc<Machine>;

    fn scanner(&self) -> Result<Box<dyn Scanner>, HostError>;

    /// The kernel's policy and what of it is only assumed. A host that can tell it without a scan
    /// does so.
    fn policy(&self) -> Result<(Ephemeral, Vec<Gap>), HostError> {
        let mut snapshot = Snapshot::empty(self.machine(), Source::Simulated);
        self.scanner()?.scan(OwnerDepth::Skip, &mut snapshot)?;
        Ok((snapshot.ephemeral, snapshot.gaps))
    }

    /// Those of its own list come before IANA's.
    fn services(&self) -> ServiceNames {
        ServiceNames::default()
    }

    fn describer(&self) -> Box<dyn Describer>;

    /// Binds `protocols` on `address`, or on all addresses of both families.
    fn binder(
        &self,
        protocols: Protocols,
        address: Option<LocalAddress>,
    ) -> Result<Box<dyn HostBinder>, HostError>;

    /// What a bind() of that address names here; None: all addresses of both families.
    ///
    /// Errors: there is no such interface.
    fn bind_address(&self, asked: Option<LocalAddress>) -> Result<BindAddress, AddressRefusal> {
        Ok(named_address(asked, asked.and_then(|asked| asked.interface?.index())))
    }

    /// Why the kernel refuses a bind() of that address, if it does; takes no port. A host that
    /// cannot try reports no refusal.
    fn address_refusal(&self, _protocol: Protocol, _: BindAddress) -> Option<AddressRefusal> {
        None
    }

    /// Whether this process may bind ports below `ip_unprivileged_port_start`; None: not known.
    fn may_bind_privileged(&self) -> Option<bool> {
        None
    }

    /// Why no port of an address can be bound on `protocols`, if that is so.
    fn refusal(&self, protocols: Protocols, asked: Option<LocalAddress>) -> Option<AddressRefusal> {
        let address = match self.bind_address(asked) {
            Ok(address) => address,
            Err(refusal) => return Some(refusal),
        };
        let included = Protocol::EACH.into_iter().filter(|&protocol| protocols.includes(protocol));
        included.map(|protocol| self.address_refusal(protocol, address)).find_map(|refusal| {
            match refusal {
                // Then a binder takes IPv4 alone.
                Some(refusal) if asked.is_none() && refusal.errno == Errno::EAFNOSUPPORT => None,
                refusal => refusal,
            }
        })
    }

    /// Whether that bind() of `port` succeeds now; what it bound is released at once. A host that
    /// cannot try says so by `ENOSYS`.
    fn probe(&self, _bind: Bind, _port: u16) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// When that process started, in ticks since boot; None: there is none, as on a host without
    /// processes.
    fn started(&self, _pid: u32) -> Option<u64> {
        None
    }

    /// Whether the process of that pid and start still is; one that cannot be looked at now counts
    /// as if.
    fn is_alive(&self, pid: u32, started: u64) -> bool {
        self.started(pid) == Some(started)
    }

    /// Who holds what its binders bind.
    fn own_pid(&self) -> u32 {
        std::process::id()
    }
}

/// As `Host::bind_address`, with the index of the interface.
pub fn named_address(asked: Option<LocalAddress>, interface: Option<u32>) -> BindAddress {
    match (asked.map(|asked| asked.address), interface) {
        (None, _) => BindAddress::AnyDual,
        (Some(IpAddr::V6(address)), _) if address.is_unspecified() => BindAddress::AnyDual,
        (Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), _) => BindAddress::Any4,
        (Some(IpAddr::V6(address)), Some(interface)) => BindAddress::Scoped { address, interface },
        (Some(address), _) => BindAddress::At(address),
    }
}

/// Takes snapshots; keeps what makes the next one cheap.
pub trait Scanner: Send {
    /// Fills `snapshot`, whose buffers are used again, or fails when no socket could be listed at
    /// all. Part of an answer is `Ok` with gaps.
    fn scan(&mut self, owners: OwnerDepth, snapshot: &mut Snapshot) -> Result<(), HostError>;

    /// Fills in `snapshot.numbered` by one more dump of the connected TCP sockets. Costs as much as
    /// a walk over the kernel's table; a host that cannot answer leaves it as it is.
    fn ask_numbered(&mut self, _snapshot: &mut Snapshot) {}

    /// Fills in `snapshot.stamping_peers`, by one question for each of `Snapshot::unknown_peers`; a
    /// host that cannot answer leaves it as it is.
    fn ask_timestamps(&mut self, _snapshot: &mut Snapshot) {}

    /// As `scan` with all owners, of one local port, and perhaps without vitals.
    fn scan_port(&mut self, port: u16, snapshot: &mut Snapshot) -> Result<(), HostError> {
        self.scan(OwnerDepth::Full, snapshot)?;
        snapshot.sockets.retain(|socket| socket.local.port == port);
        Ok(())
    }

    /// Flows to that port of this machine which are sent on to another endpoint (DNAT).
    fn publications(&mut self, _port: u16) -> Publications {
        None
    }
}

/// Those of a port; None: no flow is tracked in the network namespace. An error: the flows may not be
/// read, or are more than we read.
pub type Publications = Option<Result<Vec<Publication>, Errno>>;

/// How much work goes into owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerDepth {
    /// None: sockets only, `Holder::NotAsked`.
    Skip,
    /// Walk the processes only if an unknown inode appears.
    Incremental,
    /// Walk all: fork and descriptor passing change owners without a new inode.
    Full,
}

/// Tells about processes: name, command line, user, start.
pub trait Describer: Send {
    /// One entry for each pid that still exists.
    fn describe(&mut self, pids: &[u32]) -> Vec<Process>;

    /// Why a process that exists could not be described. None: it has ended, or could be.
    fn refusal(&mut self, _pid: u32) -> Option<Errno> {
        None
    }

    /// When the process of that pid started, in ticks since boot: another start is another process.
    /// None: it has ended, or it cannot be seen. Costs much less than `describe`.
    fn started(&mut self, _pid: u32) -> Option<u64> {
        None
    }
}

/// A binder whose `Held` is boxed, so that all hosts share one type.
pub trait HostBinder: Binder<Held = Box<dyn Held>> + Send {
    /// What this binder cannot do that was asked for ("IPv4 only"), if anything.
    fn limitation(&self) -> Option<&'static str> {
        None
    }

    /// From now on a bind() to port 0 chooses among these ports.
    ///
    /// Errors: the machine cannot be told, or chooses from others only.
    fn choose_within(&mut self, range: PortRange) -> Result<(), HostError>;

    /// From now on TCP sockets are bound with SO_REUSEADDR: beside those of connections that had it, too,
    /// as TIME-WAIT leaves them, and never beside one that listens.
    fn reuse_address(&mut self) {}

    /// How many of its ports this process can hold at once.
    fn hold_capacity(&self) -> u32 {
        u32::MAX
    }
}

/// A bound port; dropping it releases the port.
pub trait Held: Send {
    fn port(&self) -> u16;

    /// Datagrams that came since it was last asked, thrown away. At most so many at a time that it
    /// takes no time.
    fn strays(&mut self) -> u64 {
        0
    }

    /// It stays bound, but takes no connection any more, and datagrams from everywhere again; what
    /// waits is thrown away.
    fn retire(&mut self) {}

    /// Copies of the sockets, in the order of `into_descriptors`; the port stays bound while either
    /// is open.
    fn copies(&self) -> io::Result<Vec<OwnedFd>> {
        Ok(Vec::new())
    }

    /// The sockets themselves: TCP first, then UDP, as far as asked for; none on a simulated host.
    fn into_descriptors(self: Box<Self>) -> Vec<OwnedFd>;
}

const RAISE_LIMIT: &str = "raise the limit of open files (ulimit -n)";

/// The operation that failed, in words, and why.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation}: {}", named(.source))]
pub struct HostError {
    pub operation: Text,
    pub source: io::Error,
}

impl HostError {
    /// Text from outside in `operation` is scrubbed.
    pub fn new(operation: &str, source: impl Into<io::Error>) -> Self {
        Self { operation: Text::around_scrubbed(operation), source: source.into() }
    }
}

/// `Too many open files (EMFILE)`: std shows the number of an errno, not its name.
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
