//! The loop of the allocation thread: receives requests, makes attempts at the set speed, reports.

use std::{
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, TryRecvError},
    },
    time::{Duration, Instant},
};

use crate::{
    domain::Text,
    engine::{
        AllocationRequest, Outbox, Report, Speed,
        allocation::{delta::merge, run::AllocationRun, site},
        message::{AllocationDelta, Setup, Site},
    },
    host::{Host, simulated::SimulatedHost},
};

/// Number of attempts between two checks of the clock and of the requests.
const BATCH: u32 = 256;

/// Time between two deltas while attempts are made.
const REPORT_INTERVAL: Duration = Duration::from_millis(33);

/// Maximum lag for which late attempts are made up. After a longer delay, such as a stopped process
/// or a suspended host, earlier attempts are skipped.
const LAG: Duration = Duration::from_millis(100);

pub struct AllocationWorker<'a> {
    host: &'a dyn Host,
    outbox: &'a dyn Outbox,
    requests: mpsc::Receiver<AllocationRequest>,
    runs: u64,
    run: Option<AllocationRun>,
    /// Simulated host whose ports the run binds; `None` if the run uses `host`.
    simulated: Option<SimulatedHost>,
    is_running: bool,
    speed: Speed,
    hold: bool,
    /// When the next attempt is due at a slow speed.
    due: Instant,
    reported: Instant,
    /// Attempts were made that are in no delta yet.
    has_news: bool,
    /// Delta for which there was no room. It is merged into the next delta, so that no count is
    /// lost.
    unsent: Option<AllocationDelta>,
}

/// The thread must end: the sender of requests or the receiver of reports is gone.
struct AllocationStop;

impl<'a> AllocationWorker<'a> {
    pub fn new(
        host: &'a dyn Host,
        outbox: &'a dyn Outbox,
        requests: mpsc::Receiver<AllocationRequest>,
    ) -> Self {
        let now = Instant::now();
        Self {
            host,
            outbox,
            requests,
            runs: 0,
            run: None,
            simulated: None,
            is_running: false,
            speed: Speed::Four,
            hold: false,
            due: now,
            reported: now,
            has_news: false,
            unsent: None,
        }
    }

    pub fn work(mut self) {
        while self.receive().is_ok() {
            let attempted = if self.is_running { self.attempt() } else { Ok(()) };
            if attempted.is_err() {
                return;
            }
        }
    }

    /// Handles pending requests; waits for one if there is nothing else to do.
    fn receive(&mut self) -> Result<(), AllocationStop> {
        loop {
            let request = match self.timeout() {
                None => self.requests.recv().map_err(|_| AllocationStop)?,
                Some(Duration::ZERO) => match self.requests.try_recv() {
                    Ok(request) => request,
                    Err(TryRecvError::Empty) => return Ok(()),
                    Err(TryRecvError::Disconnected) => return Err(AllocationStop),
                },
                Some(timeout) => match self.requests.recv_timeout(timeout) {
                    Ok(request) => request,
                    Err(RecvTimeoutError::Timeout) => return Ok(()),
                    Err(RecvTimeoutError::Disconnected) => return Err(AllocationStop),
                },
            };
            self.follow(request)?;
        }
    }

