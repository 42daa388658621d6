//! The lab at full speed: without a screen, and in the real program.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use portscope::{
    app::{Effect, Event, Key},
    engine::{LabReport, Report, Request, lab},
    host::linux::LinuxHost,
};

use crate::{
    harness,
    mailbox::mailbox,
    measure::{line, median, shortfall},
    terminal::{Session, shows_sockets},
};

const PORTSCOPE: &str = env!("CARGO_BIN_EXE_portscope");
/// How long each is watched, and how often each has its turn.
const WATCHED: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
const COLUMNS: u16 = 160;
const ROWS: u16 = 48;
/// From then on the curve over the fill is whole, which takes its share of the time.
const WARM: u64 = 20_000;
/// Of the runs a second without a screen.
const MIN_SHARE: f64 = 0.90;
const MAX_FRAMES: f64 = 10.0;

/// Taken in turn, since a busy machine slows whoever runs.
pub fn run() -> io::Result<()> {
    let (mut alone, mut shares, mut frames) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let without = without_screen()?;
        let (with, drawn) = in_program()?;
        alone.push(without);
        shares.push(with / without);
        frames.push(drawn);
    }
    println!("\nthe lab as it opens, at full speed, {COLUMNS}x{ROWS}, medians of {ROUNDS} rounds");
    println!("{}", line("without a screen", middle(alone), "runs/s", None));
    println!("{}", shortfall("the program, of that", middle(shares), "x", MIN_SHARE));
    println!("{}", line("frames a second", middle(frames), "", Some(MAX_FRAMES)));
    Ok(())
}

/// Floats have no order of their own.
fn middle(values: Vec<f64>) -> f64 {
    median(values.into_iter().map(|value| (value * 1e6) as u64)) as f64 / 1e6
}

/// Runs a second. The app says what the lab is asked for; reports are counted and thrown away.
fn without_screen() -> io::Result<f64> {
    let (outbox, inbox) = mailbox(1);
    let thread = lab::spawn(Arc::new(LinuxHost::new()), outbox.clone(), outbox)?;
    let mut app = harness::app();
    let size = Event::Resized { columns: COLUMNS, rows: ROWS };
    for event in [size, Event::Key(Key::Char('5'))] {
        for effect in app.update(Duration::ZERO, event) {
            if let Effect::Ask(Request::Lab(request)) = effect {
                thread.send(request);
            }
        }
    }
    let next = || match inbox.recv_timeout(Duration::from_secs(5)) {
        Ok(Report::Lab(report)) => Ok(runs(&report)),
        other => Err(io::Error::other(format!("no report of the lab: {other:?}"))),
    };
    while next()? < WARM {}
    let (before, began) = (next()?, Instant::now());
    loop {
        let after = next()?;
        if began.elapsed() > WATCHED {
            return Ok((after - before) as f64 / began.elapsed().as_secs_f64());
        }
    }
}

fn runs(report: &LabReport) -> u64 {
    report
        .strategy_reports
        .iter()
        .map(|strategy_report| strategy_report.figures.runs)
        .min()
        .unwrap_or(0)
}

/// Runs a second, as the screen tells it, and frames a second.
fn in_program() -> io::Result<(f64, f64)> {
    let session = Session::start_with(PORTSCOPE, &["--theme", "dark"], COLUMNS, ROWS)?;
    let is_missing = |what: &str| io::Error::other(format!("{what}: {}", session.contents()));
    session.time_until(shows_sockets).ok_or_else(|| is_missing("no first screen"))?;
    session.press("5")?;
    session.time_until(|s| runs_in(&s.contents()) >= WARM).ok_or_else(|| is_missing("slow"))?;
    let (before, began) = (next_figure(&session), Instant::now());
    let (frames, _) = session.written();
    std::thread::sleep(WATCHED);
    let after = next_figure(&session);
    let seconds = began.elapsed().as_secs_f64();
    let drawn = session.written().0 - frames;
    Ok(((after - before) as f64 / seconds, drawn as f64 / seconds))
}

/// The runs at the moment at which the screen tells of new ones.
fn next_figure(session: &Session) -> u64 {
    let old = runs_in(&session.contents());
    session.time_until(|screen| runs_in(&screen.contents()) != old);
    runs_in(&session.contents())
}

/// Of the first line that tells them: "12,345 runs".
fn runs_in(screen: &str) -> u64 {
    let words: Vec<&str> = screen.split_whitespace().collect();
    let number = |pair: &[&str]| match pair {
        [number, "runs"] => number.replace(',', "").parse().ok(),
        _ => None,
    };
    words.windows(2).find_map(number).unwrap_or(0)
}
