//! The level under simulated loads at the limit: it shows every failure of connect(). No real
//! sockets.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "support/churn.rs"]
mod churn;

use churn::{Churn, Watch, destination, snapshot_of, tcp};
use portscope::domain::{
    Analysis, Ephemeral, LastMinute, Level, PortRange, Snapshot, State, Subject, Thresholds,
    diagnosis::Standing,
};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

/// The standing of the only destination.
fn standing(watch: &Watch, snapshot: &Snapshot) -> Option<Standing> {
    let analysis = Analysis::of(snapshot);
    let row = analysis.destination(&destination(443))?;
    Some(Standing::of_destination(row, &watch.trends, Thresholds::default()))
}

/// What the scans of a run said.
struct Run {
    /// When connect() found no port.
    failed: Vec<f64>,
    /// When each scan was, and its level.
    levels: Vec<(f64, Level)>,
}

impl Run {
    /// Two minutes, once TIME-WAIT has come to its height, scanned about once a second.
    fn of(mut churn: Churn, seed: u64) -> Self {
        let period = churn.burst.map_or(0.0, |(every, _)| every);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut watch = Watch::default();
        let mut levels = Vec::new();
        churn.run_until(100.0);
        churn.failed.clear();
        while churn.now < 220.0 {
            let snapshot = churn.snapshot();
            watch.look(&snapshot);
            levels.extend(standing(&watch, &snapshot).map(|it| (churn.now, it.level)));
            churn.run_until(churn.now + 0.95 + 0.1 * random.random::<f64>());
        }
        // Rates are known from the second scan on, bursts from the first one on.
        let known = levels[1].0 + period;
        let failed = churn.failed.into_iter().filter(|failed| *failed >= known).collect();
        Self { failed, levels }
    }

    /// Whether the last scan before says that connect() fails, and all scans of ten seconds after.
    fn is_reported(&self, failed: f64) -> bool {
        let first = self.levels.partition_point(|(at, _)| *at <= failed) - 1;
        let mut near = self.levels[first..].iter().take_while(|(at, _)| *at <= failed + 10.0);
        near.all(|(_, level)| *level >= Level::Failing)
    }
}

#[track_caller]
fn assert_reported(name: &str, load: impl Fn(u64) -> Churn) {
    let (mut failed, mut scans_with_ports) = (0, 0);
    for seed in 0..2 {
        let run = Run::of(load(seed), seed);
        failed += run.failed.len();
        scans_with_ports += run.levels.iter().filter(|(_, it)| *it < Level::Exhausted).count();
        let missed: Vec<_> =
            run.failed.iter().filter(|failed| !run.is_reported(**failed)).collect();
        assert!(missed.is_empty(), "{name}: not reported: {missed:?} in {:?}", run.levels);
    }
    eprintln!("{name}: {failed} failures, {scans_with_ports} scans saw ports left");
    assert!(failed > 0 && scans_with_ports > 100, "{name}: too little to judge by");
}

/// A pool and connections that are closed at once, with `left` ports left in the mean.
fn at_the_limit(rate: f64, wave: f64, left: f64, seed: u64) -> Churn {
    let ports = 2.0 * rate * 60.0;
    let pool = ports - rate * (60.0 + wave / 2.0) - left;
    let mut churn = Churn::new(rate, ports as u16, seed).living(0.0).with_pool(pool as u16);
    churn.wave = wave;
    churn
}

#[test]
fn wherever_connect_failed_the_scans_before_and_after_say_so() {
    // The kernel's timers of a minute end 2.048 s apart at 250 Hz, 4.096 s apart at 1000 Hz.
    for (rate, wave, left) in [(10.0, 2.048, -10.0), (20.0, 4.096, 0.0), (20.0, 4.096, 20.0)] {
        let name = format!("{rate}/s, waves of {wave} s, {left} left");
        assert_reported(&name, |seed| at_the_limit(rate, wave, left, seed));
    }
}

#[test]
fn a_client_that_opens_in_bursts_is_failing_between_them() {
    assert_reported("bursts", |seed| {
        let mut churn = Churn::new(2.0, 600, seed).living(0.0).with_pool(80);
        (churn.wave, churn.burst) = (2.048, Some((7.0, 45)));
        churn
    });
}

