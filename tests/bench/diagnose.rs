//! The cost of diagnosing one snapshot, and how it grows. `cargo bench --bench diagnose`

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "measure.rs"]
mod measure;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use measure::{median, ms};
use portscope::{
    domain::{
        Analysis, Evidence, History, Occupancy, PortRange, ProcessTable, Snapshot, State,
        Thresholds, Trends, attribution::Departed, diagnosis::diagnose, port::LINUX_DEFAULT,
    },
    host::{
        Host as _,
        simulated::{SimulatedHost, SimulatedHostBuilder},
    },
};

const ROUNDS: usize = 21;
/// What is demanded of 30,000 sockets, occupancy, analysis and rules together.
const DIAGNOSIS_MS: f64 = 5.0;
/// One more pass over the range for each of them: about 30,000 and 200,000 sockets.
const PASSES: [u8; 2] = [1, 7];
const PIDS: std::ops::RangeInclusive<u32> = 1000..=1049;

fn main() {
    if cfg!(debug_assertions) {
        println!("NOT a release build: the figures mean nothing");
    }
    println!(
        "milliseconds, medians of {ROUNDS}; growth: what a socket of the larger one costs more"
    );
    println!(
        "{:<28} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "sockets", "", "occupancy", "analysis", "diagnose", "history", "trends", "departed"
    );
    for shape in &SHAPES {
        let [small, large] = PASSES.map(|passes| BenchInput::of(shape, passes).measure());
        small.print(shape.name);
        large.print("");
        large.print_growth(&small);
        let all = small.times[..3].iter().sum::<f64>();
        let is_met = if all <= DIAGNOSIS_MS { "met" } else { "MISSED" };
        println!(
            "{:<28} {all:.2} ms for occupancy, analysis, rules; at most {DIAGNOSIS_MS}: {is_met}",
            ""
        );
    }
}

/// What the sockets of a machine are; each pass adds as many as the range has ports.
struct Shape {
    name: &'static str,
    pass: fn(SimulatedHostBuilder, u8) -> SimulatedHostBuilder,
}

const SHAPES: [Shape; 4] = [
    Shape { name: "a busy proxy", pass: proxy },
    Shape { name: "full destinations", pass: full },
    Shape { name: "bound before connect()", pass: bound },
    Shape { name: "as many destinations", pass: scattered },
];

/// Two hundred destinations a pass, a service with its connections, TIME-WAIT, UDP.
fn proxy(builder: SimulatedHostBuilder, pass: u8) -> SimulatedHostBuilder {
    let pids: Vec<u32> = PIDS.collect();
    let seed = u64::from(pass) * 10;
    let part = |first, last| PortRange::new(first, last).expect("a range as written");
    builder
        .fill(part(1, 12_000), 1.0, State::Established, seed)
        .dealt_to(&pids)
        .each(|socket| {
            socket.remote = Some(([198, 51, pass, 7], socket.local.port).into());
            socket.local.port = 443;
        })
        .fill(LINUX_DEFAULT, 0.4, State::Established, seed + 1)
        .dealt_to(&pids)
        .each(|socket| {
            socket.remote = Some(([10, 0, pass, (socket.local.port % 200) as u8], 443).into());
        })
        .fill(LINUX_DEFAULT, 0.18, State::TimeWait, seed + 2)
        .departed_from(&pids[..1])
        .each(|socket| {
            socket.remote = Some(([10, 1, pass, (socket.local.port % 200) as u8], 443).into());
        })
        .fill(part(40_000, 41_999), 0.5, State::Unconnected, seed + 3)
        .dealt_to(&pids)
}

fn full(builder: SimulatedHostBuilder, pass: u8) -> SimulatedHostBuilder {
    let pids: Vec<u32> = PIDS.collect();
    let remote = ([10, 0, pass, 1], 5432);
    builder.fill(LINUX_DEFAULT, 1.0, State::Established, 1).dealt_to(&pids).connected_to(remote)
}

