//! Golden frames of the Lab screen. No size makes it panic or draw outside of its area.

use std::{cell::Cell, sync::Arc, time::Duration};

use portscope::{
    allocator::{
        ALLOCATORS, Candidates, Pattern,
        lab::{LabConfig, SimulatedLab},
    },
    app::Event,
    domain::{Text, port::IANA_DYNAMIC},
    engine::{
        Report,
        message::{CurvePoint, LabReport, RaceBackend, RaceReport, Rounds},
    },
    view::Theme,
};

use crate::{
    session::{SIZES, Session, ascii, busy, dark, keep_ansi, light, sixteen, styles, text},
    snapshots::assert_golden,
};

const RUNS: u64 = 400;

fn config(names: &[&str]) -> LabConfig {
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

/// Returns the report of the engine after this number of runs, with a clock that advances with each
/// call.
fn report(names: &[&str], pattern: Pattern, share: f64, runs: u64) -> LabReport {
    let calls = Cell::new(0);
    let clock = || {
        calls.set(calls.get() + 1);
        Duration::from_nanos(460 * calls.get())
    };
    let occupied = |share: f64| (share * 16_384.0).round() as u32;
    let mut simulated_lab = SimulatedLab::new(&config(names), pattern, occupied(share));
    simulated_lab.advance(u32::MAX, runs, &clock);
    let shares = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99];
    // A built occupancy takes long.
    let (shares, each) =
        if pattern == Pattern::Built { (&shares[..3], 1) } else { (&shares[..], 200) };
    let curve = shares.iter().map(|&share| {
        let mut simulated_lab = SimulatedLab::new(&config(names), pattern, occupied(share));
        simulated_lab.advance(u32::MAX, each, &clock);
        CurvePoint { share, means: simulated_lab.means().collect() }
    });
    LabReport {
        number: 2,
        candidates: 16_384,
        occupied: occupied(share),
        strategy_reports: simulated_lab.reports(),
        curve: curve.collect(),
        is_running: true,
        limitation: None,
    }
}

const FIRST: [&str; 4] = ["random", "sequential", "linux-connect", "double-hash"];

/// Opens and starts the lab: four strategies on a clustered occupancy of 90 %, where they differ, at
/// full speed.
fn lab(theme: &Theme, (columns, rows): (u16, u16)) -> Session {
    Session::of(&busy(), theme.clone(), columns, rows).press("5 d")
}

fn show_report(session: &mut Session, report: &LabReport) {
    session.update(Event::Report(Report::Lab(Arc::new(report.clone()))));
}

fn assert_pictures(name: &str, session: &Session) -> String {
    let buffer = session.draw();
    let name = format!("{name}-{}x{}", session.columns, session.rows);
    keep_ansi(&name, &buffer);
    let screen_text = text(&buffer);
    assert_golden(&format!("lab-{name}.text"), &screen_text);
    screen_text
}

#[test]
fn strategies_are_side_by_side_with_measured_and_expected_figures() {
    let report = report(&FIRST, Pattern::Clustered, 0.9, RUNS);
    for size in SIZES {
        let mut session = lab(&dark(), size);
        show_report(&mut session, &report);
        let screen_text = assert_pictures("clustered", &session);
        for name in FIRST {
            assert!(screen_text.contains(name), "{name} is not to be seen at {size:?}");
        }
        assert!(
            screen_text.contains("simulated, clustered") && screen_text.contains("90.0 %"),
            "{screen_text}"
        );
        assert!(screen_text.contains("every 400ms"), "{screen_text}");
    }
    let mut session = lab(&sixteen(), (80, 24));
    show_report(&mut session, &report);
    assert_golden("lab-clustered-80x24.style", &styles(&session.draw()));
}

#[test]
fn without_colour_shapes_distinguish_strategies() {
    let report = report(&FIRST, Pattern::Clustered, 0.9, RUNS);
    for size in [(80, 24), (120, 40)] {
        for (name, theme) in [("ascii", ascii()), ("no_color", Theme::MONOCHROME)] {
            let mut session = lab(&theme, size);
            show_report(&mut session, &report);
            let screen_text = assert_pictures(name, &session);
            assert!(name != "ascii" || screen_text.is_ascii(), "{screen_text}");
        }
    }
    let mut session = lab(&light(), (160, 48));
    show_report(&mut session, &report);
    keep_ansi("light_160x48", &session.draw());
}

/// Reports figures for the columns that are shown now.
fn report_figures(session: &mut Session, pattern: Pattern, share: f64, runs: u64) {
    let names: Vec<&str> = session.app.lab().picked().map(|row| row.name).collect();
    let report = report(&names, pattern, share, runs);
    // One of these is the number of the latest request; reports with other numbers are ignored.
    (1..20).for_each(|number| show_report(session, &LabReport { number, ..report.clone() }));
}

