//! The app and a terminal that only counts output, on a simulated machine of 17,000 sockets. For
//! benches.

#![allow(dead_code, reason = "each bench uses a part of this file")]

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use portscope::{
    allocator::{Attempt, RunStats},
    app::{App, Event, Key},
    domain::{
        Errno, PortRange, ProcessTable, Protocol, Refusal, Snapshot, State, port::IANA_DYNAMIC,
    },
    engine::{
        Report,
        message::{AllocationDelta, Finished},
    },
    host::{Host as _, simulated::SimulatedHost},
    tui::encoder::Encoder,
    view::{self, Background, Depth, Theme},
};
use rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};
use ratatui::{Terminal, TerminalOptions, Viewport, buffer::Buffer, layout::Rect};

use crate::app_options::options;

/// At full speed the screen is drawn so often.
const FRAME_GAP: Duration = Duration::from_millis(100);
/// What an allocator at full speed does between two frames, about.
const ATTEMPTS: u32 = 100_000;

/// What is new in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A snapshot like the one before.
    Nothing,
    /// A second has passed, nothing else.
    Age,
    /// Side by side, as a leak makes them.
    RunOfHundred,
    /// All over the range.
    HundredPorts,
    EveryPort,
    /// The allocator's figures.
    Delta,
}

impl Change {
    pub const OF_MAP: [Self; 5] =
        [Self::Nothing, Self::Age, Self::RunOfHundred, Self::HundredPorts, Self::EveryPort];

    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Age => "the age",
            Self::RunOfHundred => "a run of 100",
            Self::HundredPorts => "100 ports",
            Self::EveryPort => "every port",
            Self::Delta => "a delta",
        }
    }
}

/// What one frame took.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub update: Duration,
    /// Our own part of drawing.
    pub render: Duration,
    /// What differs (ratatui), and its escape codes.
    pub send: Duration,
    pub bytes: usize,
}

/// Snapshots to switch between.
pub struct BenchInput {
    base: Snapshot,
    run: Snapshot,
    spread: Snapshot,
    other: Snapshot,
    processes: Arc<ProcessTable>,
}

impl BenchInput {
    pub fn new() -> Self {
        let (host, other) = (machine(1), machine(9));
        let base = host.snapshot();
        let sockets = base.sockets.len();
        let every = sockets / 100;
        let without = |gone: &dyn Fn(usize) -> bool| {
            let mut snapshot = base.clone();
            let mut index = 0..;
            snapshot.sockets.retain(|_| !index.next().is_some_and(gone));
            snapshot
        };
        Self {
            run: without(&|index| (5_000..5_100).contains(&index)),
            spread: without(&|index| index % every == 0 && index / every < 100),
            other: other.snapshot(),
            processes: Arc::new(host.describer().describe(&base.pids).into_iter().collect()),
            base,
        }
    }

    /// The one that is shown every second time.
    fn other(&self, change: Change) -> &Snapshot {
        match change {
            Change::Nothing | Change::Age | Change::Delta => &self.base,
            Change::RunOfHundred => &self.run,
            Change::HundredPorts => &self.spread,
            Change::EveryPort => &self.other,
        }
    }
}

/// 17,000 sockets in the ephemeral range.
fn machine(seed: u64) -> SimulatedHost {
    let range = |first, last| PortRange::new(first, last).expect("a range as written");
    SimulatedHost::builder()
        .process(812, "nginx", "nginx: worker", 33)
        .process(4121, "payments-api", "java -jar payments.jar", 1000)
        .fill(range(32_768, 50_999), 0.7, State::Established, seed)
        .owned_by(&[4121])
        .fill(range(51_000, 57_999), 0.6, State::TimeWait, seed + 1)
        .fill(range(58_000, 58_999), 0.3, State::Unconnected, seed + 2)
        .owned_by(&[812])
        .build()
}

/// An app that was shown the first snapshot.
pub struct Harness<'a> {
    bench_input: &'a BenchInput,
    app: App,
    theme: Theme,
    terminal: SilentTerminal,
    area: Rect,
    at: Duration,
    /// Of the last event, counted from 1.
    number: u64,
    random: ChaCha12Rng,
}

impl<'a> Harness<'a> {
    /// `keys` are pressed after the first snapshot.
    pub fn new(
        bench_input: &'a BenchInput,
        (columns, rows): (u16, u16),
        keys: &str,
    ) -> io::Result<Self> {
        let mut app = app();
        app.update(Duration::ZERO, Event::Resized { columns, rows });
        let area = Rect::new(0, 0, columns, rows);
        let terminal = silent_terminal(columns, rows)?;
        let theme = Theme::new(Depth::True, Background::Dark, false);
        let (at, random) = (Duration::from_secs(1), ChaCha12Rng::seed_from_u64(1));
        let mut harness = Self { bench_input, app, theme, terminal, area, at, number: 0, random };
        let first = harness.event(Change::Nothing);
        harness.say(first);
        harness.say(Event::Report(Report::Described(Arc::clone(&bench_input.processes))));
        for key in keys.chars() {
            harness.say(Event::Key(Key::Char(key)));
        }
        Ok(harness)
    }

