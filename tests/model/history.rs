//! What a history reports about sockets and ports after a sequence of snapshots.

use std::{sync::Arc, time::Duration};

use portscope::{
    domain::{
        Age, Endpoint, Gap, History, Holder, PortEvent, Protocol, Snapshot, Socket, Source, State,
        Table, Timer, socket::Family,
    },
    host::{Host, simulated::SimulatedHost},
};
use proptest::prelude::*;

/// Returns a snapshot of these sockets, taken at second `number`.
fn snapshot(number: u64, sockets: &[Socket]) -> Snapshot {
    let machine = SimulatedHost::builder().build().machine();
    let mut snapshot = Snapshot::empty(Arc::clone(&machine), Source::Simulated);
    snapshot.number = number;
    snapshot.taken_at = second(number);
    snapshot.sockets.extend_from_slice(sockets);
    snapshot.sort();
    snapshot
}

fn second(number: u64) -> Duration {
    Duration::from_secs(1_700_000_000 + number)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn socket(protocol: Protocol, port: u16, state: State, cookie: u64) -> Socket {
    let has_remote = !matches!(state, State::Listen | State::Bound | State::Unconnected);
    Socket {
        protocol,
        family: Family::Ipv4,
        state,
        timer: Timer::None,
        local: ([192, 0, 2, 1], port).into(),
        remote: has_remote.then(|| remote(443)),
        interface: None,
        inode: None,
        uid: None,
        cookie: Some(cookie),
        expires_ms: None,
        cgroup: None,
        receive_queue: 0,
        send_queue: 0,
        holder: Holder::NotAsked,
    }
}

fn tcp(port: u16, state: State, cookie: u64) -> Socket {
    socket(Protocol::Tcp, port, state, cookie)
}

fn remote(port: u16) -> Endpoint {
    ([198, 51, 100, 7], port).into()
}

fn history<const N: usize>(snapshots: [&[Socket]; N]) -> History {
    let mut history = History::default();
    for (number, sockets) in (1..).zip(snapshots) {
        history.observe(&snapshot(number, sockets));
    }
    history
}

fn states(history: &History, port: u16) -> Vec<(u64, Option<State>)> {
    let at = |port_event: &PortEvent| port_event.at.as_secs() - second(0).as_secs();
    history.on_port(port).map(|port_event| (at(&port_event), port_event.state)).collect()
}

#[test]
fn ages_are_lower_bounds_in_the_first_snapshot_and_upper_bounds_later() {
    let [old, new] = [tcp(443, State::Listen, 1), tcp(40_000, State::Established, 2)];
    let history = history([&[old], &[old], &[old, new], &[old, new]]);
    assert_eq!(history.age(&old), Some(Age::AtLeast(seconds(3))));
    assert_eq!(history.age(&new), Some(Age::Exactly(seconds(2))), "it came after second 2");
    assert_eq!(history.age(&tcp(443, State::Listen, 3)), None);
    assert_eq!(history.ages().count(), 2);
}

#[test]
fn events_of_a_port_are_returned_newest_first() {
    let here = tcp(40_000, State::Established, 1);
    let closing = tcp(40_000, State::CloseWait, 1);
    let history = history([&[], &[here], &[here], &[closing], &[], &[]]);
    let reported = [(5, None), (4, Some(State::CloseWait)), (2, Some(State::Established))];
    assert_eq!(states(&history, 40_000), reported);
    assert_eq!(history.on_port(40_000).last().unwrap().remote, Some(remote(443)));
}

#[test]
fn time_wait_continues_its_connection_despite_another_cookie() {
    let here = tcp(40_000, State::Established, 1);
    let waiting = tcp(40_000, State::TimeWait, 9);
    let history = history([&[], &[here], &[waiting]]);
    assert_eq!(
        states(&history, 40_000),
        [(3, Some(State::TimeWait)), (2, Some(State::Established))]
    );
    assert_eq!(history.age(&waiting), Some(Age::Exactly(seconds(2))));
}

/// Returns the local ports of the sockets that appeared, and of those that entered TIME-WAIT, in
/// the last of these snapshots.
fn arrived_and_ended<const N: usize>(snapshots: [&[Socket]; N]) -> (Vec<u16>, Vec<u16>) {
    let history = history(snapshots);
    let last = snapshot(0, snapshots[N - 1]);
    let ports = |places: &[u32]| {
        places.iter().map(|&position| last.sockets[position as usize].local.port).collect()
    };
    (ports(history.arrived()), ports(history.entered_time_wait()))
}

#[test]
fn arrivals_and_time_wait_entries_are_those_of_the_last_snapshot() {
    let here = tcp(40_000, State::Established, 1);
    let waiting = tcp(40_000, State::TimeWait, 1);
    let short_lived = tcp(40_001, State::TimeWait, 2);
    let late = socket(Protocol::Udp, 40_002, State::Unconnected, 3);
    assert_eq!(
        arrived_and_ended([&[here, late]]),
        (vec![], vec![]),
        "the first one compares nothing"
    );
    assert_eq!(arrived_and_ended([&[late], &[here, late]]), (vec![40_000], vec![]));
    assert_eq!(arrived_and_ended([&[], &[here, late], &[waiting, late]]), (vec![], vec![40_000]));
    let snapshots: [&[Socket]; 2] = [&[here], &[waiting, short_lived, late]];
    assert_eq!(arrived_and_ended(snapshots), (vec![40_001, 40_002], vec![40_000, 40_001]));
    let still: [&[Socket]; 3] = [&[], &[waiting], &[waiting]];
    assert_eq!(arrived_and_ended(still), (vec![], vec![]));
}

#[test]
fn sockets_that_may_have_been_unlisted_do_not_count_as_new() {
    let [old, new] = [tcp(40_000, State::Established, 1), tcp(40_001, State::Established, 2)];
    let mut history = history([&[old]]);
    let mut refused = snapshot(2, &[]);
    let error = portscope::domain::Errno::EACCES;
    refused.gaps.push(Gap::TableRefused { table: Table::Tcp, error });
    history.observe(&refused);
    assert!(!history.lists(Protocol::Tcp) && history.lists(Protocol::Udp));
    history.observe(&snapshot(3, &[old, new]));
    assert!(history.lists(Protocol::Tcp) && history.arrived().is_empty());
}

#[test]
fn a_connection_that_reuses_a_time_wait_four_tuple_is_new() {
    let waiting = tcp(40_000, State::TimeWait, 1);
    let fresh = tcp(40_000, State::Established, 2);
    let history = history([&[waiting], &[waiting], &[fresh]]);
    assert_eq!(history.age(&fresh), Some(Age::Exactly(seconds(1))));
}

#[test]
fn a_restarted_listener_is_new() {
    let [first, second] = [tcp(80, State::Listen, 1), tcp(80, State::Listen, 2)];
    let history = history([&[first], &[first], &[second]]);
    assert_eq!(history.age(&second), Some(Age::Exactly(seconds(1))));
}

#[test]
fn without_cookies_sockets_are_identified_by_endpoints_and_inode() {
    let of_inode =
        |inode: u32| Socket { cookie: None, inode: Some(inode), ..tcp(80, State::Listen, 0) };
    let waiting = Socket { cookie: None, ..tcp(40_000, State::TimeWait, 0) };
    let here = Socket { cookie: None, inode: Some(7), ..tcp(40_000, State::Established, 0) };
    let history =
        history([&[of_inode(1), here], &[of_inode(1), here], &[of_inode(2), of_inode(1), waiting]]);
    assert_eq!(history.age(&of_inode(1)), Some(Age::AtLeast(seconds(2))));
    assert_eq!(history.age(&of_inode(2)), Some(Age::Exactly(seconds(1))));
    assert_eq!(history.age(&waiting), Some(Age::AtLeast(seconds(2))));
    assert_eq!(states(&history, 40_000), [(3, Some(State::TimeWait))]);
}

#[test]
fn a_change_of_source_does_not_reset_ages() {
    let with = tcp(80, State::Listen, 1);
    let without = Socket { cookie: None, inode: Some(5), ..with };
    let history = history([&[with], &[without], &[with]]);
    assert_eq!(history.age(&with), Some(Age::AtLeast(seconds(2))));
    assert_eq!(states(&history, 80), []);
}

#[test]
fn an_older_snapshot_is_ignored() {
    let mut history = History::default();
    let here = tcp(80, State::Listen, 1);
    history.observe(&snapshot(5, &[here]));
    history.observe(&snapshot(4, &[]));
    history.observe(&snapshot(5, &[]));
    assert_eq!(history.age(&here), Some(Age::AtLeast(seconds(0))));
}

#[test]
fn a_clock_set_back_does_not_reset_ages() {
    let mut history = History::default();
    let here = tcp(80, State::Listen, 1);
    history.observe(&snapshot(1, &[here]));
    history.observe(&snapshot(11, &[here]));
    let mut back = snapshot(12, &[here]);
    back.taken_at = second(2);
    history.observe(&back);
    assert_eq!(history.age(&here), Some(Age::AtLeast(seconds(10))));
}

#[test]
fn an_unlisted_table_loses_no_sockets_and_later_shows_no_new_ones() {
    let [last_seen, unseen] = [tcp(80, State::Listen, 1), tcp(81, State::Listen, 2)];
    let mut history = history([&[last_seen]]);
    let mut gap = snapshot(2, &[]);
    gap.gaps.push(Gap::DumpInterrupted { table: Table::Tcp });
    history.observe(&gap);
    history.observe(&snapshot(3, &[last_seen, unseen]));
    assert_eq!(history.age(&last_seen), Some(Age::AtLeast(seconds(2))));
    assert_eq!(history.age(&unseen), Some(Age::AtLeast(seconds(0))));
    assert_eq!(history.on_port(80).chain(history.on_port(81)).count(), 0);
}

#[test]
fn sockets_closed_while_their_table_was_unlisted_end_when_it_is_listed_again() {
    let mut history = history([&[tcp(80, State::Bound, 1)]]);
    let mut gap = snapshot(2, &[]);
    gap.gaps.push(Gap::BoundInactiveUnlisted { assumed: false });
    history.observe(&gap);
    assert_eq!(states(&history, 80), []);
    history.observe(&snapshot(3, &[]));
    assert_eq!(states(&history, 80), [(3, None)]);
}

/// What happens between two snapshots.
#[derive(Clone, Debug)]
enum Step {
    Open {
        protocol: Protocol,
        port: u16,
        state: State,
    },
    /// Changes the state of a socket. The index wraps around at the number of sockets.
    Change(usize, State),
    /// Replaces a socket by one in TIME-WAIT, with another cookie.
    Close(usize),
    Vanish(usize),
}

/// The sockets that a snapshot could not list.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unlisted {
    No,
    Tcp,
    Udp4,
    Bound,
}

