//! What a history reports about sockets and ports, over snapshots such as a machine produces.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{sync::Arc, time::Duration};

use portscope::{
    domain::{
        Age, Endpoint, Gap, History, Holder, Protocol, Sighting, Snapshot, Socket, Source, State,
        Table, Timer, socket::Family,
    },
    host::{Host, simulated::SimulatedHost},
};
use proptest::prelude::*;

/// Sockets at a second.
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

fn history<const N: usize>(looks: [&[Socket]; N]) -> History {
    let mut history = History::default();
    for (number, sockets) in (1..).zip(looks) {
        history.observe(&snapshot(number, sockets));
    }
    history
}

fn states(history: &History, port: u16) -> Vec<(u64, Option<State>)> {
    let at = |sighting: &Sighting| sighting.at.as_secs() - second(0).as_secs();
    history.on_port(port).map(|sighting| (at(&sighting), sighting.state)).collect()
}

#[test]
fn what_the_first_snapshot_shows_is_at_least_so_old_what_comes_later_at_most() {
    let [old, new] = [tcp(443, State::Listen, 1), tcp(40_000, State::Established, 2)];
    let history = history([&[old], &[old], &[old, new], &[old, new]]);
    assert_eq!(history.age(&old), Some(Age::AtLeast(seconds(3))));
    assert_eq!(history.age(&new), Some(Age::Exactly(seconds(2))), "it came after second 2");
    assert_eq!(history.age(&tcp(443, State::Listen, 3)), None);
    assert_eq!(history.ages().count(), 2);
}

#[test]
fn a_port_is_as_young_as_its_youngest_socket() {
    let old = tcp(443, State::Listen, 1);
    let new = socket(Protocol::Udp, 443, State::Unconnected, 2);
    let history = history([&[old], &[old], &[old], &[old, new]]);
    assert_eq!(history.youngest_on(443), Some(Age::Exactly(seconds(1))));
    assert_eq!(history.youngest_on(80), None);
}

#[test]
fn a_port_tells_what_came_changed_and_went_newest_first() {
    let here = tcp(40_000, State::Established, 1);
    let closing = tcp(40_000, State::CloseWait, 1);
    let history = history([&[], &[here], &[here], &[closing], &[], &[]]);
    let reported = [(5, None), (4, Some(State::CloseWait)), (2, Some(State::Established))];
    assert_eq!(states(&history, 40_000), reported);
    assert_eq!(history.on_port(40_000).last().unwrap().remote, Some(remote(443)));
}

#[test]
fn time_wait_is_the_same_connection_although_its_cookie_is_another() {
    let here = tcp(40_000, State::Established, 1);
    let waiting = tcp(40_000, State::TimeWait, 9);
    let history = history([&[], &[here], &[waiting]]);
    assert_eq!(
        states(&history, 40_000),
        [(3, Some(State::TimeWait)), (2, Some(State::Established))]
    );
    assert_eq!(history.age(&waiting), Some(Age::Exactly(seconds(2))));
}

/// Local ports of what came, and of what went into TIME-WAIT, with the last of these looks.
fn news<const N: usize>(looks: [&[Socket]; N]) -> (Vec<u16>, Vec<u16>) {
    let history = history(looks);
    let last = snapshot(0, looks[N - 1]);
    let ports = |places: &[u32]| {
        places.iter().map(|&place| last.sockets[place as usize].local.port).collect()
    };
    (ports(history.arrived()), ports(history.entered_time_wait()))
}

#[test]
fn what_came_and_what_went_into_time_wait_is_told_of_the_last_snapshot_alone() {
    let here = tcp(40_000, State::Established, 1);
    let waiting = tcp(40_000, State::TimeWait, 1);
    let short_lived = tcp(40_001, State::TimeWait, 2);
    let late = socket(Protocol::Udp, 40_002, State::Unconnected, 3);
    assert_eq!(news([&[here, late]]), (vec![], vec![]), "the first one compares nothing");
    assert_eq!(news([&[late], &[here, late]]), (vec![40_000], vec![]));
    assert_eq!(news([&[], &[here, late], &[waiting, late]]), (vec![], vec![40_000]));
    let looks: [&[Socket]; 2] = [&[here], &[waiting, short_lived, late]];
    assert_eq!(news(looks), (vec![40_001, 40_002], vec![40_000, 40_001]));
    let still: [&[Socket]; 3] = [&[], &[waiting], &[waiting]];
    assert_eq!(news(still), (vec![], vec![]));
}

