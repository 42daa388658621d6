//! CPU and memory of scans compared with `ss`, of metrics compared with scans, and of the live
//! program. `cargo bench --bench scan`

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "load.rs"]
mod load;
#[path = "measure.rs"]
mod measure;
#[path = "../support/namespace.rs"]
mod namespace;
#[path = "../support/population.rs"]
mod population;
#[path = "terminal.rs"]
mod terminal;

use std::{
    fs, io,
    process::Command,
    time::{Duration, Instant},
};

use load::{BUSY, LARGE, Load};
use measure::{Cost, interleaved, line, median, ms, run};
use population::Population;
use portscope::{
    domain::{Snapshot, Source},
    host::{
        Host as _, OwnerDepth,
        linux::{LinuxHost, meter},
    },
};
use terminal::{Session, is_full_frame, shows_sockets};

const PORTSCOPE: &str = env!("CARGO_BIN_EXE_portscope");
const ROUNDS: usize = 5;
/// Of what comes close to its limit.
const MANY_ROUNDS: usize = 15;
const WATCHED: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let limit = population::raise_descriptor_limit()?;
    println!(
        "portscope's scan; medians of {ROUNDS} (metrics: {MANY_ROUNDS}), CPU = user + system; \
         {limit} descriptors allowed"
    );
    if cfg!(debug_assertions) {
        println!("NOT a release build: the figures mean nothing");
    }
    let megabytes = fs::metadata(PORTSCOPE)?.len() as f64 / f64::from(1 << 20);
    println!("{}", line("binary", megabytes, "MiB", Some(8.0)));

    for part in [quiet, busy, large] {
        namespace::in_new_namespace(part).transpose()?;
    }
    Ok(())
}

/// A namespace without any socket.
fn quiet() -> io::Result<()> {
    println!("\nno sockets");
    live("live, 1 scan a second, 120x40", 1.0)
}

/// What the issue demands at 30,000 sockets.
fn busy() -> io::Result<()> {
    let _population = build("busy", BUSY)?;
    check_scan()?;
    against_ss()?;
    metrics()?;
    refresh()?;
    first_frame()?;
    live("live, 120x40", 5.0)
}

fn large() -> io::Result<()> {
    let _population = build("large", LARGE)?;
    check_scan()?;
    let cost = run(Command::new(PORTSCOPE).arg("scan"))?;
    print_cost("portscope scan", cost);
    println!("{}", line("its peak memory", cost.peak_kib as f64 / 1e3, "MB", Some(60.0)));
    Ok(())
}

fn build(name: &str, load: Load) -> io::Result<Population> {
    let started = Instant::now();
    let population = load.build()?;
    let (sockets, descriptors) = (population.sockets(), population.descriptors());
    let (processes, took) = (population.processes(), ms(started.elapsed()));
    println!(
        "\n{name}: {sockets} sockets, {descriptors} descriptors, {processes} processes ({took:.0} ms)"
    );
    Ok(population)
}

/// A scan that sees nothing is cheap: say what it listed.
fn check_scan() -> io::Result<()> {
    let output = command(PORTSCOPE, &["scan", "--format", "csv"]).output()?;
    let rows = String::from_utf8_lossy(&output.stdout).lines().skip(1).count();
    println!("portscope scan lists {rows} sockets");
    Ok(())
}

fn against_ss() -> io::Result<()> {
    let mut commands = [
        command(PORTSCOPE, &["scan"]),
        command("ss", &["-tunap"]),
        command(PORTSCOPE, &["scan", "--no-owners"]),
        command("ss", &["-tuna"]),
    ];
    if let Err(error) = run(&mut command("ss", &["-V"])) {
        println!("nothing to compare with: ss: {error}");
        print_cost("portscope scan", run(&mut commands[0])?);
        print_cost("portscope scan --no-owners", run(&mut commands[2])?);
        return Ok(());
    }
    let costs = interleaved(&mut commands, ROUNDS)?;
    let names = ["portscope scan", "ss -tunap", "portscope scan --no-owners", "ss -tuna"];
    for (name, cost) in names.iter().zip(&costs) {
        print_cost(name, *cost);
    }
    let ratio = |ours: usize, theirs: usize| ms(costs[ours].cpu) / ms(costs[theirs].cpu);
    println!("{}", line("CPU, scan : ss -tunap", ratio(0, 1), "x", Some(0.333)));
    println!("{}", line("CPU, scan --no-owners : ss -tuna", ratio(2, 3), "x", Some(0.7)));
    Ok(())
}

