//! Compares kernel counters, which never decrease, with the previous snapshot. Only their growth
//! shows what happens now.

use crate::domain::{Evidence, Vitals, diagnosis::finding::Figure};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Counter {
    /// The counter is unreadable, zero or unchanged.
    Still,
    /// The counter is above zero, but has no earlier value to compare with: the events may be old.
    Past {
        total: u64,
    },
    Growing {
        total: u64,
        added: u64,
        per_second: f64,
        seconds: f64,
    },
}

impl Counter {
    /// `read` returns the counter from the vitals.
    pub(super) fn of(evidence: &Evidence<'_>, read: fn(&Vitals) -> Option<u64>) -> Self {
        let Some(total) = read(&evidence.snapshot.vitals).filter(|&total| total > 0) else {
            return Self::Still;
        };
        let Some((before, seconds)) = evidence.before else { return Self::Past { total } };
        // If the earlier snapshot has no gaps, a counter missing there started at 0 since then. An
        // example is connection tracking whose module was loaded in between.
        if read(before).is_none() && !before.gaps.is_empty() {
            return Self::Past { total };
        }
        match total.saturating_sub(read(before).unwrap_or(0)) {
            0 => Self::Still,
            added => {
                let per_second = added as f64 / seconds.max(f64::MIN_POSITIVE);
                Self::Growing { total, added, per_second, seconds }
            }
        }
    }

    pub(super) fn is_growing(self) -> bool {
        matches!(self, Self::Growing { .. })
    }
    /// Returns the total and, if the counter grows, the growth per second.
    pub(super) fn figures(
        self,
        total_name: &'static str,
        rate_name: &'static str,
    ) -> Vec<(&'static str, Figure)> {
        match self {
            Self::Still => Vec::new(),
            Self::Past { total } => vec![(total_name, Figure::Count(total))],
            Self::Growing { total, per_second, .. } => {
                vec![(total_name, Figure::Count(total)), (rate_name, Figure::PerSecond(per_second))]
            }
        }
    }
}
