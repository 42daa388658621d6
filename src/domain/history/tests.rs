//! Tests of the buffers of a history. tests/model/history.rs tests its results.

use std::sync::Arc;

use super::*;
use crate::domain::{Machine, MachineKind, Source, Text};

fn snapshot(number: u64, cookies: impl Iterator<Item = u64>) -> Snapshot {
    let machine = Machine::new(MachineKind::Simulated, Text::scrub("test"), Text::scrub("test"));
    let mut snapshot = Snapshot::empty(Arc::new(machine), Source::Simulated);
    snapshot.number = number;
    snapshot.taken_at = Duration::from_secs(number);
    snapshot.sockets.extend(cookies.map(|cookie| {
        let local = ([192, 0, 2, 1], (cookie % 20_000) as u16 + 1).into();
        let remote = Some(([198, 51, 100, 7], (cookie / 20_000) as u16).into());
        let socket = Socket::new(Protocol::Tcp, State::Established, local);
        Socket { remote, cookie: Some(cookie), ..socket }
    }));
    snapshot.sort();
    snapshot
}

fn bytes(history: &History) -> usize {
    (history.known.capacity() + history.next.capacity() + history.missing.capacity())
        * size_of::<KnownPorts>()
        + history.port_events.bytes()
        + history.unpaired.disappeared.capacity() * size_of::<(KnownPorts, bool)>()
        + history.unpaired.appeared.capacity() * size_of::<u32>()
}

#[test]
fn an_unchanged_snapshot_touches_no_buffer() {
    let mut history = History::default();
    history.observe(&snapshot(1, 0..1000));
    let (buffer, size) = (history.known.as_ptr(), bytes(&history));
    for number in 2..10 {
        history.observe(&snapshot(number, 0..1000));
    }
    assert_eq!((history.known.as_ptr(), bytes(&history)), (buffer, size));
}

#[test]
fn buffers_are_reused_when_sockets_change() {
    let mut history = History::default();
    let turn = |number| snapshot(number, number..number + 1000);
    (1..4).for_each(|number| history.observe(&turn(number)));
    let capacities = (history.known.capacity(), history.next.capacity());
    (4..40).for_each(|number| history.observe(&turn(number)));
    let mut later = [history.known.capacity(), history.next.capacity()];
    later.sort_unstable();
    let mut before = [capacities.0, capacities.1];
    before.sort_unstable();
    assert_eq!(later, before);
}

#[test]
fn two_hundred_thousand_sockets_take_less_than_twelve_megabytes() {
    let mut history = History::default();
    for number in 1..8 {
        let fresh = 250_000 * (number % 2);
        let changed = (0..200_000).map(|c| if c % 3 == 0 { c + fresh } else { c });
        history.observe(&snapshot(number, changed));
    }
    assert!(bytes(&history) < 12_000_000, "{} bytes", bytes(&history));
}
