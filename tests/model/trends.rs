//! Rates and forecasts under simulated loads whose outcome is known. Uses no real sockets.

use std::time::Duration;

use portscope::domain::{
    Drain, Forecast, Gap, ListenerRates, Protocol, ProtocolFamily, Socket, State, Subject, Table,
    Trend, trends::MAX_TRACKED,
};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::churn::{Churn, TrendWatch, destination, snapshot_of, tcp};

/// A forecast made in the second half of a run, and the real time.
struct ForecastSample {
    /// Seconds until the ports were really used up.
    real: f64,
    forecast: Option<Forecast>,
}

impl ForecastSample {
    fn error(&self) -> f64 {
        self.forecast.map_or(f64::INFINITY, |forecast| (forecast.seconds / self.real - 1.0).abs())
    }

    fn is_covered(&self) -> bool {
        self.forecast.is_some_and(|forecast| {
            forecast.earliest <= self.real
                && forecast.latest.is_none_or(|latest| self.real <= latest)
        })
    }
}

/// Runs until no port is left, and returns the forecasts of the second half. `interval` returns the
/// time to the next snapshot.
fn second_half(mut churn: Churn, mut interval: impl FnMut() -> f64) -> Vec<ForecastSample> {
    let mut trend_watch = TrendWatch::default();
    let mut forecasts = Vec::new();
    while churn.full_at.is_none() {
        trend_watch.observe(&churn.snapshot());
        forecasts.push((churn.now, trend_watch.forecast(churn.left())));
        let next = churn.now + interval();
        churn.run_until(next);
    }
    let full_at = churn.full_at.unwrap();
    let late = forecasts.into_iter().filter(|(at, _)| *at >= full_at / 2.0);
    late.map(|(at, forecast)| ForecastSample { real: full_at - at, forecast }).collect()
}

fn every(seconds: f64) -> impl FnMut() -> f64 {
    move || seconds
}

fn share(all: &[ForecastSample], holds: impl Fn(&ForecastSample) -> bool) -> f64 {
    all.iter().filter(|reported| holds(reported)).count() as f64 / all.len() as f64
}

fn of_seeds(seeds: u64, run: impl Fn(u64) -> Vec<ForecastSample>) -> Vec<ForecastSample> {
    (0..seeds).flat_map(run).collect()
}

/// Forecasts of the last seconds are not compared, because the arrival of the last connections is
/// random.
const LAST_SECONDS: f64 = 10.0;

fn assert_right(name: &str, all: &[ForecastSample]) {
    let worst =
        all.iter().filter(|reported| reported.real >= LAST_SECONDS).map(ForecastSample::error);
    let worst = worst.fold(0.0, f64::max);
    let near = share(all, |reported| reported.error() <= 0.2);
    let covered = share(all, ForecastSample::is_covered);
    eprintln!(
        "{name}: {} forecasts, worst {worst:.3}, within 20 %: {near:.3}, covered {covered:.3}",
        all.len()
    );
    assert!(worst <= 0.2, "{name}: off by {worst}");
    assert!(covered >= 0.93, "{name}: {covered} covered");
}

#[test]
fn exhaustion_under_steady_load_is_forecast_within_20_percent_from_half_way() {
    assert_right(
        "50/s",
        &of_seeds(6, |seed| second_half(Churn::new(50.0, 4096, seed), every(1.0))),
    );
    assert_right(
        "200/s",
        &of_seeds(3, |seed| second_half(Churn::new(200.0, 8192, seed), every(0.5))),
    );
}

#[test]
fn the_forecast_interval_covers_lower_rates() {
    for rate in [1.0, 5.0, 20.0] {
        let ports = (rate * 100.0) as u16;
        let all = of_seeds(20, |seed| second_half(Churn::new(rate, ports, seed), every(1.0)));
        let covered = share(&all, ForecastSample::is_covered);
        eprintln!("{rate}/s: {covered:.3} covered of {}", all.len());
        assert!(covered >= 0.93, "{rate}/s: {covered} covered");
    }
}

#[test]
fn snapshots_may_be_rare_or_irregular() {
    assert_right(
        "30 s",
        &of_seeds(4, |seed| second_half(Churn::new(50.0, 28_232, seed), every(30.0))),
    );
    let all = of_seeds(3, |seed| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        second_half(Churn::new(50.0, 4096, seed), move || 0.1 + 4.0 * random.random::<f64>())
    });
    assert_right("irregular", &all);
}

