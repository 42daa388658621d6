//! The API for programs that lease ports. Combines a pool with a machine and a clock. Chooses no
//! ports.

use std::{
    io,
    net::{IpAddr, TcpListener, UdpSocket},
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::ChaCha8Rng};

use crate::{
    allocator::{
        Bands, Candidates, LeaseHolder, Pool, PoolCounts, PoolSetup, Priority, Quarantine,
        Shortage, pool::BandsTooLarge,
    },
    api::{setters, sorted, tcp_listener_of, udp_socket_of},
    domain::{LocalAddress, PortRange, Protocols},
    host::{Host, HostBinder, HostError, linux::LinuxHost, seed},
};

/// Maximum number of expired quarantines that one `take` handles, and of further ports in
/// `Quarantine::Drain` that it checks for datagrams. Each lease is followed by at most one
/// quarantine, so a number above 1 keeps expired quarantines from piling up. A small number keeps
/// `take` fast.
const ENDED_BY_TAKE: usize = 4;
/// The same maximum for one `run_pass`.
const ENDED_BY_TEND: usize = 64;

/// Why a pool could not be built.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The bands have more ports than the range has unreserved ports.
    #[error(transparent)]
    Bands(#[from] BandsTooLarge),
    /// The failure rate is not a number from 0 to 1.
    #[error("invalid failure rate {0}: expected 0 to 1")]
    FailureRate(f64),
    /// The host failed: it could not create a socket or draw a seed.
    #[error(transparent)]
    Io(#[from] HostError),
}

/// Options of a [`LeasePool`]. Each method states its default.
#[must_use]
#[derive(Clone, Debug)]
pub struct LeasePoolBuilder {
    range: PortRange,
    protocols: Protocols,
    address: Option<LocalAddress>,
    reserved: Vec<PortRange>,
    bands: Bands,
    quarantine: Quarantine,
    failure_rate: f64,
    max_attempts: u32,
    seed: Option<u64>,
}

impl LeasePoolBuilder {
    setters! {
        /// Sets the protocols. Default: the same port on UDP and TCP.
        protocols: Protocols => protocols;
        /// Sets the address to bind. `::` is all addresses of IPv4 and IPv6, `0.0.0.0` all
        /// addresses of IPv4. Default: as `::`, or as `0.0.0.0` if there is no IPv6.
        address: IpAddr => Some(address.into());
        /// Sets the ports that are never leased, such as those in `ip_local_reserved_ports`.
        /// Default: none.
        reserved: &[PortRange] => sorted(reserved);
        /// Sets how many ports are reserved for leases of high priority, and how many for those of
        /// normal or high priority. Default: none.
        bands: Bands => bands;
        /// Sets the quarantine of a port before it is leased again. Default: [`Quarantine::Time`]
        /// of 10 seconds.
        quarantine: Quarantine => quarantine;
        /// Sets the probability (0 to 1) with which a search may give up although a port is free. A
        /// lower probability allows more attempts. Default: one in a million.
        failure_rate: f64 => failure_rate;
        /// Sets the maximum number of attempts of one search in one band, even if the failure rate
        /// requires more. 0 counts as 1. Default: 1,000.
        max_attempts: u32 => max_attempts;
        /// Sets the seed. With the same seed, the same calls at the same times and the same
        /// occupied ports, a pool tries the same ports. Default: random.
        seed: u64 => Some(seed);
    }

    /// Builds a pool on this machine. Errors: as for [`build_on`](Self::build_on).
    pub fn build(self) -> Result<LeasePool, PoolError> {
        self.build_on(&LinuxHost::new())
    }

    /// Builds a pool on another [`Host`], such as a simulated one, whose ports have no sockets.
    /// Errors: the bands are too large, the failure rate is invalid, or the host failed.
    pub fn build_on(self, host: &dyn Host) -> Result<LeasePool, PoolError> {
        if !(0.0..=1.0).contains(&self.failure_rate) {
            return Err(PoolError::FailureRate(self.failure_rate));
        }
        let binder = host.binder(self.protocols, self.address)?;
        let limitation = binder.limitation();
        let setup = PoolSetup {
            candidates: Candidates::new(self.range, &self.reserved),
            bands: self.bands,
            quarantine: self.quarantine,
            failure_rate: self.failure_rate,
            max_attempts: self.max_attempts,
            max_held: binder.hold_capacity(),
        };
        let seed = self.seed.map_or_else(seed::draw, Ok)?;
        let pool = Pool::new(setup, binder, ChaCha8Rng::seed_from_u64(seed))?;
        let shared = Shared { pool: Mutex::new(pool), begun: Instant::now(), seed, limitation };
        Ok(LeasePool(Arc::new(shared)))
    }
}

type HostPool = Pool<Box<dyn HostBinder>, ChaCha8Rng>;

struct Shared {
    pool: Mutex<HostPool>,
    begun: Instant,
    seed: u64,
    limitation: Option<&'static str>,
}

/// Leases ports, and leases each port again only after a quarantine. Clones share one pool.
///
/// The pool keeps bound sockets for each lease, so that no other process can bind the port. The
/// caller gets duplicates of these sockets. When the process ends, even if it is killed, the kernel
/// closes them all. This frees the port, unless another process has a duplicate.
///
/// ```no_run
/// use portscope::{
///     LeasePool,
///     allocator::{Bands, Priority, Quarantine},
///     domain::{LocalAddress, PortRange, Protocols},
/// };
/// use std::time::Duration;
///
/// let pool = LeasePool::over(PortRange::new(49_152, 65_535)?)
///     .protocols(Protocols::Udp)
///     .bands(Bands { high: 100, normal: 0 })
///     .quarantine(Quarantine::Drain(Duration::from_secs(2)))
///     .build()?;
/// let lease = pool.take(Priority::Normal)?;
/// let socket = lease.udp_socket()?;
/// println!("listening on {}", socket.local_addr()?);
/// drop(lease); // The quarantine lasts until no datagram has arrived for two seconds.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # In async programs
///
/// No method waits for a port, so a task may call all methods without `spawn_blocking`. The cost of
/// [`take`](Self::take) is the cost of its attempts. It makes 1 attempt if no other process uses
/// ports of the range, 10 on average if others use 90 % of them, and 100 if others use 99 %. It
/// never makes more than [`max_attempts`](LeasePoolBuilder::max_attempts) in each band. A refused
/// attempt takes about 1 microsecond. In a pool on both protocols it takes about 7 microseconds if
/// TCP refuses, because the bound UDP socket is then closed and created again. So `take` delays a
/// task by some 10 microseconds while others use few ports, and by 20 to 100 microseconds at 90 %.
/// If other processes use every port, the default of 1,000 attempts takes 1 millisecond per band,
/// or 7 on both protocols; set fewer attempts if that is too long. `take` also handles at most 4
/// expired quarantines, and checks at most 4 further ports in [`Quarantine::Drain`] for datagrams.
/// It holds the pool's lock during the whole call. Dropping a lease closes the pool's sockets of
/// the port at once, or with [`Quarantine::Drain`] at the end of the quarantine.
///
/// An attempt of an [`Allocator`](crate::Allocator) costs the same.
/// [`find_free_port`](crate::find_free_port) creates its sockets in each call and reads
/// `ip_local_reserved_ports` in `/proc/sys`, which takes some 50 microseconds in all. If it gives
/// up, it scans all sockets once, which takes milliseconds if there are many. A higher limit on
/// attempts makes that scan rarer.
///
/// ```no_run
/// # use portscope::{LeasePool, allocator::Priority, domain::PortRange};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let pool = LeasePool::over(PortRange::new(49_152, 65_535)?).build()?;
/// let task = tokio::spawn(async move {
///     let lease = pool.take(Priority::Low)?;
///     let socket = lease.udp_socket()?;
///     socket.set_nonblocking(true)?; // Required by tokio::net::UdpSocket::from_std.
///     Ok::<u16, Box<dyn std::error::Error + Send + Sync>>(lease.port())
/// });
/// let port = task.await?;
/// # let _ = port;
/// # Ok(()) })
/// # }
/// ```
#[derive(Clone)]
pub struct LeasePool(Arc<Shared>);

impl LeasePool {
    /// Creates a builder for the ports of `range`, both ends included. Port 0 is never leased.
    pub fn over(range: PortRange) -> LeasePoolBuilder {
        LeasePoolBuilder {
            range,
            protocols: Protocols::default(),
            address: None,
            reserved: Vec::new(),
            bands: Bands::default(),
            quarantine: Quarantine::Time(Duration::from_secs(10)),
            failure_rate: 1e-6,
            max_attempts: 1000,
            seed: None,
        }
    }

    /// Returns the seed that was set, or the one that was drawn at random.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// Returns how the sockets differ from the request on this machine, such as "IPv4 only". None:
    /// they do not.
    pub fn limitation(&self) -> Option<&'static str> {
        self.0.limitation
    }

    /// Leases a port of the bands that the class may use. The port stays bound at least until the
    /// lease is dropped. Errors: no port is left for the class, the search gave up, or the
    /// descriptor limit is reached ([`Shortage`]).
    pub fn take(&self, class: Priority) -> Result<LeasedPort, Shortage> {
        let now = self.now();
        let mut pool = self.pool();
        pool.update_quarantines(now, ENDED_BY_TAKE);
        // The start time of the lease holder is not used: the pool ends with this process.
        let holder = LeaseHolder { pid: std::process::id(), started: 0 };
        let lease = pool.take(now, class, holder, |_| ())?;
        drop(pool);
        Ok(LeasedPort { pool: self.clone(), port: lease.port, class })
    }

    /// Handles at most 64 expired quarantines, and checks at most 64 further ports in
    /// [`Quarantine::Drain`] for late datagrams. `take` does the same with a limit of 4, so a
    /// program that seldom calls `take` must call this method at intervals. A port in
    /// [`Quarantine::Drain`] stays bound until one of the two methods ends its quarantine. A late
    /// datagram restarts the quiet time when one of the two methods reads it.
    ///
    /// Returns true if further quarantines are over but not ended yet.
    pub fn run_pass(&self) -> bool {
        let now = self.now();
        self.pool().update_quarantines(now, ENDED_BY_TEND)
    }

    /// Counts the ports that the class may use and that are neither leased nor in quarantine. Other
    /// processes may have bound some of them.
    pub fn left_for(&self, class: Priority) -> u32 {
        self.pool().left_for(class)
    }

    /// Counts the leases.
    pub fn leased(&self) -> usize {
        self.pool().leases().len()
    }

    /// Counts the ports in quarantine.
    pub fn quarantined(&self) -> usize {
        self.pool().quarantined().len()
    }

    /// Returns the counters since the pool was built.
    pub fn counts(&self) -> PoolCounts {
        self.pool().counts()
    }

    fn now(&self) -> Duration {
        self.0.begun.elapsed()
    }

    /// Locks the pool. Ignores a poisoned lock, because a thread that panics under the lock leaves
    /// no partial change that another thread could notice.
    fn pool(&self) -> MutexGuard<'_, HostPool> {
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for LeasePool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let range = self.pool().setup().candidates.range();
        f.debug_struct("LeasePool").field("range", &range).finish_non_exhaustive()
    }
}

