//! A pool of leased ports for programs: joins the pool, a machine and a clock. Chooses nothing itself.

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
        Bands, Candidates, Class, Counts, Pool, PoolSetup, Quarantine, Shortage, Tenant,
        pool::BandsTooLarge,
    },
    domain::{LocalAddress, PortRange, Protocols},
    host::{Host, HostBinder, HostError, seed},
    tcp_listener_of, udp_socket_of,
};

/// Quarantines that one `take` ends, and ports that rest by drain that it looks at: more than it takes,
/// so that they never pile up, but few enough to cost little.
const ENDED_BY_TAKE: usize = 4;
/// Those that one `tend` ends.
const ENDED_BY_TEND: usize = 64;

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    #[error(transparent)]
    Bands(#[from] BandsTooLarge),
    #[error("a failure rate of {0}, which is not from 0 to 1")]
    FailureRate(f64),
    /// No socket could be made, or none on that address.
    #[error(transparent)]
    Io(#[from] HostError),
}

/// What a pool shall do; see the methods for what it does unless told otherwise.
#[must_use]
#[derive(Clone, Debug)]
pub struct LeasePoolBuilder {
    range: PortRange,
    protocols: Protocols,
    address: Option<IpAddr>,
    reserved: Vec<PortRange>,
    bands: Bands,
    quarantine: Quarantine,
    failure_rate: f64,
    max_attempts: u32,
    seed: Option<u64>,
}

impl LeasePoolBuilder {
    /// Default: the same port on UDP and TCP.
    pub fn protocols(mut self, protocols: Protocols) -> Self {
        self.protocols = protocols;
        self
    }

    /// Default: all addresses of IPv4 and IPv6.
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Ports never to give, such as those of `ip_local_reserved_ports`. Default: none.
    pub fn reserved(mut self, reserved: &[PortRange]) -> Self {
        self.reserved = reserved.to_vec();
        self.reserved.sort_unstable();
        self
    }

    /// Ports kept for the higher classes. Default: none.
    pub fn bands(mut self, bands: Bands) -> Self {
        self.bands = bands;
        self
    }

    /// What a port goes through before it is given again. Default: ten seconds.
    pub fn quarantine(mut self, quarantine: Quarantine) -> Self {
        self.quarantine = quarantine;
        self
    }

    /// How often a search may give up although a port is free, 0 to 1; the attempts follow from it.
    /// Default: one in a million.
    pub fn failure_rate(mut self, failure_rate: f64) -> Self {
        self.failure_rate = failure_rate;
        self
    }

    /// Attempts of one search in one band, at most, whatever the failure rate asks for; one is always
    /// made. Default: 1,000.
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.max_attempts = max_attempts;
        self
    }

    /// The same seed tries the same ports. Default: drawn by chance.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// A pool on this machine.
    #[cfg(target_os = "linux")]
    pub fn build(self) -> Result<LeasePool, PoolError> {
        self.build_on(&crate::host::linux::LinuxHost::new())
    }

    /// A pool on a machine of your choice, such as a simulated one, whose ports have no sockets.
    pub fn build_on(self, host: &dyn Host) -> Result<LeasePool, PoolError> {
        if !(0.0..=1.0).contains(&self.failure_rate) {
            return Err(PoolError::FailureRate(self.failure_rate));
        }
        let binder = host.binder(self.protocols, self.address.map(LocalAddress::from))?;
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

/// Gives ports out by leases, and each of them again only after a rest. Clones share one pool.
///
/// A lease holds its port by bound sockets, so nobody else can have it, and whatever ends the process
/// frees it. The sockets to work with are copies of those.
///
/// ```no_run
/// use portscope::{
///     LeasePool,
///     allocator::{Bands, Class, Quarantine},
///     domain::{LocalAddress, PortRange, Protocols},
/// };
/// use std::time::Duration;
///
/// let pool = LeasePool::over(PortRange::new(49_152, 65_535)?)
///     .protocols(Protocols::Udp)
///     .bands(Bands { high: 100, normal: 0 })
///     .quarantine(Quarantine::Drain(Duration::from_secs(2)))
///     .build()?;
/// let lease = pool.take(Class::Normal)?;
/// let socket = lease.udp_socket()?;
/// println!("listening on {}", socket.local_addr()?);
/// drop(lease); // From here on the port rests until no datagram came for two seconds.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # In async programs
///
/// Nothing here waits for anything, so a task may call it without `spawn_blocking`. What
/// [`take`](Self::take) costs is its attempts: 1 in an empty range, 10 on average in one that is 90 %
/// full, 100 at 99 %, and never more than [`max_attempts`](LeasePoolBuilder::max_attempts) in each
/// band. A refused attempt takes about a microsecond; but of a pool on both protocols seven, where it
/// is TCP that refuses, for then a bound UDP socket is closed and made anew. So `take` holds a task up
/// for some 10 microseconds while ports are plenty, for 20 to 100 at 90 %, and where others have every
/// port for 1 or 7 milliseconds with the default of 1,000 attempts: set fewer if that is too long.
/// Beside that it looks at 4 ports that rest and ends as many quarantines. The lock is held for so
/// long. Dropping a lease closes its sockets, or leaves that to the end of its rest.
///
/// The same bound holds for [`Allocator`](crate::Allocator).
/// [`find_free_port`](crate::find_free_port) makes its sockets anew and reads four files of `/proc/sys`,
/// some 50 microseconds in all; if it gives up it scans all sockets once, which takes milliseconds
/// where there are many: allow it more attempts there.
///
/// ```no_run
/// # use portscope::{LeasePool, allocator::Class, domain::PortRange};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let pool = LeasePool::over(PortRange::new(49_152, 65_535)?).build()?;
/// let task = tokio::spawn(async move {
///     let lease = pool.take(Class::Low)?;
///     let socket = lease.udp_socket()?;
///     socket.set_nonblocking(true)?; // As tokio::net::UdpSocket::from_std asks for.
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
    /// Over both ends of `range`; port 0 is never given.
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

    /// With it the same ports are tried again.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// What was asked for and cannot be had here: "IPv4 only".
    pub fn limitation(&self) -> Option<&'static str> {
        self.0.limitation
    }

    /// A port of the bands that the class may have, bound until the lease is dropped.
    pub fn take(&self, class: Class) -> Result<LeasedPort, Shortage> {
        let now = self.now();
        let mut pool = self.pool();
        pool.pass_some(now, ENDED_BY_TAKE);
        // Asked of nobody: the pool ends with its tenant.
        let tenant = Tenant { pid: std::process::id(), started: 0 };
        let lease = pool.take(now, class, tenant, |_| ())?;
        drop(pool);
        Ok(LeasedPort { pool: self.clone(), port: lease.port, class })
    }

    /// Ends quarantines that are over, 64 at most; `take` ends some as well. For programs that seldom
    /// take: what rests by [`Quarantine::Drain`] is bound until somebody ends it, and a stray datagram
    /// begins the quiet time anew when it is found.
    ///
    /// True: more are over.
    pub fn tend(&self) -> bool {
        let now = self.now();
        self.pool().pass_some(now, ENDED_BY_TEND)
    }

    /// Ports that the class may have and that neither are leased nor rest; others may have them.
    pub fn left_for(&self, class: Class) -> u32 {
        self.pool().left_for(class)
    }

    pub fn leased(&self) -> usize {
        self.pool().leases().len()
    }

    /// Ports in quarantine.
    pub fn resting(&self) -> usize {
        self.pool().resting().len()
    }

    pub fn counts(&self) -> Counts {
        self.pool().counts()
    }

    fn now(&self) -> Duration {
        self.0.begun.elapsed()
    }

    /// A thread that panicked with the lock left no step half done that another could notice.
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

/// A port of a [`LeasePool`]; dropping it begins the port's quarantine.
///
/// Its sockets are given as copies (dup(2)) that share one socket with the pool: options and O_NONBLOCK
/// hold for all of them. A copy that outlives the lease keeps the port bound, and nobody else gets it;
/// but it is the pool's to drain, and to end its listening.
pub struct LeasedPort {
    pool: LeasePool,
    port: u16,
    class: Class,
}

impl LeasedPort {
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn class(&self) -> Class {
        self.class
    }

    /// Copies of all its sockets: TCP first, then UDP, as far as asked for; they are closed by execve(2).
    pub fn descriptors(&self) -> io::Result<Vec<OwnedFd>> {
        self.pool.pool().held_of(self.port).map_or(Ok(Vec::new()), |held| held.copies())
    }

    /// Errors: the port is not held on UDP, or there are no more descriptors.
    pub fn udp_socket(&self) -> io::Result<UdpSocket> {
        udp_socket_of(self.descriptors()?)
    }

    /// Begins to listen. Errors: the port is not held on TCP, listen(2) fails, or there are no more
    /// descriptors.
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
