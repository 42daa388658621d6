//! The API of the crate: finds and binds free ports. Opens no screen and parses no arguments.

mod lease_pool;

use std::{
    io,
    net::{IpAddr, TcpListener, UdpSocket},
    os::fd::OwnedFd,
};

use rand::{SeedableRng, rngs::ChaCha8Rng};

pub use lease_pool::{LeasePool, LeasePoolBuilder, LeasedPort, PoolError};

use crate::{
    allocator::{
        ALLOCATORS, AllocatorRow, Attempt, AttemptSearch, Candidates, FreePorts, PortView as _,
        Progress, Strategy, Tuning,
    },
    domain::{
        LocalAddress, PortRange, Protocol, Protocols, Snapshot, Source, Text, notation::counted,
    },
    host::{
        Held, Host, HostBinder, HostError, OwnerDepth,
        linux::{LinuxHost, binder::RealBinder, policy::PolicyReader},
        seed,
    },
};

/// Binds a free port of `range`, chosen at random, on all addresses of IPv4 and IPv6 (of IPv4 alone
/// if there is no IPv6).
///
/// Makes at most `max_attempts` attempts, and does not try the ports in `ip_local_reserved_ports`.
/// If that list cannot be read, it tries all ports. See [`Allocator`] for more options.
///
/// Errors: [`FindError::GaveUp`] if all attempts were refused, with the number of free ports from
/// one scan, if that lists all sockets; [`FindError::RangeFull`] if all ports of `range` are reserved; [`FindError::Io`] if a
/// socket could not be created, or no seed could be drawn.
///
/// ```no_run
/// use portscope::{domain::{PortRange, Protocols}, find_free_port};
///
/// let held = find_free_port(PortRange::new(49_152, 65_535)?, Protocols::Tcp, 100)?;
/// println!("listening on {}", held.port());
/// let listener = held.into_tcp_listener(128)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn find_free_port(
    range: PortRange,
    protocols: Protocols,
    max_attempts: u32,
) -> Result<HeldPort, FindError> {
    let policy = PolicyReader::default().reserved();
    let builder = Allocator::over(range).protocols(protocols).max_attempts(max_attempts);
    let builder = builder.reserved(policy.reserved());
    // Creates no `LinuxHost`, which would read more of the machine than a search needs.
    let binder = Box::new(RealBinder::new(protocols, None)?);
    let mut allocator = builder.build_with(&ALLOCATORS[0], binder, FreePorts::all_free())?;
    allocator.allocate(|_| ()).map_err(|error| match error {
        FindError::GaveUp { attempts, range, .. } => {
            let candidates = Candidates::new(range, policy.reserved());
            let host = LinuxHost::new();
            FindError::GaveUp { attempts, range, free: count_free(&host, &candidates, protocols) }
        }
        other => other,
    })
}

/// Counts the candidates that have no socket of `protocols`. None: the scan failed, or not all of
/// these sockets may be listed.
fn count_free(host: &dyn Host, candidates: &Candidates, protocols: Protocols) -> Option<u32> {
    let snapshot = take_snapshot(host).ok()?;
    if snapshot.may_lack_sockets(protocols) {
        return None;
    }
    let port_view = FreePorts::from_snapshot(&snapshot, protocols, None);
    Some(candidates.ports().filter(|&port| port_view.looks_free(port)).count() as u32)
}

/// Scans the sockets, without owners.
fn take_snapshot(host: &dyn Host) -> Result<Snapshot, HostError> {
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    host.scanner()?.scan(OwnerDepth::Skip, &mut snapshot)?;
    Ok(snapshot)
}

/// Why no port was found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// All `attempts` allowed attempts were refused: the ports are in use, or bind() failed for
    /// another reason, for example because the machine does not have the address. A free port may
    /// exist nevertheless. `free` is the number of unreserved ports of the range without a socket
    /// of the requested protocols. None: they were not counted, because the scan failed or did not
    /// list all sockets, or because an [`Allocator`] does not count them.
    #[error(
        "gave up after {} in range {range}; {}",
        counted(*.attempts, "attempt"),
        free_ports(*.free)
    )]
    GaveUp { attempts: u32, range: PortRange, free: Option<u32> },
    /// The strategy has no further port to try: all ports are reserved, or it has made all attempts
    /// that its own limit allows (for example, one for each port), or it tries only ports that look
    /// free and found none.
    #[error("the strategy has no port of range {range} left to try")]
    RangeFull { range: PortRange },
    /// No strategy in [`ALLOCATORS`] has this name.
    #[error("unknown strategy '{name}': expected one of {}", strategy_names())]
    UnknownStrategy { name: Text },
    /// The host failed: it could not create a socket, scan, draw a seed, or restrict the kernel's
    /// choice to the unreserved ports of the range.
    #[error(transparent)]
    Io(#[from] HostError),
}