/// A leased port of a [`LeasePool`]. Dropping it starts the quarantine of the port.
///
/// The sockets and descriptors that its methods return are duplicates (`F_DUPFD_CLOEXEC`, fcntl(2))
/// of the pool's sockets. Socket options and O_NONBLOCK therefore apply to the original and to all
/// duplicates. A duplicate that outlives the lease keeps the port bound, so that nobody else gets
/// the port. When the lease ends, a pool with [`Quarantine::Drain`] stops listening on the port,
/// and discards the datagrams that arrive at it.
pub struct LeasedPort {
    pool: LeasePool,
    port: u16,
    class: Priority,
}

impl LeasedPort {
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn class(&self) -> Priority {
        self.class
    }

    /// Returns duplicates of the lease's sockets, one for each protocol of the pool: TCP first,
    /// then UDP. execve(2) closes them. The list is empty on a simulated host. Errors: no
    /// descriptors are left.
    pub fn descriptors(&self) -> io::Result<Vec<OwnedFd>> {
        self.pool.pool().held_of(self.port).map_or(Ok(Vec::new()), |held| held.copies())
    }

    /// Returns a duplicate of the UDP socket. Errors: the port is not held on UDP
    /// ([`io::ErrorKind::Unsupported`]), or no descriptors are left.
    pub fn udp_socket(&self) -> io::Result<UdpSocket> {
        udp_socket_of(self.descriptors()?)
    }

    /// Returns a duplicate of the TCP socket, which now listens. `backlog` is the maximum number of
    /// connections that wait for accept(2), as in listen(2). Errors: the port is not held on TCP
    /// ([`io::ErrorKind::Unsupported`]), listen(2) fails, or no descriptors are left.
    pub fn tcp_listener(&self, backlog: i32) -> io::Result<TcpListener> {
        tcp_listener_of(self.descriptors()?, backlog)
    }
}

impl Drop for LeasedPort {
    fn drop(&mut self) {
        let now = self.pool.now();
        self.pool.pool().release(now, self.port);
    }
}

impl std::fmt::Debug for LeasedPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LeasedPort").field(&self.port).finish()
    }
}