#[test]
fn time_wait_fills_the_range_if_it_grows_faster_than_it_expires() {
    // 60 s at 100 per second would need 6,000 ports; the last of 4,096 ports is used after 41 s.
    let load = |seed| Churn::new(100.0, 4096, seed).with_lifetime(0.1);
    assert_right("churn", &of_seeds(12, |seed| second_half(load(seed), every(1.0))));
}

#[test]
fn a_sustainable_churn_is_never_forecast_to_fill_the_range_with_certainty() {
    let mut churn = Churn::new(100.0, 28_232, 1).with_lifetime(0.1);
    let mut trend_watch = TrendWatch::default();
    for step in 1..200 {
        churn.run_until(f64::from(step));
        trend_watch.observe(&churn.snapshot());
        let Some(forecast) = trend_watch.forecast(churn.left()) else { continue };
        // TIME-WAIT alone explains the growth, which stops after a minute.
        assert_eq!(forecast.latest, None, "{step} s: {forecast:?}");
    }
    let trend = trend_watch.trend().unwrap();
    assert!(trend.per_second.abs() < trend.uncertainty, "{trend:?}");
    assert!((trend.opened_per_second - 100.0).abs() < 12.0, "{trend:?}");
    assert!((trend.into_time_wait_per_second - 100.0).abs() < 12.0, "{trend:?}");
    assert!((5_700..6_300).contains(&trend.draining), "{trend:?}");
}

#[test]
fn two_snapshots_give_a_forecast_with_large_uncertainty() {
    let mut covered = 0;
    for seed in 0..200 {
        let mut churn = Churn::new(10.0, 4096, seed);
        let mut trend_watch = TrendWatch::default();
        churn.run_until(20.0);
        trend_watch.observe(&churn.snapshot());
        assert_eq!(trend_watch.trend(), None);
        churn.run_until(21.0);
        trend_watch.observe(&churn.snapshot());
        let trend = trend_watch.trend().unwrap();
        assert_eq!(trend.window, Duration::from_secs(1));
        covered += u32::from((trend.per_second - 10.0).abs() <= trend.uncertainty);
    }
    assert!(covered >= 190, "{covered} of 200");
}

#[test]
fn rates_are_unknown_until_the_scans_cover_nearly_a_second() {
    let mut trend_watch = TrendWatch::default();
    let mut listener_rates = ListenerRates::default();
    let mut rates_at = |number: u64, at: f64, connections: u16| {
        let mut sockets: Vec<Socket> =
            (0..connections).map(|n| tcp(40_000 + n, State::Established, 443)).collect();
        sockets.insert(0, Socket { remote: None, ..tcp(80, State::Listen, 0) });
        let snapshot = snapshot_of(number, at, sockets);
        trend_watch.observe(&snapshot);
        let listeners = listener_rates.observe(&snapshot, &trend_watch.history);
        let trend = trend_watch.trend();
        (trend.map(|trend| trend.opened_per_second), listeners[0].connections_per_second)
    };
    assert_eq!(rates_at(1, 1.0, 10), (None, None));
    assert_eq!(rates_at(2, 1.05, 30), (None, None));
    assert_eq!(rates_at(3, 1.85, 40), (None, None));
    assert_eq!(rates_at(4, 2.0, 40), (Some(30.0), Some(0.0)));
}

#[test]
fn a_bursty_load_has_more_uncertainty_than_a_steady_one() {
    let uncertainty_of = |counts: &[u16]| {
        let mut trend_watch = TrendWatch::default();
        for (number, &count) in (1..).zip(counts) {
            let sockets = (0..count).map(|n| tcp(40_000 + n, State::Established, 443)).collect();
            trend_watch.observe(&snapshot_of(number, number as f64, sockets));
        }
        let trend = trend_watch.trend().unwrap();
        assert!((trend.per_second - 20.0).abs() < 5.0, "{trend:?}");
        trend.uncertainty
    };
    let steady = uncertainty_of(&[20, 40, 60, 80, 100, 120, 140, 160, 180]);
    let bursts = uncertainty_of(&[20, 20, 20, 80, 80, 140, 140, 140, 180]);
    assert!(bursts > 2.0 * steady, "{bursts} and {steady}");
}

