//! The cost of a frame of the terminal program: CPU, cells and bytes. `cargo bench --bench frame`

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "../support/app_options.rs"]
mod app_options;
#[path = "harness.rs"]
mod harness;
#[path = "measure.rs"]
mod measure;
#[path = "../support/namespace.rs"]
mod namespace;
#[path = "terminal.rs"]
mod terminal;

use std::{
    hint::black_box,
    io,
    time::{Duration, Instant},
};

use harness::{BenchInput, Change, Frame, Harness};
use measure::{line, median, ms};
use portscope::app::lens::LENSES;
use ratatui::{buffer::Buffer, layout::Rect};
use terminal::{Session, is_full_frame, shows_sockets};

const FRAMES: usize = 101;
/// What is demanded of a 200x60 map: milliseconds to compose, compare and encode a frame (what the
/// app counts in a snapshot before stands under "update"), bytes a frame.
const EVERY_PORT_MS: f64 = 3.0;
const HUNDRED_PORTS_MS: f64 = 0.6;
const HUNDRED_PORTS_BYTES: usize = 6_144;
/// On a quiet machine.
const FIRST_FRAME_MS: f64 = 30.0;
const STARTS: usize = 11;

fn main() -> io::Result<()> {
    if cfg!(debug_assertions) {
        println!("NOT a release build: the figures mean nothing");
    }
    println!(
        "one frame, true colour, medians of {FRAMES}; draw = render + send (diff, escape codes)\n\
         {:<8} {:<16} {:<15} {:>8} {:>9} {:>8} {:>8} {:>7} {:>7}",
        "size", "screen", "changed", "update", "render", "send", "draw us", "cells", "bytes"
    );
    let bench_input = BenchInput::new();
    for size in [(80, 24), (120, 40), (160, 48), (200, 60)] {
        map(&bench_input, size)?;
        lenses(&bench_input, size)?;
        allocate(&bench_input, size)?;
        println!();
    }
    diff_floor();
    namespace::in_new_namespace(first_frame).transpose()?;
    Ok(())
}

/// Both grains under the lens of states.
fn map(bench_input: &BenchInput, size: (u16, u16)) -> io::Result<()> {
    let mut drawn = Vec::new();
    for keys in ["", "f"] {
        let name = Harness::new(bench_input, size, keys)?.resolution()?;
        // A grain that does not fit changes nothing.
        if drawn.contains(&name) {
            continue;
        }
        drawn.push(name);
        for change in Change::OF_MAP {
            measure(bench_input, size, keys, name, change)?;
        }
    }
    Ok(())
}

fn lenses(bench_input: &BenchInput, size: (u16, u16)) -> io::Result<()> {
    for (steps, lens) in LENSES.iter().enumerate().skip(1) {
        let name = format!("lens {}", lens.name);
        for change in [Change::HundredPorts, Change::EveryPort] {
            measure(bench_input, size, &"c".repeat(steps), &name, change)?;
        }
    }
    Ok(())
}

fn allocate(bench_input: &BenchInput, size: (u16, u16)) -> io::Result<()> {
    measure(bench_input, size, "4]]] ", "Allocate at max", Change::Delta)
}

fn measure(
    bench_input: &BenchInput,
    size: (u16, u16),
    keys: &str,
    screen: &str,
    change: Change,
) -> io::Result<()> {
    let mut harness = Harness::new(bench_input, size, keys)?;
    // The first frames fill the screen and the caches.
    for _ in 0..4 {
        harness.play(change)?;
    }
    let frames: Vec<Frame> =
        (0..FRAMES).map(|_| harness.play(change)).collect::<io::Result<_>>()?;
    let time = |part: fn(&Frame) -> Duration| median(frames.iter().map(part));
    let update = time(|frame| frame.update);
    let draw = time(|frame| frame.render + frame.send);
    let bytes = median(frames.iter().map(|frame| frame.bytes));
    println!(
        "{:<8} {screen:<16} {:<15} {:>8.0} {:>9.0} {:>8.0} {:>8.0} {:>7} {bytes:>7} {}",
        format!("{}x{}", size.0, size.1),
        change.name(),
        micros(update),
        micros(time(|frame| frame.render)),
        micros(time(|frame| frame.send)),
        micros(draw),
        harness.changed_cells(change)?,
        demanded(size, change, draw, bytes),
    );
    Ok(())
}

/// What the issue says of it, and whether that is so. Update and draw make the frame.
fn demanded(size: (u16, u16), change: Change, frame: Duration, bytes: usize) -> String {
    let ms = frame.as_secs_f64() * 1e3;
    let said = |is_met| if is_met { "met" } else { "MISSED" };
    match change {
        _ if size != (200, 60) => String::new(),
        Change::EveryPort => {
            format!("{ms:.2} <= {EVERY_PORT_MS} ms {}", said(ms <= EVERY_PORT_MS))
        }
        Change::HundredPorts => format!(
            "{ms:.2} <= {HUNDRED_PORTS_MS} ms {}, <= {HUNDRED_PORTS_BYTES} bytes {}",
            said(ms <= HUNDRED_PORTS_MS),
            said(bytes <= HUNDRED_PORTS_BYTES)
        ),
        _ => String::new(),
    }
}

/// What ratatui takes to find that nothing changed: no frame can be cheaper.
fn diff_floor() {
    let area = Rect::new(0, 0, 200, 60);
    let mut one = Buffer::empty(area);
    for cell in &mut one.content {
        cell.set_symbol("▀").set_fg(ratatui::style::Color::Rgb(1, 2, 3));
    }
    let other = one.clone();
    let mut blank = one.clone();
    let time = |what: &mut dyn FnMut()| {
        median((0..FRAMES).map(|_| {
            let began = Instant::now();
            what();
            began.elapsed()
        }))
    };
    let diff = time(&mut || drop(black_box(black_box(&one).diff(black_box(&other)))));
    let reset = time(&mut || black_box(&mut blank).reset());
    println!(
        "ratatui alone, 200x60: {:.0} us to compare two equal buffers, {:.0} us to blank one",
        micros(diff),
        micros(reset)
    );
}

/// From exec to a frame, and to one that shows the scan, in a namespace without sockets.
fn first_frame() -> io::Result<()> {
    let (mut frames, mut maps) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let program = env!("CARGO_BIN_EXE_portscope");
        let session = Session::start_with(program, &["--theme", "dark"], 120, 40)?;
        let times = session.time_until(is_full_frame).zip(session.time_until(shows_sockets));
        let (frame, map) = times.ok_or_else(|| io::Error::other(session.contents()))?;
        frames.push(frame);
        maps.push(map);
    }
    println!("\nthe program on a quiet machine, 120x40, theme given, medians of {STARTS} starts");
    println!("{}", line("first frame", ms(median(frames)), "ms", Some(FIRST_FRAME_MS)));
    println!(
        "{}",
        line("first frame with the sockets", ms(median(maps)), "ms", Some(FIRST_FRAME_MS))
    );
    Ok(())
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}
