//! Lists of sockets, for every set of sockets: groups count each socket once, and an order is a
//! permutation. The screen and `scan` use the same lists.

use std::collections::BTreeSet;

use portscope::domain::{
    Machine, MachineKind, Process, ProcessTable, Protocol, Snapshot, Socket, Source, State, Text,
    listing::{
        GroupBy, GroupColumn, GroupId, GroupOrder, ListingSource, OwnerName, SocketColumn,
        SocketOrder,
    },
    owner::{Holder, Span},
};
use proptest::{collection::vec, prelude::*, sample};

/// The units and containers of the processes 1 to 5; process 6 is not described.
const UNITS: [Option<&str>; 5] = [
    None,
    Some("nginx.service"),
    Some("nginx.service"),
    Some("docker 3f2a1b0c9d8e"),
    Some("lxc a.service"),
];

fn processes() -> ProcessTable {
    let each = (1..).zip(UNITS).map(|(pid, unit)| Process {
        unit: unit.map(Text::scrub),
        ..Process::new(pid, Text::scrub(if pid < 4 { "web" } else { "db" }))
    });
    each.collect()
}

/// Generates a holder: no process, or up to two of the processes 1 to 6, which are `pids`.
fn holders() -> impl Strategy<Value = Holder> {
    let kinds = [Holder::Kernel, Holder::Hidden, Holder::Nobody, Holder::Unresolved];
    let span = (0..5_u32, 0..3_u32)
        .prop_map(|(first, length)| Span { first, length: length.min(6 - first) });
    prop_oneof![
        sample::select(kinds.to_vec()),
        span.clone().prop_map(Holder::Process),
        span.clone().prop_map(Holder::Departed),
        span.prop_map(Holder::Backlog),
    ]
}

fn sockets() -> impl Strategy<Value = Socket> {
    let uid = prop_oneof![Just(None), (0..3_u32).prop_map(Some)];
    let places = (30_000..34_000_u16, prop_oneof![Just(None), (0..3_u8).prop_map(Some)]);
    (sample::select(&State::EACH[..]), places, uid, holders(), 0..4_u32).prop_map(
        |(state, (port, remote), uid, holder, queue)| {
            let mut socket = Socket::new(state.protocol(), state, ([10, 0, 0, 1], port).into());
            socket.remote = remote.map(|last| ([10, 0, 1, last], 443).into());
            (socket.uid, socket.holder, socket.receive_queue) = (uid, holder, queue);
            socket
        },
    )
}

fn snapshot(sockets: Vec<Socket>) -> Snapshot {
    let machine = Machine::new(MachineKind::Simulated, Text::scrub("m"), Text::scrub("6.18"));
    let mut snapshot = Snapshot::empty(machine.into(), Source::Simulated);
    (snapshot.sockets, snapshot.pids) = (sockets, (1..=6).collect());
    snapshot.sort();
    snapshot
}

/// Returns the number of groups that a socket has, counted without the table of groups.
fn groups_of(group_by: GroupBy, snapshot: &Snapshot, socket: &Socket) -> usize {
    let pids = snapshot.owner(socket).pids();
    let name = |pid: &u32| match (group_by, *pid) {
        (_, 6) => "not described",
        (GroupBy::Owner, 1..=3) => "web",
        (GroupBy::Owner, _) => "db",
        (GroupBy::Unit, 2 | 3) => "nginx.service",
        (GroupBy::Unit, _) => "no unit",
        (_, 4) => "docker",
        (_, 5) => "lxc",
        _ => "no container",
    };
    match group_by {
        GroupBy::Owner | GroupBy::Unit | GroupBy::Container if !pids.is_empty() => {
            pids.iter().map(name).collect::<BTreeSet<_>>().len()
        }
        _ => 1,
    }
}