#[test]
fn a_clock_set_back_and_a_table_not_listed_make_no_false_rates() {
    let connections = |count: u16| -> Vec<Socket> {
        (0..count).map(|n| tcp(40_000 + n, State::Established, 443)).collect()
    };
    let mut trend_watch = TrendWatch::default();
    trend_watch.observe(&snapshot_of(1, 1.0, connections(100)));
    trend_watch.observe(&snapshot_of(2, 2.0, connections(110)));
    let mut refused = snapshot_of(3, 3.0, Vec::new());
    let error = portscope::domain::Errno::EACCES;
    refused.gaps.push(Gap::TableRefused { table: Table::Tcp, error });
    trend_watch.observe(&refused);
    trend_watch.observe(&snapshot_of(4, 4.0, connections(130)));
    let trend = trend_watch.trend().unwrap();
    assert!((trend.per_second - 10.0).abs() < 1e-6, "{trend:?}");
    assert!((trend.opened_per_second - 10.0).abs() < 1e-6, "{trend:?}");

    let mut trend_watch = TrendWatch::default();
    trend_watch.observe(&snapshot_of(1, 3600.0, connections(100)));
    trend_watch.observe(&snapshot_of(2, 3601.0, connections(110)));
    trend_watch.observe(&snapshot_of(3, 0.0, connections(120)));
    assert_eq!(trend_watch.trend(), None, "who knows how long that took");
    trend_watch.observe(&snapshot_of(4, 1.0, connections(130)));
    assert!((trend_watch.trend().unwrap().per_second - 10.0).abs() < 1e-6);
    trend_watch.observe(&snapshot_of(4, 2.0, Vec::new()));
    assert!((trend_watch.trend().unwrap().per_second - 10.0).abs() < 1e-6, "not newer");
}

#[test]
fn ranges_and_lanes_have_trends_of_their_own() {
    let mut churn = Churn::new(50.0, 4096, 1);
    let mut trend_watch = TrendWatch::default();
    for second in 1..=10 {
        churn.run_until(f64::from(second));
        trend_watch.observe(&churn.snapshot());
    }
    let of = |subject| trend_watch.trends.of(subject).unwrap();
    let destination = of(Subject::Destination(destination(443)));
    assert_eq!(of(Subject::Range(Protocol::Tcp)), destination);
    assert_eq!(of(Subject::ProtocolFamily(ProtocolFamily::Tcp4)), destination);
    assert!(of(Subject::ProtocolFamily(ProtocolFamily::Tcp6)).per_second.abs() < 1e-6);
    assert!(of(Subject::Range(Protocol::Udp)).opened_per_second < 1e-6);
    let series = trend_watch.trends.series(Subject::Range(Protocol::Tcp));
    assert_eq!(series.len(), 10);
    assert_eq!(series[9], (Duration::ZERO, 4096 - churn.left()));
    assert_eq!(series[0].0, Duration::from_secs(9));
}

#[test]
fn a_long_run_keeps_a_bounded_series_from_its_first_snapshot_to_its_last() {
    let mut trend_watch = TrendWatch::default();
    for second in 0..5_000_u32 {
        let port = 40_000 + second as u16;
        let sockets = vec![tcp(port, State::Established, 443)];
        trend_watch.observe(&snapshot_of(u64::from(second) + 1, f64::from(second), sockets));
    }
    let series = trend_watch.trends.series(Subject::Range(Protocol::Tcp));
    assert!((100..=300).contains(&series.len()), "{}", series.len());
    assert_eq!(series[0].0, Duration::from_secs(4_999));
    assert_eq!(series.last().unwrap().0, Duration::ZERO);
    let gaps = series.windows(2).map(|pair| pair[0].0.saturating_sub(pair[1].0));
    assert!(gaps.max().unwrap() <= Duration::from_secs(100), "even over the run");
}

