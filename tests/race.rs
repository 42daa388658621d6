//! Races: real thieves in a private namespace, and simulated ones, beside the law.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use portscope::{
    domain::PortRange,
    engine::{
        message::{RacePlace, RaceReport, RaceSetup, Rounds},
        race,
    },
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_portscope");

fn setup(program: Option<&str>, rounds: u32) -> RaceSetup {
    RaceSetup {
        program: program.map(PathBuf::from),
        rounds,
        window: Duration::from_millis(10),
        thefts_per_second: 1000.0,
        range: PortRange::new(49_152, 50_175).unwrap(),
        share: 0.9,
        seed: 1,
    }
}

/// To its end, without a listener.
fn run(setup: &RaceSetup) -> RaceReport {
    race::run(setup, &mut |_| true)
}

/// None, said aloud: no namespace could be made here, which CI must be able to.
fn real(setup: &RaceSetup) -> Option<RaceReport> {
    let report = run(setup);
    if let RacePlace::Simulated { because } = &report.place {
        assert!(std::env::var_os("CI").is_none(), "CI needs a private namespace: {because}");
        eprintln!("not tested here: {because}");
        return None;
    }
    assert_eq!(report.trouble, None);
    assert_eq!(report.place, RacePlace::Namespace);
    Some(report)
}

/// How many standard deviations `count` is off the law.
fn off(count: u32, rounds: &Rounds) -> f64 {
    (f64::from(count) - rounds.predicted) / rounds.deviation
}

#[test]
fn real_thefts_follow_the_law_and_a_kept_socket_is_never_lost() {
    let Some(report) = real(&setup(Some(PROGRAM), 400)) else { return };
    let RaceReport { rebound, handed_over, .. } = &report;
    assert!(report.is_over && rebound.rounds == 400 && handed_over.rounds == 400, "{report:?}");
    assert!(rebound.thefts > 0 && off(rebound.thefts, rebound).abs() < 4.0, "{report:?}");
    assert_eq!(handed_over.thefts, 0);
    assert!(off(handed_over.refused, handed_over).abs() < 4.0, "{report:?}");
}
