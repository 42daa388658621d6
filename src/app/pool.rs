//! State of the pool on the Allocate screen: the options and the latest report. Binds no port
//! itself.

mod act;
mod settings;

use std::{sync::Arc, time::Duration};

use crate::{allocator::Bands, app::settings::cycle, domain::Text};

pub use crate::{
    allocator::{Lease, Priority, Quarantine, QuarantineEntry, pool::BandUse},
    engine::{PoolPlan, PoolReport},
};
pub use act::PoolInput;
pub use settings::PoolSettingsPanel;

/// User actions on the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolAction {
    /// Switches between the pool and the allocator's runs.
    Toggle,
    /// Takes one lease of the selected class. `TakeTen` takes ten, `TakeAll` all that are
    /// available.
    Take,
    TakeTen,
    TakeAll,
    /// Selects the next class for new leases.
    NextClass,
    /// Moves the selection by one row.
    Up,
    Down,
    /// Moves the selection by ten rows.
    PageUp,
    PageDown,
    First,
    Last,
    /// Releases the lease in the selected row; `ReleaseAll` releases all leases.
    Release,
    ReleaseAll,
    /// Ends the leases of processes that have exited.
    Reclaim,
    OpenSettings,
}

/// Options of a pool, in addition to the range, protocols, address and seed of the allocator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolOptions {
    pub bands: Bands,
    pub quarantine: Quarantine,
    /// Rate (0 to 1) at which a search may fail although a port is free.
    pub failure_rate: f64,
    /// Maximum number of attempts of one search in one band.
    pub max_attempts: u32,
    /// Pid of the lease holder; None: this process.
    pub holder: Option<u32>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            bands: Bands { high: 128, normal: 128 },
            quarantine: Quarantine::Time(Duration::from_secs(10)),
            failure_rate: 1e-6,
            max_attempts: 10_000,
            holder: None,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct PoolScreen {
    is_open: bool,
    options: PoolOptions,
    class: Priority,
    selected: usize,
    /// Number of `Open` requests sent. Reports with another number are late and ignored.
    number: u64,
    /// The plan of the engine's pool. None: the engine has no pool.
    asked: Option<PoolPlan>,
    report: Option<Arc<PoolReport>>,
    /// When the report arrived, as time since the program's start.
    reported: Duration,
    panel: Option<PoolSettingsPanel>,
    notice: Option<Text>,
}

impl PoolScreen {
    /// Whether the pool is shown in place of the runs.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    pub fn options(&self) -> &PoolOptions {
        &self.options
    }

    /// The class of new leases.
    pub fn class(&self) -> Priority {
        self.class
    }

    /// The class after the next one is selected.
    pub fn next_class(&self) -> Priority {
        cycle(&Priority::EACH, self.class, 1)
    }

    /// The selected row, counted from 0. The rows are the leases by port, then the ports in
    /// quarantine by port.
    pub fn selected(&self) -> usize {
        self.selected
    }

    /// The port in the selected row; None: there are no rows.
    pub fn selected_port(&self) -> Option<u16> {
        let report = self.report()?;
        let quarantined = self.selected.checked_sub(report.leases.len());
        match quarantined {
            None => report.leases.get(self.selected).map(|lease| lease.port),
            Some(at) => report.quarantined.get(at).map(|quarantined| quarantined.port),
        }
    }

    /// The latest report; None: there is none yet.
    pub fn report(&self) -> Option<&PoolReport> {
        self.report.as_deref()
    }

    pub fn has_leases(&self) -> bool {
        self.report().is_some_and(|report| !report.leases.is_empty())
    }

    /// Converts `now`, the time since the program's start, to the pool's clock, which
    /// `Lease::since` and `QuarantineEntry::until` use.
    pub fn clock(&self, now: Duration) -> Duration {
        let reported = self.report().map_or(Duration::ZERO, |report| report.now);
        reported + now.saturating_sub(self.reported)
    }

    /// The plan of the pool; None: there is no pool.
    pub fn plan(&self) -> Option<&PoolPlan> {
        self.asked.as_ref()
    }

    /// The settings panel, which covers the screen and receives the keys; None: it is closed.
    pub fn panel(&self) -> Option<&PoolSettingsPanel> {
        self.panel.as_ref()
    }

    /// Why the last key had no effect, why there is no pool, or how many leases a new pool ended.
    /// None: there is nothing to report.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_ref().map(Text::as_str)
    }

    /// Time until the ages and the remaining quarantine times on screen change without a report.
    /// None: they do not change.
    pub fn ages_after(&self, now: Duration) -> Option<Duration> {
        let report = self.report()?;
        let is_fixed = report.leases.is_empty() && report.quarantined.is_empty();
        let second = u64::from(self.clock(now).subsec_nanos());
        (!is_fixed).then(|| Duration::from_nanos(1_000_000_000 - second))
    }

    /// Stores the pool's report. A report with another number is late and ignored.
    pub fn take_report(&mut self, at: Duration, report: Arc<PoolReport>) {
        if self.asked.is_none() || report.number != self.number {
            return;
        }
        self.selected = self.row_in(&report);
        (self.reported, self.report) = (at, Some(report));
    }

    /// Records that there is no pool, and why.
    pub fn fail(&mut self, why: Text) {
        self.forget();
        self.notice = Some(why);
    }

    fn rows(&self) -> usize {
        self.report().map_or(0, |report| report.leases.len() + report.quarantined.len())
    }

    /// Returns the row to select in a newer report: the row of the same port, else the row at the
    /// same position, else the last row. If a lease was selected, only leases are considered.
    fn row_in(&self, newer: &PoolReport) -> usize {
        let leases = newer.leases.len();
        let port = self.selected_port().unwrap_or_default();
        let was_leased = self.report().is_some_and(|report| self.selected < report.leases.len());
        if was_leased {
            let found = newer.leases.binary_search_by_key(&port, |lease| lease.port);
            return found.unwrap_or(self.selected.min(leases.saturating_sub(1)));
        }
        let found = newer.quarantined.binary_search_by_key(&port, |quarantined| quarantined.port);
        let last = (leases + newer.quarantined.len()).saturating_sub(1);
        found.map_or(self.selected.min(last), |at| leases + at)
    }

    fn forget(&mut self) {
        (self.asked, self.report, self.selected) = (None, None, 0);
    }
}
