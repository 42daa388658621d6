//! Selects the destinations to follow: those with most ports. Does not compute their rates.

use std::{collections::HashMap, time::Duration};

use super::{
    MOST_FOLLOWED,
    followed::{Count, Followed},
};
use crate::domain::{Destination, DestinationUse};

/// A followed destination is dropped once it falls below this position in the list.
const KEPT_TO: usize = 2 * MOST_FOLLOWED;

/// Minimum number of ports of a destination to be followed.
const FEW_PORTS: u32 = 8;

/// Up to this number of destinations, `FEW_PORTS` does not apply.
const FEW_DESTINATIONS: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct DestinationTrends {
    followed: HashMap<Destination, Followed>,
}

impl DestinationTrends {
    pub fn get(&self, destination: &Destination) -> Option<&Followed> {
        self.followed.get(destination)
    }

    pub fn get_mut(&mut self, destination: &Destination) -> Option<&mut Followed> {
        self.followed.get_mut(destination)
    }

    pub fn each_mut(&mut self) -> impl Iterator<Item = &mut Followed> {
        self.followed.values_mut()
    }

    /// Adds a sample to each followed destination, drops destinations and follows new ones. `rows`
    /// must be sorted by used share, highest first. This is nearly the order by ports in use,
    /// because capacities differ only by ports bound by number.
    pub fn sample(&mut self, at: Duration, rows: &[DestinationUse]) {
        for row in rows.iter().take(KEPT_TO) {
            if let Some(followed) = self.followed.get_mut(&row.destination) {
                followed.sample(at, count(row));
            }
        }
        if rows.len() <= KEPT_TO {
            // All destinations are in `rows`; the others have no port any more.
            let gone = self.followed.values_mut().filter(|followed| !followed.is_sampled_at(at));
            let none = Count { left: Some(u32::MAX), ..Count::default() };
            gone.for_each(|followed| followed.sample(at, none));
        }
        self.followed.retain(|_, followed| followed.is_sampled_at(at) && !followed.is_idle());
        self.admit(at, rows);
    }

    fn admit(&mut self, at: Duration, rows: &[DestinationUse]) {
        let is_big =
            |row: &&DestinationUse| row.used >= FEW_PORTS || rows.len() <= FEW_DESTINATIONS;
        for row in rows.iter().take(MOST_FOLLOWED).filter(is_big) {
            if self.followed.contains_key(&row.destination) {
                continue;
            }
            if self.followed.len() == MOST_FOLLOWED && !self.give_way_to(row) {
                return;
            }
            self.followed.entry(row.destination).or_default().sample(at, count(row));
        }
    }

    /// Drops the smallest followed destination if `row` is larger by more than a quarter plus
    /// `FEW_PORTS`. Otherwise destinations of equal size would replace each other with every
    /// snapshot. Returns whether there is room for `row`.
    fn give_way_to(&mut self, row: &DestinationUse) -> bool {
        let smallest = self.followed.iter().min_by_key(|(key, value)| (value.taken(), **key));
        let Some((&destination, followed)) = smallest else { return true };
        let is_clear = count(row).taken > followed.taken() + followed.taken() / 4 + FEW_PORTS;
        if is_clear {
            self.followed.remove(&destination);
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
