//! The loop of the pool's thread: hears requests, keeps the times of a pool, reports. Leases nothing.

use std::{
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use crate::{
    domain::Text,
    engine::{Outbox, PoolPlan, PoolRequest, Report, pool::open::Open},
    host::Host,
};

/// Between two reports that nobody asked for.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// How often it is seen whether a quarantine is over, while there is one.
const PASS_INTERVAL: Duration = Duration::from_millis(100);

/// How often it is seen whether tenants are alive, while there are leases.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What the last report does not tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    None,
    /// For the next report in turn.
    InTurn,
    /// For the person who asked.
    AtOnce,
}

pub struct Worker<'a> {
    host: &'a dyn Host,
    outbox: &'a dyn Outbox,
    requests: mpsc::Receiver<PoolRequest>,
    /// Pools that were asked for.
    number: u64,
    open: Option<Open>,
    news: News,
    /// What the pool's clock counts from.
    begun: Instant,
    reported: Instant,
    passed: Instant,
    looked: Instant,
}

/// The thread has to end: nobody asks or nobody listens any more.
struct Ended;

impl<'a> Worker<'a> {
    pub fn new(
        host: &'a dyn Host,
        outbox: &'a dyn Outbox,
        requests: mpsc::Receiver<PoolRequest>,
    ) -> Self {
        let now = Instant::now();
        Self {
            host,
            outbox,
            requests,
            number: 0,
            open: None,
            news: News::None,
            begun: now,
            reported: now,
            passed: now,
            looked: now,
        }
    }

    pub fn work(mut self) {
        while self.hear().is_ok() {
            self.go_on();
        }
    }

    /// Follows the requests that wait; while nothing else is to be done, waits for one.
    fn hear(&mut self) -> Result<(), Ended> {
        loop {
            let request = match self.due() {
                None => self.requests.recv().map_err(|_| Ended)?,
                Some(due) => {
                    let patience = due.saturating_duration_since(Instant::now());
                    match self.requests.recv_timeout(patience) {
                        Ok(request) => request,
                        Err(RecvTimeoutError::Timeout) => return Ok(()),
                        Err(RecvTimeoutError::Disconnected) => return Err(Ended),
                    }
                }
            };
            self.follow(request)?;
        }
    }

    /// When something is to be done without a request; None: never, for nothing is leased, nothing
    /// rests, and all is told.
    fn due(&self) -> Option<Instant> {
        let open = self.open.as_ref()?;
        let moments = [
            (self.news == News::AtOnce, self.reported),
            (self.news == News::InTurn, self.reported + REPORT_INTERVAL),
            (open.has_resting(), self.passed + PASS_INTERVAL),
            (open.has_leases(), self.looked + LOOK_INTERVAL),
        ];
        moments.iter().filter(|(counts, _)| *counts).map(|&(_, at)| at).min()
    }

    fn follow(&mut self, request: PoolRequest) -> Result<(), Ended> {
        if let PoolRequest::Open(plan) = request {
            if let Err(words) = self.begin(&plan) {
                let is_heard = self.outbox.deliver(Report::PoolFailed(words));
                return if is_heard { Ok(()) } else { Err(Ended) };
            }
        } else if request == PoolRequest::Close {
            self.open = None;
        } else if let Some(open) = &mut self.open {
            let now = self.begun.elapsed();
            match request {
                PoolRequest::Take { class, count } => open.take(self.host, now, class, count),
                PoolRequest::Tenant(pid) => open.lease_to(self.host, pid),
                PoolRequest::Release(port) => open.release(now, port),
                PoolRequest::ReleaseAll => open.release_all(now),
                PoolRequest::Reclaim => {
                    open.reclaim(self.host, now);
                }
                PoolRequest::Open(_) | PoolRequest::Close => {}
            }
        }
        self.news = News::AtOnce;
        Ok(())
    }

    /// What the pool before held is released before the machine is looked at.
    fn begin(&mut self, plan: &PoolPlan) -> Result<(), Text> {
        self.open = None;
        self.number += 1;
        self.open = Some(Open::new(self.host, plan)?);
        Ok(())
    }

    /// What is due.
    fn go_on(&mut self) {
        let (at, now) = (Instant::now(), self.begun.elapsed());
        let Some(open) = &mut self.open else { return };
        let mut has_changed = false;
        if open.has_resting() && at >= self.passed + PASS_INTERVAL {
            self.passed = at;
            has_changed |= open.pass(now);
        }
        if open.has_leases() && at >= self.looked + LOOK_INTERVAL {
            self.looked = at;
            has_changed |= open.reclaim(self.host, now);
        }
        if has_changed && self.news == News::None {
            self.news = News::InTurn;
        }
        self.report(at, now);
    }

    /// A report that finds no room is replaced by the next one.
    fn report(&mut self, at: Instant, now: Duration) {
        let is_due = match self.news {
            News::None => false,
            News::InTurn => at >= self.reported + REPORT_INTERVAL,
            News::AtOnce => true,
        };
        if is_due && let Some(open) = &self.open {
            self.reported = at;
            let report = Report::Pool(Arc::new(open.report(self.number, now)));
            let is_told = self.outbox.offer(report).is_ok();
            self.news = if is_told { News::None } else { News::InTurn };
        }
    }
}