impl Unlisted {
    fn hides(self, socket: &Socket) -> bool {
        match self {
            Self::No => false,
            Self::Tcp => socket.protocol == Protocol::Tcp,
            Self::Udp4 => socket.protocol == Protocol::Udp,
            Self::Bound => socket.state == State::Bound,
        }
    }

    fn gap(self) -> Option<Gap> {
        match self {
            Self::No => None,
            Self::Tcp => Some(Gap::DumpTruncated { table: Table::Tcp }),
            Self::Udp4 => Some(Gap::DumpInterrupted { table: Table::Udp4 }),
            Self::Bound => Some(Gap::BoundInactiveUnlisted { assumed: true }),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<(Vec<Step>, Unlisted, u64)>> {
    let open = prop_oneof![
        (1..4_u16, prop_oneof![Just(State::Listen), Just(State::Bound), Just(State::Established)])
            .prop_map(|(port, state)| Step::Open { protocol: Protocol::Tcp, port, state }),
        (1..4_u16).prop_map(|port| Step::Open {
            protocol: Protocol::Udp,
            port,
            state: State::Unconnected
        }),
    ];
    let step = prop_oneof![
        3 => open,
        1 => (any::<usize>(), prop_oneof![Just(State::CloseWait), Just(State::LastAck)])
            .prop_map(|(which, state)| Step::Change(which, state)),
        1 => any::<usize>().prop_map(Step::Close),
        2 => any::<usize>().prop_map(Step::Vanish),
    ];
    let blind = prop_oneof![
        6 => Just(Unlisted::No),
        1 => Just(Unlisted::Tcp),
        1 => Just(Unlisted::Udp4),
        1 => Just(Unlisted::Bound),
    ];
    proptest::collection::vec((proptest::collection::vec(step, 0..6), blind, 1..100_u64), 1..16)
}

/// A socket as the model knows it: an identity that does not depend on the cookie.
#[derive(Clone, Debug)]
struct Actor {
    socket: Socket,
    is_alive: bool,
    /// Its state when it was last listed, since when it is known to exist, and whether it may be
    /// older.
    last_seen: Option<(State, Duration, bool)>,
}

/// A simple model: examines every socket at each snapshot.
#[derive(Default)]
struct Model {
    actors: Vec<Actor>,
    cookies: u64,
    time: Duration,
    port_events: Vec<(u16, PortEvent)>,
}

impl Model {
    fn take(&mut self, step: &Step) {
        self.cookies += 1;
        let cookie = self.cookies;
        let alive: Vec<usize> =
            (0..self.actors.len()).filter(|&i| self.actors[i].is_alive).collect();
        let chosen = |which: usize| (!alive.is_empty()).then(|| alive[which % alive.len()]);
        match *step {
            Step::Open { protocol, port, state } => {
                let mut socket = socket(protocol, port, state, cookie);
                // Each connection has a four-tuple of its own.
                socket.remote = socket.remote.map(|_| remote(cookie as u16));
                self.actors.push(Actor { socket, is_alive: true, last_seen: None });
            }
            Step::Change(which, state) => {
                let Some(actor) = chosen(which).map(|i| &mut self.actors[i]) else { return };
                if actor.socket.state == State::Established {
                    actor.socket.state = state;
                }
            }
            Step::Close(which) => {
                let Some(actor) = chosen(which).map(|i| &mut self.actors[i]) else { return };
                if actor.socket.remote.is_some() && actor.socket.state != State::TimeWait {
                    actor.socket.state = State::TimeWait;
                    actor.socket.cookie = Some(cookie);
                }
            }
            Step::Vanish(which) => {
                if let Some(i) = chosen(which) {
                    self.actors[i].is_alive = false;
                }
            }
        }
    }

    /// Updates the model for a snapshot. `before`: the time of the previous snapshot, and what it
    /// could not list.
    fn observe_step(
        &mut self,
        at: Duration,
        before: Option<(Duration, Unlisted)>,
        blind: Unlisted,
    ) {
        let ports: Vec<(Protocol, u16)> = Protocol::EACH
            .into_iter()
            .flat_map(|protocol| (1..4).map(move |port| (protocol, port)))
            .collect();
        for (protocol, port) in ports {
            let here = |a: &Actor| (a.socket.protocol, a.socket.local.port) == (protocol, port);
            let known_before =
                self.actors.iter().filter(|a| here(a) && a.last_seen.is_some()).count();
            for actor in self.actors.iter_mut().filter(|a| here(a)) {
                let reported = see(actor, at, before, blind);
                self.port_events.extend(reported.map(|(state, remote)| {
                    (port, PortEvent { at, protocol, state: Some(state), remote })
                }));
            }
            let known = self.actors.iter().filter(|a| here(a) && a.last_seen.is_some()).count();
            if known_before > 0 && known == 0 {
                let gone = PortEvent { at, protocol, state: None, remote: None };
                self.port_events.push((port, gone));
            }
        }
        self.time = at;
    }

    fn visible(&self, blind: Unlisted) -> Vec<Socket> {
        let alive = self.actors.iter().filter(|a| a.is_alive).map(|a| a.socket);
        alive.filter(|socket| !blind.hides(socket)).collect()
    }
}

/// Updates a socket for one snapshot. Returns the event to report; None: there is none.
fn see(
    actor: &mut Actor,
    at: Duration,
    before: Option<(Duration, Unlisted)>,
    blind: Unlisted,
) -> Option<(State, Option<Endpoint>)> {
    let now = actor.socket.state;
    let is_visible = actor.is_alive && !blind.hides(&actor.socket);
    match (actor.last_seen, is_visible) {
        (None, false) => None,
        (None, true) => match before {
            Some((time, previous)) if !previous.hides(&actor.socket) => {
                actor.last_seen = Some((now, time, false));
                Some((now, actor.socket.remote))
            }
            _ => {
                actor.last_seen = Some((now, at, true));
                None
            }
        },
        (Some((state, since, is_older)), true) => {
            actor.last_seen = Some((now, since, is_older));
            (state != now).then_some((now, actor.socket.remote))
        }
        (Some((state, ..)), false) => {
            // It may still exist if this snapshot could not list a socket in its last known state.
            if !blind.hides(&Socket { state, ..actor.socket }) {
                actor.last_seen = None;
            }
            None
        }
    }
}

proptest! {
    #[test]
    fn history_matches_a_reference_model(snapshots in steps()) {
        let (mut history, mut model) = (History::default(), Model::default());
        let (mut before, mut tenths) = (None, 0);
        for (number, (steps, blind, passed)) in (1..).zip(&snapshots) {
            tenths += passed;
            let at = second(0) + Duration::from_millis(100 * tenths);
            for step in steps {
                model.take(step);
            }
            model.observe_step(at, before, *blind);
            before = Some((at, *blind));
            let mut snapshot = snapshot(number, &model.visible(*blind));
            snapshot.taken_at = at;
            snapshot.gaps.extend(blind.gap());
            history.observe(&snapshot);
            ages_agree(&history, &model, &snapshot)?;
        }
        for port in 1..4 {
            port_events_agree(&history, &model, port)?;
        }
    }
}

fn ages_agree(history: &History, model: &Model, snapshot: &Snapshot) -> Result<(), TestCaseError> {
    let age_of = |socket: &Socket| {
        let actor = model.actors.iter().find(|a| a.is_alive && a.socket.cookie == socket.cookie);
        let (_, since, is_older) = actor.and_then(|a| a.last_seen).unwrap();
        let age = model.time.checked_sub(since).unwrap();
        if is_older { Age::AtLeast(age) } else { Age::Exactly(age) }
    };
    let expected: Vec<Age> = snapshot.sockets.iter().map(age_of).collect();
    for (socket, age) in snapshot.sockets.iter().zip(&expected) {
        prop_assert_eq!(history.age(socket), Some(*age), "{:?}", socket);
    }
    prop_assert_eq!(history.ages().collect::<Vec<_>>(), expected);
    Ok(())
}

/// Compares the events of a port. Those of the same time have no order.
fn port_events_agree(history: &History, model: &Model, port: u16) -> Result<(), TestCaseError> {
    let reported: Vec<PortEvent> = history.on_port(port).collect();
    let of_port = model.port_events.iter().rev().filter(|(p, _)| *p == port).map(|(_, s)| *s);
    let expected: Vec<PortEvent> = of_port.collect();
    prop_assert_eq!(reported.len(), expected.len().min(8));
    for (position, port_event) in reported.iter().enumerate() {
        prop_assert_eq!(port_event.at, expected[position].at);
        prop_assert!(expected.contains(port_event), "{:?} is not in {:?}", port_event, expected);
    }
    Ok(())
}