/// Defines the methods that set one option of a builder each, as `OPTION: ARGUMENT => VALUE;`.
macro_rules! setters {
    ($($(#[$doc:meta])* $option:ident: $argument:ty => $value:expr;)*) => {
        $($(#[$doc])* pub fn $option(mut self, $option: $argument) -> Self {
            self.$option = $value;
            self
        })*
    };
}
use setters;

fn sorted(ranges: &[PortRange]) -> Vec<PortRange> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    sorted
}

/// Options of an [`Allocator`]. Each method states its default.
#[must_use]
#[derive(Clone, Debug)]
pub struct AllocatorBuilder {
    range: PortRange,
    protocols: Protocols,
    address: Option<LocalAddress>,
    reserved: Vec<PortRange>,
    max_attempts: u32,
    seed: Option<u64>,
    strategy: String,
}

impl AllocatorBuilder {
    setters! {
        /// Sets the protocols. Default: the same port on UDP and TCP.
        protocols: Protocols => protocols;
        /// Sets the address to bind. `::` is all addresses of IPv4 and IPv6, `0.0.0.0` all
        /// addresses of IPv4. Default: as `::`, or as `0.0.0.0` if there is no IPv6. A bind() to
        /// all addresses is refused if the port is in use on any one of them.
        address: IpAddr => Some(address.into());
        /// Sets the ports not to try, such as those in `ip_local_reserved_ports`. Default: none. A
        /// bind() to a port in that list can succeed, because the list restricts only the choice of
        /// the kernel. With the strategy `kernel-bind`, the kernel skips that list and no other
        /// ports: the allocator cannot be built if a port of the range is set here but is not in
        /// that list.
        reserved: &[PortRange] => sorted(reserved);
        /// Sets the maximum number of attempts per allocation. Default: 100. With 0, every
        /// allocation fails without an attempt.
        max_attempts: u32 => max_attempts;
        /// Sets the seed. With the same seed and the same occupied ports, an allocator tries the
        /// same ports, unless the kernel chooses them. Default: random.
        seed: u64 => Some(seed);
        /// Sets the strategy, a name in [`ALLOCATORS`]. Default: `random`. For `bitmap`, the
        /// machine is scanned once, when the allocator is built. Build another allocator when that
        /// scan is too old.
        strategy: &str => strategy.to_owned();
    }

    /// Builds an allocator on this machine. Errors: as for [`build_on`](Self::build_on).
    pub fn build(self) -> Result<Allocator, FindError> {
        self.build_on(&LinuxHost::new())
    }

    /// Builds an allocator on another [`Host`], such as a simulated one. Errors:
    /// [`FindError::UnknownStrategy`], or [`FindError::Io`] if the host failed.
    pub fn build_on(self, host: &dyn Host) -> Result<Allocator, FindError> {
        let Some(row) = AllocatorRow::named(&self.strategy) else {
            return Err(FindError::UnknownStrategy { name: Text::scrub(&self.strategy) });
        };
        let mut binder = host.binder(self.protocols, self.address)?;
        if row.lets_machine_choose {
            self.check_reserved_by(host)?;
            binder.choose_within(self.range)?;
        }
        let port_view = if row.needs_port_view {
            FreePorts::from_snapshot(&take_snapshot(host)?, self.protocols, self.address)
        } else {
            FreePorts::all_free()
        };
        self.build_with(row, binder, port_view)
    }

    fn build_with(
        self,
        row: &AllocatorRow,
        binder: Box<dyn HostBinder>,
        port_view: FreePorts,
    ) -> Result<Allocator, FindError> {
        let seed = self.seed.map_or_else(seed::draw, Ok)?;
        let limitation = binder.limitation();
        let mut inner = AttemptSearch::new(
            binder,
            (row.make)(Tuning::default()),
            ChaCha8Rng::seed_from_u64(seed),
            Candidates::new(self.range, &self.reserved),
            port_view,
        );
        inner.set_max_attempts(self.max_attempts);
        Ok(Allocator { inner, max_attempts: self.max_attempts, seed, limitation })
    }

    /// Checks that `ip_local_reserved_ports` contains all ports of the range that must not be
    /// tried. This is necessary if the kernel chooses the port, because it can skip no other ports.
    /// Errors: the list does not contain all of them (a list that cannot be read contains none), or
    /// the host failed.
    fn check_reserved_by(&self, host: &dyn Host) -> Result<(), HostError> {
        let (policy, _) = host.policy()?;
        let mut asked = self.reserved.iter().filter_map(|ports| ports.intersection(self.range));
        match asked.find(|ports| policy.reserved_in(*ports) < ports.len()) {
            None => Ok(()),
            Some(ports) => Err(HostError::new(
                &format!("let the kernel choose a port of {}", self.range),
                io::Error::other(format!(
                    "it skips only the ports of ip_local_reserved_ports, where some of {ports} are missing"
                )),
            )),
        }
    }
}

/// Searches a range for a free port by bind(), and returns the bound port.
pub struct Allocator {
    inner: AttemptSearch<Box<dyn HostBinder>, Box<dyn Strategy>, ChaCha8Rng>,
    max_attempts: u32,
    seed: u64,
    limitation: Option<&'static str>,
}

/// The result of one step of an allocation.
#[derive(Debug)]
pub enum Step {
    /// The port was refused, and attempts are left.
    Refused(Attempt),
    /// The port was bound, which ended the allocation.
    Bound(Attempt, HeldPort),
    /// The allocation ended without a port. Contains the last attempt, which was refused. None: no
    /// attempt was allowed, or the strategy had no further port to try.
    Failed(Option<Attempt>, FindError),
}

impl Allocator {
    /// Creates a builder for the ports of `range`, both ends included. Port 0 is never allocated.
    pub fn over(range: PortRange) -> AllocatorBuilder {
        AllocatorBuilder {
            range,
            protocols: Protocols::default(),
            address: None,
            reserved: Vec::new(),
            max_attempts: 100,
            seed: None,
            strategy: ALLOCATORS[0].name.to_owned(),
        }
    }

    /// Returns the seed that was set, or the one that was drawn at random.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns how this allocator falls short of the request on this machine, such as "IPv4 only".
    /// None: it does not.
    pub fn limitation(&self) -> Option<&'static str> {
        self.limitation
    }

    /// Makes the next attempt, if there is one. After `Bound` and `Failed` the next call begins a
    /// new allocation.
    pub fn step(&mut self) -> Step {
        self.steps(1, |_| ())
    }

    fn steps(&mut self, limit: u32, on_attempt: impl FnMut(&Attempt)) -> Step {
        let range = self.inner.candidates().range();
        if self.max_attempts == 0 {
            return Step::Failed(None, FindError::GaveUp { attempts: 0, range, free: None });
        }
        match self.inner.steps(limit, on_attempt) {
            Progress::Refused(attempt) => Step::Refused(attempt),
            Progress::Bound(attempt, held) => Step::Bound(attempt, HeldPort(held)),
            Progress::GaveUp(None) => Step::Failed(None, FindError::RangeFull { range }),
            Progress::GaveUp(Some(last)) => Step::Failed(
                Some(last),
                FindError::GaveUp { attempts: last.number, range, free: None },
            ),
        }
    }

    /// Makes attempts until a port is bound or no attempt is left. Calls `on_attempt` with each
    /// attempt. Errors: [`FindError::GaveUp`] or [`FindError::RangeFull`].
    pub fn allocate(
        &mut self,
        mut on_attempt: impl FnMut(&Attempt),
    ) -> Result<HeldPort, FindError> {
        loop {
            match self.steps(u32::MAX, &mut on_attempt) {
                Step::Refused(_) => {}
                Step::Bound(_, held) => return Ok(held),
                Step::Failed(_, error) => return Err(error),
            }
        }
    }
}

