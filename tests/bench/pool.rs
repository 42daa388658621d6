//! The pool on real sockets: the cost of a lease, of its end and of checking ports in quarantine,
//! and the memory of many. `cargo bench --bench pool`

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "measure.rs"]
mod measure;
#[path = "../support/namespace.rs"]
mod namespace;
#[path = "../support/population.rs"]
mod population;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use measure::{line, median};
use portscope::{
    LeasePool, LeasedPort,
    allocator::{Bands, Candidates, LeaseHolder, Pool, PoolSetup, Priority, Quarantine},
    domain::{Binder as _, PortRange, Protocols},
    find_free_port,
    host::linux::binder::RealBinder,
};
use rand::{SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 31;
/// Of a round.
const LEASES: u16 = 200;
const STANDING: u16 = 1000;
const MANY: u16 = 10_000;
const FIRST: u16 = 20_000;
const HOLDER: LeaseHolder = LeaseHolder { pid: 1, started: 1 };
const MAX_MICROS: f64 = 20.0;
const MAX_MEGABYTES: f64 = 10.0;

type RealPool = Pool<RealBinder, ChaCha8Rng>;

/// Counts what the program has of the heap.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe to write; this one hands on to the system's"
)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> io::Result<()> {
    population::raise_descriptor_limit()?;
    if cfg!(debug_assertions) {
        println!("NOT a release build: the figures mean nothing");
    }
    println!("real bind(), CPU time, medians of {ROUNDS} rounds of {LEASES} leases");
    namespace::in_new_namespace(|| {
        for protocols in [Protocols::Udp, Protocols::Tcp, Protocols::Both] {
            warm(protocols, 0, protocols)?;
        }
        warm(Protocols::Both, 90, Protocols::Udp)?;
        warm(Protocols::Both, 90, Protocols::Tcp)?;
        by_library()?;
        failed_attempts()?;
        ten_thousand()
    })
    .transpose()?;
    Ok(())
}

/// Of this thread, whoever else runs.
fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let before = thread_cpu();
    let done = work();
    (done, thread_cpu().saturating_sub(before))
}

fn release(pool: &mut RealPool, ports: &[u16]) {
    for &port in ports {
        pool.release(Duration::ZERO, port);
    }
}

fn micros(times: impl IntoIterator<Item = Duration>, count: u16) -> f64 {
    median(times).as_secs_f64() * 1e6 / f64::from(count)
}

fn pool(ports: u16, protocols: Protocols, quarantine: Quarantine) -> io::Result<RealPool> {
    let range = PortRange::new(FIRST, FIRST + (ports - 1)).map_err(io::Error::other)?;
    let setup = PoolSetup {
        candidates: Candidates::new(range, &[]),
        bands: Bands { high: 128, normal: 128 },
        quarantine,
        failure_rate: 1e-6,
        max_attempts: 10_000,
        max_held: u32::MAX,
    };
    let binder = RealBinder::new(protocols, None).map_err(io::Error::other)?;
    Pool::new(setup, binder, ChaCha8Rng::seed_from_u64(1)).map_err(io::Error::other)
}

fn take(pool: &mut RealPool, count: u16) -> io::Result<Vec<u16>> {
    let mut one = || pool.take(Duration::ZERO, Priority::Normal, HOLDER, |_| ());
    let leases: Result<Vec<_>, _> = (0..count).map(|_| one()).collect();
    Ok(leases.map_err(io::Error::other)?.iter().map(|lease| lease.port).collect())
}

/// Takes and releases beside standing leases, so much (per cent) of the range in use by others.
fn warm(protocols: Protocols, full: usize, by: Protocols) -> io::Result<()> {
    let mut pool = pool(MANY, protocols, Quarantine::Time(Duration::ZERO))?;
    let mut ports: Vec<u16> = (FIRST..FIRST + MANY).collect();
    ports.shuffle(&mut ChaCha8Rng::seed_from_u64(2));
    ports.truncate(ports.len() * full / 100);
    let mut others = RealBinder::new(by, None).map_err(io::Error::other)?;
    let _others: Vec<_> = ports.into_iter().map(|port| others.bind(port).0.ok()).collect();
    let _standing = take(&mut pool, if full > 0 { LEASES } else { STANDING })?;
    let (mut taking, mut ending) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (ports, took) = timed(|| take(&mut pool, LEASES));
        let ports = ports?;
        taking.push(took);
        let ((), took) = timed(|| {
            release(&mut pool, &ports);
            pool.update_quarantines(Duration::ZERO, usize::MAX);
        });
        ending.push(took);
    }
    let what = format!("{}, {full} % in use by others on {}", protocols.name(), by.name());
    let most = (full == 0).then_some(MAX_MICROS);
    println!("{}", line(&format!("take: {what}"), micros(taking, LEASES), "us", most));
    println!("{}", line(&format!("release: {what}"), micros(ending, LEASES), "us", None));
    Ok(())
}

