//! Tests of attribution, with invented sockets and holders.

use std::sync::Arc;

use super::*;
use crate::domain::{
    Endpoint, Family, Machine, MachineKind, Owner, Protocol, Source, State, Text, Timer, Users,
};

fn socket(state: State, address: &str, inode: Option<u32>) -> Socket {
    let address: std::net::IpAddr = address.parse().unwrap();
    Socket {
        protocol: Protocol::Tcp,
        family: if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 },
        state,
        timer: Timer::None,
        local: Endpoint { address, port: 8080 },
        remote: None,
        interface: None,
        inode,
        uid: Some(1000),
        cookie: None,
        expires_ms: None,
        cgroup: None,
        receive_queue: 0,
        send_queue: 0,
        holder: Holder::NotAsked,
    }
}

fn listener(address: &str, inode: u32) -> Socket {
    socket(State::Listen, address, Some(inode))
}

fn dual_listener(inode: u32) -> Socket {
    Socket { family: Family::Dual, ..listener("::", inode) }
}

fn waiting(address: &str) -> Socket {
    socket(State::Established, address, None)
}

fn snapshot(sockets: &[Socket]) -> Snapshot {
    let machine = Arc::new(Machine {
        kind: MachineKind::Simulated,
        name: Text::scrub("m"),
        kernel: Text::scrub("k"),
        network_namespace: None,
        namespace_name: None,
        is_isolated: true,
        users: Arc::new(Users::default()),
    });
    let mut snapshot = Snapshot::empty(machine, Source::Simulated);
    snapshot.sockets.extend_from_slice(sockets);
    snapshot.sort();
    snapshot
}

fn attributed(sockets: &[Socket], holders: &Holders) -> Snapshot {
    let mut snapshot = snapshot(sockets);
    attribute(&mut snapshot, holders);
    snapshot
}

fn holding(pairs: &[(u32, u32)]) -> Holders {
    Holders { pairs: pairs.to_vec(), ..Holders::default() }
}

fn unreadable_by(uid: Option<u32>) -> Holders {
    Holders { unreadable: vec![UnreadableProcess { pid: 9, uid }], ..Holders::default() }
}

/// Returns the owner of the only socket that waits for accept().
fn owner_in_backlog<'a>(snapshot: &'a Snapshot) -> Owner<'a> {
    let mut rows = snapshot.sockets.iter().filter(|s| s.is_in_backlog());
    let owner: Owner<'a> = snapshot.owner(rows.next().unwrap());
    assert!(rows.next().is_none());
    owner
}

fn sole_owner(snapshot: &Snapshot) -> Owner<'_> {
    assert_eq!(snapshot.sockets.len(), 1);
    snapshot.owner(&snapshot.sockets[0])
}

#[test]
fn a_socket_has_every_process_that_holds_its_inode() {
    let snapshot =
        attributed(&[listener("0.0.0.0", 7)], &holding(&[(6, 1), (7, 20), (7, 30), (8, 40)]));
    assert_eq!(sole_owner(&snapshot), Owner::Process(&[20, 30]));
    assert!(snapshot.is_complete());
}

#[test]
fn sockets_of_one_inode_share_their_pids() {
    let rows = [listener("127.0.0.1", 7), socket(State::Established, "127.0.0.1", Some(7))];
    let snapshot = attributed(&rows, &holding(&[(7, 20)]));
    assert_eq!(snapshot.pids, [20]);
    assert_eq!(snapshot.sockets[0].holder, snapshot.sockets[1].holder);
}

#[test]
fn what_its_process_closed_is_the_kernels() {
    for state in [
        State::TimeWait,
        State::FinWait1,
        State::FinWait2,
        State::Closing,
        State::LastAck,
        State::SynSent,
    ] {
        let snapshot = attributed(&[socket(state, "127.0.0.1", None)], &unreadable_by(None));
        assert_eq!(sole_owner(&snapshot), Owner::Kernel, "{state}");
        assert!(snapshot.is_complete());
    }
}

#[test]
fn a_socket_that_nobody_shows_is_nobodys_when_all_could_be_read() {
    let snapshot = attributed(&[listener("0.0.0.0", 7)], &holding(&[(6, 1), (8, 1)]));
    assert_eq!(sole_owner(&snapshot), Owner::Nobody);
    assert!(snapshot.is_complete());
}

