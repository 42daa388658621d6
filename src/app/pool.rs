//! The pool on the Allocate screen: what was asked for, how it stands. Sends requests, binds nothing.

mod act;
mod settings;

use std::{sync::Arc, time::Duration};

use crate::{allocator::Bands, domain::Text};

pub use crate::{
    allocator::{Class, Lease, Quarantine, Resting, pool::BandUse},
    engine::{PoolPlan, PoolReport},
};
pub use act::Terms;
pub use settings::{PoolField, PoolSettingsPanel};

/// What the person wants of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolAction {
    /// The allocator's runs, or the pool in their place.
    Toggle,
    /// A lease of the class that is set; ten of them; all that there are.
    Take,
    TakeTen,
    TakeAll,
    /// The class of what is taken next.
    NextClass,
    /// The row before, after.
    Up,
    Down,
    /// Ten rows.
    PageUp,
    PageDown,
    First,
    Last,
    /// The lease in the selected row, all leases.
    Release,
    ReleaseAll,
    /// Ends the leases of processes that are gone.
    Reclaim,
    OpenSettings,
}

/// What a pool goes by beside the range, protocols and address of the allocator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolOptions {
    pub bands: Bands,
    pub quarantine: Quarantine,
    pub failure_rate: f64,
    /// Of one search in one band, at most.
    pub max_attempts: u32,
    /// Whose the leases are; None: our own process.
    pub tenant: Option<u32>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            bands: Bands { high: 128, normal: 128 },
            quarantine: Quarantine::Time(Duration::from_secs(10)),
            failure_rate: 1e-6,
            max_attempts: 10_000,
            tenant: None,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Leasing {
    is_open: bool,
    options: PoolOptions,
    class: Class,
    selected: usize,
    /// Counts what was sent as `Open`; reports of others are too late.
    number: u64,
    /// What the engine's pool was made of; None: it has none.
    asked: Option<PoolPlan>,
    report: Option<Arc<PoolReport>>,
    /// When the report came, since the program's start.
    reported: Duration,
    panel: Option<PoolSettingsPanel>,
    notice: Option<Text>,
}

impl Leasing {
    /// It is shown in place of the runs.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    pub fn options(&self) -> &PoolOptions {
        &self.options
    }

    /// Of what is taken next.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Leases by port, then resting ports by port: that row is selected.
    pub fn selected(&self) -> usize {
        self.selected
    }

    /// Of the selected row.
    pub fn selected_port(&self) -> Option<u16> {
        let report = self.report()?;
        let resting = self.selected.checked_sub(report.leases.len());
        match resting {
            None => report.leases.get(self.selected).map(|lease| lease.port),
            Some(at) => report.resting.get(at).map(|resting| resting.port),
        }
    }

    /// None: nothing was told yet.
    pub fn report(&self) -> Option<&PoolReport> {
        self.report.as_deref()
    }

    /// The pool's clock, on which `Lease::since` and `Resting::until` are. `now`: since the program's
    /// start.
    pub fn clock(&self, now: Duration) -> Duration {
        let told = self.report().map_or(Duration::ZERO, |report| report.now);
        told + now.saturating_sub(self.reported)
    }

    /// What the pool was made of; None: there is none.
    pub fn plan(&self) -> Option<&PoolPlan> {
        self.asked.as_ref()
    }

    /// It lies over the screen and takes the keys.
    pub fn panel(&self) -> Option<&PoolSettingsPanel> {
        self.panel.as_ref()
    }

    /// Why the last key did nothing, or why there is no pool.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_ref().map(Text::as_str)
    }

    /// When ages and rests look different although nothing is reported; None: they do not.
    pub fn ages_after(&self, now: Duration) -> Option<Duration> {
        let report = self.report()?;
        let stands_still = report.leases.is_empty() && report.resting.is_empty();
        let second = u64::from(self.clock(now).subsec_nanos());
        (!stands_still).then(|| Duration::from_nanos(1_000_000_000 - second))
    }

    /// How the pool stands now; late news of another pool are ignored.
    pub fn take_report(&mut self, at: Duration, report: Arc<PoolReport>) {
        if self.asked.is_none() || report.number != self.number {
            return;
        }
        self.selected = self.row_in(&report);
        (self.reported, self.report) = (at, Some(report));
    }

    /// There is no pool.
    pub fn fail(&mut self, why: Text) {
        self.forget();
        self.notice = Some(why);
    }

    fn rows(&self) -> usize {
        self.report().map_or(0, |report| report.leases.len() + report.resting.len())
    }

    /// The same port stays selected; after a lease that ended the next one is, or the last.
    fn row_in(&self, newer: &PoolReport) -> usize {
        let leases = newer.leases.len();
        let port = self.selected_port().unwrap_or_default();
        let was_leased = self.report().is_some_and(|report| self.selected < report.leases.len());
        if was_leased {
            let found = newer.leases.binary_search_by_key(&port, |lease| lease.port);
            return found.unwrap_or(self.selected.min(leases.saturating_sub(1)));
        }
        let found = newer.resting.binary_search_by_key(&port, |resting| resting.port);
        let last = (leases + newer.resting.len()).saturating_sub(1);
        found.map_or(self.selected.min(last), |at| leases + at)
    }

    fn forget(&mut self) {
        (self.asked, self.report, self.selected) = (None, None, 0);
    }
}
