//! Golden frames: each screen at each size, and in each palette at the small sizes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use portscope::{
    allocator::{AttemptSearch, Candidates, FreePorts, Progress, random::Random},
    app::{Event, Size, lens::LENSES},
    domain::{Protocols, Snapshot, State, port::IANA_DYNAMIC},
    engine::{
        Report,
        message::{AllocationDelta, Finished},
    },
    host::{Host, HostBinder, simulated::SimulatedHost},
    view::{Background, Depth, Theme},
};
use rand::{SeedableRng, rngs::ChaCha8Rng};

use crate::{
    session::{M, S, SIZES, Session, ascii, busy, dark, light, sixteen, styles, text},
    snapshots::assert_golden,
};

const SMALL: [(u16, u16); 2] = [S, M];

/// The name of a screen, and the function that opens it.
type GoldenScreen = (&'static str, fn(Session) -> Session);

const MAP: &[GoldenScreen] = &[
    ("map-blocks", |session| session.press("g53100\n")),
    ("map-dots", |session| with_dots(session.press("g53100\n"))),
    ("map-letters", |session| with_letters(session.press("g49152\n"))),
    ("map-all", |session| session.press("ag443\n")),
];
const ALLOCATE: &[GoldenScreen] = &[("allocate-slow", slow), ("allocate-max", max)];
const HELP: &[GoldenScreen] = &[
    ("help-words", |session| session.press("1?")),
    ("help-keys", |session| session.press("?\t")),
    ("help-states", |session| session.press("?\t\t")),
    ("help-ranges", |session| session.press("?\t\t\t")),
    ("help-allocate", |session| session.press("4?\t")),
];

#[test]
fn the_map_at_each_size() {
    at_each_size(MAP);
}

#[test]
fn the_allocator_at_each_size() {
    at_each_size(ALLOCATE);
}

#[test]
fn help_at_each_size() {
    at_each_size(HELP);
}

/// The lenses differ only in the colours of the map, so larger sizes would test nothing more.
#[test]
fn each_lens_at_the_small_sizes() {
    for (steps, lens) in LENSES.iter().enumerate().skip(1) {
        for size in SMALL {
            let session = play(dark(), size, |s| s.press("g53100\n")).press(&"c".repeat(steps));
            assert_golden(&named("lens", lens.name, size, "text"), &shown(&session));
            let style = styles(&session.draw());
            if size == S {
                assert_golden(&named("lens", lens.name, size, "style"), &style);
            }
        }
    }
}

#[test]
fn without_colour_each_screen_shows_the_same_by_glyphs() {
    for scenes in [MAP, ALLOCATE, HELP] {
        in_palette("nocolor", || Theme::MONOCHROME, scenes);
    }
}

#[test]
fn in_ascii_each_screen_is_ascii() {
    for scenes in [MAP, ALLOCATE, HELP] {
        in_palette("ascii", ascii, scenes);
    }
    for (name, golden_screen) in scenes() {
        for size in SIZES {
            let text = shown(&play(ascii(), size, golden_screen));
            assert!(text.is_ascii(), "{name} {size:?}\n{text}");
        }
    }
}

/// Palettes differ only in colour, so their text needs no golden files of its own. With sixteen
/// colours there are no shades, so the allocator's map uses glyphs instead.
#[test]
fn all_palettes_show_the_same_text() {
    let indexed = Theme::new(Depth::Indexed, Background::Dark, false);
    assert_same_text(&light(), &[MAP, ALLOCATE, HELP]);
    assert_same_text(&indexed, &[MAP, ALLOCATE, HELP]);
    assert_same_text(&sixteen(), &[MAP, HELP]);
    in_palette("sixteen", sixteen, ALLOCATE);
}

fn assert_same_text(theme: &Theme, scenes: &[&[GoldenScreen]]) {
    for &(name, golden_screen) in scenes.iter().copied().flatten() {
        for size in SMALL {
            let in_dark = shown(&play(dark(), size, golden_screen));
            let other = shown(&play(theme.clone(), size, golden_screen));
            assert!(in_dark == other, "{name} {size:?} {theme:?}\n{in_dark}\n{other}");
        }
    }
}

#[test]
fn light_and_sixteen_colour_terminals_have_their_own_colours() {
    for (name, golden_screen) in scenes() {
        for (palette, theme) in [("light", light()), ("sixteen", sixteen())] {
            let style = styles(&play(theme, S, golden_screen).draw());
            assert_golden(&named(name, palette, S, "style"), &style);
        }
    }
}

fn scenes() -> impl Iterator<Item = GoldenScreen> {
    [MAP, ALLOCATE, HELP].into_iter().flatten().copied()
}

fn at_each_size(scenes: &[GoldenScreen]) {
    for &(name, golden_screen) in scenes {
        for size in SIZES {
            let session = play(dark(), size, golden_screen);
            assert_golden(&named(name, "dark", size, "text"), &shown(&session));
            if SMALL.contains(&size) {
                let style = styles(&session.draw());
                assert_golden(&named(name, "dark", size, "style"), &style);
            }
        }
    }
}

fn in_palette(palette: &str, theme: fn() -> Theme, scenes: &[GoldenScreen]) {
    for &(name, golden_screen) in scenes {
        for size in SMALL {
            let text = shown(&play(theme(), size, golden_screen));
            assert_golden(&named(name, palette, size, "text"), &text);
        }
    }
}

fn named(name: &str, palette: &str, (columns, rows): (u16, u16), what: &str) -> String {
    format!("{name}-{palette}-{columns}x{rows}.{what}")
}

fn play(
    theme: Theme,
    (columns, rows): (u16, u16),
    golden_screen: fn(Session) -> Session,
) -> Session {
    golden_screen(Session::of(&busy(), theme, columns, rows))
}

fn shown(session: &Session) -> String {
    text(&session.draw())
}

/// Shows dots. If they do not fit, the legend says so.
fn with_dots(session: Session) -> Session {
    let is_dots = |c: char| ('\u{2801}'..='\u{28FF}').contains(&c);
    if shown(&session).contains(is_dots) { session } else { session.press("f") }
}

fn with_letters(mut session: Session) -> Session {
    let size = Size { columns: session.columns, rows: session.rows };
    for _ in 0..4 {
        if session.app.grid(size).is_none_or(|grid| grid.per_block() == 1) {
            break;
        }
        session = session.press("+");
    }
    session
}

/// Plays a run at four attempts per second until its second allocation ends.
fn slow(session: Session) -> Session {
    let mut run = Run::begin(session, " ");
    for _ in 0..2 {
        while !run.attempt(1, Duration::from_millis(250)) {}
    }
    run.session
}

/// Plays two seconds at full speed.
fn max(session: Session) -> Session {
    let mut run = Run::begin(session, "]]] ");
    for _ in 0..20 {
        run.attempt(3_000, Duration::from_millis(100));
    }
    run.session
}

/// A run on simulated ports. The test does the work of the engine: no clock, no thread.
struct Run {
    session: Session,
    allocator: AttemptSearch<Box<dyn HostBinder>, Random, ChaCha8Rng>,
    allocations: u64,
}

impl Run {
    /// Switches to simulated ports, then presses `keys`.
    fn begin(session: Session, keys: &str) -> Self {
        let target =
            SimulatedHost::builder().fill(IANA_DYNAMIC, 0.90, State::Unconnected, 7).build();
        let mut session = session.press("4t");
        // A simulated snapshot has the number of its run.
        let snapshot = Snapshot { number: 1, ..target.snapshot() };
        session.update(Event::Report(Report::Simulated(Arc::new(snapshot))));
        let mut allocator = AttemptSearch::new(
            target.binder(Protocols::Udp, None).unwrap(),
            Random,
            ChaCha8Rng::seed_from_u64(7),
            Candidates::new(IANA_DYNAMIC, &[]),
            FreePorts::all_free(),
        );
        allocator.set_max_attempts(100);
        Self { session: session.press(keys), allocator, allocations: 0 }
    }

    /// Makes `count` attempts, and reports them to the app after `later` has passed. Returns
    /// whether an allocation has ended.
    fn attempt(&mut self, count: u32, later: Duration) -> bool {
        let mut delta = AllocationDelta { run: 1, is_running: true, ..AllocationDelta::default() };
        let (mut attempts_by_port, mut histogram) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..count {
            let (attempt, has_ended) = match self.allocator.steps(1, |_| ()) {
                Progress::Refused(attempt) => (attempt, false),
                Progress::Bound(attempt, _) => (attempt, true),
                Progress::GaveUp(attempt) => (attempt.expect("random never runs out"), true),
            };
            delta.stats.attempts += 1;
            delta.stats.collisions += u64::from(attempt.refusal.is_some());
            delta.stats.busy += attempt.took;
            delta.recent.push(attempt);
            *attempts_by_port.entry(attempt.port).or_insert(0) += 1;
            if has_ended {
                self.allocations += 1;
                let port = attempt.refusal.is_none().then_some(attempt.port);
                if port.is_some() {
                    *histogram.entry(attempt.number).or_insert(0) += 1;
                } else {
                    delta.stats.failures += 1;
                    delta.stats.failed_attempts += u64::from(attempt.number);
                }
                let (number, attempts) = (self.allocations, attempt.number);
                delta.ended.push(Finished { number, attempts, port });
            }
        }
        delta.stats.successes = delta.ended.len() as u64 - delta.stats.failures;
        delta.finished = delta.ended.last().copied();
        let has_ended = delta.finished.is_some();
        delta.recent.drain(..delta.recent.len().saturating_sub(64));
        delta.ended.drain(..delta.ended.len().saturating_sub(64));
        delta.attempts_by_port = attempts_by_port.into_iter().collect();
        delta.stats.histogram = histogram;
        self.session.now += later;
        self.session.update(Event::Report(Report::Allocation(Box::new(delta))));
        has_ended
    }
}