    pub fn play(&mut self, change: Change) -> io::Result<Frame> {
        let event = self.event(change);
        let began = Instant::now();
        self.say(event);
        let update = began.elapsed();
        self.terminal.backend_mut().clear_bytes();
        let (app, theme) = (&self.app, &self.theme);
        let mut render = Duration::ZERO;
        let began = Instant::now();
        let drawn = self.terminal.draw(|frame| {
            let began = Instant::now();
            view::render(app, theme, frame);
            render = began.elapsed();
        });
        let send = began.elapsed().saturating_sub(render);
        drawn.map_err(io::Error::other)?;
        Ok(Frame { update, render, send, bytes: self.terminal.backend().bytes().len() })
    }

    /// How many cells the change makes different.
    pub fn changed_cells(&mut self, change: Change) -> io::Result<usize> {
        let before = self.picture()?;
        self.play(change)?;
        Ok(before.diff(&self.picture()?).len())
    }

    /// What the map is made of.
    pub fn resolution(&mut self) -> io::Result<&'static str> {
        let is_dot = |symbol: &str| symbol.chars().all(|c| ('\u{2801}'..='\u{28FF}').contains(&c));
        let picture = self.picture()?;
        let has_dots = picture.content.iter().any(|cell| is_dot(cell.symbol()));
        Ok(if has_dots { "map, dots" } else { "map, blocks" })
    }

    fn picture(&mut self) -> io::Result<Buffer> {
        let mut picture = Buffer::empty(self.area);
        let (app, theme) = (&self.app, &self.theme);
        let drawn = self.terminal.draw(|frame| {
            view::render(app, theme, frame);
            picture.clone_from(frame.buffer_mut());
        });
        drawn.map(|_| picture).map_err(io::Error::other)
    }

    fn say(&mut self, event: Event) {
        self.app.update(self.at, event);
    }

    fn event(&mut self, change: Change) -> Event {
        self.number += 1;
        match change {
            Change::Age => {
                self.at += Duration::from_secs(1);
                Event::Tick
            }
            Change::Delta => {
                self.at += FRAME_GAP;
                Event::Report(Report::Allocation(Box::new(delta(&mut self.random))))
            }
            _ => {
                let is_other = self.number.is_multiple_of(2);
                let snapshot =
                    if is_other { self.bench_input.other(change) } else { &self.bench_input.base };
                // Only a snapshot of a higher number is newer. The time stays: the age is not what
                // changes.
                let snapshot = Snapshot { number: self.number, ..snapshot.clone() };
                Event::Report(Report::Scanned(Arc::new(snapshot)))
            }
        }
    }
}

/// With exo's allocator and the options that a person without options has.
pub fn app() -> App {
    App::new(options())
}

/// What the engine says at full speed and 90 % full: all ports tried, each some times.
fn delta(random: &mut ChaCha12Rng) -> AllocationDelta {
    let length = IANA_DYNAMIC.len() as usize;
    let mut tries = vec![0; length];
    for _ in 0..ATTEMPTS {
        tries[random.random_range(0..length)] += 1;
    }
    let attempts_by_port =
        IANA_DYNAMIC.ports().zip(tries).filter(|&(_, tries)| tries > 0).collect();
    let refusal = Some(Refusal { protocol: Protocol::Udp, errno: Errno::EADDRINUSE });
    let mut attempt = |number| Attempt {
        number,
        port: random.random_range(IANA_DYNAMIC.first()..=IANA_DYNAMIC.last()),
        refusal: refusal.filter(|_| number < 10),
        took: Duration::from_nanos(600),
    };
    let recent: Vec<Attempt> = (0..64).map(|index| attempt(index % 10 + 1)).collect();
    let won = recent.iter().rev().find(|attempt| attempt.refusal.is_none());
    let finished = won.map(|won| Finished { number: 1, attempts: 10, port: Some(won.port) });
    AllocationDelta {
        run: 1,
        stats: RunStats {
            attempts: u64::from(ATTEMPTS),
            collisions: u64::from(ATTEMPTS) * 9 / 10,
            successes: u64::from(ATTEMPTS) / 10,
            busy: Duration::from_nanos(600) * ATTEMPTS,
            histogram: (1..=100).map(|attempts| (attempts, u64::from(101 - attempts))).collect(),
            ..RunStats::default()
        },
        attempts_by_port,
        recent,
        finished,
        is_running: true,
        ..AllocationDelta::default()
    }
}

/// A terminal that shows nothing: what would be sent stays in its `backend().bytes()`.
pub type SilentTerminal = Terminal<Encoder>;

pub fn silent_terminal(columns: u16, rows: u16) -> io::Result<SilentTerminal> {
    let viewport = Viewport::Fixed(Rect::new(0, 0, columns, rows));
    let options = TerminalOptions { viewport };
    Terminal::with_options(Encoder::new(columns, rows), options).map_err(io::Error::other)
}
