//! The lab: attempts per second in memory, a whole comparison, `bitmap` on real sockets, and the
//! cost of the screen. `cargo bench --bench lab`

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "../support/app_options.rs"]
mod app_options;
#[path = "bare.rs"]
mod bare;
#[path = "harness.rs"]
mod harness;
#[path = "lab_pace.rs"]
mod lab_pace;
#[path = "../support/mailbox.rs"]
mod mailbox;
#[path = "measure.rs"]
mod measure;
#[path = "../support/namespace.rs"]
mod namespace;
#[path = "../support/population.rs"]
mod population;
#[path = "terminal.rs"]
mod terminal;

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use bare::BareLoop;
use measure::{line, median, shortfall};
use portscope::{
    allocator::{ALLOCATORS, Candidates, Pattern, StrategyFigures, Tuning},
    domain::{PortRange, Protocols, port::IANA_DYNAMIC},
    engine::{LabReport, LabSetup, LabTarget, lab},
    host::{linux::LinuxHost, simulated::SimulatedHost},
};
use rand::{
    SeedableRng,
    rngs::{ChaCha8Rng, ChaCha12Rng},
    seq::SliceRandom,
};
use rustix::time::{ClockId, clock_gettime};
use socket2::{Socket, Type};

const ROUNDS: usize = 9;
const RUNS: u64 = 100_000;
const FILL: f64 = 0.9;
const MIN_PER_SECOND: f64 = 20e6;
const MAX_SECONDS: f64 = 5.0;
const MOST_ATTEMPTS: f64 = 1.05;
const MAX_RATIO: f64 = 1.2;
const EVERYWHERE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
/// All at once: the real ports need as many descriptors.
const FIRST: u16 = 20_000;

fn main() -> io::Result<()> {
    let limit = population::raise_descriptor_limit()?;
    if cfg!(debug_assertions) {
        println!("NOT a release build: the figures mean nothing");
    }
    println!(
        "in memory, {IANA_DYNAMIC}, {:.0} % full, a fresh occupancy for each run, CPU time, medians of \
         {ROUNDS}",
        FILL * 100.0
    );
    for row in 0..ALLOCATORS.len() {
        alone(row);
    }
    for count in [10, ALLOCATORS.len()] {
        together(count, Pattern::Uniform, Some(MAX_SECONDS));
    }
    together(ALLOCATORS.len(), Pattern::Clustered, None);
    namespace::in_new_namespace(|| {
        let length = limit.saturating_sub(500).min(16_384) as u16;
        let range = PortRange::new(FIRST, FIRST + (length - 1)).map_err(io::Error::other)?;
        on_real_sockets(range)?;
        lab_pace::run()
    })
    .transpose()?;
    Ok(())
}

fn setup(target: LabTarget, strategies: Vec<usize>, range: PortRange) -> LabSetup {
    LabSetup {
        target,
        strategies,
        protocols: Protocols::Tcp,
        range,
        reserved: Vec::new(),
        address: None,
        max_attempts: 100,
        seed: 1,
        destinations: 1,
        tuning: Tuning::default(),
    }
}

/// As the program runs it.
fn complete(setup: &LabSetup, runs: u64) -> (LabReport, Duration) {
    let host = SimulatedHost::builder().build();
    let before = thread_cpu();
    let report = lab::complete(&host, setup, runs).expect("a simulated lab needs nothing");
    (report, thread_cpu().saturating_sub(before))
}

/// Of one core, whoever else runs on it.
fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn alone(row: usize) {
    let target = LabTarget::Simulated { pattern: Pattern::Uniform, share: FILL };
    let setup = setup(target, vec![row], IANA_DYNAMIC);
    let pace = || {
        let (report, took) = complete(&setup, RUNS);
        (report.strategy_reports[0].figures.attempts as f64 / took.as_secs_f64()) as u64
    };
    let per_second = median((0..ROUNDS).map(|_| pace())) as f64;
    let name = ALLOCATORS[row].name;
    if name == "random" {
        println!("{}", shortfall(name, per_second / 1e6, "M/s", MIN_PER_SECOND / 1e6));
    } else {
        println!("{}", line(name, per_second / 1e6, "M/s", None));
    }
}

