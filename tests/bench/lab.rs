//! The lab: attempts a second in memory, a whole comparison, and `bitmap` on real sockets.
//! `cargo bench --bench lab`

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "measure.rs"]
mod measure;
#[path = "../support/namespace.rs"]
mod namespace;
#[path = "../support/population.rs"]
mod population;

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use measure::{line, median, shortfall};
use portscope::{
    allocator::{ALLOCATORS, Candidates, Figures, Pattern, Tuning},
    domain::{PortRange, Protocols, port::IANA_DYNAMIC},
    engine::{LabReport, LabSetup, LabSite, lab},
    host::{linux::LinuxHost, simulated::SimulatedHost},
};
use rand::{SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use rustix::time::{ClockId, clock_gettime};
use socket2::{Socket, Type};

const ROUNDS: usize = 9;
const RUNS: u64 = 100_000;
const FILL: f64 = 0.9;
const LEAST_PER_SECOND: f64 = 20e6;
const MOST_SECONDS: f64 = 5.0;
const MOST_ATTEMPTS: f64 = 1.05;
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
        together(count, Pattern::Uniform, Some(MOST_SECONDS));
    }
    together(ALLOCATORS.len(), Pattern::Clustered, None);
    namespace::in_new_namespace(|| {
        let length = limit.saturating_sub(500).min(16_384) as u16;
        let range = PortRange::new(FIRST, FIRST + (length - 1)).map_err(io::Error::other)?;
        on_real_sockets(range)
    })
    .transpose()?;
    Ok(())
}

fn setup(site: LabSite, strategies: Vec<usize>, range: PortRange) -> LabSetup {
    LabSetup {
        site,
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
    let site = LabSite::Simulated { pattern: Pattern::Uniform, share: FILL };
    let setup = setup(site, vec![row], IANA_DYNAMIC);
    let pace = || {
        let (report, took) = complete(&setup, RUNS);
        (report.contenders[0].figures.attempts as f64 / took.as_secs_f64()) as u64
    };
    let per_second = median((0..ROUNDS).map(|_| pace())) as f64;
    let name = ALLOCATORS[row].name;
    if name == "random" {
        println!("{}", shortfall(name, per_second / 1e6, "M/s", LEAST_PER_SECOND / 1e6));
    } else {
        println!("{}", line(name, per_second / 1e6, "M/s", None));
    }
}

fn together(count: usize, pattern: Pattern, most: Option<f64>) {
    let site = LabSite::Simulated { pattern, share: FILL };
    let setup = setup(site, (0..count).collect(), IANA_DYNAMIC);
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
    let host = LinuxHost::new();
    println!("\nreal bind(), {range}, 99 % full, TCP");
    for (name, runs) in [("random", 2_000), ("bitmap", 20_000)] {
        let row = ALLOCATORS.iter().position(|row| row.name == name).expect("a row of the table");
        let mut setup = setup(LabSite::Machine, vec![row], range);
        setup.max_attempts = 1 << 14;
        let report = lab::complete(&host, &setup, runs)
            .map_err(|words| io::Error::other(words.to_string()))?;
        tell(name, &report.contenders[0].figures);
    }
    Ok(())
}

fn tell(name: &str, figures: &Figures) {
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
