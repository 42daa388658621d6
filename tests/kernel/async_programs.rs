//! How long a search for a port blocks an async program, in a range that is 90 % full.

use std::{
    cell::Cell,
    future::Future,
    net::{Ipv6Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use portscope::{
    LeasePool,
    allocator::{Priority, Quarantine},
    domain::{Binder as _, PortRange, Protocols},
    find_free_port,
    host::{Held, linux::binder::RealBinder},
};
use rand::{SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use rustix::time::{ClockId, clock_gettime};
use socket2::{Domain, Socket, Type};
use tokio::task::{LocalSet, spawn_local, yield_now};

use crate::namespace;

const PORTS: u16 = 400;
const FULL: usize = 90;
const ROUNDS: usize = 100;
const CALLS: usize = 100;
/// Maximum CPU time of a search, as a multiple of the time to create, bind and close one pair of
/// sockets: about a millisecond. A limit in seconds would depend on the machine.
const ALLOWED: u32 = 75;

/// CPU time does not depend on other processes, so it is compared. Wall-clock time is only printed.
#[derive(Clone, Copy)]
struct Reading {
    cpu: Duration,
    wall: Duration,
}

impl Reading {
    fn now() -> Self {
        let of = |clock| {
            let now = clock_gettime(clock);
            Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
        };
        Self { cpu: of(ClockId::ThreadCPUTime), wall: of(ClockId::Monotonic) }
    }

    fn since(self, before: Self) -> Self {
        let Self { cpu, wall } = before;
        Self { cpu: self.cpu.saturating_sub(cpu), wall: self.wall.saturating_sub(wall) }
    }

    fn longest(self, other: Self) -> Self {
        Self { cpu: self.cpu.max(other.cpu), wall: self.wall.max(other.wall) }
    }
}

fn range() -> PortRange {
    PortRange::new(50_000, 50_000 + (PORTS - 1)).unwrap()
}

/// Binds nine of ten ports.
fn fill(protocols: Protocols) -> Vec<Box<dyn Held>> {
    let mut ports: Vec<u16> = range().ports().collect();
    ports.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    ports.truncate(ports.len() * FULL / 100);
    let mut binder = RealBinder::new(protocols, None).unwrap();
    ports.into_iter().map(|port| binder.bind(port).0.unwrap()).collect()
}

/// Runs `work` in a runtime of this thread, because only this thread is in the namespace.
fn in_runtime<F: Future>(work: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    LocalSet::new().block_on(&runtime, work)
}

/// Returns the longest time that another task waited for its turn while `call` was called, in the
/// round with the shortest such time: other processes can only make it longer.
async fn longest_delay(what: String, mut call: impl FnMut() + 'static) -> Duration {
    let call = Rc::new(Cell::new(Some(move || {
        call();
    })));
    let mut longest = Vec::new();
    for _ in 0..ROUNDS {
        let is_done = Rc::new(Cell::new(false));
        let ticker = spawn_local(tick_until(Rc::clone(&is_done)));
        let call = Rc::clone(&call);
        let ours = spawn_local(async move {
            let mut closure = call.take().unwrap();
            for _ in 0..CALLS {
                closure();
                yield_now().await;
            }
            call.set(Some(closure));
        });
        ours.await.unwrap();
        is_done.set(true);
        longest.push(ticker.await.unwrap());
    }
    let sorted = |of: fn(&Reading) -> Duration| {
        let mut values: Vec<Duration> = longest.iter().map(of).collect();
        values.sort_unstable();
        values
    };
    let (cpu, wall) = (sorted(|reading| reading.cpu), sorted(|reading| reading.wall));
    eprintln!(
        "{what}: longest of {CALLS}: {:?} CPU ({:?} in the quietest round), {:?} by the clock, \
         medians of {ROUNDS}",
        cpu[ROUNDS / 2],
        cpu[0],
        wall[ROUNDS / 2],
    );
    cpu[0]
}

/// Returns the longest time between two turns of this task.
async fn tick_until(is_done: Rc<Cell<bool>>) -> Reading {
    let mut longest = Reading { cpu: Duration::ZERO, wall: Duration::ZERO };
    let mut before = Reading::now();
    while !is_done.get() {
        yield_now().await;
        let now = Reading::now();
        longest = longest.longest(now.since(before));
        before = now;
    }
    longest
}

/// A port that TCP refuses costs more: its UDP socket was bound before, so another one must be
/// opened.
#[test]
fn no_task_is_delayed_while_another_searches_for_a_port() {
    for others in [Protocols::Udp, Protocols::Tcp] {
        namespace::in_new_namespace(|| search_concurrently(others));
    }
}

/// Returns the CPU time to create, bind and close one socket of each protocol, in the fastest
/// round.
fn one_pair() -> Duration {
    let bind = |kind| {
        let socket = Socket::new(Domain::IPV6, kind, None).unwrap();
        socket.set_only_v6(false).unwrap();
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
    };
    let round = || {
        let before = Reading::now();
        for _ in 0..CALLS {
            bind(Type::DGRAM);
            bind(Type::STREAM);
        }
        Reading::now().since(before).cpu / CALLS as u32
    };
    (0..ROUNDS).map(|_| round()).min().unwrap()
}

fn search_concurrently(others: Protocols) {
    let _held = fill(others);
    let name = others.name();
    let allowed = one_pair() * ALLOWED;
    eprintln!("allowed: {allowed:?}");
    let [one, many] = in_runtime(async {
        let one = longest_delay(format!("find_free_port, others on {name}"), || {
            let held = find_free_port(range(), Protocols::Both, 10_000).unwrap();
            assert!(held.into_udp_socket().is_ok());
        });
        let one = one.await;
        let quarantine = Quarantine::Time(Duration::ZERO);
        let pool = LeasePool::over(range()).quarantine(quarantine).build().unwrap();
        let many = longest_delay(format!("LeasePool::take, others on {name}"), move || {
            let lease = pool.take(Priority::Low).unwrap();
            assert!(lease.udp_socket().is_ok());
        });
        [one, many.await]
    });
    assert!(one < allowed, "find_free_port, others on {name}: {one:?}");
    assert!(many < allowed, "LeasePool::take, others on {name}: {many:?}");
}

#[test]
fn tasks_share_a_pool_and_its_sockets_serve_an_async_runtime() {
    namespace::in_new_namespace(|| {
        let _held = fill(Protocols::Udp);
        let quarantine = Quarantine::Time(Duration::from_mins(1));
        let pool = LeasePool::over(range()).quarantine(quarantine).build().unwrap();
        let ports = in_runtime(async {
            let work = |pool: LeasePool| async move {
                let lease = pool.take(Priority::Normal).unwrap();
                yield_now().await;
                let socket = lease.udp_socket().unwrap();
                socket.set_nonblocking(true).unwrap();
                socket.local_addr().unwrap().port()
            };
            // `spawn`, not `spawn_local`: leases can be moved between threads.
            let tasks: Vec<_> = (0..40).map(|_| tokio::spawn(work(pool.clone()))).collect();
            let mut ports = Vec::new();
            for task in tasks {
                ports.push(task.await.unwrap());
            }
            ports
        });
        let mut unique = ports.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 40, "all that were free, each once");
        assert_eq!((pool.leased(), pool.quarantined()), (0, 40));
    });
}