    /// Returns how long to wait for a request; `None`: until one arrives.
    fn timeout(&self) -> Option<Duration> {
        if !self.is_running {
            return None;
        }
        if self.speed == Speed::Max {
            return Some(Duration::ZERO);
        }
        let report_due = self.reported + REPORT_INTERVAL;
        let next = if self.has_figures() { self.due.min(report_due) } else { self.due };
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn has_figures(&self) -> bool {
        self.has_news || self.unsent.is_some()
    }

    fn follow(&mut self, request: AllocationRequest) -> Result<(), AllocationStop> {
        match request {
            AllocationRequest::Prepare(setup) => {
                self.end_run();
                if let Err(words) = self.prepare(setup) {
                    return self.deliver(Report::AllocationFailed(words));
                }
                self.deliver_population()?;
            }
            AllocationRequest::Run => {
                self.is_running = self.run.is_some() && self.speed != Speed::Step;
                self.due = Instant::now();
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
                self.run.iter_mut().for_each(AllocationRun::forget_hold_note);
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
        (self.unsent, self.has_news) = (None, false);
        (self.run, self.simulated) = (None, None);
        self.runs += 1;
    }

    /// Prepares a run.
    ///
    /// Errors, as text: the simulated host could not be built, or no run can start.
    fn prepare(&mut self, mut setup: Setup) -> Result<(), Text> {
        if let Site::Simulated { share } = setup.site {
            let built = site::build(self.host, &setup, share);
            let (site, reserved) =
                built.map_err(|error| Text::around_scrubbed(error.to_string()))?;
            (setup.reserved, setup.address) = (reserved, None);
            self.simulated = Some(site);
        }
        let simulated = self.simulated.as_ref().map(|site| site as &dyn Host);
        self.run = Some(AllocationRun::prepare(simulated.unwrap_or(self.host), self.runs, &setup)?);
        Ok(())
    }

    /// Changes the occupancy of the simulated host. Reports earlier attempts first, because they
    /// belong to the old occupancy.
    fn refill(&mut self, share: f64) -> Result<(), AllocationStop> {
        let Some(site) = self.simulated.clone() else { return Ok(()) };
        self.deliver_delta()?;
        site.refill(share);
        self.run.iter_mut().for_each(AllocationRun::look_anew);
        self.deliver_population()
    }

    fn deliver_population(&self) -> Result<(), AllocationStop> {
        let Some(site) = &self.simulated else { return Ok(()) };
        let mut population = site.population();
        population.number = self.runs;
        self.deliver(Report::Simulated(Arc::new(population)))
    }

    fn set_speed(&mut self, speed: Speed) {
        self.speed = speed;
        self.is_running &= speed != Speed::Step;
        self.due = self.due.min(Instant::now() + speed.pause().unwrap_or_default());
    }

    /// Makes the attempts that are due, and offers a delta if one is due.
    fn attempt(&mut self) -> Result<(), AllocationStop> {
        let Some(run) = &mut self.run else { return Ok(()) };
        let now = Instant::now();
        let count = match self.speed.pause() {
            None => BATCH,
            Some(pause) => attempts_due(&mut self.due, pause, now),
        };
        self.has_news |= count > 0;
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

    /// Sends the statistics if there is room, else keeps them for the next delta.
    fn offer_delta(&mut self) {
        if let Some(delta) = self.take_delta()
            && let Err(Report::Allocation(delta)) =
                self.outbox.offer(Report::Allocation(Box::new(delta)))
        {
            self.unsent = Some(*delta);
        }
    }

    /// Sends all unreported statistics. Waits for room.
    fn deliver_delta(&mut self) -> Result<(), AllocationStop> {
        match self.take_delta() {
            Some(delta) => self.deliver(Report::Allocation(Box::new(delta))),
            None => Ok(()),
        }
    }

    fn deliver(&self, report: Report) -> Result<(), AllocationStop> {
        if self.outbox.deliver(report) { Ok(()) } else { Err(AllocationStop) }
    }

    fn take_delta(&mut self) -> Option<AllocationDelta> {
        self.has_news = false;
        let newer = self.run.as_mut()?.take_delta(self.is_running);
        Some(match self.unsent.take() {
            Some(older) => merge(older, newer),
            None => newer,
        })
    }
}

/// Returns how many attempts are due by now; sets `due` to the time of the next one.
fn attempts_due(due: &mut Instant, pause: Duration, now: Instant) -> u32 {
    *due = now.checked_sub(LAG).map_or(*due, |earliest| earliest.max(*due));
    let mut count = 0;
    while *due <= now && count < BATCH {
        *due += pause;
        count += 1;
    }
    count
}