#[test]
fn a_socket_that_nobody_shows_is_hidden_when_an_unreadable_process_may_hold_it() {
    for (process, socket_uid, expected) in [
        (Some(1000), Some(1000), Owner::Hidden),
        (Some(0), Some(1000), Owner::Hidden),
        (None, Some(1000), Owner::Hidden),
        (Some(33), Some(0), Owner::Hidden), // opened as root, before the daemon changed its user
        (Some(33), None, Owner::Hidden),
        (Some(33), Some(1000), Owner::Nobody),
    ] {
        let row = Socket { uid: socket_uid, ..listener("0.0.0.0", 7) };
        let snapshot = attributed(&[row], &unreadable_by(process));
        assert_eq!(sole_owner(&snapshot), expected, "{process:?} {socket_uid:?}");
    }
}

#[test]
fn hidden_owners_are_counted_in_a_gap() {
    let mut holders = unreadable_by(Some(0));
    holders.unreadable.push(UnreadableProcess { pid: 10, uid: None });
    let rows = [listener("0.0.0.0", 7), listener("0.0.0.0", 8)];
    let snapshot = attributed(&rows, &holders);
    assert_eq!(snapshot.gaps, [Gap::OwnersHidden { sockets: 2, processes: 2 }]);
}

#[test]
fn an_unreadable_process_is_no_gap_while_every_socket_has_its_holder() {
    let holders = Holders { pairs: vec![(7, 20)], ..unreadable_by(Some(0)) };
    assert!(attributed(&[listener("0.0.0.0", 7)], &holders).is_complete());
}

#[test]
fn processes_that_proc_does_not_list_leave_hidden_not_nobody() {
    let holders = Holders { hides_processes: true, ..holding(&[(8, 20)]) };
    let snapshot = attributed(&[listener("0.0.0.0", 7)], &holders);
    assert_eq!(sole_owner(&snapshot), Owner::Hidden);
    assert_eq!(snapshot.gaps, [Gap::OwnersInvisible { sockets: 1 }]);
}

#[test]
fn processes_of_other_pid_namespaces_leave_hidden_not_nobody() {
    let holders = Holders { hides_namespaces: true, ..holding(&[(8, 20)]) };
    let kernel = Socket {
        protocol: Protocol::Udp,
        ..socket(State::Unconnected, "0.0.0.0", Some(7)) // may belong to a tunnel
    };
    let snapshot = attributed(&[kernel], &holders);
    assert_eq!(sole_owner(&snapshot), Owner::Hidden);
    assert_eq!(snapshot.gaps, [Gap::OwnersElsewhere { sockets: 1 }]);
}

#[test]
fn a_thread_whose_descriptors_were_not_read_leaves_hidden_not_nobody() {
    for error in [None, Some(Errno::EACCES)] {
        let unread_threads = Some(UnreadThreads { threads: 2, error });
        let holders = Holders { unread_threads, ..holding(&[(8, 20)]) };
        let snapshot = attributed(&[listener("0.0.0.0", 7)], &holders);
        assert_eq!(sole_owner(&snapshot), Owner::Hidden);
        assert_eq!(snapshot.gaps, [Gap::OwnersOfThreads { sockets: 1, threads: 2, error }]);
    }
}

#[test]
fn a_socket_that_was_looked_for_once_is_unresolved_and_no_gap() {
    let holders = Holders { undecided: vec![7], ..unreadable_by(Some(0)) };
    let rows = [listener("0.0.0.0", 7), waiting("127.0.0.1"), listener("0.0.0.0", 8)];
    let snapshot = attributed(&rows[..2], &holders);
    assert!(snapshot.sockets.iter().all(|socket| socket.holder == Holder::Unresolved));
    assert!(snapshot.is_complete());
    let snapshot = attributed(&rows[2..], &holders);
    assert_eq!(sole_owner(&snapshot), Owner::Hidden, "looked for before");
}

#[test]
fn to_root_the_gap_says_what_is_lacking() {
    let lack = Lack::Capability;
    let holders = Holders { lack: Some(lack), ..unreadable_by(Some(0)) };
    let snapshot = attributed(&[listener("0.0.0.0", 7)], &holders);
    assert_eq!(snapshot.gaps, [Gap::OwnersRefused { sockets: 1, processes: 1, lack }]);
}

#[test]
fn an_unmapped_user_may_be_any_user() {
    let unmapped = |process, socket_uid| {
        let holders = Holders { unmapped_uid: Some(65_534), ..unreadable_by(process) };
        let row = Socket { uid: Some(socket_uid), ..listener("0.0.0.0", 7) };
        attributed(&[row], &holders).sockets[0].holder
    };
    assert_eq!(unmapped(Some(65_534), 1000), Holder::Hidden, "it may be the host's root");
    assert_eq!(unmapped(Some(33), 65_534), Holder::Hidden, "root may have made it");
    assert_eq!(unmapped(Some(33), 1000), Holder::Nobody);
}

