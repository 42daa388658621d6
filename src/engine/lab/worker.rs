//! The loop of the lab thread: receives requests, makes attempts at the set speed, reports.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    allocator::{Attempt, FreePorts},
    domain::Text,
    engine::{
        LabReport, LabRequest, LabSetup, LabTarget, Report, Speed,
        lab::{
            backend::{LabBackend, config},
            clock,
            curve::Curve,
            races::Races,
        },
        message::StrategyReport,
        worker::{Line, Pacer, Stop},
    },
    host::Host,
};

/// Minimum time between two reports while attempts are made.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// Approximate number of attempts for the curve (mean attempts by occupied share) between two
/// checks of the requests.
const SLICE: u32 = 1 << 13;

/// Once every point was measured, the curve gets 1 / `REFINEMENT` of the time.
const REFINEMENT: u32 = 10;

pub struct LabWorker<'a> {
    host: &'a dyn Host,
    line: Line<'a, LabRequest>,
    races: Races,
    /// Number of labs prepared.
    number: u64,
    lab: Option<PreparedLab>,
    is_running: bool,
    speed: Speed,
    /// Number of steps that were requested or are due.
    steps: u32,
    pacer: Pacer,
    curve_due: Instant,
    reported: Instant,
    has_unsent_report: bool,
    /// Occupancies and attempts that reports repeat until `MIN_CHANGE_INTERVAL` has passed, and
    /// when they were first reported. `None` while paused and at up to 20 attempts per second.
    last_shown: Option<(Instant, Vec<ShownOccupancy>)>,
}

/// The occupancy and the attempts of one strategy, as reported.
type ShownOccupancy = (Arc<FreePorts>, Vec<Attempt>);

/// Minimum time between changes of large areas. It limits the changes to 2.5 a second, because more
/// than three flashes a second may cause seizures (WCAG 2.2, success criterion 2.3.1).
const MIN_CHANGE_INTERVAL: Duration = Duration::from_millis(400);

/// The lab prepared last.
struct PreparedLab {
    setup: LabSetup,
    backend: LabBackend,
    /// `None` on the real host.
    curve: Option<Curve>,
}

impl<'a> LabWorker<'a> {
    pub fn new(host: &'a dyn Host, line: Line<'a, LabRequest>, races: Races) -> Self {
        let now = Instant::now();
        Self {
            host,
            line,
            races,
            number: 0,
            lab: None,
            is_running: false,
            speed: Speed::Max,
            steps: 0,
            pacer: Pacer::new(),
            curve_due: now,
            reported: now,
            has_unsent_report: false,
            last_shown: None,
        }
    }

    pub fn work(mut self) {
        while self.receive().is_ok() {
            if self.run_due_work().is_err() {
                return;
            }
        }
    }

    /// Handles pending requests; waits for one if there is nothing else to do.
    fn receive(&mut self) -> Result<(), Stop> {
        while let Some(request) = self.line.receive(self.due())? {
            self.handle(request)?;
        }
        Ok(())
    }

    /// Returns when the next work is due; `None` if there is nothing to do until a request arrives.
    fn due(&self) -> Option<Instant> {
        let lab = self.lab.as_ref()?;
        let is_busy = self.steps > 0 || self.is_running && self.speed == Speed::Max;
        if is_busy {
            return Some(Instant::now());
        }
        let is_sweeping = lab.curve.as_ref().is_some_and(|curve| !curve.is_done());
        let deadlines = [
            (self.is_running, self.pacer.due),
            (is_sweeping, self.curve_due),
            (self.has_unsent_report, self.reported + REPORT_INTERVAL),
        ];
        deadlines.iter().filter(|(counts, _)| *counts).map(|&(_, at)| at).min()
    }

    fn handle(&mut self, request: LabRequest) -> Result<(), Stop> {
        match request {
            LabRequest::Prepare(setup) => {
                self.number += 1;
                self.pause();
                self.lab = None;
                let curve = match setup.target {
                    LabTarget::Simulated { pattern, .. } => {
                        Some(Curve::new(config(&setup), pattern))
                    }
                    LabTarget::Machine => None,
                };
                self.curve_due = Instant::now();
                return self.prepare(setup, curve);
            }
            LabRequest::Fill(share) => return self.set_fill(share),
            LabRequest::Run => {
                self.is_running = self.lab.is_some() && self.speed != Speed::Step;
                self.pacer = Pacer::new();
            }
            LabRequest::Step => {
                self.pause();
                self.steps = u32::from(self.lab.is_some());
                return Ok(());
            }
            LabRequest::Pause => self.pause(),
            LabRequest::Speed(speed) => self.set_speed(speed),
            LabRequest::Race(setup) => {
                self.races.begin(setup);
                return Ok(());
            }
            LabRequest::EndRace => {
                self.races.end();
                return Ok(());
            }
        }
        if self.is_running { Ok(()) } else { self.deliver_report() }
    }

    fn pause(&mut self) {
        (self.is_running, self.steps) = (false, 0);
    }

    fn set_speed(&mut self, speed: Speed) {
        self.speed = speed;
        self.steps = 0;
        self.is_running &= speed != Speed::Step;
        self.pacer.hasten(speed.pause().unwrap_or_default());
    }

