//! Golden frames of the Lab screen. No size makes it panic or draw outside of its area.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/session.rs"]
mod session;

use std::{cell::Cell, fmt::Write as _, sync::Arc, time::Duration};

use portscope::{
    allocator::{
        ALLOCATORS, Candidates, Pattern,
        lab::{Contest, LabConfig, StrategyColumn},
    },
    app::Event,
    domain::{Text, port::IANA_DYNAMIC},
    engine::{
        Report,
        message::{Contender, CurvePoint, Finished, LabReport, RacePlace, RaceReport, Rounds},
    },
    view::Theme,
};
use ratatui::{
    buffer::Buffer,
    style::{Color, Modifier},
};
use session::{Session, ascii, busy, dark, light, sixteen, styles, text};

const SIZES: [(u16, u16); 4] = [(80, 24), (120, 40), (160, 48), (200, 60)];
const RUNS: u64 = 400;

fn terms(names: &[&str]) -> LabConfig {
    let number = |name: &&str| ALLOCATORS.iter().position(|row| row.name == *name).unwrap();
    LabConfig {
        strategies: names.iter().map(number).collect(),
        candidates: Candidates::new(IANA_DYNAMIC, &[]),
        protocols: portscope::domain::Protocols::Udp,
        max_attempts: 100,
        seed: 7,
        destinations: 1,
        tuning: portscope::allocator::Tuning::default(),
    }
}

fn contender(column: StrategyColumn) -> Contender {
    let number = column.figures.runs;
    let finished = |end: portscope::allocator::lab::AllocationEnd| Finished {
        number,
        attempts: end.attempts,
        port: end.port,
    };
    Contender {
        strategy: column.strategy,
        figures: column.figures,
        ports: column.ports,
        trail: column.trail,
        last: column.last.map(finished),
    }
}

/// What the engine would tell after so many runs, by a clock that counts calls.
fn report(names: &[&str], pattern: Pattern, share: f64, runs: u64) -> LabReport {
    let calls = Cell::new(0);
    let clock = || {
        calls.set(calls.get() + 1);
        Duration::from_nanos(460 * calls.get())
    };
    let occupied = |share: f64| (share * 16_384.0).round() as u32;
    let mut contest = Contest::new(&terms(names), pattern, occupied(share));
    contest.advance(u32::MAX, runs, &clock);
    let shares = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99];
    // What strategies build takes long.
    let (shares, each) =
        if pattern == Pattern::Built { (&shares[..3], 1) } else { (&shares[..], 200) };
    let curve = shares.iter().map(|&share| {
        let mut contest = Contest::new(&terms(names), pattern, occupied(share));
        contest.advance(u32::MAX, each, &clock);
        CurvePoint { share, means: contest.means().collect() }
    });
    LabReport {
        number: 1,
        candidates: 16_384,
        occupied: occupied(share),
        contenders: contest.columns().into_iter().map(contender).collect(),
        curve: curve.collect(),
        is_running: true,
        limitation: None,
    }
}

const FIRST: [&str; 4] = ["random", "sequential", "linux-connect", "double-hash"];

/// The lab as it begins: four strategies on a clustered occupancy of 90 %, at full speed.
fn lab(theme: &Theme, (columns, rows): (u16, u16)) -> Session {
    Session::of(&busy(), theme.clone(), columns, rows).press("5")
}

fn say(session: &mut Session, report: &LabReport) {
    session.say(Event::Report(Report::Lab(Arc::new(report.clone()))));
}

/// As a terminal would get it, where `SHOW_FRAMES` names a folder: for eyes.
fn keep_ansi(name: &str, buffer: &Buffer) {
    let Some(folder) = std::env::var_os("SHOW_FRAMES") else { return };
    let mut ansi = String::new();
    for line in buffer.content().chunks(usize::from(buffer.area.width)) {
        for cell in line {
            let color = |color, layer| match color {
                Color::Rgb(red, green, blue) => format!("\x1b[{layer}8;2;{red};{green};{blue}m"),
                _ => String::new(),
            };
            let reversed = if cell.modifier.contains(Modifier::REVERSED) { "\x1b[7m" } else { "" };
            let bold = if cell.modifier.contains(Modifier::BOLD) { "\x1b[1m" } else { "" };
            let (fg, bg) = (color(cell.fg, 3), color(cell.bg, 4));
            write!(ansi, "\x1b[0m{bold}{reversed}{fg}{bg}{}", cell.symbol()).unwrap();
        }
        ansi.push_str("\x1b[0m\n");
    }
    std::fs::write(std::path::Path::new(&folder).join(format!("{name}.ansi")), ansi).unwrap();
}

fn pictured(name: &str, session: &Session) -> String {
    let buffer = session.draw();
    let name = format!("{name}_{}x{}", session.columns, session.rows);
    keep_ansi(&name, &buffer);
    let picture = text(&buffer);
    insta::assert_snapshot!(name, picture);
    picture
}

#[test]
fn strategies_stand_side_by_side_with_their_figures_beside_the_law() {
    let report = report(&FIRST, Pattern::Clustered, 0.9, RUNS);
    for size in SIZES {
        let mut session = lab(&dark(), size);
        say(&mut session, &report);
        let picture = pictured("clustered", &session);
        for name in FIRST {
            assert!(picture.contains(name), "{name} is not to be seen at {size:?}");
        }
        assert!(
            picture.contains("simulated, clustered") && picture.contains("90.0 %"),
            "{picture}"
        );
        assert!(picture.contains("every 400ms"), "{picture}");
    }
    let mut session = lab(&sixteen(), (80, 24));
    say(&mut session, &report);
    insta::assert_snapshot!("clustered_80x24_style", styles(&session.draw()));
}