#[test]
fn more_connections_than_ports_come_free_is_failing_without_a_pause() {
    assert_reported("saturated", |seed| {
        let mut churn = Churn::new(20.0, 600, seed).living(0.0).with_pool(100);
        churn.wave = 4.096;
        churn
    });
}

/// A range of 64 ports, so many of them connected to the destination.
fn used(number: u64, ports: u16) -> Snapshot {
    let sockets = (0..ports).map(|port| tcp(40_000 + port, State::Established, 443)).collect();
    let mut snapshot = snapshot_of(number, number as f64, sockets);
    snapshot.ephemeral = Ephemeral::new(PortRange::new(40_000, 40_063).unwrap(), Vec::new());
    snapshot
}

/// The levels of one scan a second after the other.
fn levels(ports: impl IntoIterator<Item = u16>) -> (Watch, Vec<Level>) {
    let mut watch = Watch::default();
    let mut levels = Vec::new();
    for (number, ports) in (1..).zip(ports) {
        let snapshot = used(number, ports);
        watch.look(&snapshot);
        levels.extend(standing(&watch, &snapshot).map(|standing| standing.level));
    }
    (watch, levels)
}

fn repeated(ports: u16, times: usize) -> impl Iterator<Item = u16> {
    std::iter::repeat_n(ports, times)
}

fn last_minute(watch: &Watch) -> LastMinute {
    watch.trends.last_minute(Subject::Destination(destination(443))).unwrap()
}

#[test]
fn with_a_few_ports_back_it_is_failing_for_a_minute() {
    let (watch, said) = levels((60..=64).chain([64]).chain(repeated(60, 60)));
    assert_eq!(said[..4], [[Level::Exhausting; 3].as_slice(), &[Level::Failing]].concat());
    assert_eq!(said[4..6], [Level::Exhausted; 2]);
    assert_eq!(said[6..65], [Level::Failing; 59]);
    assert_eq!(said[65], Level::Exhausting);
    let last = last_minute(&watch);
    assert_eq!((last.scans, last.full, last.since_full), (60, 0, None));
}

#[test]
fn with_many_ports_back_it_is_failing_for_ten_seconds() {
    let (watch, said) = levels(repeated(60, 3).chain([64]).chain(repeated(20, 12)));
    assert_eq!(said[4..13], [Level::Failing; 9]);
    assert_eq!(said[13..], [Level::Ok; 3]);
    let last = last_minute(&watch);
    let since = last.since_full.unwrap().as_secs();
    assert_eq!((last.scans, last.full, since), (16, 1, 12), "what was seen is still reported");
}

#[test]
fn a_pool_that_is_filled_once_is_not_failing() {
    let (_, said) = levels(repeated(10, 12).chain(repeated(56, 20)));
    assert_eq!(said[..12], [Level::Ok; 12]);
    assert!(said[12..].iter().all(|level| *level == Level::Exhausting), "{said:?}");
}

#[test]
fn fewer_ports_than_are_opened_until_the_next_scan_is_failing() {
    let (watch, said) = levels((1..=12).map(|second| second * 5));
    // 9, then 4 are left; 5 a second are opened, and may be 8.
    assert_eq!(said[10..], [Level::Exhausting, Level::Failing]);
    assert_eq!((last_minute(&watch).full, last_minute(&watch).expected), (0, 8));
}

#[test]
fn what_was_seen_of_other_ports_is_forgotten() {
    let (mut watch, _) = levels([60, 64, 60]);
    let mut snapshot = used(4, 60);
    assert_eq!(last_minute(&watch).full, 1);
    snapshot.ephemeral = Ephemeral::new(PortRange::new(40_000, 40_064).unwrap(), Vec::new());
    watch.look(&snapshot);
    assert_eq!((last_minute(&watch).scans, last_minute(&watch).full), (1, 0));
    assert_eq!(standing(&watch, &snapshot).unwrap().level, Level::Exhausting);
}

#[test]
fn an_hour_of_scans_four_times_a_second_keeps_a_minute() {
    let mut watch = Watch::default();
    for number in 1..=4_000_u64 {
        let mut snapshot = used(number, 60 + 4 * u16::from(number % 8 == 0));
        snapshot.taken_at = churn::START + std::time::Duration::from_millis(number * 250);
        watch.look(&snapshot);
    }
    let last = last_minute(&watch);
    assert!((237..=244).contains(&last.scans), "{last:?}");
    assert!((29..=31).contains(&last.full), "{last:?}");
}