/// In the order of bind(0), which lets the order be looked at. One pass has all ports; the others
/// have them on other addresses.
fn bound(mut builder: SimulatedHostBuilder, pass: u8) -> SimulatedHostBuilder {
    for first in [32_769, 32_768] {
        builder = builder
            .fill_ports((first..=60_999).step_by(2), 1.0, State::Established, 3)
            .owned_by(&[1000])
            .connected_to(([10, 0, pass, 1], 5432))
            .each(|socket| socket.local.address = [10, 9, pass, 1].into());
    }
    builder
}

fn scattered(builder: SimulatedHostBuilder, pass: u8) -> SimulatedHostBuilder {
    let pids: Vec<u32> = PIDS.collect();
    builder.fill(LINUX_DEFAULT, 1.0, State::Established, 1).dealt_to(&pids).each(|socket| {
        let [high, low] = socket.local.port.to_be_bytes();
        socket.remote = Some(([10, pass, high, low], 443).into());
    })
}

/// Two snapshots that take turns, and who is in them.
struct BenchInput {
    /// The second lacks every hundredth socket.
    snapshots: [Snapshot; 2],
    processes: ProcessTable,
}

/// Milliseconds, in the order of the table's head.
struct Measured {
    sockets: usize,
    times: [f64; 6],
}

impl BenchInput {
    fn of(shape: &Shape, passes: u8) -> Self {
        let named =
            |builder: SimulatedHostBuilder, pid| builder.process(pid, "client", "client", 1);
        let builder = PIDS.fold(SimulatedHost::builder(), named);
        let host = (1..=passes).fold(builder, shape.pass).build();
        let first = host.snapshot();
        let mut second = first.clone();
        let mut number = 0..;
        second.sockets.retain(|_| number.next().is_some_and(|number| number % 100 != 0));
        let processes = host.describer().describe(&first.pids).into_iter().collect();
        Self { snapshots: [first, second], processes }
    }

    fn measure(mut self) -> Measured {
        let mut times: [Vec<Duration>; 6] = Default::default();
        let (mut history, mut trends) = (History::default(), Trends::default());
        let mut departed = Departed::default();
        for number in 1..=ROUNDS {
            let snapshot = &mut self.snapshots[number % 2];
            snapshot.number = number as u64;
            snapshot.taken_at = Duration::from_secs(number as u64);
            let (_, of_occupancy) = timed(|| black_box(Occupancy::count(snapshot)));
            let (analysis, of_analysis) = timed(|| Analysis::of(snapshot));
            let ((), of_history) = timed(|| history.observe(snapshot));
            let ((), of_trends) = timed(|| trends.observe(snapshot, &analysis, &history));
            let evidence = Evidence {
                snapshot,
                analysis: &analysis,
                trends: &trends,
                processes: &self.processes,
                before: None,
                thresholds: Thresholds::default(),
            };
            let (_, of_diagnosis) = timed(|| black_box(diagnose(&evidence)));
            let ((), of_departed) = timed(|| departed.restore_owners(snapshot));
            let all = [of_occupancy, of_analysis, of_diagnosis, of_history, of_trends, of_departed];
            for (times, time) in times.iter_mut().zip(all) {
                times.push(time);
            }
        }
        let sockets = self.snapshots[0].sockets.len();
        Measured { sockets, times: times.map(|times| ms(median(times))) }
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed())
}

impl Measured {
    fn print(&self, name: &str) {
        let times = self.times.map(|time| format!("{time:>9.3}")).join(" ");
        println!("{name:<28} {:>8} {times}", self.sockets);
    }

    /// Of what a socket costs.
    fn print_growth(&self, small: &Self) {
        let sockets = self.sockets as f64 / small.sockets as f64;
        let mut pairs = self.times.iter().zip(small.times);
        let growth = std::array::from_fn::<String, 6, _>(|_| match pairs.next() {
            Some((large, small)) if small > 0.0 => format!("{:>8.2}x", large / small / sockets),
            _ => format!("{:>9}", "-"),
        });
        println!("{:<28} {:>8} {}", "", "growth", growth.join(" "));
    }
}
