//! The cost of filters over 200,000 sockets, compared with counting the sockets once. `cargo bench
//! --bench filter`

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
        Filter, PortRange, ProcessTable, ServiceNames, Snapshot, Socket, State,
        filter::{FilterContext, FilterRow},
        port::LINUX_DEFAULT,
    },
    host::{Host as _, simulated::SimulatedHost},
};

const ROUNDS: usize = 21;
/// What is demanded of the filter and the sorting of 200,000 sockets together.
const MOST_MS: f64 = 50.0;
const PASSES: u8 = 7;
const PIDS: std::ops::RangeInclusive<u32> = 1000..=1999;

const FILTERS: [&str; 8] = [
    "",
    "state time-wait dst 10.1.1.5",
    ":40000",
    "10.0.1.0/24 and not :443 or sport >= 40000",
    "worker-19",
    "unit payments",
    "user 1000 or ( nginx and udp ) or dport < 100",
    "not ( dst 10.0.1.1 or dst 10.0.1.2 or dst 10.0.1.3 or dst [::1] )",
];

fn main() {
    if cfg!(debug_assertions) {
        println!("NOT a release build: the figures mean nothing");
    }
    let (snapshot, processes) = sockets();
    let (count, processes_count) = (snapshot.sockets.len(), processes.iter().count());
    let counting = measured(|| {
        let is_open = |socket: &&Socket| socket.state == State::Established;
        snapshot.sockets.iter().filter(is_open).count()
    });
    println!(
        "{count} sockets of {processes_count} processes; milliseconds, medians of {ROUNDS}\n\
         counting those in ESTABLISHED: {counting:.2} ms\n\n\
         {:<66} {:>8} {:>8} {:>9}",
        "filter", "selected", "ms", ": count"
    );
    for text in FILTERS {
        let filter = Filter::parse(text, &ServiceNames::default()).expect("a filter as written");
        let time = measured(|| selected(&filter, &snapshot, &processes));
        let number = selected(&filter, &snapshot, &processes);
        let ratio = time / counting;
        let is_met = if time <= MOST_MS { "" } else { "MISSED" };
        println!("{text:<66} {number:>8} {time:>8.2} {ratio:>8.1}x {is_met}");
    }
}

/// Looks the names up and tests each socket.
fn selected(filter: &Filter, snapshot: &Snapshot, processes: &ProcessTable) -> usize {
    let matcher = filter.matcher(FilterContext::of(snapshot, processes));
    let is_selected = |socket: &&Socket| {
        let row = FilterRow { socket, owner: snapshot.owner(socket), age: None };
        matcher.matches(&row) == Some(true)
    };
    snapshot.sockets.iter().filter(is_selected).count()
}

fn measured(mut work: impl FnMut() -> usize) -> f64 {
    let times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            black_box(work());
            began.elapsed()
        })
        .collect();
    ms(median(times))
}

/// A busy proxy: connections of a thousand processes to 200 destinations, TIME-WAIT, listeners'
/// connections.
fn sockets() -> (Snapshot, ProcessTable) {
    let pids: Vec<u32> = PIDS.collect();
    let served = PortRange::new(1, 12_000).expect("a range as written");
    let mut builder = SimulatedHost::builder();
    for &pid in &pids {
        builder = builder.process(pid, &format!("worker-{pid}"), "worker", pid);
    }
    for pass in 0..PASSES {
        let seed = u64::from(pass) * 10;
        builder = builder
            .fill(served, 1.0, State::Established, seed)
            .dealt_to(&pids)
            .each(|socket| {
                socket.remote = Some(([198, 51, pass, 7], socket.local.port).into());
                socket.local.port = 443;
            })
            .fill(LINUX_DEFAULT, 0.5, State::Established, seed + 1)
            .dealt_to(&pids)
            .each(|socket| {
                socket.remote = Some(([10, 0, pass, (socket.local.port % 200) as u8], 443).into());
            })
            .fill(LINUX_DEFAULT, 0.1, State::TimeWait, seed + 2)
            .each(|socket| {
                socket.remote = Some(([10, 1, pass, (socket.local.port % 200) as u8], 443).into());
            });
    }
    let host = builder.build();
    let snapshot = host.snapshot();
    let processes = host.describer().describe(&snapshot.pids).into_iter().collect();
    (snapshot, processes)
}
