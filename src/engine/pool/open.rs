//! A pool on its host, with its lease holder and its last error message. Uses no channel.

use std::collections::VecDeque;

use crate::{
    allocator::{Attempt, LeaseHolder, PoolSetup, Priority, Shortage},
    domain::{Text, notation},
    engine::{
        AllocatorTarget, PoolPlan, PoolReport,
        allocation::{RECENT, push_recent, target},
        lease_table::LeaseTable,
        permit,
        port_survey::PortSurvey,
    },
    host::Host,
};

/// State of a pool, from `PoolRequest::Open` to `PoolRequest::Close` or the next `Open`.
pub struct OpenPool {
    pub lease_table: LeaseTable,
    /// Holder of the next leases, or why there is none.
    holder: Result<LeaseHolder, Text>,
    /// Whether the configured limit on held sockets applies, because the host would allow more.
    is_limit_ours: bool,
    /// How the host limits the pool, for example "IPv4 only"; `None`: it does not.
    limitation: Option<Text>,
    attempts: VecDeque<Attempt>,
    failure: Option<Text>,
}

impl OpenPool {
    /// Opens a pool.
    ///
    /// Errors, as text: no candidate can be bound, the bands are too large, no socket could be
    /// created, or the host's policy could not be read.
    pub fn new(host: &dyn Host, plan: &PoolPlan) -> Result<Self, Text> {
        let mut open = match plan.target {
            AllocatorTarget::Machine => Self::on(host, plan)?,
            AllocatorTarget::Simulated { share } => {
                let PoolPlan { protocols, range, seed, .. } = *plan;
                let (target, reserved) = target::build(host, protocols, range, seed, share)?;
                Self::on(&target, &PoolPlan { reserved, address: None, ..plan.clone() })?
            }
        };
        let unseen = open.failure.take();
        open.lease_to(host, plan.holder);
        open.failure = open.failure.or(unseen);
        Ok(open)
    }

    fn on(host: &dyn Host, plan: &PoolPlan) -> Result<Self, Text> {
        let candidates = permit::candidates(plan.range, &plan.reserved)?;
        let count = candidates.len();
        let survey = PortSurvey::new(host, candidates.clone(), plan.protocols, plan.address);
        let others = survey.as_ref().map_or(0, |survey| survey.occupied);
        let unlisted = survey.as_ref().ok().and_then(PortSurvey::limitation);
        let unseen =
            survey.err().map(|e| Text::around_scrubbed(format!("initial occupancy unknown: {e}")));
        let binder = permit::binder(host, &candidates, plan.protocols, plan.address)?;
        let capacity = binder.hold_capacity();
        let part = (f64::from(count - others) * plan.hold_share) as u32;
        // A share of 1 sets no limit.
        let allowed = if plan.hold_share < 1.0 { part } else { u32::MAX };
        let limitation = binder.limitation().or(unlisted).map(Text::scrub);
        let setup = PoolSetup {
            candidates,
            bands: plan.bands,
            quarantine: plan.quarantine,
            failure_rate: plan.failure_rate,
            max_attempts: plan.max_attempts.max(1),
            max_held: allowed.min(capacity),
        };
        let mut lease_table = LeaseTable::new(setup, binder, plan.seed)
            .map_err(|error| Text::around_scrubbed(error.to_string()))?;
        lease_table.pool.expect_occupied(f64::from(others) / f64::from(count));
        Ok(Self {
            lease_table,
            holder: Err(Text::scrub("no lease holder is set")),
            is_limit_ours: allowed < capacity,
            limitation,
            attempts: VecDeque::with_capacity(RECENT),
            failure: unseen,
        })
    }

    /// Makes the checks that are due. Returns whether anything has changed.
    pub fn keep(&mut self, host: &dyn Host) -> bool {
        let state = |table: &LeaseTable| (table.pool.quarantined().len(), table.pool.counts());
        let before = state(&self.lease_table);
        self.lease_table.keep(host);
        state(&self.lease_table) != before
    }

    /// Sets the pid of the holder of the next leases; `None`: this process. If there is no such
    /// process, `take` fails.
    pub fn lease_to(&mut self, host: &dyn Host, pid: Option<u32>) {
        let pid = pid.unwrap_or_else(|| host.own_pid());
        let no_process =
            || Text::scrub(format!("process {pid} does not exist: it cannot hold leases"));
        let holder = host.running(pid).map(|found| LeaseHolder { pid, started: found.started });
        self.holder = holder.ok_or_else(no_process);
        self.failure = self.holder.as_ref().err().cloned();
    }

    /// Takes `count` leases, or as many as are available. If there are fewer, `failure` says why.
    pub fn take(&mut self, host: &dyn Host, class: Priority, count: u32) {
        self.attempts.clear();
        self.failure = None;
        let holder = match &self.holder {
            Ok(holder) if !host.is_alive(holder.pid, holder.started) => {
                self.failure = Some(Text::scrub(format!("process {} has ended", holder.pid)));
                return;
            }
            Ok(holder) => *holder,
            Err(no_process) => {
                self.failure = Some(no_process.clone());
                return;
            }
        };
        let now = self.lease_table.now();
        let Self { lease_table: LeaseTable { pool, .. }, attempts, .. } = self;
        for taken in 0..count {
            let checked = |attempt: &Attempt| {
                push_recent(attempts, *attempt, RECENT);
            };
            if let Err(shortage) = pool.take(now, class, holder, checked) {
                self.failure = Some(self.words_of(shortage, taken, count));
                return;
            }
        }
    }

    pub fn release(&mut self, port: u16) {
        self.failure = None;
        self.lease_table.release(port);
    }

    pub fn release_all(&mut self) {
        self.failure = None;
        let ports: Vec<u16> = self.lease_table.pool.leases().map(|lease| lease.port).collect();
        for port in ports {
            self.lease_table.release(port);
        }
    }

    pub fn report(&self, number: u64) -> PoolReport {
        let pool = &self.lease_table.pool;
        let bands = pool.bands();
        let low = bands[Priority::Low as usize].free();
        PoolReport {
            number,
            now: self.lease_table.now(),
            leases: pool.leases().copied().collect(),
            quarantined: pool.quarantined().copied().collect(),
            bands,
            counts: pool.counts(),
            hold_limit: pool.setup().max_held.min(pool.setup().candidates.len()),
            occupied: pool.occupied(),
            attempts_allowed: pool.attempts_among(low).min(low),
            attempts: self.attempts.iter().copied().collect(),
            failure: self.failure.clone().or_else(|| self.limitation.clone()),
        }
    }

    fn words_of(&self, shortage: Shortage, taken: u32, count: u32) -> Text {
        let why = match shortage {
            Shortage::Limit { held } if self.is_limit_ours => {
                format!("hold limit reached: {} held", notation::counted(held, "port"))
            }
            _ => shortage.to_string(),
        };
        let taken = notation::grouped(taken);
        Text::scrub(match count {
            1 => why,
            u32::MAX => format!("{taken} leased, then: {why}"),
            _ => format!("{taken} of {} leased: {why}", notation::grouped(count)),
        })
    }
}
