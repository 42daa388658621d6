//! A bounded log of port events that can be read by port. Does not compare snapshots.

use crate::domain::PortEvent;

/// Maximum number of events returned for a port.
const PER_PORT: usize = 8;
/// Maximum number of events in the log.
const CAPACITY: usize = 40_960;
/// Number of events kept when the log is full.
const KEPT_WHEN_FULL: usize = CAPACITY / 4 * 3;
/// In place of an index: there is no entry.
const NONE: u32 = u32::MAX;
const PORTS: usize = 65_536;

#[derive(Clone, Debug, Default)]
pub(super) struct PortEvents {
    /// Oldest first.
    entries: Vec<PortEventEntry>,
    /// The index of the newest entry of each port, by port. Empty until the first event.
    newest: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct PortEventEntry {
    port_event: PortEvent,
    port: u16,
    /// The index of the previous entry of the same port, or `NONE`.
    older: u32,
}

impl PortEvents {
    pub fn push(&mut self, port: u16, port_event: PortEvent) {
        if self.newest.is_empty() {
            self.newest = vec![NONE; PORTS];
        }
        if self.entries.len() == CAPACITY {
            self.make_room();
        } else if self.entries.len() == self.entries.capacity() {
            let more = self.entries.len().clamp(64, CAPACITY - self.entries.len());
            self.entries.reserve_exact(more);
        }
        let index = self.entries.len() as u32;
        let older = std::mem::replace(&mut self.newest[usize::from(port)], index);
        self.entries.push(PortEventEntry { port_event, port, older });
    }

    pub fn on_port(&self, port: u16) -> impl Iterator<Item = PortEvent> {
        let newest = self.newest.get(usize::from(port)).and_then(|&index| self.entry(index));
        let older = |entry: &&PortEventEntry| self.entry(entry.older);
        std::iter::successors(newest, older).map(|entry| entry.port_event).take(PER_PORT)
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<PortEventEntry>()
            + self.newest.capacity() * size_of::<u32>()
    }

    fn entry(&self, index: u32) -> Option<&PortEventEntry> {
        self.entries.get(index as usize)
    }

    /// Drops the entries beyond the newest `PER_PORT` of each port, then the oldest ones, so that a
    /// busy port does not push out the events of other ports.
    fn make_room(&mut self) {
        let mut reported = vec![0_u8; PORTS];
        let mut kept = 0;
        let mut entries = std::mem::take(&mut self.entries);
        // Visits the entries from the newest to the oldest, and moves each entry that is kept to
        // the end of the vector.
        let mut start = entries.len();
        for index in (0..entries.len()).rev() {
            let of_port = &mut reported[usize::from(entries[index].port)];
            if usize::from(*of_port) < PER_PORT && kept < KEPT_WHEN_FULL {
                *of_port += 1;
                kept += 1;
                start -= 1;
                entries[start] = entries[index];
            }
        }
        entries.drain(..start);
        self.newest.fill(NONE);
        for (index, entry) in entries.iter_mut().enumerate() {
            let newest = &mut self.newest[usize::from(entry.port)];
            entry.older = std::mem::replace(newest, index as u32);
        }
        self.entries = entries;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Protocol;

    fn port_event(second: u64) -> PortEvent {
        let at = Duration::from_secs(second);
        PortEvent { at, protocol: Protocol::Tcp, state: None, remote: None }
    }

    fn seconds(port_events: &PortEvents, port: u16) -> Vec<u64> {
        port_events.on_port(port).map(|port_event| port_event.at.as_secs()).collect()
    }

    #[test]
    fn at_most_eight_events_are_returned_per_port() {
        let mut port_events = PortEvents::default();
        assert_eq!(seconds(&port_events, 443), [0; 0]);
        for second in 1..=10 {
            port_events.push(443, port_event(second));
            port_events.push(80, port_event(100 + second));
        }
        assert_eq!(seconds(&port_events, 443), [10, 9, 8, 7, 6, 5, 4, 3]);
        assert_eq!(seconds(&port_events, 0), [0; 0]);
    }

    #[test]
    fn a_busy_port_does_not_evict_events_of_other_ports() {
        let mut port_events = PortEvents::default();
        port_events.push(22, port_event(1));
        for second in 2..200_000 {
            port_events.push(443, port_event(second));
        }
        assert_eq!(seconds(&port_events, 22), [1]);
        assert_eq!(seconds(&port_events, 443)[0], 199_999);
    }

    #[test]
    fn the_log_is_bounded_and_drops_the_oldest() {
        let mut port_events = PortEvents::default();
        for second in 0..500_000_u64 {
            port_events.push((second % 60_000) as u16, port_event(second));
            assert!(port_events.entries.len() <= CAPACITY);
        }
        assert!(port_events.entries.capacity() <= CAPACITY);
        let newest = (499_999 % 60_000) as u16;
        assert_eq!(seconds(&port_events, newest)[0], 499_999);
        assert_eq!(seconds(&port_events, newest + 1), [0; 0], "older than all that are kept");
    }
}