/// A bound port. No other socket can be bound to the port, on the same protocols and addresses,
/// until this value, or the socket made from it, is dropped.
pub struct HeldPort(Box<dyn Held>);

impl HeldPort {
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// Returns the sockets of the requested protocols: TCP first (bound, not listening), then UDP.
    /// The list is empty on a simulated host.
    pub fn into_descriptors(self) -> Vec<OwnedFd> {
        self.0.into_descriptors()
    }

    /// Returns the UDP socket and closes the TCP socket, if any. Errors: the port is not held on
    /// UDP ([`io::ErrorKind::Unsupported`]).
    pub fn into_udp_socket(self) -> io::Result<UdpSocket> {
        udp_socket_of(self.into_descriptors())
    }

    /// Returns the TCP socket, which now listens, and closes the UDP socket, if any. `backlog` is
    /// the maximum number of connections that wait for accept(2), as in listen(2). Errors: the port
    /// is not held on TCP ([`io::ErrorKind::Unsupported`]), or listen(2) fails.
    pub fn into_tcp_listener(self, backlog: i32) -> io::Result<TcpListener> {
        tcp_listener_of(self.into_descriptors(), backlog)
    }

    /// Returns both sockets of a port that is held on both protocols. The TCP socket now listens,
    /// with `backlog` as in [`into_tcp_listener`](Self::into_tcp_listener). Errors: the port is not
    /// held on both protocols ([`io::ErrorKind::Unsupported`]), or listen(2) fails.
    ///
    /// ```no_run
    /// # use portscope::{Allocator, domain::PortRange};
    /// let mut allocator = Allocator::over(PortRange::new(49_152, 65_535)?).build()?;
    /// let (listener, socket) = allocator.allocate(|_| ())?.into_both(128)?;
    /// assert_eq!(listener.local_addr()?.port(), socket.local_addr()?.port());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_both(self, backlog: i32) -> io::Result<(TcpListener, UdpSocket)> {
        let (tcp, udp) = self.into_descriptors().into_iter().partition(is_stream);
        Ok((tcp_listener_of(tcp, backlog)?, udp_socket_of(udp)?))
    }
}

