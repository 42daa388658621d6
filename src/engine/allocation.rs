//! The allocation thread: owns the strategy, the binder and all held sockets. Receives requests,
//! makes attempts at the set speed, and reports.

mod delta;
mod run;
pub(super) mod target;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    domain::Text,
    engine::{
        AllocationRequest, Outbox, Report, Speed,
        message::{AllocationDelta, AllocatorTarget, Setup},
        worker::{Line, Pacer, Stop, Worker},
    },
    host::{Host, simulated::SimulatedHost},
};

pub use delta::{RECENT, merge, push_recent};
pub use target::simulated_processes;

use self::run::AllocationRun;

/// Handle to the thread. Dropping it ends the run and releases all held ports.
pub type AllocationThread = Worker<AllocationRequest>;

/// Starts the thread, without a run and without held ports, at four attempts per second.
///
/// Errors: the thread could not be created.
pub fn spawn(host: Arc<dyn Host>, outbox: Box<dyn Outbox>) -> io::Result<AllocationThread> {
    Worker::start("allocation", outbox, move |line, _| AllocationWorker::new(&*host, line).work())
}

/// Maximum number of attempts between two checks of the clock and of the requests.
const BATCH: u32 = 256;

/// Minimum time between two deltas while attempts are made. At up to 20 attempts per second, each
/// attempt is reported at once instead.
const REPORT_INTERVAL: Duration = Duration::from_millis(33);

struct AllocationWorker<'a> {
    host: &'a dyn Host,
    line: Line<'a, AllocationRequest>,
    runs: u64,
    run: Option<AllocationRun>,
    /// Simulated host whose ports the run binds; `None` if the run uses `host`.
    simulated: Option<SimulatedHost>,
    is_running: bool,
    speed: Speed,
    hold: bool,
    pacer: Pacer,
    reported: Instant,
    /// Whether attempts were made that are in no delta yet.
    has_unsent_delta: bool,
    /// Delta for which there was no room. It is merged into the next delta, so that no count is
    /// lost.
    unsent: Option<AllocationDelta>,
}

impl<'a> AllocationWorker<'a> {
    fn new(host: &'a dyn Host, line: Line<'a, AllocationRequest>) -> Self {
        Self {
            host,
            line,
            runs: 0,
            run: None,
            simulated: None,
            is_running: false,
            speed: Speed::Four,
            hold: false,
            pacer: Pacer::new(),
            reported: Instant::now(),
            has_unsent_delta: false,
            unsent: None,
        }
    }