proptest! {
    #[test]
    fn each_socket_is_counted_once_in_each_of_its_groups(all in vec(sockets(), 0..60)) {
        let (snapshot, processes) = (snapshot(all), processes());
        let source = ListingSource { snapshot: &snapshot, processes: &processes };
        for group_by in GroupBy::EACH.into_iter().skip(1) {
            let order = GroupOrder { column: GroupColumn::Name, is_reversed: false };
            let groups = source.grouped(group_by, snapshot.sockets.iter(), order);
            let sum: u32 = groups.iter().map(|group| group.sockets).sum();
            let expected: usize =
                snapshot.sockets.iter().map(|socket| groups_of(group_by, &snapshot, socket)).sum();
            prop_assert_eq!(sum as usize, expected, "{:?}", group_by);
            for group in &groups {
                prop_assert_eq!(group.by_class.iter().sum::<u32>(), group.sockets);
                prop_assert!(group.sockets > 0 && group.ports <= group.sockets);
            }
            let mut reversed = source.grouped(
                group_by,
                snapshot.sockets.iter().rev(),
                GroupOrder { is_reversed: true, ..order },
            );
            reversed.reverse();
            let counts = |groups: &[portscope::domain::listing::RowGroup]| {
                groups.iter().map(|g| (g.id.clone(), g.sockets, g.ports)).collect::<Vec<_>>()
            };
            prop_assert_eq!(counts(&groups), counts(&reversed));
        }
    }

    #[test]
    fn an_order_has_each_socket_once(all in vec(sockets(), 0..60)) {
        let (snapshot, processes) = (snapshot(all), processes());
        let source = ListingSource { snapshot: &snapshot, processes: &processes };
        for column in SocketColumn::EACH {
            let sorted = source.sorted(SocketOrder { column, is_reversed: false });
            let mut reversed = source.sorted(SocketOrder { column, is_reversed: true });
            reversed.reverse();
            prop_assert_eq!(&sorted, &reversed);
            let indexes: BTreeSet<u32> = sorted.iter().copied().collect();
            prop_assert!(indexes.into_iter().eq(0..snapshot.sockets.len() as u32));
            let rows = || sorted.iter().map(|&index| snapshot.sockets[index as usize]);
            let is_sorted = match column {
                SocketColumn::State => rows().is_sorted_by_key(|socket| socket.state),
                SocketColumn::Remote => {
                    rows().is_sorted_by_key(|socket| (socket.remote.is_none(), socket.remote))
                }
                SocketColumn::User => {
                    rows().is_sorted_by_key(|socket| (socket.uid.is_none(), socket.uid))
                }
                SocketColumn::Local | SocketColumn::Protocol => {
                    rows().is_sorted_by_key(|socket| socket.protocol_port())
                }
                _ => true,
            };
            prop_assert!(is_sorted, "{:?}", column);
        }
    }
}

#[test]
fn units_and_containers_are_different_groups() {
    let mut all = Vec::new();
    for first in 0..6 {
        let mut socket = Socket::new(Protocol::Tcp, State::Listen, ([0, 0, 0, 0], 80).into());
        socket.holder = Holder::Process(Span { first, length: 1 });
        all.push(socket);
    }
    let (snapshot, processes) = (snapshot(all), processes());
    let source = ListingSource { snapshot: &snapshot, processes: &processes };
    let ids = |group_by| {
        let order = GroupOrder { column: GroupColumn::Name, is_reversed: false };
        let groups = source.grouped(group_by, snapshot.sockets.iter(), order);
        groups.into_iter().map(|group| (group.id, group.sockets)).collect::<Vec<_>>()
    };
    let text = |name: &str| Text::scrub(name);
    let unknown = GroupId::Owner(OwnerName::Unnamed(portscope::domain::OwnerKey::Process(6)));
    assert_eq!(
        ids(GroupBy::Unit),
        [(GroupId::Unit(text("nginx.service")), 2), (unknown.clone(), 1), (GroupId::NoUnit, 3),]
    );
    assert_eq!(
        ids(GroupBy::Container),
        [
            (GroupId::Container(text("docker 3f2a1b0c9d8e")), 1),
            (GroupId::Container(text("lxc a.service")), 1),
            (unknown, 1),
            (GroupId::NoContainer, 3),
        ]
    );
}

#[test]
fn connections_that_are_being_opened_are_not_counted_as_established() {
    let states =
        [State::Established, State::SynSent, State::SynReceived, State::Listen, State::TimeWait];
    let all = states.map(|state| {
        let socket = Socket::new(Protocol::Tcp, state, ([10, 0, 0, 7], 80).into());
        Socket { holder: Holder::Kernel, ..socket }
    });
    let (snapshot, processes) = (snapshot(all.to_vec()), processes());
    let source = ListingSource { snapshot: &snapshot, processes: &processes };
    let sockets = snapshot.sockets.iter();
    let groups = source.grouped(GroupBy::Port, sockets, GroupOrder::default());
    let group = &groups[0];
    assert_eq!((group.sockets, group.established, group.others()), (5, 1, 2));
}
