//! The loop of the pool's thread: receives requests, makes the checks that are due, reports. The
//! pool itself is in `open`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    domain::Text,
    engine::{
        PoolPlan, PoolRequest, Report,
        pool::open::Open,
        worker::{Line, Stop},
    },
    host::Host,
};

/// Minimum time between reports that do not follow a request.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// Interval of checks whether a quarantine is over, while there is one.
const PASS_INTERVAL: Duration = Duration::from_millis(100);

/// Interval of checks whether lease holders are alive, while there are leases.
const HOLDER_CHECK_INTERVAL: Duration = Duration::from_secs(1);

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

pub struct PoolWorker<'a> {
    host: &'a dyn Host,
    line: Line<'a, PoolRequest>,
    /// Number of `Open` requests.
    number: u64,
    open: Option<Open>,
    urgency: ReportUrgency,
    /// Start of the pool's clock.
    begun: Instant,
    reported: Instant,
    quarantines_checked: Instant,
    holders_checked: Instant,
}

impl<'a> PoolWorker<'a> {
    pub fn new(host: &'a dyn Host, line: Line<'a, PoolRequest>) -> Self {
        let now = Instant::now();
        Self {
            host,
            line,
            number: 0,
            open: None,
            urgency: ReportUrgency::None,
            begun: now,
            reported: now,
            quarantines_checked: now,
            holders_checked: now,
        }
    }

    pub fn work(mut self) {
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
        let deadlines = [
            (self.urgency == ReportUrgency::Immediate, self.reported),
            (self.urgency == ReportUrgency::AtInterval, self.reported + REPORT_INTERVAL),
            (open.has_quarantined(), self.quarantines_checked + PASS_INTERVAL),
            (open.has_leases(), self.holders_checked + HOLDER_CHECK_INTERVAL),
        ];
        deadlines.iter().filter(|(counts, _)| *counts).map(|&(_, at)| at).min()
    }

    fn handle(&mut self, request: PoolRequest) -> Result<(), Stop> {
        if let PoolRequest::Open(plan) = request {
            if let Err(words) = self.begin(&plan) {
                return self.line.deliver(Report::PoolFailed(words));
            }
        } else if request == PoolRequest::Close {
            self.open = None;
        } else if let Some(open) = &mut self.open {
            let now = self.begun.elapsed();
            match request {
                PoolRequest::Take { class, count } => open.take(self.host, now, class, count),
                PoolRequest::LeaseHolder(pid) => open.lease_to(self.host, pid),
                PoolRequest::Release(port) => open.release(now, port),
                PoolRequest::ReleaseAll => open.release_all(now),
                PoolRequest::Reclaim => {
                    open.reclaim(self.host, now);
                }
                PoolRequest::Open(_) | PoolRequest::Close => {}
            }
        }
        self.urgency = ReportUrgency::Immediate;
        Ok(())
    }

    /// Opens a pool. Closes the previous pool first, so that the ports it held count as free.
    ///
    /// Errors, as text: as for `Open::new`.
    fn begin(&mut self, plan: &PoolPlan) -> Result<(), Text> {
        self.open = None;
        self.number += 1;
        self.open = Some(Open::new(self.host, plan)?);
        Ok(())
    }

    /// Makes the checks that are due, and reports.
    fn run_due_work(&mut self) {
        let (at, now) = (Instant::now(), self.begun.elapsed());
        let Some(open) = &mut self.open else { return };
        let mut has_changed = false;
        if open.has_quarantined() && at >= self.quarantines_checked + PASS_INTERVAL {
            self.quarantines_checked = at;
            has_changed |= open.update_quarantine(now);
        }
        if open.has_leases() && at >= self.holders_checked + HOLDER_CHECK_INTERVAL {
            self.holders_checked = at;
            has_changed |= open.reclaim(self.host, now);
        }
        if has_changed && self.urgency == ReportUrgency::None {
            self.urgency = ReportUrgency::AtInterval;
        }
        self.report(at, now);
    }

    /// Sends a report if one is due. If there is no room, a newer report is sent after
    /// `REPORT_INTERVAL`.
    fn report(&mut self, at: Instant, now: Duration) {
        let is_due = match self.urgency {
            ReportUrgency::None => false,
            ReportUrgency::AtInterval => at >= self.reported + REPORT_INTERVAL,
            ReportUrgency::Immediate => true,
        };
        if is_due && let Some(open) = &self.open {
            self.reported = at;
            let report = Report::Pool(Arc::new(open.report(self.number, now)));
            let is_reported = self.line.offer(report).is_ok();
            self.urgency =
                if is_reported { ReportUrgency::None } else { ReportUrgency::AtInterval };
        }
    }
}
