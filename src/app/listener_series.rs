//! Connections per second of the listeners over the last minute. Does not count connections.

use std::{collections::VecDeque, time::Duration};

use crate::domain::{ListenerKey, ListenerUse};

const LENGTH: Duration = Duration::from_mins(1);

/// The rates of the scans of the last minute, the newest scan last.
#[derive(Clone, Debug, Default)]
pub struct ListenerSeries(VecDeque<ListenerScan>);

#[derive(Clone, Debug)]
struct ListenerScan {
    arrived: Duration,
    /// Connections in ten seconds, by listener in ascending order. Contains no zeros.
    rates: Vec<(ListenerKey, u32)>,
}

impl ListenerSeries {
    /// Adds a scan that arrived this time after the program's start. `listeners` are in ascending
    /// order of their keys.
    pub(super) fn observe(&mut self, arrived: Duration, listeners: &[ListenerUse]) {
        let rate = |row: &ListenerUse| {
            let rate = (row.connections_per_second? * 10.0).round() as u32;
            (rate > 0).then_some((row.key, rate))
        };
        self.0.push_back(ListenerScan {
            arrived,
            rates: listeners.iter().filter_map(rate).collect(),
        });
        while self.0.front().is_some_and(|scan| arrived.saturating_sub(scan.arrived) > LENGTH) {
            self.0.pop_front();
        }
    }

    /// Returns the connections of a listener in ten seconds, each with the time before the latest
    /// scan.
    pub fn of(&self, key: ListenerKey) -> Vec<(Duration, u32)> {
        let last = self.0.back().map_or(Duration::ZERO, |scan| scan.arrived);
        let rate = |scan: &ListenerScan| {
            let found = scan.rates.binary_search_by_key(&key, |&(key, _)| key);
            found.map_or(0, |at| scan.rates[at].1)
        };
        self.0.iter().map(|scan| (last.saturating_sub(scan.arrived), rate(scan))).collect()
    }

    /// Returns the highest rate of all listeners.
    pub fn peak(&self) -> u32 {
        self.0.iter().flat_map(|scan| &scan.rates).map(|&(_, rate)| rate).max().unwrap_or_default()
    }
}