#[test]
fn a_failed_walk_leaves_hidden_and_says_why() {
    let error = Errno::EMFILE;
    let holders = Holders { failed: Some(error), ..Holders::default() };
    let rows = [listener("0.0.0.0", 7), socket(State::TimeWait, "0.0.0.0", None)];
    let snapshot = attributed(&rows, &holders);
    assert_eq!(snapshot.gaps, [Gap::OwnersUnreadable { sockets: 1, error }]);
    assert!(snapshot.sockets.iter().any(|s| s.holder == Holder::Kernel));
}

#[test]
fn a_walk_that_failed_in_part_keeps_what_it_found_and_is_still_told() {
    let error = Errno::ENOMEM;
    let holders = Holders { failed: Some(error), ..holding(&[(7, 20)]) };
    let snapshot = attributed(&[listener("0.0.0.0", 7)], &holders);
    assert_eq!(sole_owner(&snapshot), Owner::Process(&[20]));
    assert_eq!(snapshot.gaps, [Gap::OwnersUnreadable { sockets: 0, error }]);
}

#[test]
fn a_waiting_connection_belongs_to_its_listeners_processes() {
    for state in [State::SynReceived, State::Established, State::CloseWait] {
        let rows = [listener("0.0.0.0", 7), socket(state, "10.0.0.1", None)];
        let snapshot = attributed(&rows, &holding(&[(7, 20), (7, 30)]));
        assert_eq!(owner_in_backlog(&snapshot), Owner::Backlog(&[20, 30]), "{state}");
        assert_eq!(snapshot.pids, [20, 30], "the listener's own span serves");
    }
}

#[test]
fn the_listener_on_the_very_address_comes_before_the_wildcard() {
    let rows = [listener("0.0.0.0", 7), listener("10.0.0.1", 8), waiting("10.0.0.1")];
    let snapshot = attributed(&rows, &holding(&[(7, 20), (8, 30)]));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Backlog(&[30]));
}

#[test]
fn a_v4_connection_over_a_dual_listener_shows_a_mapped_address() {
    let rows = [dual_listener(7), waiting("::ffff:127.0.0.1")];
    let snapshot = attributed(&rows, &holding(&[(7, 20)]));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Backlog(&[20]));

    let rows = [listener("::ffff:127.0.0.1", 7), dual_listener(8), waiting("::ffff:127.0.0.1")];
    let snapshot = attributed(&rows, &holding(&[(7, 20), (8, 30)]));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Backlog(&[20]));
}

#[test]
fn of_two_wildcards_the_one_of_the_connections_family_is_its_listener() {
    let listeners = [listener("0.0.0.0", 7), dual_listener(8)];
    let holders = holding(&[(7, 20), (8, 30)]);
    for (address, pid) in [("127.0.0.1", 20), ("::ffff:127.0.0.1", 30), ("::1", 30)] {
        let snapshot = attributed(&[&listeners[..], &[waiting(address)]].concat(), &holders);
        assert_eq!(owner_in_backlog(&snapshot), Owner::Backlog(&[pid]), "{address}");
    }
}

#[test]
fn a_listener_for_ipv6_only_has_no_v4_connections() {
    let snapshot = attributed(&[listener("::", 7), waiting("127.0.0.1")], &holding(&[(7, 20)]));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Nobody);
}

#[test]
fn a_listener_on_the_connections_device_comes_before_one_on_any() {
    let on = |interface, row| Socket { interface: Some(interface), ..row };
    let listeners =
        [listener("0.0.0.0", 7), on(2, listener("0.0.0.0", 8)), on(3, listener("0.0.0.0", 9))];
    let holders = holding(&[(7, 20), (8, 30), (9, 40)]);
    for (interface, pid) in [(2, 30), (3, 40), (4, 20)] {
        let row = on(interface, waiting("10.0.0.1"));
        let snapshot = attributed(&[&listeners[..], &[row]].concat(), &holders);
        assert_eq!(owner_in_backlog(&snapshot), Owner::Backlog(&[pid]));
    }
}

#[test]
fn every_process_of_a_reuseport_group_may_have_the_waiting_connection() {
    let rows = [listener("0.0.0.0", 7), listener("0.0.0.0", 8), waiting("127.0.0.1")];
    let snapshot = attributed(&rows, &holding(&[(7, 20), (7, 30), (8, 10), (8, 20)]));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Backlog(&[10, 20, 30]));
}

#[test]
fn the_backlog_of_a_hidden_listener_is_hidden_too() {
    let rows = [listener("0.0.0.0", 7), waiting("127.0.0.1")];
    let snapshot = attributed(&rows, &unreadable_by(Some(0)));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Hidden);
    assert_eq!(snapshot.gaps, [Gap::OwnersHidden { sockets: 2, processes: 1 }]);
}

