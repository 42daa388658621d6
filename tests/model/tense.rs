//! The level under simulated loads at the limit: it must report every failure of connect(). Uses no
//! real sockets.

use portscope::domain::{
    Analysis, Ephemeral, LastMinute, Level, PortRange, Snapshot, State, Subject, Thresholds,
    diagnosis::SubjectStatus,
};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::churn::{self, Churn, TrendWatch, destination, snapshot_of, tcp};

/// Returns the status of the only destination.
fn subject_status(trend_watch: &TrendWatch, snapshot: &Snapshot) -> Option<SubjectStatus> {
    let analysis = Analysis::of(snapshot);
    let row = analysis.destination(&destination(443))?;
    Some(SubjectStatus::of_destination(row, &trend_watch.trends, Thresholds::default()))
}

/// The levels that the scans of a run reported.
struct Run {
    /// The times at which connect() found no port.
    failed: Vec<f64>,
    /// The time and the level of each scan.
    levels: Vec<(f64, Level)>,
}

impl Run {
    /// Runs two minutes, after the number of TIME-WAIT sockets has become constant, with a scan
    /// about every second.
    fn of(mut churn: Churn, seed: u64) -> Self {
        let period = churn.burst.map_or(0.0, |(every, _)| every);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut trend_watch = TrendWatch::default();
        let mut levels = Vec::new();
        churn.run_until(100.0);
        churn.failed.clear();
        while churn.now < 220.0 {
            let snapshot = churn.snapshot();
            trend_watch.observe(&snapshot);
            levels.extend(subject_status(&trend_watch, &snapshot).map(|it| (churn.now, it.level)));
            churn.run_until(churn.now + 0.95 + 0.1 * random.random::<f64>());
        }
        // Rates are known from the second scan on, bursts once one has occurred.
        let known = levels[1].0 + period;
        let failed = churn.failed.into_iter().filter(|failed| *failed >= known).collect();
        Self { failed, levels }
    }