/// What a timer pays for the file that Prometheus reads.
fn metrics() -> io::Result<()> {
    let file = std::env::temp_dir().join(format!("portscope-bench-{}.prom", std::process::id()));
    let name = file.to_str().ok_or(io::ErrorKind::InvalidInput)?;
    let to_file = ["diagnose", "--format", "prometheus", "--output", name];
    let once = [&to_file[..], &["--sample", "0"]].concat();
    let mut commands =
        [command(PORTSCOPE, &["scan"]), command(PORTSCOPE, &to_file), command(PORTSCOPE, &once)];
    let costs = interleaved(&mut commands, MANY_ROUNDS);
    let written = fs::read_to_string(&file).unwrap_or_default();
    fs::remove_file(&file)?;
    let costs = costs?;
    let names = ["portscope scan", "metrics to a file", "the same with --sample 0"];
    for (name, cost) in names.iter().zip(&costs) {
        print_cost(name, *cost);
    }
    let ratio = |ours: usize| ms(costs[ours].cpu) / ms(costs[0].cpu);
    println!("{}", line("CPU, metrics : scan", ratio(1), "x", Some(1.2)));
    println!("{}", line("CPU, metrics with --sample 0 : scan", ratio(2), "x", Some(1.2)));
    let series = written.lines().filter(|line| !line.starts_with('#')).count();
    println!("{}", line("series in the file", series as f64, "", None));
    Ok(())
}

/// What the scanner thread of the live program does again and again while nothing changes.
fn refresh() -> io::Result<()> {
    let host = LinuxHost::new();
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    let mut scanner = host.scanner().map_err(io::Error::other)?;
    let mut time = |depth| {
        let before = meter::cpu();
        scanner.scan(depth, &mut snapshot).map_err(io::Error::other)?;
        io::Result::Ok(meter::cpu().saturating_sub(before))
    };
    let first = time(OwnerDepth::Full)?;
    time(OwnerDepth::Incremental)?;
    let steady: Vec<Duration> =
        (0..ROUNDS).map(|_| time(OwnerDepth::Incremental)).collect::<io::Result<_>>()?;
    println!("{}", line("first scan of a live program, all owners", ms(first), "ms", None));
    println!("{}", line("each later one, nothing changed", ms(median(steady)), "ms", None));
    Ok(())
}

/// Something to look at, and then the sockets themselves.
fn first_frame() -> io::Result<()> {
    let (mut frames, mut maps) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let session = Session::start(PORTSCOPE, 120, 40)?;
        let times = session.time_until(is_full_frame).zip(session.time_until(shows_sockets));
        let Some((frame, map)) = times else {
            println!("no frame within 10 s; the screen says {:?}", session.contents());
            return Ok(());
        };
        frames.push(frame);
        maps.push(map);
    }
    println!("{}", line("first frame, 120x40", ms(median(frames)), "ms", None));
    println!("{}", line("first frame with the sockets", ms(median(maps)), "ms", Some(100.0)));
    Ok(())
}

fn live(what: &str, allowed_percent: f64) -> io::Result<()> {
    let session = Session::start(PORTSCOPE, 120, 40)?;
    if session.time_until(shows_sockets).is_none() {
        println!("{what}: no frame within 10 s; the screen says {:?}", session.contents());
        return Ok(());
    }
    // The first scans walk all processes and describe all owners.
    std::thread::sleep(Duration::from_secs(2));
    let percent = session.cpu_share(WATCHED)? * 100.0;
    println!("{}", line(what, percent, "% of core", Some(allowed_percent)));
    Ok(())
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn print_cost(what: &str, cost: Cost) {
    let (cpu, wall) = (ms(cost.cpu), ms(cost.wall));
    println!("{what:<58} {cpu:>10.1} ms CPU  {wall:>8.1} ms wall {:>8} KiB", cost.peak_kib);
}