/// Same as [`HeldPort::into_descriptors`]. There is no `IntoRawFd`, because a port may have several
/// sockets.
impl From<HeldPort> for Vec<OwnedFd> {
    fn from(held: HeldPort) -> Self {
        held.into_descriptors()
    }
}

/// Same as [`HeldPort::into_udp_socket`].
impl TryFrom<HeldPort> for UdpSocket {
    type Error = io::Error;

    fn try_from(held: HeldPort) -> io::Result<Self> {
        held.into_udp_socket()
    }
}

/// Same as [`HeldPort::into_tcp_listener`], with the backlog that std's own `bind` uses.
///
/// ```no_run
/// # use portscope::{domain::{PortRange, Protocols}, find_free_port};
/// use std::net::TcpListener;
///
/// let range = PortRange::new(49_152, 65_535)?;
/// let listener: TcpListener = find_free_port(range, Protocols::Tcp, 100)?.try_into()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl TryFrom<HeldPort> for TcpListener {
    type Error = io::Error;

    fn try_from(held: HeldPort) -> io::Result<Self> {
        held.into_tcp_listener(BACKLOG)
    }
}

/// The backlog of std's `TcpListener::bind` (library/std/src/sys/net/connection/socket.rs).
const BACKLOG: i32 = 128;

fn is_stream(socket: &OwnedFd) -> bool {
    let kind = rustix::net::sockopt::socket_type(socket);
    kind.is_ok_and(|kind| kind == rustix::net::SocketType::STREAM)
}

fn udp_socket_of(sockets: Vec<OwnedFd>) -> io::Result<UdpSocket> {
    let udp = sockets.into_iter().find(|socket| !is_stream(socket));
    udp.map(UdpSocket::from).ok_or_else(|| not_held_on(Protocol::Udp))
}

fn tcp_listener_of(sockets: Vec<OwnedFd>, backlog: i32) -> io::Result<TcpListener> {
    let tcp = sockets.into_iter().find(is_stream).ok_or_else(|| not_held_on(Protocol::Tcp))?;
    rustix::net::listen(&tcp, backlog)?;
    Ok(TcpListener::from(tcp))
}

fn not_held_on(protocol: Protocol) -> io::Error {
    let words = format!("the port is not held on {}", protocol.name());
    io::Error::new(io::ErrorKind::Unsupported, words)
}

impl std::fmt::Debug for HeldPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HeldPort").field(&self.port()).finish()
    }
}

fn free_ports(free: Option<u32>) -> String {
    match free {
        Some(free) => format!("free ports: {free}"),
        None => "free ports: not counted".to_owned(),
    }
}

fn strategy_names() -> String {
    ALLOCATORS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Errno, Gap, Table},
        host::simulated::SimulatedHost,
    };

    #[test]
    fn free_ports_are_counted_only_if_all_sockets_of_the_protocols_are_listed() {
        let candidates = Candidates::new(PortRange::new(2000, 2009).unwrap(), &[]);
        let error = Errno::EACCES;
        for (gap, protocols, expected) in [
            (Gap::DualStackUnknown { error }, Protocols::Both, Some(10)),
            (Gap::BoundInactiveUnlisted { assumed: false }, Protocols::Tcp, None),
            (Gap::BoundInactiveUnlisted { assumed: false }, Protocols::Udp, Some(10)),
            (Gap::TableRefused { table: Table::Udp6, error }, Protocols::Udp, None),
            (Gap::TableRefused { table: Table::Udp6, error }, Protocols::Tcp, Some(10)),
        ] {
            let host = SimulatedHost::builder().gap(gap.clone()).build();
            assert_eq!(count_free(&host, &candidates, protocols), expected, "{gap:?}");
        }
    }
}
