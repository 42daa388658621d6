//! Selects the destinations to follow: those with most ports. Does not compute their rates.

use std::{collections::HashMap, time::Duration};

use super::{
    MAX_TRACKED,
    tracked::{Count, TrackedSubject},
};
use crate::domain::{Destination, DestinationUse};

/// A destination is followed no longer once it falls below this position in the list.
const MAX_RANK: usize = 2 * MAX_TRACKED;

/// Minimum number of used ports of a destination to be followed.
const MIN_PORTS: u32 = 8;

/// Up to this number of destinations, `MIN_PORTS` does not apply.
const MAX_UNFILTERED: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct DestinationTrends {
    pub tracked: HashMap<Destination, TrackedSubject>,
}

impl DestinationTrends {
    /// Adds a sample to each followed destination, drops those below `MAX_RANK` and idle ones, and
    /// follows new ones. `rows` must be sorted by share, highest first. That order is nearly the
    /// order by ports in use, because capacities differ only by the ports that are bound by number.
    pub fn sample(&mut self, at: Duration, rows: &[DestinationUse]) {
        for row in rows.iter().take(MAX_RANK) {
            if let Some(tracked) = self.tracked.get_mut(&row.destination) {
                tracked.sample(at, count(row));
            }
        }
        if rows.len() <= MAX_RANK {
            // The loop has read all rows. A followed destination without a row has no port any
            // longer.
            let absent = self.tracked.values_mut().filter(|tracked| !tracked.is_sampled_at(at));
            let none = Count { left: Some(u32::MAX), ..Count::default() };
            absent.for_each(|tracked| tracked.sample(at, none));
        }
        self.tracked.retain(|_, tracked| tracked.is_sampled_at(at) && !tracked.is_idle());
        self.admit(at, rows);
    }

    fn admit(&mut self, at: Duration, rows: &[DestinationUse]) {
        let is_big = |row: &&DestinationUse| row.used >= MIN_PORTS || rows.len() <= MAX_UNFILTERED;
        for row in rows.iter().take(MAX_TRACKED).filter(is_big) {
            if self.tracked.contains_key(&row.destination) {
                continue;
            }
            if self.tracked.len() == MAX_TRACKED && !self.replace_smallest(row) {
                return;
            }
            self.tracked.entry(row.destination).or_default().sample(at, count(row));
        }
    }

    /// Drops the smallest followed destination if `row` is larger by more than a quarter plus
    /// `MIN_PORTS`. Without this margin, destinations of similar size would replace each other at
    /// every snapshot. Returns whether there is room for `row`.
    fn replace_smallest(&mut self, row: &DestinationUse) -> bool {
        let smallest = self.tracked.iter().min_by_key(|(key, value)| (value.taken(), **key));
        let Some((&destination, tracked)) = smallest else { return true };
        let is_clear = count(row).taken > tracked.taken() + tracked.taken() / 4 + MIN_PORTS;
        if is_clear {
            self.tracked.remove(&destination);
        }
        is_clear
    }
}

fn count(row: &DestinationUse) -> Count {
    Count {
        sockets: row.used,
        taken: row.used.saturating_sub(row.reusable),
        lasting: row.used.saturating_sub(row.time_wait),
        left: Some(row.available()),
        size: row.capacity,
    }
}