#[test]
fn what_may_have_been_there_unseen_is_not_told_as_come() {
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
fn a_new_connection_that_takes_the_four_tuple_of_time_wait_is_another() {
    let waiting = tcp(40_000, State::TimeWait, 1);
    let fresh = tcp(40_000, State::Established, 2);
    let history = history([&[waiting], &[waiting], &[fresh]]);
    assert_eq!(history.age(&fresh), Some(Age::Exactly(seconds(1))));
}

#[test]
fn a_listener_that_was_started_again_is_another() {
    let [first, second] = [tcp(80, State::Listen, 1), tcp(80, State::Listen, 2)];
    let history = history([&[first], &[first], &[second]]);
    assert_eq!(history.age(&second), Some(Age::Exactly(seconds(1))));
}

#[test]
fn without_cookies_endpoints_and_inode_tell_a_socket() {
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
fn another_source_of_the_snapshots_makes_no_socket_younger() {
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
fn a_clock_that_is_set_back_makes_nothing_younger() {
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
fn a_table_that_could_not_be_listed_is_not_gone_and_what_it_shows_later_is_not_new() {
    let [seen, unseen] = [tcp(80, State::Listen, 1), tcp(81, State::Listen, 2)];
    let mut history = history([&[seen]]);
    let mut gap = snapshot(2, &[]);
    gap.gaps.push(Gap::DumpInterrupted { table: Table::Tcp });
    history.observe(&gap);
    history.observe(&snapshot(3, &[seen, unseen]));
    assert_eq!(history.age(&seen), Some(Age::AtLeast(seconds(2))));
    assert_eq!(history.age(&unseen), Some(Age::AtLeast(seconds(0))));
    assert_eq!(history.on_port(80).chain(history.on_port(81)).count(), 0);
}

#[test]
fn what_went_while_its_table_was_not_listed_is_gone_when_it_is_listed_again() {
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
    /// Of the sockets there are, the one at this place, counted around.
    Change(usize, State),
    /// TIME-WAIT takes its place, with another cookie.
    Close(usize),
    Vanish(usize),
}

/// What a snapshot could not list.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Blind {
    No,
    Tcp,
    Udp4,
    Bound,
}

impl Blind {
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

fn steps() -> impl Strategy<Value = Vec<(Vec<Step>, Blind, u64)>> {
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
        6 => Just(Blind::No),
        1 => Just(Blind::Tcp),
        1 => Just(Blind::Udp4),
        1 => Just(Blind::Bound),
    ];
    proptest::collection::vec((proptest::collection::vec(step, 0..6), blind, 1..100_u64), 1..16)
}

/// A socket as the model knows it: by itself, not by its cookie.
#[derive(Clone, Debug)]
struct Actor {
    socket: Socket,
    is_alive: bool,
    /// As it was when it was last seen, and how old it counts.
    seen: Option<(State, Duration, bool)>,
}

/// Knows every socket and simply looks at all of them each time.
#[derive(Default)]
struct Model {
    actors: Vec<Actor>,
    cookies: u64,
    time: Duration,
    sightings: Vec<(u16, Sighting)>,
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
                self.actors.push(Actor { socket, is_alive: true, seen: None });
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

    /// Compares with what could be seen the time before.
    fn look(&mut self, at: Duration, before: Option<(Duration, Blind)>, blind: Blind) {
        let ports: Vec<(Protocol, u16)> = Protocol::EACH
            .into_iter()
            .flat_map(|protocol| (1..4).map(move |port| (protocol, port)))
            .collect();
        for (protocol, port) in ports {
            let here = |a: &Actor| (a.socket.protocol, a.socket.local.port) == (protocol, port);
            let known_before = self.actors.iter().filter(|a| here(a) && a.seen.is_some()).count();
            for actor in self.actors.iter_mut().filter(|a| here(a)) {
                let reported = see(actor, at, before, blind);
                self.sightings.extend(reported.map(|(state, remote)| {
                    (port, Sighting { at, protocol, state: Some(state), remote })
                }));
            }
            let known = self.actors.iter().filter(|a| here(a) && a.seen.is_some()).count();
            if known_before > 0 && known == 0 {
                let gone = Sighting { at, protocol, state: None, remote: None };
                self.sightings.push((port, gone));
            }
        }
        self.time = at;
    }

    fn visible(&self, blind: Blind) -> Vec<Socket> {
        let alive = self.actors.iter().filter(|a| a.is_alive).map(|a| a.socket);
        alive.filter(|socket| !blind.hides(socket)).collect()
    }
}

/// One socket in one look; what there is to tell of it.
fn see(
    actor: &mut Actor,
    at: Duration,
    before: Option<(Duration, Blind)>,
    blind: Blind,
) -> Option<(State, Option<Endpoint>)> {
    let now = actor.socket.state;
    let is_visible = actor.is_alive && !blind.hides(&actor.socket);
    match (actor.seen, is_visible) {
        (None, false) => None,
        (None, true) => match before {
            Some((time, previous)) if !previous.hides(&actor.socket) => {
                actor.seen = Some((now, time, false));
                Some((now, actor.socket.remote))
            }
            _ => {
                actor.seen = Some((now, at, true));
                None
            }
        },
        (Some((state, since, is_older)), true) => {
            actor.seen = Some((now, since, is_older));
            (state != now).then_some((now, actor.socket.remote))
        }
        (Some((state, ..)), false) => {
            // Whether it may still be there is asked of it as it was seen.
            if !blind.hides(&Socket { state, ..actor.socket }) {
                actor.seen = None;
            }
            None
        }
    }
}

proptest! {
    #[test]
    fn a_history_tells_what_a_model_that_knows_each_socket_tells(looks in steps()) {
        let (mut history, mut model) = (History::default(), Model::default());
        let (mut before, mut tenths) = (None, 0);
        for (number, (steps, blind, passed)) in (1..).zip(&looks) {
            tenths += passed;
            let at = second(0) + Duration::from_millis(100 * tenths);
            for step in steps {
                model.take(step);
            }
            model.look(at, before, *blind);
            before = Some((at, *blind));
            let mut snapshot = snapshot(number, &model.visible(*blind));
            snapshot.taken_at = at;
            snapshot.gaps.extend(blind.gap());
            history.observe(&snapshot);
            ages_agree(&history, &model, &snapshot)?;
        }
        for port in 1..4 {
            sightings_agree(&history, &model, port)?;
        }
    }
}

fn ages_agree(history: &History, model: &Model, snapshot: &Snapshot) -> Result<(), TestCaseError> {
    let age_of = |socket: &Socket| {
        let actor = model.actors.iter().find(|a| a.is_alive && a.socket.cookie == socket.cookie);
        let (_, since, is_older) = actor.and_then(|a| a.seen).unwrap();
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

/// Sightings of one time have no order.
fn sightings_agree(history: &History, model: &Model, port: u16) -> Result<(), TestCaseError> {
    let reported: Vec<Sighting> = history.on_port(port).collect();
    let of_port = model.sightings.iter().rev().filter(|(p, _)| *p == port).map(|(_, s)| *s);
    let expected: Vec<Sighting> = of_port.collect();
    prop_assert_eq!(reported.len(), expected.len().min(8));
    for (place, sighting) in reported.iter().enumerate() {
        prop_assert_eq!(sighting.at, expected[place].at);
        prop_assert!(expected.contains(sighting), "{:?} is not in {:?}", sighting, expected);
    }
    Ok(())
}