#[test]
fn an_allocation_is_shown_attempt_by_attempt() {
    for size in [(80, 24), (160, 48)] {
        // Two columns, of which the second gets `bitmap` below, at 4/s.
        let mut session = lab(&dark(), size).press("ddxxlS[[[");
        while session.app.lab().picked().all(|row| row.name != "bitmap") {
            session = session.press("s");
        }
        report_figures(&mut session, Pattern::Uniform, 0.9, 40);
        let screen_text = assert_pictures("slow", &session);
        assert!(
            screen_text.contains("bitmap") && screen_text.contains("snapshot"),
            "{screen_text}"
        );
    }
}

#[test]
fn a_built_occupancy_is_shown_per_strategy() {
    let mut session = lab(&dark(), (160, 48)).press("d");
    report_figures(&mut session, Pattern::Built, 0.3, 2);
    let screen_text = assert_pictures("built", &session);
    assert!(screen_text.contains("simulated, filled by the strategy"), "{screen_text}");
}

#[test]
fn the_lab_waits_for_space() {
    for (columns, rows) in SIZES {
        let session = Session::of(&busy(), dark(), columns, rows).press("5");
        let screen_text = text(&session.draw());
        assert!(screen_text.contains(" Space run  "), "{screen_text}");
        assert!(screen_text.contains(" · paused · "), "{screen_text}");
    }
    let session = Session::of(&busy(), dark(), 120, 40).press("5");
    let screen_text = assert_pictures("idle", &session);
    assert!(screen_text.contains("Space starts the lab"), "{screen_text}");
    let running = text(&session.press(" ").draw());
    assert!(running.contains("nothing measured yet ") && running.contains(" Space pause "));
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
        backend: RaceBackend::Namespace,
        rebound: rounds,
        handed_over: Rounds { deviation: 6.4, ..kept },
        failure: None,
        is_over: false,
    }
}

#[test]
fn a_race_shows_stolen_ports_beside_the_expected_number() {
    let report = report(&FIRST, Pattern::Clustered, 0.9, RUNS);
    for size in [(80, 24), (160, 48)] {
        let mut session = lab(&dark(), size);
        show_report(&mut session, &report);
        session = session.press("R");
        session.update(Event::Report(Report::Race(Box::new(race()))));
        let screen_text = assert_pictures("race", &session);
        assert!(screen_text.contains("71 stolen of 1,000 rounds"), "{screen_text}");
        assert!(screen_text.contains("0 stolen of 700 rounds"), "{screen_text}");
        assert!(screen_text.contains("in their own network namespace"), "{screen_text}");
    }
    let mut session = lab(&dark(), (80, 24)).press("R");
    let because = Text::scrub("a network namespace cannot be made: operation not permitted");
    let backend = RaceBackend::Simulated { because };
    session.update(Event::Report(Report::Race(Box::new(RaceReport { backend, ..race() }))));
    assert!(text(&session.draw()).contains("simulated: a network namespace cannot be made"));
}

#[test]
fn settings_are_drawn_over_the_screen() {
    assert_pictures("settings", &lab(&dark(), (80, 24)).press("ov9-8\n"));
}

#[test]
fn a_notice_is_shown_completely() {
    let session = lab(&dark(), (60, 16)).press("ii");
    let screen_text = text(&session.draw());
    assert!(
        screen_text.contains("at most 4 strategies: s replaces the selected one"),
        "{screen_text}"
    );
}

#[test]
fn the_smallest_terminals_show_a_strategy_and_a_figure() {
    let report = report(&FIRST, Pattern::Clustered, 0.9, RUNS);
    for (columns, rows, words) in [(40, 10, "random 9"), (16, 3, "random 9"), (5, 1, "9.")] {
        let mut session = lab(&dark(), (columns, rows));
        show_report(&mut session, &report);
        let screen_text = text(&session.draw());
        assert!(screen_text.contains(words), "{columns}x{rows}: {screen_text}");
    }
}

#[test]
fn no_size_panics_with_any_number_of_columns_and_any_panel() {
    let report = report(&FIRST, Pattern::Clustered, 0.9, 20);
    for theme in [dark(), ascii()] {
        for keys in ["", "R", "o", "X", "XX", "XXX"] {
            let mut session = lab(&theme, (80, 24)).press(keys);
            let strategy_reports = &report.strategy_reports[..session.app.lab().picked().len()];
            for number in 1..5 {
                let strategy_reports = strategy_reports.to_vec();
                show_report(
                    &mut session,
                    &LabReport { number, strategy_reports, ..report.clone() },
                );
            }
            session.update(Event::Report(Report::Race(Box::new(race()))));
            for columns in (1..221).step_by(27).chain([59, 60, 79, 117]) {
                for rows in (1..71).step_by(11).chain([2, 3, 15, 17]) {
                    session.resize((columns, rows));
                    session.draw();
                }
            }
        }
    }
}
