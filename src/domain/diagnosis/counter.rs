//! Compares counters that only grow: only their growth describes the present. Does not know what
//! they count.

use crate::domain::{Evidence, Vitals, diagnosis::finding::Figure};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Counter {
    /// Not readable, zero or unchanged.
    Still,
    /// There is only one snapshot, or the previous one could not be read: the events may be old.
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
        // Without gaps a missing counter is new: connection tracking, for example, was loaded
        // meanwhile with its counters at 0.
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
    /// The total and, if it grows, the growth per second.
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