#[test]
fn without_colour_and_beyond_ascii_shapes_tell_strategies_apart() {
    let report = report(&FIRST, Pattern::Clustered, 0.9, RUNS);
    for size in [(80, 24), (120, 40)] {
        for (name, theme) in [("ascii", ascii()), ("no_color", Theme::MONOCHROME)] {
            let mut session = lab(&theme, size);
            say(&mut session, &report);
            let picture = pictured(name, &session);
            assert!(name != "ascii" || picture.is_ascii(), "{picture}");
        }
    }
    let mut session = lab(&light(), (160, 48));
    say(&mut session, &report);
    keep_ansi("light_160x48", &session.draw());
}

/// What the engine tells of the columns that the keys have left.
fn tell_of_picked(session: &mut Session, pattern: Pattern, share: f64, runs: u64) {
    let names: Vec<&str> = session.app.lab().picked().map(|row| row.name).collect();
    let report = report(&names, pattern, share, runs);
    // Whatever the keys asked for, the number of the latest request is among these.
    (1..20).for_each(|number| say(session, &LabReport { number, ..report.clone() }));
}

#[test]
fn an_allocation_can_be_followed_attempt_by_attempt() {
    for size in [(80, 24), (160, 48)] {
        // Two columns, the second one with `bitmap`, at 4/s.
        let mut session = lab(&dark(), size).press("ddXXlS[[[");
        while session.app.lab().picked().all(|row| row.name != "bitmap") {
            session = session.press("s");
        }
        tell_of_picked(&mut session, Pattern::Uniform, 0.9, 40);
        let picture = pictured("slow", &session);
        assert!(picture.contains("bitmap") && picture.contains("snapshot"), "{picture}");
    }
}

#[test]
fn what_a_strategy_builds_by_itself_is_its_own_occupancy() {
    let mut session = lab(&dark(), (160, 48)).press("d");
    tell_of_picked(&mut session, Pattern::Built, 0.3, 2);
    let picture = pictured("built", &session);
    assert!(picture.contains("simulated, filled by the strategy"), "{picture}");
}

#[test]
fn before_the_first_report_the_screen_says_that_nothing_was_measured() {
    let picture = pictured("idle", &lab(&dark(), (120, 40)));
    assert!(picture.contains("nothing measured yet"), "{picture}");
}

fn race() -> RaceReport {
    let rounds = Rounds {
        count: 1000,
        stolen: 71,
        refused: 0,
        expected: 63.4,
        deviation: 7.7,
        window: Duration::from_micros(10_120),
        competitor_per_second: 662.0,
        free: 102.4,
    };
    let kept = Rounds { count: 700, stolen: 0, refused: 43, expected: 44.4, ..rounds };
    RaceReport {
        number: 1,
        place: RacePlace::Namespace,
        rebound: rounds,
        handed_over: Rounds { deviation: 6.4, ..kept },
        trouble: None,
        is_over: false,
    }
}

#[test]
fn a_race_shows_thefts_beside_the_law_and_none_of_a_kept_socket() {
    let report = report(&FIRST, Pattern::Clustered, 0.9, RUNS);
    for size in [(80, 24), (160, 48)] {
        let mut session = lab(&dark(), size);
        say(&mut session, &report);
        session = session.press("R");
        session.say(Event::Report(Report::Race(Box::new(race()))));
        let picture = pictured("race", &session);
        assert!(picture.contains("71 stolen of 1,000 rounds"), "{picture}");
        assert!(picture.contains("0 stolen of 700 rounds"), "{picture}");
        assert!(picture.contains("in their own network namespace"), "{picture}");
    }
    let mut session = lab(&dark(), (80, 24)).press("R");
    let because = Text::scrub("a network namespace cannot be made: operation not permitted");
    let place = RacePlace::Simulated { because };
    session.say(Event::Report(Report::Race(Box::new(RaceReport { place, ..race() }))));
    assert!(text(&session.draw()).contains("simulated: a network namespace cannot be made"));
}

#[test]
fn settings_lie_over_the_screen() {
    pictured("settings", &lab(&dark(), (80, 24)).press("ov9-8\n"));
}

#[test]
fn a_notice_is_told_whole() {
    let session = lab(&dark(), (60, 16)).press("xx");
    let picture = text(&session.draw());
    assert!(picture.contains("at most 4 columns: s changes the selected one"), "{picture}");
}

#[test]
fn the_smallest_terminals_still_tell_a_name_and_a_number() {
    let report = report(&FIRST, Pattern::Clustered, 0.9, RUNS);
    for (columns, rows, words) in [(40, 10, "random 9"), (16, 3, "random 9"), (5, 1, "9.")] {
        let mut session = lab(&dark(), (columns, rows));
        say(&mut session, &report);
        let picture = text(&session.draw());
        assert!(picture.contains(words), "{columns}x{rows}: {picture}");
    }
}

#[test]
fn no_size_panics_with_any_number_of_columns_and_any_panel() {
    let report = report(&FIRST, Pattern::Clustered, 0.9, 20);
    for theme in [dark(), ascii()] {
        for keys in ["", "R", "o", "X", "XX", "XXX"] {
            let mut session = lab(&theme, (80, 24)).press(keys);
            let contenders = &report.contenders[..session.app.lab().picked().len()];
            for number in 1..5 {
                let contenders = contenders.to_vec();
                say(&mut session, &LabReport { number, contenders, ..report.clone() });
            }
            session.say(Event::Report(Report::Race(Box::new(race()))));
            for columns in (1..221).step_by(27).chain([59, 60, 79, 117]) {
                for rows in (1..71).step_by(11).chain([2, 3, 15, 17]) {
                    (session.columns, session.rows) = (columns, rows);
                    session.say(Event::Resized { columns, rows });
                    session.draw();
                }
            }
        }
    }
}
