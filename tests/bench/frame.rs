//! What a frame of the terminal program costs: CPU and bytes. `cargo bench --bench frame`

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "measure.rs"]
mod measure;

use std::{
    cell::Cell,
    io::{self, Write},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use measure::median;
use portscope::{
    app::{App, Event, Extent, Options, RowsPerLine, allocation::AllocationOptions},
    domain::{PortRange, Protocols, Snapshot, State},
    engine::Report,
    host::simulated::SimulatedHost,
    view::{self, Depth, Ground, Theme},
};
use ratatui::{Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};

const FRAMES: usize = 201;

fn main() -> io::Result<()> {
    if cfg!(debug_assertions) {
        println!("NOT a release build: the figures mean nothing");
    }
    println!(
        "one frame of the map, true colour, medians of {FRAMES}\n\
         {:<8} {:<17} {:>10} {:>10} {:>10}",
        "size", "what changed", "update us", "draw us", "bytes"
    );
    let base = machine(1, 0);
    for (columns, rows) in [(80, 24), (120, 40), (200, 60)] {
        for (what, other) in [
            ("nothing", &base),
            ("about 100 ports", &machine(1, 100)),
            ("every port", &machine(9, 0)),
        ] {
            let (update, draw, bytes) = measure_frames(columns, rows, [&base, other])?;
            let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
            println!(
                "{:<8} {what:<17} {:>10.0} {:>10.0} {bytes:>10}",
                format!("{columns}x{rows}"),
                micros(update),
                micros(draw),
            );
        }
    }
    Ok(())
}

/// 17,000 sockets in the ephemeral range, and `more` in a corner of it.
fn machine(seed: u64, more: u16) -> Snapshot {
    let range = |first, last| PortRange::new(first, last).expect("a range as written");
    let host = SimulatedHost::builder()
        .process(812, "nginx", "nginx: worker", 33)
        .process(4121, "payments-api", "java -jar payments.jar", 1000)
        .fill(range(32_768, 50_999), 0.7, State::Established, seed)
        .owned_by(&[4121])
        .fill(range(51_000, 57_999), 0.6, State::TimeWait, seed + 1)
        .fill(range(59_000, 59_000 + more), 1.0, State::CloseWait, seed + 2)
        .owned_by(&[812])
        .build();
    host.snapshot()
}

/// Medians over frames that each show the other of two snapshots.
fn measure_frames(
    columns: u16,
    rows: u16,
    snapshots: [&Snapshot; 2],
) -> io::Result<(Duration, Duration, usize)> {
    let allocation = AllocationOptions::exo(7);
    let mut app = App::new(Options {
        rows_per_line: RowsPerLine::Two,
        extent: Extent::Ephemeral,
        protocols: Protocols::Both,
        find: None,
        allocation,
        mouse: true,
        motion: true,
        services: portscope::domain::ServiceNames::default(),
    });
    let theme = Theme::new(Depth::True, Ground::Dark, false);
    app.update(Duration::ZERO, Event::Resized { columns, rows });
    let bytes = Rc::new(Cell::new(0));
    // A fixed viewport asks no terminal for its size.
    let viewport = Viewport::Fixed(Rect::new(0, 0, columns, rows));
    let backend = CrosstermBackend::new(Counter(Rc::clone(&bytes)));
    let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport })?;
    let (mut updates, mut draws, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..FRAMES + 2 {
        let number = number as u64 + 1;
        // Only a snapshot of a higher number is newer.
        let snapshot = Snapshot { number, ..snapshots[number as usize % 2].clone() };
        let report = Report::Scanned(Arc::new(snapshot));
        let began = Instant::now();
        // The same time each time: the age on screen is not what changes.
        app.update(Duration::from_secs(1), Event::Report(report));
        updates.push(began.elapsed());
        bytes.set(0);
        let began = Instant::now();
        terminal.draw(|frame| view::render(&app, &theme, frame))?;
        draws.push(began.elapsed());
        sizes.push(bytes.get());
    }
    // The first two frames fill the screen.
    let skip = 2;
    Ok((
        median(updates.split_off(skip)),
        median(draws.split_off(skip)),
        median(sizes.split_off(skip)),
    ))
}

/// A terminal that only counts.
struct Counter(Rc<Cell<usize>>);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