fn together(count: usize, pattern: Pattern, most: Option<f64>) {
    let target = LabTarget::Simulated { pattern, share: FILL };
    let setup = setup(target, (0..count).collect(), IANA_DYNAMIC);
    let took = median((0..3).map(|_| complete(&setup, RUNS).1));
    let what = format!("{count} strategies x {RUNS} runs, {}", pattern.name());
    println!("{}", line(&what, took.as_secs_f64(), "s", most));
}

/// `random` and `bitmap`, 99 % full.
fn on_real_sockets(range: PortRange) -> io::Result<()> {
    let candidates = Candidates::new(range, &[]);
    let mut ports: Vec<u16> = candidates.ports().collect();
    ports.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    ports.truncate(ports.len() * 99 / 100);
    let hold = |&port| {
        let endpoint = SocketAddr::new(EVERYWHERE, port);
        population::bound_to(Type::STREAM, endpoint, |socket| socket.set_only_v6(false))
    };
    let _holders: Vec<Socket> = ports.iter().map(hold).collect::<io::Result<_>>()?;
    println!("\nreal bind(), {range}, 99 % full, TCP");
    against_bare(range)?;
    say("random", &on_machine("random", range, 2_000)?);
    say("bitmap", &on_machine("bitmap", range, 20_000)?);
    Ok(())
}

fn on_machine(name: &str, range: PortRange, runs: u64) -> io::Result<StrategyFigures> {
    let row = ALLOCATORS.iter().position(|row| row.name == name).expect("a row of the table");
    let mut setup = setup(LabTarget::Machine, vec![row], range);
    setup.max_attempts = 1 << 14;
    let report = lab::complete(&LinuxHost::new(), &setup, runs);
    let mut report = report.map_err(|words| io::Error::other(words.to_string()))?;
    Ok(report.strategy_reports.swap_remove(0).figures)
}

/// Attempts a second of `random` in the lab and of the loop, taken in turn.
fn against_bare(range: PortRange) -> io::Result<()> {
    let mut bare = BareLoop::new(Protocols::Tcp, range, ChaCha12Rng::seed_from_u64(7));
    let mut round = || {
        let figures = on_machine("random", range, 500)?;
        let ours = figures.time_of_success().unwrap_or_default().as_secs_f64();
        let ours = ours / (figures.attempts as f64 / figures.runs as f64);
        let begun = Instant::now();
        let attempts = (0..500).map(|_| bare.allocate()).sum::<rustix::io::Result<u32>>()?;
        Ok((ours / (begun.elapsed().as_secs_f64() / f64::from(attempts)) * 1e3) as u64)
    };
    let ratios: Vec<u64> = (0..ROUNDS).map(|_| round()).collect::<io::Result<_>>()?;
    let ratio = median(ratios) as f64 / 1e3;
    println!("{}", line("random: an attempt, of a bare loop's", ratio, "x", Some(MAX_RATIO)));
    Ok(())
}

fn say(name: &str, figures: &StrategyFigures) {
    let successes = (figures.runs - figures.failures) as f64;
    let attempts = figures.attempts as f64 / successes;
    let most = (name == "bitmap").then_some(MOST_ATTEMPTS);
    println!("{}", line(&format!("{name}: attempts a success"), attempts, "", most));
    let nanos = |time: Duration, count: f64| time.as_secs_f64() * 1e9 / count;
    let own = nanos(figures.time_of_success().unwrap_or_default(), 1.0);
    println!("{}", line(&format!("{name}: time of a success"), own, "ns", None));
    let (count, time) = figures.snapshots;
    if count > 0 {
        let each = time.as_secs_f64() * 1e3 / count as f64;
        println!("{}", line(&format!("{name}: snapshots"), count as f64, "", None));
        println!("{}", line(&format!("{name}: time of a snapshot"), each, "ms", None));
        let all = own + nanos(time, successes);
        println!("{}", line(&format!("{name}: with its snapshots"), all, "ns", None));
    }
}
