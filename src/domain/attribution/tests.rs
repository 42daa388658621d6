//! Tests of attribution, with invented sockets and holders.

use std::sync::Arc;

use super::*;
use crate::domain::{
    Endpoint, Family, Machine, MachineKind, Owner, ParentProcess, Process, ProcessTable, Protocol,
    Source, State, Text,
};

fn socket(state: State, address: &str, inode: Option<u32>) -> Socket {
    let address: std::net::IpAddr = address.parse().unwrap();
    let local = Endpoint { address, port: 8080 };
    Socket { inode, uid: Some(1000), ..Socket::new(Protocol::Tcp, state, local) }
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
    let machine = Machine::new(MachineKind::Simulated, Text::scrub("m"), Text::scrub("k"));
    let mut snapshot = Snapshot::empty(Arc::new(machine), Source::Simulated);
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
    Holders { held: pairs.iter().copied().collect(), ..Holders::default() }
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
fn sockets_closed_by_their_process_belong_to_the_kernel() {
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
fn a_socket_without_holder_is_owned_by_nobody_if_all_processes_were_read() {
    let snapshot = attributed(&[listener("0.0.0.0", 7)], &holding(&[(6, 1), (8, 1)]));
    assert_eq!(sole_owner(&snapshot), Owner::Nobody);
    assert!(snapshot.is_complete());
}

#[test]
fn a_socket_without_holder_is_hidden_if_an_unreadable_process_may_hold_it() {
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
fn an_unreadable_process_is_no_gap_if_every_socket_has_a_holder() {
    let holders = Holders { held: [(7, 20)].into_iter().collect(), ..unreadable_by(Some(0)) };
    assert!(attributed(&[listener("0.0.0.0", 7)], &holders).is_complete());
}

#[test]
fn sockets_without_holder_are_hidden_if_proc_hides_processes() {
    let holders = Holders { hides_processes: true, ..holding(&[(8, 20)]) };
    let snapshot = attributed(&[listener("0.0.0.0", 7)], &holders);
    assert_eq!(sole_owner(&snapshot), Owner::Hidden);
    assert_eq!(snapshot.gaps, [Gap::OwnersInvisible { sockets: 1 }]);
}

#[test]
fn sockets_without_holder_are_hidden_if_other_pid_namespaces_exist() {
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
fn sockets_without_holder_are_hidden_if_a_thread_was_not_read() {
    for error in [None, Some(Errno::EACCES)] {
        let unread_threads = Some(UnreadThreads { threads: 2, error });
        let holders = Holders { unread_threads, ..holding(&[(8, 20)]) };
        let snapshot = attributed(&[listener("0.0.0.0", 7)], &holders);
        assert_eq!(sole_owner(&snapshot), Owner::Hidden);
        assert_eq!(snapshot.gaps, [Gap::OwnersOfThreads { sockets: 1, threads: 2, error }]);
    }
}

#[test]
fn a_socket_searched_for_only_once_is_unresolved_without_a_gap() {
    let holders = Holders { undecided: vec![7], ..unreadable_by(Some(0)) };
    let rows = [listener("0.0.0.0", 7), waiting("127.0.0.1"), listener("0.0.0.0", 8)];
    let snapshot = attributed(&rows[..2], &holders);
    assert!(snapshot.sockets.iter().all(|socket| socket.holder == Holder::Unresolved));
    assert!(snapshot.is_complete());
    let snapshot = attributed(&rows[2..], &holders);
    assert_eq!(sole_owner(&snapshot), Owner::Hidden, "an earlier walk searched for inode 8, too");
}

#[test]
fn the_gap_names_the_missing_privilege_of_root() {
    let missing_privilege = MissingPrivilege::Capability;
    let holders = Holders { missing_privilege: Some(missing_privilege), ..unreadable_by(Some(0)) };
    let snapshot = attributed(&[listener("0.0.0.0", 7)], &holders);
    assert_eq!(snapshot.gaps, [Gap::OwnersRefused { sockets: 1, processes: 1, missing_privilege }]);
}

#[test]
fn a_process_of_an_unmapped_user_may_hold_sockets_of_any_user() {
    let unmapped = |process, socket_uid| {
        let holders = Holders { unmapped_uid: Some(65_534), ..unreadable_by(process) };
        let row = Socket { uid: Some(socket_uid), ..listener("0.0.0.0", 7) };
        attributed(&[row], &holders).sockets[0].holder
    };
    assert_eq!(unmapped(Some(65_534), 1000), Holder::Hidden, "it may be the host's root");
    assert_eq!(unmapped(Some(33), 65_534), Holder::Hidden, "root may have created it");
    assert_eq!(unmapped(Some(33), 1000), Holder::Nobody);
}

#[test]
fn a_failed_walk_of_proc_makes_owners_hidden_and_reports_the_error() {
    let error = Errno::EMFILE;
    let holders = Holders { failed: Some(error), ..Holders::default() };
    let rows = [listener("0.0.0.0", 7), socket(State::TimeWait, "0.0.0.0", None)];
    let snapshot = attributed(&rows, &holders);
    assert_eq!(snapshot.gaps, [Gap::OwnersUnreadable { sockets: 1, error }]);
    assert!(snapshot.sockets.iter().any(|s| s.holder == Holder::Kernel));
}

#[test]
fn a_partly_failed_walk_keeps_found_owners_and_reports_a_gap() {
    let error = Errno::ENOMEM;
    let holders = Holders { failed: Some(error), ..holding(&[(7, 20)]) };
    let snapshot = attributed(&[listener("0.0.0.0", 7)], &holders);
    assert_eq!(sole_owner(&snapshot), Owner::Process(&[20]));
    assert_eq!(snapshot.gaps, [Gap::OwnersUnreadable { sockets: 0, error }]);
}

#[test]
fn a_connection_in_the_backlog_is_owned_by_the_processes_of_its_listener() {
    for state in [State::SynReceived, State::Established, State::CloseWait] {
        let rows = [listener("0.0.0.0", 7), socket(state, "10.0.0.1", None)];
        let snapshot = attributed(&rows, &holding(&[(7, 20), (7, 30)]));
        assert_eq!(owner_in_backlog(&snapshot), Owner::Backlog(&[20, 30]), "{state}");
        assert_eq!(snapshot.pids, [20, 30], "the listener and the connection share the pids");
    }
}

#[test]
fn a_listener_on_the_same_address_takes_precedence_over_a_wildcard_listener() {
    let rows = [listener("0.0.0.0", 7), listener("10.0.0.1", 8), waiting("10.0.0.1")];
    let snapshot = attributed(&rows, &holding(&[(7, 20), (8, 30)]));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Backlog(&[30]));
}

#[test]
fn an_ipv4_connection_of_a_dual_stack_listener_has_a_mapped_address() {
    let rows = [dual_listener(7), waiting("::ffff:127.0.0.1")];
    let snapshot = attributed(&rows, &holding(&[(7, 20)]));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Backlog(&[20]));

    let rows = [listener("::ffff:127.0.0.1", 7), dual_listener(8), waiting("::ffff:127.0.0.1")];
    let snapshot = attributed(&rows, &holding(&[(7, 20), (8, 30)]));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Backlog(&[20]));
}

#[test]
fn a_wildcard_listener_of_the_same_family_takes_precedence() {
    let listeners = [listener("0.0.0.0", 7), dual_listener(8)];
    let holders = holding(&[(7, 20), (8, 30)]);
    for (address, pid) in [("127.0.0.1", 20), ("::ffff:127.0.0.1", 30), ("::1", 30)] {
        let snapshot = attributed(&[&listeners[..], &[waiting(address)]].concat(), &holders);
        assert_eq!(owner_in_backlog(&snapshot), Owner::Backlog(&[pid]), "{address}");
    }
}

#[test]
fn an_ipv6_only_listener_has_no_ipv4_connections() {
    let snapshot = attributed(&[listener("::", 7), waiting("127.0.0.1")], &holding(&[(7, 20)]));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Nobody);
}