    fn prepare(&mut self, setup: LabSetup, curve: Option<Curve>) -> Result<(), Stop> {
        self.last_shown = None;
        match LabBackend::prepare(self.host, &setup) {
            Ok(backend) => {
                self.lab = Some(PreparedLab { setup, backend, curve });
                self.deliver_report()
            }
            Err(words) => self.fail(words),
        }
    }

    /// Changes the share of occupied ports; keeps running, with new statistics. Does nothing on the
    /// real host.
    fn set_fill(&mut self, wanted: f64) -> Result<(), Stop> {
        self.last_shown = None;
        let is_simulated = |lab: &mut PreparedLab| lab.curve.is_some();
        let Some(PreparedLab { mut setup, curve, .. }) = self.lab.take_if(is_simulated) else {
            return Ok(());
        };
        if let LabTarget::Simulated { share, .. } = &mut setup.target {
            *share = wanted;
        }
        self.steps = 0;
        self.prepare(setup, curve)
    }

    fn fail(&mut self, words: Text) -> Result<(), Stop> {
        self.pause();
        self.lab = None;
        self.line.deliver(Report::LabFailed(words))
    }

    /// Makes the attempts that are due and a slice of the curve; offers a report if one is due.
    fn run_due_work(&mut self) -> Result<(), Stop> {
        let was_asked = !self.is_running && self.steps > 0;
        if let Err(words) = self.attempt() {
            return self.fail(words);
        }
        if was_asked && self.steps == 0 {
            return self.deliver_report();
        }
        self.sweep();
        if self.has_unsent_report && self.reported.elapsed() >= REPORT_INTERVAL {
            self.offer_report();
        }
        Ok(())
    }

    fn attempt(&mut self) -> Result<(), Text> {
        let Some(lab) = &mut self.lab else { return Ok(()) };
        if self.is_running && self.speed == Speed::Max {
            self.has_unsent_report = true;
            return lab.backend.advance(lab.backend.batch(), u64::MAX, &clock());
        }
        if let Some(pause) = self.speed.pause().filter(|_| self.is_running && self.steps == 0) {
            self.steps = self.pacer.steps_due(pause, u32::MAX);
        }
        while self.steps > 0 && lab.backend.prepare_step() {
            lab.backend.step()?;
            self.steps -= 1;
            self.has_unsent_report = true;
        }
        Ok(())
    }

    /// Advances the curve. Until every point was measured, the curve gets half of the time while
    /// the lab is running, and all of it otherwise. After that, the curve gets 1 / `REFINEMENT` of
    /// the time.
    fn sweep(&mut self) {
        let begun = Instant::now();
        let Some(curve) = self.lab.as_mut().and_then(|lab| lab.curve.as_mut()) else { return };
        if curve.is_done() || begun < self.curve_due {
            return;
        }
        self.has_unsent_report |= curve.advance(SLICE);
        let took = begun.elapsed();
        let pause_time = match (curve.is_whole(), self.is_running) {
            (true, _) => took * (REFINEMENT - 1),
            (false, true) => took,
            (false, false) => Duration::ZERO,
        };
        self.curve_due = Instant::now() + pause_time;
    }

    /// Sends a report if there is room. Otherwise the next report replaces it.
    fn offer_report(&mut self) {
        if let Some(report) = self.report() {
            self.has_unsent_report = self.line.offer(report).is_err();
        }
    }

    /// Sends a report. Waits for room.
    fn deliver_report(&mut self) -> Result<(), Stop> {
        let Some(report) = self.report() else { return Ok(()) };
        self.has_unsent_report = false;
        self.line.deliver(report)
    }

    fn report(&mut self) -> Option<Report> {
        let lab = self.lab.as_ref()?;
        self.reported = Instant::now();
        let mut report = LabReport {
            number: self.number,
            curve: lab.curve.as_ref().map(Curve::points).unwrap_or_default(),
            is_running: self.is_running,
            ..lab.backend.report()
        };
        self.limit_flashing(&mut report.strategy_reports);
        Some(Report::Lab(Arc::new(report)))
    }

    /// At more than 20 attempts per second, replaces occupancies and attempts with those reported
    /// before, until `MIN_CHANGE_INTERVAL` has passed, so that large areas of the screen do not
    /// flash.
    fn limit_flashing(&mut self, strategy_reports: &mut [StrategyReport]) {
        if !self.is_running || self.speed <= Speed::Twenty {
            self.last_shown = None;
            return;
        }
        if let Some((since, shown)) = &self.last_shown
            && since.elapsed() < MIN_CHANGE_INTERVAL
        {
            for (strategy_report, (ports, last_attempts)) in strategy_reports.iter_mut().zip(shown)
            {
                (strategy_report.ports, strategy_report.last_attempts) =
                    (Arc::clone(ports), last_attempts.clone());
            }
            return;
        }
        let shown =
            strategy_reports.iter().map(|c| (Arc::clone(&c.ports), c.last_attempts.clone()));
        self.last_shown = Some((self.reported, shown.collect()));
    }
}
