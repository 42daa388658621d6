//! The cost of filters over 200,000 sockets, compared with counting the sockets once, and of the
//! Sockets screen with as many. `cargo bench --bench filter`

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "../support/app_options.rs"]
mod app_options;
#[path = "measure.rs"]
mod measure;

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use measure::{median, ms};
use portscope::{
    app::{App, Event, Key},
    domain::{
        Filter, PortRange, ProcessTable, ServiceNames, Snapshot, Socket, State,
        filter::{FilterContext, FilterRow},
        port::LINUX_DEFAULT,
    },
    engine::Report,
    host::{Host as _, simulated::SimulatedHost},
    view::{
        self, Theme,
        theme::{Background, Depth},
    },
};
use ratatui::{Terminal, backend::TestBackend};

const ROUNDS: usize = 21;
/// What is demanded of the filter and the sorting of 200,000 sockets together.
const MOST_MS: f64 = 50.0;
/// What is demanded of a frame.
const FRAME_MS: f64 = 3.0;
const SIZE: (u16, u16) = (200, 60);
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
    println!("\nthe Sockets screen, {}x{}, milliseconds, medians of {ROUNDS}", SIZE.0, SIZE.1);
    for (keys, name, most) in SCREEN {
        let time = on_screen(&snapshot, &processes, keys);
        let is_met = if time <= most { "" } else { "MISSED" };
        println!("{name:<66} {:>8} {time:>8.2} {is_met}", "");
    }
}

/// The keys before a measurement, what is measured, and what is demanded of it. The last key is
/// pressed for each measurement; a blank stands for none.
const SCREEN: [(&str, &str, f64); 6] = [
    ("3 ", "a frame, the rows known", FRAME_MS),
    ("3S", "sort by the local endpoint, and a frame", MOST_MS),
    ("3sssS", "sort by the owner, and a frame", MOST_MS),
    ("3/worker-19\nS", "filter `worker-19` and sort, and a frame", MOST_MS),
    ("3cS", "group by owner, and a frame", MOST_MS),
    ("3ccS", "group by destination, and a frame", MOST_MS),
];

/// Returns the time from a key to the end of its frame.
fn on_screen(snapshot: &Snapshot, processes: &ProcessTable, keys: &str) -> f64 {
    let mut app = App::new(app_options::options());
    let mut update = |event| drop(app.update(Duration::from_secs(1), event));
    update(Event::Resized { columns: SIZE.0, rows: SIZE.1 });
    update(Event::Report(Report::Scanned(Arc::new(snapshot.clone()))));
    update(Event::Report(Report::Described(Arc::new(processes.clone()))));
    let key = |key| Event::Key(if key == '\n' { Key::Enter } else { Key::Char(key) });
    let last = keys.chars().last().filter(|&last| last != ' ');
    keys.trim_end().chars().for_each(|pressed| update(key(pressed)));
    let theme = Theme::new(Depth::True, Background::Dark, false);
    let mut terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1)).expect("a buffer");
    measured(|| {
        if let Some(last) = last {
            app.update(Duration::from_secs(1), key(last));
        }
        terminal.draw(|frame| view::render(&app, &theme, frame)).expect("a buffer");
        app.socket_list().map_or(0, |list| list.rows.len())
    })
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