#[test]
fn the_largest_of_10000_destinations_are_followed_continuously() {
    // 100 destinations have 50 ports each, the others about three.
    let sockets = |seed: u64| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut sockets = Vec::new();
        for remote in 0..10_000_u16 {
            let used = if remote % 100 == 7 { 50 } else { 1 + random.random_range(0..5) };
            let first = 32_768 + remote % 20_000;
            sockets.extend((0..used).map(|n| tcp(first + n, State::Established, remote)));
        }
        sockets
    };
    let mut trend_watch = TrendWatch::default();
    for second in 1..=4 {
        trend_watch.observe(&snapshot_of(second, second as f64, sockets(second)));
    }
    let followed =
        |remote: &u16| trend_watch.trends.of(Subject::Destination(destination(*remote))).is_some();
    let count = (0..10_000).filter(followed).count();
    assert_eq!(count, 100);
    assert!((0..100).all(|n| followed(&(n * 100 + 7))));
}

#[test]
fn destinations_of_equal_size_do_not_replace_each_other() {
    // 400 destinations of 20 to 22 ports, in another order each second.
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut trend_watch = TrendWatch::default();
    let mut followed = Vec::new();
    for second in 1..=10 {
        let mut sockets = Vec::new();
        for remote in 0..400_u16 {
            let used = 20 + random.random_range(0..3);
            sockets.extend(
                (0..used).map(|n| tcp(33_000 + remote * 25 + n, State::Established, remote)),
            );
        }
        trend_watch.observe(&snapshot_of(second, second as f64, sockets));
        let of = |remote: &u16| {
            trend_watch.trends.series(Subject::Destination(destination(*remote))).len()
        };
        let now: Vec<u16> = (0..400).filter(|remote| of(remote) > 0).collect();
        assert_eq!(now.len(), MAX_TRACKED);
        if second > 1 {
            assert_eq!(now, followed);
        }
        followed = now;
    }
}

#[test]
fn forecasts_of_zero_growth_are_none_and_of_no_ports_left_zero() {
    let trend = |per_second, uncertainty| Trend {
        opened_per_second: 0.0,
        into_time_wait_per_second: 0.0,
        per_second,
        uncertainty,
        lasting_per_second: per_second,
        draining: 0,
        window: Duration::from_secs(10),
    };
    let now = Forecast { seconds: 0.0, earliest: 0.0, latest: Some(0.0) };
    assert_eq!(trend(0.0, 0.1).until(0), Some(now));
    assert_eq!(trend(0.0, 1.0).until(10), None);
    assert_eq!(trend(-1.0, 10.0).until(10), None);
    let exact = trend(2.0, 0.0).until(500).unwrap();
    assert_eq!(exact, Forecast { seconds: 250.0, earliest: 250.0, latest: Some(250.0) });
    let uncertain = trend(1.0, 2.0).until(100).unwrap();
    assert!(uncertain.earliest < 100.0 / 2.9 && uncertain.latest.is_none(), "{uncertain:?}");
    let certain = trend(10.0, 1.0).until(1_000).unwrap();
    assert!((86.0..91.0).contains(&certain.earliest), "{certain:?}");
    assert!((111.0..117.0).contains(&certain.latest.unwrap()), "{certain:?}");
}

#[test]
fn ports_become_free_with_their_last_time_wait() {
    let waiting = |port, remote, left| Socket {
        expires_ms: Some(left),
        ..tcp(port, State::TimeWait, remote)
    };
    let sockets = vec![
        waiting(40_000, 1, 500),
        waiting(40_001, 1, 1_999),
        waiting(40_001, 2, 59_980),
        waiting(40_002, 1, 1_000),
        tcp(40_002, State::Established, 2),
        waiting(20_000, 1, 1_000),
        Socket { expires_ms: None, ..waiting(40_003, 3, 0) },
    ];
    let snapshot = snapshot_of(1, 1.0, sockets);
    let bins = |drain: &Drain| -> Vec<(usize, u32)> {
        assert_eq!(drain.freed.len(), 60);
        drain.freed.iter().copied().enumerate().filter(|&(_, ports)| ports > 0).collect()
    };
    let all = Drain::of(&snapshot, None);
    assert_eq!(bins(&all), [(0, 1), (59, 2)], "40002 is held by more than TIME-WAIT");
    assert_eq!(
        [0, 1, 2, 3, 4].map(|ports| all.seconds_until(ports)),
        [Some(0), Some(1), Some(60), Some(60), None]
    );
    let first = Drain::of(&snapshot, Some(&destination(1)));
    assert_eq!(bins(&first), [(0, 1), (1, 2)]);
    assert_eq!(Drain::default().seconds_until(1), None);
}
