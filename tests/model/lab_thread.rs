//! The lab thread from the outside: requests in, reports out.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use portscope::{
    allocator::{ALLOCATORS, Pattern, PortView, Tuning},
    domain::{PortRange, Protocols, State},
    engine::{
        LabReport, LabRequest as Ask, LabSetup, LabTarget, Report, Speed,
        lab::{LabThread, complete, spawn},
        message::{RaceBackend, RaceSetup},
    },
    host::simulated::SimulatedHost,
};

use crate::mailbox::mailbox;

const SOON: Duration = Duration::from_secs(20);

struct Session {
    thread: LabThread,
    reports: mpsc::Receiver<Report>,
    races: mpsc::Receiver<Report>,
}

impl Session {
    fn new() -> Self {
        Self::on(SimulatedHost::builder().build())
    }

    fn on(host: SimulatedHost) -> Self {
        let ((outbox, reports), (race_outbox, races)) = (mailbox(1), mailbox(1));
        let thread = spawn(Arc::new(host), outbox, race_outbox).unwrap();
        Self { thread, reports, races }
    }

    fn ask(&self, request: Ask) {
        assert!(self.thread.send(request));
    }

    fn next(&self) -> Arc<LabReport> {
        match self.reports.recv_timeout(SOON).unwrap() {
            Report::Lab(report) => report,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn until(&self, enough: impl Fn(&LabReport) -> bool) -> Arc<LabReport> {
        let deadline = Instant::now() + SOON;
        while Instant::now() < deadline {
            let report = self.next();
            if enough(&report) {
                return report;
            }
        }
        panic!("not soon");
    }
}

fn range() -> PortRange {
    PortRange::new(50_000, 50_999).unwrap()
}

fn simulated(share: f64) -> LabTarget {
    LabTarget::Simulated { pattern: Pattern::Uniform, share }
}

fn setup(target: LabTarget) -> LabSetup {
    LabSetup {
        target,
        strategies: (0..ALLOCATORS.len()).collect(),
        protocols: Protocols::Tcp,
        range: range(),
        reserved: Vec::new(),
        address: None,
        max_attempts: 100,
        seed: 3,
        destinations: 1,
        tuning: Tuning::default(),
    }
}

fn runs(report: &LabReport) -> u64 {
    report
        .strategy_reports
        .iter()
        .map(|strategy_report| strategy_report.figures.runs)
        .min()
        .unwrap()
}

fn attempts(report: &LabReport) -> u64 {
    report
        .strategy_reports
        .iter()
        .map(|strategy_report| strategy_report.last_attempts.len() as u64)
        .sum()
}

#[test]
fn a_lab_starts_paused_and_reports_its_occupancy_first() {
    let session = Session::new();
    session.ask(Ask::Prepare(setup(simulated(0.25))));
    let report = session.next();
    assert_eq!((report.number, report.is_running), (1, false));
    assert_eq!((report.candidates, report.occupied), (1_000, 250));
    let ports = &report.strategy_reports[0].ports;
    assert_eq!(range().ports().filter(|&port| !ports.looks_free(port)).count(), 250);
    assert_eq!((runs(&report), attempts(&report)), (0, 0));
    session.ask(Ask::Prepare(setup(simulated(0.5))));
    assert_eq!(session.until(|report| report.number == 2).occupied, 500);
}

#[test]
fn a_step_makes_one_attempt_per_strategy_and_is_reported_at_once() {
    let session = Session::new();
    session.ask(Ask::Prepare(setup(simulated(0.5))));
    let shown = session.next().strategy_reports[0].ports.clone();
    session.ask(Ask::Step);
    let report = session.until(|report| attempts(report) > 0);
    assert_eq!(attempts(&report), ALLOCATORS.len() as u64);
    assert_eq!(report.strategy_reports[0].ports, shown);
    assert!(!report.is_running);
}

#[test]
fn a_pause_is_handled_at_full_speed_and_the_figures_are_reported() {
    for pattern in Pattern::EACH {
        let session = Session::new();
        // For `sequential`, the time to build an occupancy grows with the square of its ports.
        let share = if pattern == Pattern::Built { 0.2 } else { 0.9 };
        session.ask(Ask::Prepare(setup(LabTarget::Simulated { pattern, share })));
        session.ask(Ask::Speed(Speed::Max));
        session.ask(Ask::Run);
        session.until(|report| report.is_running && runs(report) > 10);
        session.ask(Ask::Pause);
        let asked = Instant::now();
        let last = session.until(|report| !report.is_running);
        assert!(asked.elapsed() < Duration::from_secs(2), "{pattern:?}");
        session.ask(Ask::Step);
        let stepped = session.until(|report| report.strategy_reports != last.strategy_reports);
        let more = runs(&stepped) - runs(&last);
        assert!(more <= 1 && !stepped.is_running, "{pattern:?}");
    }
}

#[test]
fn the_lab_continues_if_no_report_is_received() {
    let session = Session::new();
    session.ask(Ask::Prepare(setup(simulated(0.5))));
    session.ask(Ask::Run);
    let first = session.until(|report| report.is_running && runs(report) > 0);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(450) {
        std::thread::yield_now();
    }
    // The first of the two has been waiting; the second one is current.
    let (old, new) = (session.next(), session.next());
    assert!(runs(&first) < runs(&old) && runs(&old) < runs(&new));
    assert!(began.elapsed() < SOON);
}

#[test]
fn slow_speeds_make_their_number_of_steps_per_second() {
    let session = Session::new();
    session.ask(Ask::Prepare(setup(simulated(0.0))));
    session.ask(Ask::Speed(Speed::Twenty));
    session.ask(Ask::Run);
    session.until(|report| runs(report) >= 1);
    let began = Instant::now();
    // If all ports are free, each step is a whole run.
    let report = session.until(|report| runs(report) >= 11);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(350), "{took:?} for {} runs", runs(&report));
}

#[test]
fn a_changed_fill_resets_the_figures_and_keeps_the_curve() {
    let session = Session::new();
    session.ask(Ask::Prepare(setup(simulated(0.5))));
    let whole = session.until(|report| report.curve.len() == 23);
    let shares: Vec<f64> = whole.curve.iter().map(|point| point.share).collect();
    assert!(shares.is_sorted() && shares.last() == Some(&0.99));
    session.ask(Ask::Run);
    session.until(|report| runs(report) > 100);
    session.ask(Ask::Pause);
    session.until(|report| !report.is_running);
    session.ask(Ask::Fill(0.9));
    let report = session.until(|report| report.occupied == 900);
    assert_eq!((report.number, runs(&report), report.curve.len()), (1, 0, 23));
    for (strategy, mean) in report.curve[10].means.iter().enumerate() {
        let mean = mean.unwrap();
        let is_sighted = ["bitmap", "kernel-bind"].contains(&ALLOCATORS[strategy].name);
        let expected = if is_sighted { 1.0..=1.0 } else { 1.5..=2.6 };
        assert!(expected.contains(&mean), "{} {mean}", ALLOCATORS[strategy].name);
    }
}

#[test]
fn a_complete_lab_matches_the_expected_means() {
    let host = SimulatedHost::builder().build();
    let report = complete(&host, &setup(simulated(0.9)), 2_000).unwrap();
    assert_eq!((runs(&report), report.candidates, report.occupied), (2_000, 1_000, 900));
    for strategy_report in &report.strategy_reports {
        let figures = &strategy_report.figures;
        assert_eq!(figures.runs, 2_000);
        let Some(expected) = figures.expected else { continue };
        let error = figures.standard_error().unwrap();
        let off = figures.mean().unwrap() - expected.mean_attempts;
        assert!(off.abs() <= 4.5 * error, "{}", ALLOCATORS[strategy_report.strategy].name);
    }
    let again = complete(&host, &setup(simulated(0.9)), 2_000).unwrap();
    let means = |report: &LabReport| -> Vec<_> {
        report
            .strategy_reports
            .iter()
            .map(|strategy_report| strategy_report.figures.mean())
            .collect()
    };
    assert_eq!(means(&report), means(&again));
}

#[test]
fn a_live_lab_makes_real_binds_and_reports_the_real_occupancy() {
    let ports = (50_000..50_900).filter(|port| port % 10 != 0);
    let host = SimulatedHost::builder().fill_ports(ports, 1.0, State::Listen, 1).build();
    let report = complete(&host, &setup(LabTarget::Machine), 1_000).unwrap();
    assert_eq!((report.candidates, report.occupied), (1_000, 810));
    assert!(report.curve.is_empty());
    for strategy_report in &report.strategy_reports {
        let (row, figures) = (&ALLOCATORS[strategy_report.strategy], &strategy_report.figures);
        assert_eq!(figures.snapshots.0 > 0, row.needs_port_view, "{}", row.name);
        if row.name == "bitmap" {
            assert_eq!((figures.attempts, figures.failures), (1_000, 0));
        }
        let Some(expected) = figures.expected else { continue };
        let off = figures.mean().unwrap() - expected.mean_attempts;
        let error = figures.standard_error().unwrap();
        assert!(off.abs() <= 4.5 * error, "{} {off} {error}", row.name);
    }
    assert_eq!(host.held(), []);
}

#[test]
fn a_lab_that_cannot_be_prepared_reports_the_reason() {
    let session = Session::new();
    let nothing = LabSetup { reserved: vec![range()], ..setup(simulated(0.5)) };
    session.ask(Ask::Prepare(nothing.clone()));
    let report = session.reports.recv_timeout(SOON).unwrap();
    assert!(matches!(report, Report::LabFailed(_)), "{report:?}");
    session.ask(Ask::Run);
    session.ask(Ask::Step);
    session.ask(Ask::Prepare(setup(simulated(0.5))));
    assert!(!session.next().is_running);
    let host = SimulatedHost::builder().build();
    let words = complete(&host, &nothing, 5).unwrap_err();
    assert_eq!(words.as_str(), "all ports of 50000-50999 are reserved");
    let nobody = LabSetup { strategies: Vec::new(), ..setup(simulated(0.5)) };
    assert!(complete(&host, &nobody, 5).is_err());
}

fn race(rounds: u32) -> RaceSetup {
    RaceSetup {
        program: None,
        rounds,
        window: Duration::from_millis(10),
        competitor_binds_per_second: 100.0,
        range: range(),
        share: 0.5,
        seed: 1,
    }
}

#[test]
fn race_reports_end_with_is_over() {
    let session = Session::new();
    let until_over = || loop {
        match session.races.recv_timeout(SOON).unwrap() {
            Report::Race(report) if report.is_over => return report,
            Report::Race(_) => {}
            other => panic!("{other:?}"),
        }
    };
    session.ask(Ask::Race(race(20)));
    let report = until_over();
    assert_eq!((report.rebound.count, report.handed_over.stolen), (20, 0));
    assert!(matches!(report.backend, RaceBackend::Simulated { .. }));
    session.ask(Ask::Race(race(u32::MAX)));
    session.ask(Ask::EndRace);
    assert!(until_over().rebound.count < u32::MAX);
}

#[test]
fn dropping_the_thread_ends_the_lab_and_the_race() {
    let session = Session::new();
    session.ask(Ask::Prepare(setup(simulated(0.9))));
    session.ask(Ask::Run);
    session.ask(Ask::Race(race(u32::MAX)));
    let Session { thread, reports, races } = session;
    let taking = std::thread::spawn(move || reports.into_iter().count());
    drop(thread);
    drop(races);
    taking.join().unwrap();
}