    fn work(mut self) {
        while self.receive().is_ok() {
            let attempted = if self.is_running { self.attempt() } else { Ok(()) };
            if attempted.is_err() {
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

    /// Returns the time of the next attempt or report; None: nothing runs.
    fn due(&self) -> Option<Instant> {
        if !self.is_running {
            return None;
        }
        let next = match (self.speed, self.resumes_at()) {
            (Speed::Max, None) => return Some(Instant::now()),
            (Speed::Max, Some(resumes_at)) => resumes_at,
            _ => self.pacer.due,
        };
        let report_due = self.reported + REPORT_INTERVAL;
        Some(if self.has_figures() { next.min(report_due) } else { next })
    }

    /// Returns `AllocationRun::resumes_at`.
    fn resumes_at(&self) -> Option<Instant> {
        self.run.as_ref()?.resumes_at
    }

    fn has_figures(&self) -> bool {
        self.has_unsent_delta || self.unsent.is_some()
    }

    fn handle(&mut self, request: AllocationRequest) -> Result<(), Stop> {
        match request {
            AllocationRequest::Prepare(setup) => {
                self.end_run();
                if let Err(words) = self.prepare(setup) {
                    return self.line.deliver(Report::AllocationFailed(words));
                }
                self.deliver_population()?;
            }
            AllocationRequest::Run => {
                self.is_running = self.run.is_some() && self.speed != Speed::Step;
                self.pacer = Pacer::new();
                return if self.is_running { Ok(()) } else { self.deliver_delta() };
            }
            AllocationRequest::Step => {
                self.is_running = false;
                if let Some(run) = &mut self.run {
                    run.attempt(1, self.hold);
                }
            }
            AllocationRequest::Pause => self.is_running = false,
            AllocationRequest::Speed(speed) => {
                self.set_speed(speed);
                return if self.is_running { Ok(()) } else { self.deliver_delta() };
            }
            AllocationRequest::Fill(share) => return self.refill(share),
            AllocationRequest::Hold(hold) => {
                self.hold = hold;
                self.run.iter_mut().for_each(|run| run.hold_note = None);
            }
            AllocationRequest::Release(port) => {
                self.run.iter_mut().for_each(|run| run.release(port));
            }
            AllocationRequest::ReleaseAll => {
                self.run.iter_mut().for_each(AllocationRun::release_all);
            }
        }
        self.deliver_delta()
    }

    /// Ends the run and releases its ports, so that the next run can bind them.
    fn end_run(&mut self) {
        self.is_running = false;
        (self.unsent, self.has_unsent_delta) = (None, false);
        (self.run, self.simulated) = (None, None);
        self.runs += 1;
    }

    /// Prepares a run.
    ///
    /// Errors, as text: the simulated host could not be built, or no run can start.
    fn prepare(&mut self, mut setup: Setup) -> Result<(), Text> {
        if let AllocatorTarget::Simulated { share } = setup.target {
            let (target, reserved) =
                target::build(self.host, setup.protocols, setup.range, setup.seed, share)?;
            (setup.reserved, setup.address) = (reserved, None);
            self.simulated = Some(target);
        }
        let simulated = self.simulated.as_ref().map(|target| target as &dyn Host);
        self.run = Some(AllocationRun::prepare(simulated.unwrap_or(self.host), self.runs, &setup)?);
        Ok(())
    }

    /// Changes the occupancy of the simulated host; does nothing on the real host. Reports earlier
    /// attempts first, because they belong to the old occupancy.
    fn refill(&mut self, share: f64) -> Result<(), Stop> {
        let Some(target) = self.simulated.clone() else { return Ok(()) };
        self.deliver_delta()?;
        target.refill(share);
        self.run.iter_mut().for_each(|run| {
            (run.needs_rescan, run.resumes_at) = (true, None);
        });
        self.deliver_population()
    }

    fn deliver_population(&self) -> Result<(), Stop> {
        let Some(target) = &self.simulated else { return Ok(()) };
        let mut population = target.population();
        population.number = self.runs;
        self.line.deliver(Report::Simulated(Arc::new(population)))
    }

    fn set_speed(&mut self, speed: Speed) {
        self.speed = speed;
        self.is_running &= speed != Speed::Step;
        self.pacer.hasten(speed.pause().unwrap_or_default());
    }

    /// Makes the attempts that are due, and offers a delta if one is due.
    fn attempt(&mut self) -> Result<(), Stop> {
        let now = Instant::now();
        let count = match self.speed.pause() {
            None if self.resumes_at().is_some_and(|resumes_at| now < resumes_at) => 0,
            None => BATCH,
            Some(pause) => self.pacer.steps_due(pause, BATCH),
        };
        self.has_unsent_delta |= count > 0;
        let Some(run) = &mut self.run else { return Ok(()) };
        if !run.attempt(count, self.hold) {
            self.is_running = false;
            return self.deliver_delta();
        }
        let is_slow = self.speed <= Speed::Twenty;
        if self.has_figures() && (is_slow || now >= self.reported + REPORT_INTERVAL) {
            self.reported = now;
            self.offer_delta();
        }
        Ok(())
    }

    /// Sends the statistics if there is room, and keeps them for the next delta otherwise.
    fn offer_delta(&mut self) {
        if let Some(delta) = self.take_delta()
            && let Err(Report::Allocation(delta)) =
                self.line.offer(Report::Allocation(Box::new(delta)))
        {
            self.unsent = Some(*delta);
        }
    }

    /// Sends all unreported statistics. Waits for room.
    fn deliver_delta(&mut self) -> Result<(), Stop> {
        match self.take_delta() {
            Some(delta) => self.line.deliver(Report::Allocation(Box::new(delta))),
            None => Ok(()),
        }
    }

    fn take_delta(&mut self) -> Option<AllocationDelta> {
        self.has_unsent_delta = false;
        let newer = self.run.as_mut()?.take_delta(self.is_running);
        Some(match self.unsent.take() {
            Some(older) => merge(older, newer),
            None => newer,
        })
    }
}
