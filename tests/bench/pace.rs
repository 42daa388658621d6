//! The allocation thread at full speed: without a screen, with one, and in the real program.

use std::{
    io,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use portscope::{
    app::{Effect, Event, Key},
    domain::{PortRange, Protocols, Snapshot, Source, port::IANA_DYNAMIC},
    engine::{
        AllocationRequest, AllocatorTarget, Report, Request, Setup, Speed,
        allocation::{self, AllocationThread},
    },
    host::{Host as _, OwnerDepth, linux::LinuxHost},
    view::{self, Background, Depth, Theme},
};
use socket2::Socket;

use crate::{
    harness,
    mailbox::mailbox,
    measure::{line, median, shortfall},
    terminal::{Session, shows_sockets},
};

const PORTSCOPE: &str = env!("CARGO_BIN_EXE_portscope");
/// How long each is watched, and how often each has its turn.
const WATCHED: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;
const FRAME_GAP: Duration = Duration::from_millis(100);
const COLUMNS: u16 = 160;
const ROWS: u16 = 48;
/// Of the attempts a second without a screen.
const MIN_SHARE: f64 = 0.90;
const MAX_FRAMES: f64 = 10.0;
/// From the Map at four attempts a second to a run at full speed.
const KEYS: &str = "4]]] ";

/// What was reached in a second.
#[derive(Clone, Copy, Default)]
struct Pace {
    attempts: f64,
    /// Share of the time spent in bind().
    busy: f64,
    frames: f64,
    bytes: f64,
}

/// `fill` holds so many percent of a range.
pub fn run(fill: fn(Protocols, PortRange, usize) -> io::Result<Vec<Socket>>) -> io::Result<()> {
    println!("\nthe engine at full speed, 90 % of {IANA_DYNAMIC} full, no screen");
    for protocols in [Protocols::Udp, Protocols::Tcp, Protocols::Both] {
        let _holders = fill(protocols, IANA_DYNAMIC, 90)?;
        let Pace { attempts, busy, .. } = without_screen(protocols)?;
        let (name, percent) = (protocols.name(), busy * 100.0);
        println!("{name:<6} {attempts:>10.0} attempts/s, {percent:.0} % of the time in bind()");
    }
    let _holders = fill(Protocols::Udp, IANA_DYNAMIC, 90)?;
    against_screens()
}

/// Taken in turn, since a busy machine slows whoever runs.
fn against_screens() -> io::Result<()> {
    let rounds: Vec<[Pace; 3]> = (0..ROUNDS)
        .map(|_| Ok([without_screen(Protocols::Udp)?, with_screen()?, in_program()?]))
        .collect::<io::Result<_>>()?;
    println!("\nudp, {COLUMNS}x{ROWS}, medians of {ROUNDS} rounds taken in turn");
    for (index, name) in ["engine alone", "engine, app and frames", "the program in a terminal"]
        .into_iter()
        .enumerate()
    {
        let of = |part: fn(&Pace) -> f64| middle(rounds.iter().map(|round| part(&round[index])));
        let (attempts, frames, bytes) = (of(|p| p.attempts), of(|p| p.frames), of(|p| p.bytes));
        println!(
            "{name:<26} {attempts:>10.0} attempts/s {frames:>6.1} frames/s {bytes:>9.0} bytes/s"
        );
        if index > 0 {
            let share = rounds.iter().map(|round| round[index].attempts / round[0].attempts);
            println!(
                "{}",
                shortfall("  of the pace without a screen", middle(share), "x", MIN_SHARE)
            );
            println!("{}", line("  frames a second", frames, "", Some(MAX_FRAMES)));
        }
    }
    Ok(())
}

/// Floats have no order of their own.
fn middle(values: impl Iterator<Item = f64>) -> f64 {
    median(values.map(|value| (value * 1e6) as u64)) as f64 / 1e6
}

/// Reports are taken and thrown away.
fn without_screen(protocols: Protocols) -> io::Result<Pace> {
    let (thread, inbox) = start()?;
    for request in [
        AllocationRequest::Prepare(setup(protocols)),
        AllocationRequest::Speed(Speed::Max),
        AllocationRequest::Run,
    ] {
        thread.send(request);
    }
    let (started, mut attempts, mut busy) = (Instant::now(), 0, Duration::ZERO);
    while let Ok(Report::Allocation(delta)) = inbox.recv_timeout(Duration::from_secs(5)) {
        attempts += delta.stats.attempts;
        busy += delta.stats.busy;
        if started.elapsed() > WATCHED {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let (attempts, busy) = (attempts as f64 / seconds, busy.as_secs_f64() / seconds);
    Ok(Pace { attempts, busy, ..Pace::default() })
}

/// The app hears each report; ten times a second it is drawn.
fn with_screen() -> io::Result<Pace> {
    let (thread, inbox) = start()?;
    let theme = Theme::new(Depth::True, Background::Dark, false);
    let mut terminal = harness::silent_terminal(COLUMNS, ROWS)?;
    let mut app = harness::app();
    let started = Instant::now();
    let say = |app: &mut portscope::app::App, event| {
        for effect in app.update(started.elapsed(), event) {
            if let Effect::Ask(Request::Allocation(request)) = effect {
                thread.send(request);
            }
        }
    };
    say(&mut app, Event::Resized { columns: COLUMNS, rows: ROWS });
    say(&mut app, Event::Report(Report::Scanned(Arc::new(scan()?))));
    for key in KEYS.chars() {
        say(&mut app, Event::Key(Key::Char(key)));
    }
    let (mut frames, mut bytes) = (0, 0);
    let (began, mut drawn) = (Instant::now(), Instant::now());
    while began.elapsed() < WATCHED {
        if let Ok(report) = inbox.recv_timeout(FRAME_GAP.saturating_sub(drawn.elapsed())) {
            say(&mut app, Event::Report(report));
        }
        if drawn.elapsed() >= FRAME_GAP {
            drawn = Instant::now();
            frames += 1;
            let _ = terminal.draw(|frame| view::render(&app, &theme, frame));
            bytes += terminal.backend().bytes().len();
            terminal.backend_mut().clear_bytes();
        }
    }
    let per_second = |count: usize| count as f64 / began.elapsed().as_secs_f64();
    Ok(Pace {
        attempts: per_second(app.allocation().figures().attempts as usize),
        frames: per_second(frames),
        bytes: per_second(bytes),
        ..Pace::default()
    })
}

/// As the screen tells it.
fn in_program() -> io::Result<Pace> {
    let session = Session::start_with(PORTSCOPE, &["--theme", "dark"], COLUMNS, ROWS)?;
    let is_missing = |what: &str| io::Error::other(format!("{what}: {}", session.contents()));
    session.time_until(shows_sockets).ok_or_else(|| is_missing("no map"))?;
    session.press(KEYS)?;
    // The first figures come together with the keys' own frames.
    session
        .time_until(|s| attempts_in(&s.contents()) > 1_000_000)
        .ok_or_else(|| is_missing("slow"))?;
    let (before, began) = (next_figure(&session), Instant::now());
    let (frames, bytes) = session.written();
    std::thread::sleep(WATCHED);
    let after = next_figure(&session);
    let seconds = began.elapsed().as_secs_f64();
    let (more_frames, more_bytes) = session.written();
    Ok(Pace {
        attempts: (after - before) as f64 / seconds,
        frames: (more_frames - frames) as f64 / seconds,
        bytes: (more_bytes - bytes) as f64 / seconds,
        ..Pace::default()
    })
}

/// The attempts at the moment at which the screen tells of new ones.
fn next_figure(session: &Session) -> u64 {
    let old = attempts_in(&session.contents());
    session.time_until(|screen| attempts_in(&screen.contents()) != old);
    attempts_in(&session.contents())
}

/// The largest number beside the word; a limit on attempts is a smaller one.
fn attempts_in(screen: &str) -> u64 {
    let words: Vec<&str> = screen.split_whitespace().collect();
    let number = |word: &&str| word.replace(',', "").parse().ok();
    let beside = |pair: &[&str]| match pair {
        ["attempts", other] | [other, "attempts"] => number(other),
        _ => None,
    };
    words.windows(2).filter_map(beside).max().unwrap_or(0)
}

fn start() -> io::Result<(AllocationThread, mpsc::Receiver<Report>)> {
    let (outbox, inbox) = mailbox(1);
    let thread = allocation::spawn(Arc::new(LinuxHost::new()), outbox)?;
    Ok((thread, inbox))
}

fn scan() -> io::Result<Snapshot> {
    let host = LinuxHost::new();
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    let mut scanner = host.scanner().map_err(io::Error::other)?;
    scanner.scan(OwnerDepth::Full, &mut snapshot).map_err(io::Error::other)?;
    snapshot.sort();
    snapshot.number = 1;
    Ok(snapshot)
}

fn setup(protocols: Protocols) -> Setup {
    Setup {
        strategy: 0,
        target: AllocatorTarget::Machine,
        protocols,
        range: IANA_DYNAMIC,
        max_attempts: 100,
        seed: 7,
        address: None,
        reserved: Vec::new(),
        hold_limit: 0,
        stop_after: None,
    }
}
