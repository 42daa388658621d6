//! Connections per second of the listeners over the last minute. Does not count connections.

use std::{collections::VecDeque, time::Duration};

use crate::domain::{ListenerKey, ListenerUse, Protocol};

const LENGTH: Duration = Duration::from_mins(1);

/// The rates of the scans of the last minute, the newest scan last.
#[derive(Clone, Debug, Default)]
pub struct ListenerSeries(VecDeque<ListenerScan>);

#[derive(Clone, Debug)]
struct ListenerScan {
    arrived: Duration,
    /// Connections in ten seconds, by TCP port in ascending order. Contains no zeros. None: the
    /// rates were unknown.
    rates: Option<Vec<(u16, u32)>>,
}

impl ListenerSeries {
    /// Adds a scan that arrived this time after the program's start. `listeners` are in ascending
    /// order of their keys.
    pub(super) fn observe(&mut self, arrived: Duration, listeners: &[ListenerUse]) {
        // A scan knows the rates of all TCP listeners or of none.
        let known = |row: &ListenerUse| Some((row.key.port, row.connections_per_second?));
        let mut known = listeners.iter().filter_map(known).peekable();
        let rates = known.peek().is_some().then(|| {
            let in_ten_seconds = known.map(|(port, rate)| (port, (rate * 10.0).round() as u32));
            in_ten_seconds.filter(|&(_, rate)| rate > 0).collect()
        });
        self.0.push_back(ListenerScan { arrived, rates });
        while self.0.front().is_some_and(|scan| arrived.saturating_sub(scan.arrived) > LENGTH) {
            self.0.pop_front();
        }
    }

    /// Returns the connections of a listener in ten seconds, each with the time before the latest
    /// scan. None: unknown. Empty for UDP, which has no connections.
    pub fn of(&self, key: ListenerKey) -> Vec<(Duration, Option<u32>)> {
        if key.protocol != Protocol::Tcp {
            return Vec::new();
        }
        let last = self.0.back().map_or(Duration::ZERO, |scan| scan.arrived);
        let rate = |scan: &ListenerScan| {
            let rates = scan.rates.as_ref()?;
            let found = rates.binary_search_by_key(&key.port, |&(port, _)| port);
            Some(found.map_or(0, |at| rates[at].1))
        };
        self.0.iter().map(|scan| (last.saturating_sub(scan.arrived), rate(scan))).collect()
    }

    /// Returns the highest rate of all listeners.
    pub fn peak(&self) -> u32 {
        let rates = self.0.iter().filter_map(|scan| scan.rates.as_ref()).flatten();
        rates.map(|&(_, rate)| rate).max().unwrap_or_default()
    }
}
