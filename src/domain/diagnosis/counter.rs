//! Compares kernel counters, which never decrease, with those of an earlier snapshot
//! (`Evidence::before`). Only their increase shows what happens now.

use crate::domain::{
    Evidence, Severity, Vitals,
    diagnosis::Figure,
    notation::{counted, elapsed_seconds},
    trends::MIN_WINDOW,
};

/// A kernel counter and its increase since the earlier snapshot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Counter {
    /// The counter is unreadable, zero or unchanged.
    Still,
    /// The counter is above zero, and no earlier value is known: the events may be old.
    Past { total: u64 },
    /// The counter has increased by `added` in `seconds`, on average by `per_second`. None: the time
    /// is shorter than `MIN_WINDOW`.
    Growing { total: u64, added: u64, per_second: Option<f64>, seconds: f64 },
}

impl Counter {
    /// Reads the counter with `read` and compares it with `Evidence::before`.
    pub(super) fn of(evidence: &Evidence<'_>, read: fn(&Vitals) -> Option<u64>) -> Self {
        let Some(total) = read(&evidence.snapshot.vitals).filter(|&total| total > 0) else {
            return Self::Still;
        };
        let Some((before, seconds)) = evidence.before else { return Self::Past { total } };
        // A counter that is missing in the earlier snapshot may have been unreadable if that
        // snapshot has gaps. Without gaps it did not exist yet (nf_conntrack was loaded later) and
        // started at 0.
        if read(before).is_none() && !before.gaps.is_empty() {
            return Self::Past { total };
        }
        match total.saturating_sub(read(before).unwrap_or(0)) {
            0 => Self::Still,
            added => {
                let is_long = seconds >= MIN_WINDOW.as_secs_f64();
                let per_second = is_long.then(|| added as f64 / seconds);
                Self::Growing { total, added, per_second, seconds }
            }
        }
    }

    pub(super) fn is_growing(self) -> bool {
        matches!(self, Self::Growing { .. })
    }

    /// Returns the number of events and when they occurred: `in the last 60s`, or `since the counter
    /// started`. None: there
    /// were none since the earlier snapshot, or the counter could not be read.
    pub(super) fn events(self) -> Option<(u64, String)> {
        match self {
            Self::Still => None,
            Self::Past { total } => Some((total, "since the counter started".to_owned())),
            Self::Growing { added, seconds, .. } => {
                Some((added, format!("in the last {}", elapsed_seconds(seconds))))
            }
        }
    }

    /// Returns the severity if it is unknown where the events occurred, and their number: `3 times
    /// in the last 60s`. None: there were none.
    pub(super) fn severity_and_times(self) -> Option<(Severity, String)> {
        let (count, when) = self.events()?;
        let severity = if self.is_growing() { Severity::Warning } else { Severity::Notice };
        Some((severity, format!("{} {when}", counted(count, "time"))))
    }

    /// Returns the total and, if the counter has increased, the increase per second.
    pub(super) fn figures(
        self,
        total_name: &'static str,
        rate_name: &'static str,
    ) -> Vec<(&'static str, Figure)> {
        match self {
            Self::Still => Vec::new(),
            Self::Past { total } => vec![(total_name, Figure::Count(total))],
            Self::Growing { total, per_second, .. } => {
                let rate = per_second.map(|rate| (rate_name, Figure::PerSecond(rate)));
                [(total_name, Figure::Count(total))].into_iter().chain(rate).collect()
            }
        }
    }
}