/// With its lock, its clock and its boxed binder.
fn by_library() -> io::Result<()> {
    let range = PortRange::new(FIRST, FIRST + (MANY - 1)).map_err(io::Error::other)?;
    let builder = LeasePool::over(range).quarantine(Quarantine::Time(Duration::ZERO));
    let pool = builder.build().map_err(io::Error::other)?;
    let take = || -> io::Result<Vec<_>> {
        (0..LEASES).map(|_| pool.take(Priority::Normal).map_err(io::Error::other)).collect()
    };
    let _standing: Vec<_> = (0..STANDING / LEASES).map(|_| take()).collect::<io::Result<_>>()?;
    let (mut taking, mut copying, mut ending) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (leases, took) = timed(take);
        let leases = leases?;
        taking.push(took);
        let copy = || leases.iter().map(LeasedPort::descriptors).collect::<io::Result<Vec<_>>>();
        let (copies, took) = timed(copy);
        copying.push(took);
        drop(copies?);
        ending.push(timed(|| drop(leases)).1);
    }
    let most = Some(MAX_MICROS);
    println!("{}", line("LeasePool::take, both protocols", micros(taking, LEASES), "us", most));
    println!("{}", line("copies of both sockets of a lease", micros(copying, LEASES), "us", None));
    println!("{}", line("end of such a lease", micros(ending, LEASES), "us", None));
    Ok(())
}

/// The dearest search there is: every port in use by others. And one of `find_free_port` in a range
/// without any.
fn failed_attempts() -> io::Result<()> {
    let range = PortRange::new(FIRST, FIRST + 1999).map_err(io::Error::other)?;
    let find = || timed(|| find_free_port(range, Protocols::Both, 1000).is_ok()).1;
    let found: Vec<Duration> = (0..ROUNDS).map(|_| find()).collect();
    println!(
        "{}",
        line("find_free_port, both, 0 % in use by others", micros(found, 1), "us", None)
    );
    for (others, name) in [(Protocols::Udp, "UDP"), (Protocols::Tcp, "TCP")] {
        let mut binder = RealBinder::new(others, None).map_err(io::Error::other)?;
        let _others: Vec<_> = range.ports().map(|port| binder.bind(port).0.ok()).collect();
        let pool = LeasePool::over(range).build().map_err(io::Error::other)?;
        let fails = || timed(|| pool.take(Priority::Normal).is_err()).1;
        let failed: Vec<Duration> = (0..ROUNDS).map(|_| fails()).collect();
        let what = format!("LeasePool::take in vain, 1,000 attempts refused by {name}");
        println!("{}", line(&what, micros(failed, 1), "us", None));
    }
    Ok(())
}

fn ten_thousand() -> io::Result<()> {
    let quiet = Duration::from_mins(1);
    let before = BYTES.load(Ordering::Relaxed);
    let mut pool = pool(16_384, Protocols::Udp, Quarantine::Drain(quiet))?;
    let empty = BYTES.load(Ordering::Relaxed);
    let ports = take(&mut pool, MANY)?;
    let megabytes = |after: usize, before: usize| (after - before) as f64 / 1e6;
    let of_ports = ports.capacity() * size_of::<u16>();
    let all = megabytes(BYTES.load(Ordering::Relaxed) - of_ports, before);
    println!("\n{MANY} leases, 16,384 ports, UDP");
    println!("{}", line("memory of the empty pool", megabytes(empty, before), "MB", None));
    println!("{}", line("with the leases", all, "MB", Some(MAX_MEGABYTES)));
    let ((), took) = timed(|| release(&mut pool, &ports));
    println!("{}", line("release into a drain", micros([took], MANY), "us", None));
    let all = megabytes(BYTES.load(Ordering::Relaxed) - of_ports, before);
    println!("{}", line("memory while all of them rest", all, "MB", Some(MAX_MEGABYTES)));
    let look =
        |second| timed(|| pool.update_quarantines(Duration::from_secs(second), usize::MAX)).1;
    let looks: Vec<Duration> = (0..ROUNDS as u64).map(look).collect();
    println!("{}", line("a pass while they rest", micros(looks, 1), "us", None));
    let (_, took) = timed(|| pool.update_quarantines(quiet, usize::MAX));
    println!("{}", line("the end of a rest", micros([took], MANY), "us", None));
    drop(pool);
    take_during_drain()
}

/// Takes while grouped of ports rest.
fn take_during_drain() -> io::Result<()> {
    let range = PortRange::new(FIRST, FIRST + 16_383).map_err(io::Error::other)?;
    let builder = LeasePool::over(range).protocols(Protocols::Udp);
    let builder = builder.quarantine(Quarantine::Drain(Duration::from_hours(1)));
    let pool = builder.build().map_err(io::Error::other)?;
    let take = |count: u16| -> io::Result<Vec<LeasedPort>> {
        (0..count).map(|_| pool.take(Priority::Normal).map_err(io::Error::other)).collect()
    };
    drop(take(MANY)?);
    let mut taking = Vec::new();
    let mut kept = Vec::new();
    for _ in 0..ROUNDS {
        let (leases, took) = timed(|| take(LEASES / 4));
        taking.push(took);
        kept.push(leases?);
    }
    let what = "LeasePool::take, UDP, while all of them rest by drain";
    println!("{}", line(what, micros(taking, LEASES / 4), "us", Some(MAX_MICROS)));
    Ok(())
}
