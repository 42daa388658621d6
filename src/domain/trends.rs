//! Rates over the last snapshots, and when ports run out or come back. Not the counting itself.

use std::time::Duration;

use crate::domain::{Analysis, Destination, History, Lane, Protocol, Snapshot};

/// Rates are taken over so much time at most.
pub const WINDOW: Duration = Duration::from_secs(10);

/// What has a trend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Occupied ports of the range.
    Range(Protocol),
    /// Occupied ports of the range, of one family.
    Lane(Lane),
    /// Used ports; only destinations of some size are followed, and not more than `MOST_FOLLOWED`.
    Destination(Destination),
}

/// Destinations followed at most, those with most ports.
pub const MOST_FOLLOWED: usize = 256;

/// Memory of the snapshots of one run: bounded whatever the machine holds.
#[derive(Clone, Debug, Default)]
pub struct Trends {}

/// How something changes, a second, over `window`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Sockets that came. What came and went between two snapshots is not seen.
    pub opened_per_second: f64,
    /// Sockets that went, TIME-WAIT included.
    pub closed_per_second: f64,
    pub into_time_wait_per_second: f64,
    /// Growth of the ports used.
    pub per_second: f64,
    /// The true growth lies within `per_second ± uncertainty` 19 times of 20.
    pub uncertainty: f64,
    pub window: Duration,
}

/// Seconds from the last snapshot on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    pub seconds: f64,
    pub earliest: f64,
    /// None: it may never happen.
    pub latest: Option<f64>,
}

impl Trends {
    /// After `History::observe` of the same snapshot; one that is not newer is ignored.
    pub fn observe(&mut self, _snapshot: &Snapshot, _analysis: &Analysis, _history: &History) {}

    /// None: not followed, or fewer than two snapshots so far.
    pub fn of(&self, _subject: Subject) -> Option<Trend> {
        None
    }

    /// Used ports over the run, oldest first: (time before the last snapshot, ports). At most 300
    /// points, thinned as they grow old.
    pub fn series(&self, _subject: Subject) -> Vec<(Duration, u32)> {
        Vec::new()
    }
}

impl Trend {
    /// When so many more ports are used; None: at this rate never.
    pub fn until(&self, _available: u32) -> Option<Forecast> {
        None
    }
}

/// TIME-WAIT sockets by the second in which the kernel frees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drain {
    /// `freed[s]`: ports whose last TIME-WAIT ends within s to s + 1 seconds from now.
    pub freed: Vec<u32>,
}

impl Drain {
    /// Of one destination, or of all TIME-WAIT sockets in the ephemeral range. Timers last at most
    /// 60 s (`TCP_TIMEWAIT_LEN`).
    pub fn of(_snapshot: &Snapshot, _destination: Option<&Destination>) -> Self {
        Self::default()
    }

    /// Seconds until so many ports are free again, if nothing new comes; None: there are not so
    /// many.
    pub fn seconds_until(&self, _ports: u32) -> Option<u32> {
        None
    }
}
