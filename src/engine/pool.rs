//! The thread that owns a pool of leased ports. It handles requests, ends quarantines, reclaims the
//! ports of ended processes, and reports.

mod open;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    domain::Text,
    engine::{
        Outbox, PoolPlan, PoolRequest, Report,
        worker::{Line, Stop, Worker},
    },
    host::Host,
};

use self::open::OpenPool;

/// Handle to the thread. Dropping it ends the thread, which releases every port it held.
pub type PoolThread = Worker<PoolRequest>;

/// Starts the thread, without a pool.
///
/// Errors: the thread could not be created.
pub fn spawn(host: Arc<dyn Host>, outbox: Box<dyn Outbox>) -> io::Result<PoolThread> {
    Worker::start("pool", outbox, move |line, _| PoolWorker::new(&*host, line).work())
}

/// Minimum time between reports that do not follow a request.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// When the next report is due.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReportUrgency {
    /// The last report is up to date: no report is due.
    None,
    /// Something has changed: the report is sent once `REPORT_INTERVAL` has passed.
    AtInterval,
    /// A request was handled: the report is sent at once.
    Immediate,
}

struct PoolWorker<'a> {
    host: &'a dyn Host,
    line: Line<'a, PoolRequest>,
    /// Number of `Open` requests.
    number: u64,
    open: Option<OpenPool>,
    urgency: ReportUrgency,
    reported: Instant,
}

impl<'a> PoolWorker<'a> {
    fn new(host: &'a dyn Host, line: Line<'a, PoolRequest>) -> Self {
        let reported = Instant::now();
        Self { host, line, number: 0, open: None, urgency: ReportUrgency::None, reported }
    }

    fn work(mut self) {
        while self.receive().is_ok() {
            self.run_due_work();
        }
    }

    /// Handles pending requests; waits for one if there is nothing else to do.
    fn receive(&mut self) -> Result<(), Stop> {
        while let Some(request) = self.line.receive(self.due())? {
            self.handle(request)?;
        }
        Ok(())
    }

    /// Returns the time of the next check or report; `None` if no pool is open, or nothing is
    /// leased, in quarantine or unreported.
    fn due(&self) -> Option<Instant> {
        let open = self.open.as_ref()?;
        self.report_due().into_iter().chain(open.lease_table.due()).min()
    }

    fn report_due(&self) -> Option<Instant> {
        match self.urgency {
            ReportUrgency::None => None,
            ReportUrgency::AtInterval => Some(self.reported + REPORT_INTERVAL),
            ReportUrgency::Immediate => Some(self.reported),
        }
    }

    fn handle(&mut self, request: PoolRequest) -> Result<(), Stop> {
        if let PoolRequest::Open(plan) = request {
            if let Err(words) = self.begin(&plan) {
                return self.line.deliver(Report::PoolFailed(words));
            }
        } else if request == PoolRequest::Close {
            self.open = None;
        } else if let Some(open) = &mut self.open {
            match request {
                PoolRequest::Take { class, count } => open.take(self.host, class, count),
                PoolRequest::LeaseHolder(pid) => open.lease_to(self.host, pid),
                PoolRequest::Release(port) => open.release(port),
                PoolRequest::ReleaseAll => open.release_all(),
                PoolRequest::Reclaim => _ = open.lease_table.reclaim_ended(self.host),
                PoolRequest::Open(_) | PoolRequest::Close => {}
            }
        }
        self.urgency = ReportUrgency::Immediate;
        Ok(())
    }

    /// Opens a pool. Closes the previous pool first, so that the ports it held count as free.
    ///
    /// Errors, as text: as for `OpenPool::new`.
    fn begin(&mut self, plan: &PoolPlan) -> Result<(), Text> {
        self.open = None;
        self.number += 1;
        self.open = Some(OpenPool::new(self.host, plan)?);
        Ok(())
    }

    /// Makes the checks that are due, and reports.
    fn run_due_work(&mut self) {
        let Some(open) = &mut self.open else { return };
        if open.keep(self.host) && self.urgency == ReportUrgency::None {
            self.urgency = ReportUrgency::AtInterval;
        }
        self.report(Instant::now());
    }

    /// Sends a report if one is due. If there is no room, a newer report is sent after
    /// `REPORT_INTERVAL`.
    fn report(&mut self, now: Instant) {
        let is_due = self.report_due().is_some_and(|due| due <= now);
        if is_due && let Some(open) = &self.open {
            self.reported = now;
            let report = Report::Pool(Arc::new(open.report(self.number)));
            let is_reported = self.line.offer(report).is_ok();
            self.urgency =
                if is_reported { ReportUrgency::None } else { ReportUrgency::AtInterval };
        }
    }
}
