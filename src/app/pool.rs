//! The pool on the Allocate screen: what was asked for, how it stands. Sends requests, binds nothing.

use std::{sync::Arc, time::Duration};

use crate::{
    allocator::{Bands, Class, Quarantine},
    app::Effect,
    domain::Text,
};

pub use crate::{
    allocator::{Lease, Resting},
    engine::{PoolPlan, PoolReport},
};

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
    /// Whose the leases are; None: our own process.
    pub tenant: Option<u32>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            bands: Bands { high: 128, normal: 128 },
            quarantine: Quarantine::Time(Duration::from_secs(10)),
            failure_rate: 1e-6,
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
    report: Option<Arc<PoolReport>>,
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

    /// None: nothing was told yet.
    pub fn report(&self) -> Option<&PoolReport> {
        self.report.as_deref()
    }

    /// Why the last key did nothing, or why there is no pool.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_ref().map(Text::as_str)
    }

    /// How the pool stands now.
    pub fn take_report(&mut self, report: Arc<PoolReport>) {
        self.report = Some(report);
    }

    pub fn fail(&mut self, why: Text) {
        self.notice = Some(why);
    }

    pub fn act(&mut self, action: PoolAction) -> Vec<Effect> {
        if action == PoolAction::Toggle {
            self.is_open = !self.is_open;
        }
        Vec::new()
    }
}