#[test]
fn a_listener_bound_to_the_interface_takes_precedence() {
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
fn a_connection_in_the_backlog_of_a_reuseport_group_is_owned_by_all_its_processes() {
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
fn the_backlog_of_a_listener_without_owner_has_no_owner() {
    let rows = [listener("0.0.0.0", 7), waiting("127.0.0.1")];
    let snapshot = attributed(&rows, &Holders::default());
    assert_eq!(owner_in_backlog(&snapshot), Owner::Nobody);
}

#[test]
fn a_connection_in_the_backlog_without_listener_is_owned_by_nobody() {
    let elsewhere = Socket {
        local: Endpoint { address: "0.0.0.0".parse().unwrap(), port: 8081 },
        ..listener("0.0.0.0", 7)
    };
    let rows = [elsewhere, listener("10.0.0.2", 8), waiting("10.0.0.1")];
    let snapshot = attributed(&rows, &holding(&[(7, 20), (8, 30)]));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Nobody);
}

#[test]
fn a_udp_socket_is_not_the_listener_of_a_tcp_connection() {
    let udp = Socket { protocol: Protocol::Udp, ..socket(State::Unconnected, "0.0.0.0", Some(7)) };
    let snapshot = attributed(&[udp, waiting("127.0.0.1")], &holding(&[(7, 20)]));
    assert_eq!(owner_in_backlog(&snapshot), Owner::Nobody);
}

#[test]
fn repeated_attribution_reuses_the_pid_buffer() {
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
fn a_socket_closed_by_its_process_is_departed_until_the_process_ends() {
    let mut departed = Departed::default();
    let held = holding(&[(5, 70), (5, 71), (6, 80)]);
    let open = [client(9000, 1, Some(5)), client(9001, 2, Some(6)), client(9002, 3, Some(7))];
    attribute_owners(&mut departed, &open, &held);
    let closed = [client(9000, 1, None), client(9001, 2, None), client(9002, 3, None)];
    for _ in 0..2 {
        let snapshot = attribute_owners(&mut departed, &closed, &Holders::default());
        let owners: Vec<_> = snapshot.sockets.iter().map(|s| snapshot.owner(s)).collect();
        let expected = [Owner::Departed(&[70, 71]), Owner::Departed(&[80]), Owner::Kernel];
        assert_eq!(owners, expected);
    }
    attribute_owners(&mut departed, &closed[..1], &Holders::default());
    let snapshot = attribute_owners(&mut departed, &closed, &Holders::default());
    assert_eq!(snapshot.owner(&snapshot.sockets[1]), Owner::Kernel);
}

#[test]
fn a_closed_connection_without_cookie_is_recognized_by_its_endpoints() {
    let mut departed = Departed::default();
    let without = |socket: Socket| Socket { cookie: None, ..socket };
    for change in [without, |socket| Socket { cookie: Some(77), ..socket }] {
        attribute_owners(&mut departed, &[client(9000, 1, Some(5))], &holding(&[(5, 70)]));
        let closed = [change(client(9000, 1, None)), change(client(9001, 2, None))];
        let snapshot = attribute_owners(&mut departed, &closed, &Holders::default());
        let mut owners = snapshot.sockets.iter().map(|s| (s.remote, snapshot.owner(s)));
        assert!(owners.all(|(remote, owner)| match owner {
            Owner::Departed(pids) => pids == [70] && remote == closed[0].remote,
            owner => owner == Owner::Kernel && remote == closed[1].remote,
        }));
    }
}

#[test]
fn a_new_connection_on_the_same_endpoints_is_not_departed() {
    let mut departed = Departed::default();
    attribute_owners(&mut departed, &[client(9000, 1, Some(5))], &holding(&[(5, 70)]));
    attribute_owners(&mut departed, &[client(9000, 1, None)], &Holders::default());
    let snapshot = attribute_owners(&mut departed, &[client(9000, 8, None)], &Holders::default());
    assert_eq!(sole_owner(&snapshot), Owner::Kernel);
}

fn attribute_owners(departed: &mut Departed, sockets: &[Socket], holders: &Holders) -> Snapshot {
    let mut snapshot = attributed(sockets, holders);
    departed.restore_owners(&mut snapshot);
    snapshot
}

/// Returns a connection from port 8080 to port `to`; in TIME-WAIT if it has no inode.
fn client(to: u16, cookie: u64, inode: Option<u32>) -> Socket {
    let state = if inode.is_some() { State::Established } else { State::TimeWait };
    let remote = Some(Endpoint::from(([192, 0, 2, 9], to)));
    Socket { remote, cookie: Some(cookie), ..socket(state, "192.0.2.1", inode) }
}

#[test]
fn an_unread_process_may_hold_a_socket_that_no_visible_holder_created() {
    let process = |uid: u32, parent: u32| Process {
        uid: Some(uid),
        parent: Some(ParentProcess { pid: parent, name: None }),
        ..Process::new(20, Text::scrub("web"))
    };
    // The uids of the socket, its holder and the unread process 9; the parent of the holder.
    for (socket_uid, holder, unread, parent, expected) in [
        (Some(1000), 1000, Some(0), 1, false),
        (Some(0), 1000, Some(0), 1, true), // socket activation with User=
        (Some(0), 33, Some(0), 9, true),   // a worker whose parent opened the socket as root
        (None, 1000, Some(0), 1, true),
        (Some(1000), 1000, Some(1000), 1, false), // ssh-agent
        (Some(1000), 1000, Some(1000), 9, true),
        (Some(1000), 1000, None, 9, true),
        (Some(1000), 1000, Some(0), 9, false), // sudo -u
    ] {
        let row = Socket { uid: socket_uid, ..listener("0.0.0.0", 7) };
        let holders = Holders { held: [(7, 20)].into_iter().collect(), ..unreadable_by(unread) };
        let snapshot = attributed(&[row], &holders);
        assert!(!snapshot.unread_holders.is_empty());
        let processes: ProcessTable = [process(holder, parent)].into_iter().collect();
        let may_be = snapshot.may_have_unread_holder(&snapshot.sockets[0], &processes);
        assert_eq!(may_be, expected, "{socket_uid:?} {holder} {unread:?} {parent}");
    }
    let row = Socket { uid: Some(0), ..listener("0.0.0.0", 7) };
    let snapshot = attributed(&[row], &holding(&[(7, 20)]));
    assert!(snapshot.unread_holders.is_empty());
    let processes: ProcessTable = [process(1000, 1)].into_iter().collect();
    assert!(!snapshot.may_have_unread_holder(&snapshot.sockets[0], &processes));
}