    /// Whether the last scan before the failure and all scans of the ten seconds after it report
    /// FAILING or worse.
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

/// Returns a load of a pool and of connections that are closed at once, with a mean of `left` ports
/// left.
fn at_the_limit(rate: f64, timer_period: f64, left: f64, seed: u64) -> Churn {
    let ports = 2.0 * rate * 60.0;
    let pool = ports - rate * (60.0 + timer_period / 2.0) - left;
    let mut churn = Churn::new(rate, ports as u16, seed).with_lifetime(0.0).with_pool(pool as u16);
    churn.timer_period = timer_period;
    churn
}

#[test]
fn scans_around_a_failed_connect_report_failing() {
    // The kernel's one-minute timers have a granularity of 2.048 s at 250 Hz, and of 4.096 s at
    // 1000 Hz.
    for (rate, timer_period, left) in
        [(10.0, 2.048, -10.0), (20.0, 4.096, 0.0), (20.0, 4.096, 20.0)]
    {
        let name = format!("{rate}/s, waves of {timer_period} s, {left} left");
        assert_reported(&name, |seed| at_the_limit(rate, timer_period, left, seed));
    }
}

#[test]
fn a_bursty_client_is_failing_between_bursts() {
    assert_reported("bursts", |seed| {
        let mut churn = Churn::new(2.0, 600, seed).with_lifetime(0.0).with_pool(80);
        (churn.timer_period, churn.burst) = (2.048, Some((7.0, 45)));
        churn
    });
}

#[test]
fn opening_faster_than_ports_become_free_is_always_failing() {
    assert_reported("saturated", |seed| {
        let mut churn = Churn::new(20.0, 600, seed).with_lifetime(0.0).with_pool(100);
        churn.timer_period = 4.096;
        churn
    });
}

/// Returns a snapshot with a range of 64 ports, `ports` of them connected to the destination.
fn used(number: u64, ports: u16) -> Snapshot {
    let sockets = (0..ports).map(|port| tcp(40_000 + port, State::Established, 443)).collect();
    let mut snapshot = snapshot_of(number, number as f64, sockets);
    snapshot.ephemeral = Ephemeral::new(PortRange::new(40_000, 40_063).unwrap(), Vec::new());
    snapshot
}

/// Returns the levels of scans one second apart.
fn levels(ports: impl IntoIterator<Item = u16>) -> (TrendWatch, Vec<Level>) {
    let mut trend_watch = TrendWatch::default();
    let mut levels = Vec::new();
    for (number, ports) in (1..).zip(ports) {
        let snapshot = used(number, ports);
        trend_watch.observe(&snapshot);
        levels.extend(
            subject_status(&trend_watch, &snapshot).map(|subject_status| subject_status.level),
        );
    }
    (trend_watch, levels)
}

fn repeated(ports: u16, times: usize) -> impl Iterator<Item = u16> {
    std::iter::repeat_n(ports, times)
}

fn last_minute(trend_watch: &TrendWatch) -> LastMinute {
    trend_watch.trends.last_minute(Subject::Destination(destination(443))).unwrap()
}

#[test]
fn failing_lasts_a_minute_if_few_ports_became_free() {
    let (trend_watch, expected_text) = levels((60..=64).chain([64]).chain(repeated(60, 60)));
    assert_eq!(expected_text[..4], [[Level::Exhausting; 3].as_slice(), &[Level::Failing]].concat());
    assert_eq!(expected_text[4..6], [Level::Exhausted; 2]);
    assert_eq!(expected_text[6..65], [Level::Failing; 59]);
    assert_eq!(expected_text[65], Level::Exhausting);
    let last = last_minute(&trend_watch);
    assert_eq!((last.scans, last.full, last.since_full), (60, 0, None));
}

#[test]
fn failing_lasts_10_seconds_if_many_ports_became_free() {
    let (trend_watch, expected_text) = levels(repeated(60, 3).chain([64]).chain(repeated(20, 12)));
    assert_eq!(expected_text[4..13], [Level::Failing; 9]);
    assert_eq!(expected_text[13..], [Level::Ok; 3]);
    let last = last_minute(&trend_watch);
    let since = last.since_full.unwrap().as_secs();
    assert_eq!((last.scans, last.full, since), (16, 1, 12), "what was seen is still reported");
}

#[test]
fn a_range_filled_once_is_not_failing() {
    let (_, expected_text) = levels(repeated(10, 12).chain(repeated(56, 20)));
    assert_eq!(expected_text[..12], [Level::Ok; 12]);
    assert!(
        expected_text[12..].iter().all(|level| *level == Level::Exhausting),
        "{expected_text:?}"
    );
}

#[test]
fn fewer_ports_left_than_expected_until_the_next_scan_is_failing() {
    let (trend_watch, expected_text) = levels((1..=12).map(|second| second * 5));
    // 9, then 4 ports are left. 5 per second are used, so up to 8 are expected.
    assert_eq!(expected_text[10..], [Level::Exhausting, Level::Failing]);
    assert_eq!((last_minute(&trend_watch).full, last_minute(&trend_watch).expected), (0, 8));
}

#[test]
fn a_changed_range_resets_the_last_minute() {
    let (mut trend_watch, _) = levels([60, 64, 60]);
    let mut snapshot = used(4, 60);
    assert_eq!(last_minute(&trend_watch).full, 1);
    snapshot.ephemeral = Ephemeral::new(PortRange::new(40_000, 40_064).unwrap(), Vec::new());
    trend_watch.observe(&snapshot);
    assert_eq!((last_minute(&trend_watch).scans, last_minute(&trend_watch).full), (1, 0));
    assert_eq!(subject_status(&trend_watch, &snapshot).unwrap().level, Level::Exhausting);
}

#[test]
fn an_hour_of_scans_four_times_a_second_keeps_a_minute() {
    let mut trend_watch = TrendWatch::default();
    for number in 1..=4_000_u64 {
        let mut snapshot = used(number, 60 + 4 * u16::from(number % 8 == 0));
        snapshot.taken_at = churn::START + std::time::Duration::from_millis(number * 250);
        trend_watch.observe(&snapshot);
    }
    let last = last_minute(&trend_watch);
    assert!((237..=244).contains(&last.scans), "{last:?}");
    assert!((29..=31).contains(&last.full), "{last:?}");
}