#[test]
fn the_backlog_of_a_listener_that_is_nobodys_is_nobodys_too() {
    let rows = [listener("0.0.0.0", 7), waiting("127.0.0.1")];
    let snapshot = attributed(&rows, &Holders::default());
    assert_eq!(owner_in_backlog(&snapshot), Owner::Nobody);
}

#[test]
fn a_waiting_connection_without_a_listener_is_nobodys_not_the_kernels() {
    let elsewhere = Socket {
        local: Endpoint { address: "0.0.0.0".parse().unwrap(), port: 8081 },
        ..listener("0.0.0.0", 7)
    };
    let rows = [elsewhere, listener("10.0.0.2", 8), waiting("10.0.0.1")];
    let snapshot = attributed(&rows, &holding(&[(7, 20), (8, 30)]));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Nobody);
}

#[test]
fn a_udp_socket_on_the_port_is_no_listener() {
    let udp = Socket { protocol: Protocol::Udp, ..socket(State::Unconnected, "0.0.0.0", Some(7)) };
    let snapshot = attributed(&[udp, waiting("127.0.0.1")], &holding(&[(7, 20)]));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Nobody);
}

#[test]
fn a_second_look_needs_no_more_room_in_the_pool() {
    let rows = [listener("0.0.0.0", 7), listener("0.0.0.0", 8), waiting("127.0.0.1")];
    let holders = holding(&[(7, 20), (8, 30)]);
    let mut snapshot = attributed(&rows, &holders);
    let room = (snapshot.pids.capacity(), snapshot.pids.clone());
    snapshot.clear();
    snapshot.sockets.extend_from_slice(&rows);
    snapshot.sort();
    attribute(&mut snapshot, &holders);
    assert_eq!((snapshot.pids.capacity(), snapshot.pids.clone()), room);
}

#[test]
fn what_a_process_closed_is_departed_until_it_is_gone() {
    let mut departed = Departed::default();
    let held = holding(&[(5, 70), (5, 71), (6, 80)]);
    let open = [client(9000, 1, Some(5)), client(9001, 2, Some(6)), client(9002, 3, Some(7))];
    look(&mut departed, &open, &held);
    let closed = [client(9000, 1, None), client(9001, 2, None), client(9002, 3, None)];
    for _ in 0..2 {
        let snapshot = look(&mut departed, &closed, &Holders::default());
        let owners: Vec<_> = snapshot.sockets.iter().map(|s| snapshot.owner(s)).collect();
        let expected = [Owner::Departed(&[70, 71]), Owner::Departed(&[80]), Owner::Kernel];
        assert_eq!(owners, expected);
    }
    look(&mut departed, &closed[..1], &Holders::default());
    let snapshot = look(&mut departed, &closed, &Holders::default());
    assert_eq!(snapshot.owner(&snapshot.sockets[1]), Owner::Kernel);
}

#[test]
fn without_its_cookie_a_closed_connection_is_known_by_its_endpoints() {
    let mut departed = Departed::default();
    let without = |socket: Socket| Socket { cookie: None, ..socket };
    for change in [without, |socket| Socket { cookie: Some(77), ..socket }] {
        look(&mut departed, &[client(9000, 1, Some(5))], &holding(&[(5, 70)]));
        let closed = [change(client(9000, 1, None)), change(client(9001, 2, None))];
        let snapshot = look(&mut departed, &closed, &Holders::default());
        let mut owners = snapshot.sockets.iter().map(|s| (s.remote, snapshot.owner(s)));
        assert!(owners.all(|(remote, owner)| match owner {
            Owner::Departed(pids) => pids == [70] && remote == closed[0].remote,
            owner => owner == Owner::Kernel && remote == closed[1].remote,
        }));
    }
}

#[test]
fn another_connection_over_closed_endpoints_is_not_the_old_one() {
    let mut departed = Departed::default();
    look(&mut departed, &[client(9000, 1, Some(5))], &holding(&[(5, 70)]));
    look(&mut departed, &[client(9000, 1, None)], &Holders::default());
    let snapshot = look(&mut departed, &[client(9000, 8, None)], &Holders::default());
    assert_eq!(sole_owner(&snapshot), Owner::Kernel);
}

fn look(departed: &mut Departed, sockets: &[Socket], holders: &Holders) -> Snapshot {
    let mut snapshot = attributed(sockets, holders);
    departed.recall(&mut snapshot);
    snapshot
}

/// A connection from port 8080 to port `to`; closed by its process if it has no inode.
fn client(to: u16, cookie: u64, inode: Option<u32>) -> Socket {
    let state = if inode.is_some() { State::Established } else { State::TimeWait };
    let remote = Some(Endpoint::from(([192, 0, 2, 9], to)));
    Socket { remote, cookie: Some(cookie), ..socket(state, "192.0.2.1", inode) }
}
