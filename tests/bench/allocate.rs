//! The random allocator compared with a bare bind loop on the same ports. `cargo bench --bench
//! allocate`

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "../support/app_options.rs"]
mod app_options;
#[path = "bare.rs"]
mod bare;
#[path = "harness.rs"]
mod harness;
#[path = "../support/mailbox.rs"]
mod mailbox;
#[path = "measure.rs"]
mod measure;
#[path = "../support/namespace.rs"]
mod namespace;
#[path = "pace.rs"]
mod pace;
#[path = "../support/population.rs"]
mod population;
#[path = "terminal.rs"]
mod terminal;

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use bare::BareLoop;
use measure::median;
use portscope::{
    allocator::{AttemptSearch, Candidates, FreePorts, random::Random},
    domain::{PortRange, Protocols},
    host::linux::binder::RealBinder,
};
use rand::{SeedableRng, rngs::ChaCha12Rng, seq::SliceRandom};
use rustix::time::{ClockId, clock_gettime};
use socket2::{Socket, Type};

const FIRST: u16 = 20_000;
const ROUNDS: usize = 15;
const ALLOWED: f64 = 1.2;
const EVERYWHERE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

fn main() -> io::Result<()> {
    let limit = population::raise_descriptor_limit()?;
    if cfg!(debug_assertions) {
        println!("NOT a release build: the figures mean nothing");
    }
    namespace::in_new_namespace(|| {
        let length = limit.saturating_sub(500).min(8192) as u16;
        let range = PortRange::new(FIRST, FIRST + (length - 1)).map_err(io::Error::other)?;
        compare(range)?;
        pace::run(fill)
    })
    .transpose()?;
    Ok(())
}

/// One table: what an allocation costs, in thread CPU time, medians of rounds taken in turn.
fn compare(range: PortRange) -> io::Result<()> {
    let length = range.len();
    println!(
        "one allocation in {length} ports, [::] dual-stack, CPU ns, medians of {ROUNDS} rounds\n\
         {:<6} {:>5} {:>10} {:>10} {:>10} {:>7}",
        "", "full", "attempts", "portscope", "bare loop", "ratio"
    );
    for percent in [0, 50, 90, 99] {
        for protocol in [Protocols::Udp, Protocols::Tcp, Protocols::Both] {
            let _holders = fill(protocol, range, percent)?;
            let figures = measure_fill(protocol, range, percent)?;
            print_row(protocol, percent, &figures);
        }
    }
    Ok(())
}

struct Figures {
    attempts: f64,
    portscope: Duration,
    bare: Duration,
    /// In parts of a thousand: of the two of one round, which drew the same ports.
    ratio: u128,
}

fn print_row(protocol: Protocols, percent: usize, figures: &Figures) {
    let (ours, bare) = (figures.portscope.as_nanos(), figures.bare.as_nanos());
    let ratio = figures.ratio as f64 / 1e3;
    let verdict = if ratio <= ALLOWED { "met" } else { "MISSED" };
    println!(
        "{:<6} {percent:>4}% {:>10.1} {ours:>10} {bare:>10} {ratio:>7.2} <= {ALLOWED} {verdict}",
        protocol.name(),
        figures.attempts,
    );
}

/// Holds `percent` of the range, spread at random.
fn fill(protocols: Protocols, range: PortRange, percent: usize) -> io::Result<Vec<Socket>> {
    let mut ports: Vec<u16> = range.ports().collect();
    ports.shuffle(&mut ChaCha12Rng::seed_from_u64(1));
    ports.truncate(ports.len() * percent / 100);
    let kind = if protocols == Protocols::Udp { Type::DGRAM } else { Type::STREAM };
    let hold = |&port| {
        let endpoint = SocketAddr::new(EVERYWHERE, port);
        population::bound_to(kind, endpoint, |socket| socket.set_only_v6(false))
    };
    ports.iter().map(hold).collect()
}

fn measure_fill(protocols: Protocols, range: PortRange, percent: usize) -> io::Result<Figures> {
    // So many that a round takes some milliseconds at any fill.
    let allocations = (20 * (100 - percent as u32)).max(50);
    let binder = RealBinder::new(protocols, None).map_err(io::Error::other)?;
    let candidates = Candidates::new(range, &[]);
    let random = ChaCha12Rng::seed_from_u64(7);
    let mut ours = AttemptSearch::new(binder, Random, random, candidates, FreePorts::all_free());
    let mut bare = BareLoop::new(protocols, range, ChaCha12Rng::seed_from_u64(7));
    let (mut ours_took, mut bare_took, mut attempts) = (Vec::new(), Vec::new(), 0u64);
    for _ in 0..ROUNDS {
        // Whoever comes second finds the ports of both in the cache: ours, bare, bare, ours.
        let mut allocate = || ours.allocate(|_| attempts += 1).map(drop).map_err(io::Error::other);
        let mut loop_bare = || bare.allocate().map(drop).map_err(Into::into);
        let first = time(allocations, &mut allocate)?;
        let both = time(2 * allocations, &mut loop_bare)?;
        let second = time(allocations, &mut allocate)?;
        ours_took.push((first + second) / 2);
        bare_took.push(both);
    }
    let ratios = ours_took.iter().zip(&bare_took).map(|(o, b)| o.as_nanos() * 1000 / b.as_nanos());
    Ok(Figures {
        ratio: median(ratios),
        attempts: attempts as f64 / (f64::from(2 * allocations) * ROUNDS as f64),
        portscope: median(ours_took),
        bare: median(bare_took),
    })
}

/// CPU time of this thread for one of `count` calls.
fn time(count: u32, mut call: impl FnMut() -> io::Result<()>) -> io::Result<Duration> {
    let before = thread_cpu();
    for _ in 0..count {
        call()?;
    }
    Ok(thread_cpu().saturating_sub(before) / count)
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
