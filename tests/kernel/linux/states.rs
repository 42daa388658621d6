//! Each kind of socket that can hold a port is reported correctly.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};

use portscope::domain::{Endpoint, Family, Protocol, Socket, State, Timer};
use socket2::{SockRef, Type};

use super::{
    eventually,
    holders::{LOOPBACK, Stack, V4, V6, bound, connected, fill, listening, pair},
    namespace::{in_new_namespace, needs_linux},
    only, scan,
};

fn at(address: impl Into<IpAddr>, port: u16) -> Endpoint {
    Endpoint { address: address.into(), port }
}

/// The TCP socket of a port, once it has this state.
fn socket_in_state(port: u16, state: State) -> Socket {
    eventually(state.name(), || {
        let snapshot = scan();
        snapshot.on_port(Protocol::Tcp, port).iter().find(|s| s.state == state).copied()
    })
}

#[test]
fn listeners_show_their_family_and_have_no_peer() {
    in_new_namespace(|| {
        let mapped = LOOPBACK.to_ipv6_mapped();
        let cases: [(IpAddr, Stack, Family); 5] = [
            (V4.into(), Stack::Ipv6Only, Family::Ipv4),
            (V6.into(), Stack::Ipv6Only, Family::Ipv6),
            (V6.into(), Stack::Dual, Family::Dual),
            // An explicit bind to ::1 makes a socket IPv6-only (net/ipv6/af_inet6.c).
            (Ipv6Addr::LOCALHOST.into(), Stack::Dual, Family::Ipv6),
            (mapped.into(), Stack::Dual, Family::Ipv6),
        ];
        for (port, (address, stack, family)) in (1100..).zip(cases) {
            let _held = listening(address, port, stack);
            let socket = only(Protocol::Tcp, port);
            assert_eq!((socket.state, socket.family), (State::Listen, family), "{address}");
            assert_eq!((socket.local, socket.remote), (at(address, port), None));
            assert!(socket.inode.is_some() && socket.cookie.is_some());
            assert_eq!((socket.timer, socket.expires_ms), (Timer::None, None));
            assert_eq!((socket.interface, socket.send_queue), (None, 8));
        }
    });
}

#[test]
fn a_socket_that_is_only_bound_appears_as_bound() {
    in_new_namespace(|| {
        let cases: [(IpAddr, Stack, Family); 4] = [
            (V4.into(), Stack::Ipv6Only, Family::Ipv4),
            (LOOPBACK.into(), Stack::Ipv6Only, Family::Ipv4),
            (V6.into(), Stack::Ipv6Only, Family::Ipv6),
            (V6.into(), Stack::Dual, Family::Dual),
        ];
        for (port, (address, stack, family)) in (1200..).zip(cases) {
            let _held = bound(Type::STREAM, address, port, stack);
            let socket = only(Protocol::Tcp, port);
            assert_eq!((socket.state, socket.family), (State::Bound, family), "{address}");
            assert_eq!((socket.local, socket.remote), (at(address, port), None));
            assert!(socket.inode.is_some() && socket.cookie.is_some());
        }
    });
}

#[test]
fn a_bound_socket_stays_bound_after_a_refused_connect() {
    if !needs_linux((6, 8), "lists it") {
        return;
    }
    in_new_namespace(|| {
        let held = bound(Type::STREAM, LOOPBACK, 1300, Stack::Ipv6Only);
        held.connect(&SocketAddr::from((LOOPBACK, 9)).into()).expect_err("nobody listens");
        let socket = only(Protocol::Tcp, 1300);
        assert_eq!((socket.state, socket.remote), (State::Bound, None));
        assert!(socket.inode.is_some());
    });
}

#[test]
fn a_listener_is_bound_after_shutdown() {
    in_new_namespace(|| {
        let held = listening(V4, 1400, Stack::Ipv6Only);
        held.shutdown(Shutdown::Both).unwrap();
        assert_eq!(only(Protocol::Tcp, 1400).state, State::Bound);
    });
}

#[test]
fn both_ends_of_a_connection_appear() {
    in_new_namespace(|| {
        let _held = pair(1500, 1501);
        let client = only(Protocol::Tcp, 1500);
        let server = only(Protocol::Tcp, 1501);
        assert_eq!((client.state, server.state), (State::Established, State::Established));
        assert_eq!(client.remote, Some(server.local));
        assert_eq!(server.remote, Some(client.local));
        assert!(client.inode.is_some() && server.inode.is_some());
        assert_eq!((client.family, client.uid), (Family::Ipv4, Some(0)));
    });
}

#[test]
fn ipv4_connections_of_a_dual_stack_listener_have_a_mapped_address() {
    in_new_namespace(|| {
        let listener = listening(V6, 1600, Stack::Dual);
        let _client = connected(1601, 1600);
        let _server = listener.accept().unwrap();
        let snapshot = scan();
        let sockets = snapshot.on_port(Protocol::Tcp, 1600);
        let server = sockets.iter().find(|s| s.state == State::Established).unwrap();
        assert_eq!(server.family, Family::Ipv6);
        assert_eq!(server.local, at(LOOPBACK.to_ipv6_mapped(), 1600));
        assert_eq!(server.remote, Some(at(LOOPBACK.to_ipv6_mapped(), 1601)));
        assert_eq!(only(Protocol::Tcp, 1601).family, Family::Ipv4);
    });
}

#[test]
fn a_connection_has_no_inode_until_it_is_accepted() {
    in_new_namespace(|| {
        let listener = listening(V4, 1700, Stack::Ipv6Only);
        let _client = connected(1701, 1700);
        let waiting = socket_in_state(1700, State::Established);
        assert!(waiting.inode.is_none() && waiting.is_in_backlog());
        assert_eq!(socket_in_state(1700, State::Listen).receive_queue, 1);
        let _server = listener.accept().unwrap();
        let accepted = socket_in_state(1700, State::Established);
        assert!(accepted.inode.is_some());
        assert_eq!(accepted.cookie, waiting.cookie);
    });
}

#[test]
fn a_half_closed_connection_keeps_its_owners() {
    in_new_namespace(|| {
        let (client, _server) = pair(1800, 1801);
        client.shutdown(Shutdown::Write).unwrap();
        let closed = socket_in_state(1800, State::FinWait2);
        let open = socket_in_state(1801, State::CloseWait);
        assert!(closed.inode.is_some() && open.inode.is_some());
        assert!(!closed.is_closed_by_process());
        assert_eq!((closed.uid, open.uid), (Some(0), Some(0)));
    });
}

#[test]
fn an_orphan_has_a_cookie_but_no_inode_and_no_uid() {
    in_new_namespace(|| {
        let (mut unread, _reader) = pair(1900, 1901);
        let (orphan, _peer) = pair(1902, 1903);
        let cookie = only(Protocol::Tcp, 1902).cookie;
        fill(&mut unread);
        drop((unread, orphan));
        for (port, state) in [(1900, State::FinWait1), (1902, State::FinWait2)] {
            let socket = socket_in_state(port, state);
            assert_eq!((socket.inode, socket.uid), (None, None));
            assert!(socket.is_closed_by_process());
        }
        assert_eq!(only(Protocol::Tcp, 1902).cookie, cookie);
    });
}

#[test]
fn time_wait_lasts_a_minute_and_has_no_uid() {
    in_new_namespace(|| {
        let (client, server) = pair(2000, 2001);
        let cookie = only(Protocol::Tcp, 2000).cookie;
        drop(client);
        drop(server);
        let socket = socket_in_state(2000, State::TimeWait);
        assert_eq!((socket.inode, socket.uid), (None, None));
        assert_eq!(socket.timer, Timer::TimeWait);
        let expires = socket.expires_ms.unwrap();
        assert!((50_000..=60_100).contains(&expires), "{expires} ms");
        assert_eq!(socket.remote, Some(at(LOOPBACK, 2001)));
        assert!(cookie.is_some());
        assert_eq!(socket.cookie, cookie);
    });
}

#[test]
fn udp_is_unconnected_or_connected() {
    in_new_namespace(|| {
        let cases: [(IpAddr, Stack, Family); 4] = [
            (V4.into(), Stack::Ipv6Only, Family::Ipv4),
            (V6.into(), Stack::Ipv6Only, Family::Ipv6),
            (V6.into(), Stack::Dual, Family::Dual),
            (Ipv4Addr::new(224, 0, 0, 251).into(), Stack::Ipv6Only, Family::Ipv4),
        ];
        for (port, (address, stack, family)) in (2100..).zip(cases) {
            let held = bound(Type::DGRAM, address, port, stack);
            let socket = only(Protocol::Udp, port);
            assert_eq!((socket.state, socket.family), (State::Unconnected, family), "{address}");
            assert_eq!((socket.local, socket.remote), (at(address, port), None));
            drop(held);
        }
        let held = bound(Type::DGRAM, V4, 2150, Stack::Ipv6Only);
        held.connect(&SocketAddr::from((LOOPBACK, 53)).into()).unwrap();
        let socket = only(Protocol::Udp, 2150);
        assert_eq!(socket.state, State::Connected);
        assert_eq!(socket.remote, Some(at(LOOPBACK, 53)));
    });
}

#[test]
fn every_socket_of_a_reuseport_group_appears() {
    in_new_namespace(|| {
        let held: Vec<_> = (0..3)
            .map(|_| {
                let socket =
                    socket2::Socket::new(socket2::Domain::IPV4, Type::STREAM, None).unwrap();
                socket.set_reuse_port(true).unwrap();
                socket.bind(&SocketAddr::from((V4, 2200)).into()).unwrap();
                socket.listen(1).unwrap();
                socket
            })
            .collect();
        let snapshot = scan();
        let listed: Vec<_> =
            snapshot.on_port(Protocol::Tcp, 2200).iter().map(|s| s.cookie.unwrap()).collect();
        let mut expected: Vec<_> = held.iter().map(|s| s.cookie().unwrap()).collect();
        expected.sort_unstable();
        assert_eq!(listed, expected);
    });
}

#[test]
fn uid_and_device_are_those_of_the_socket() {
    in_new_namespace(|| {
        let held = bound(Type::STREAM, V4, 2300, Stack::Ipv6Only);
        SockRef::from(&held).bind_device(Some(b"lo")).unwrap();
        let user = rustix::fs::Uid::from_raw(1234);
        rustix::fs::fchown(&held, Some(user), None).unwrap();
        let socket = only(Protocol::Tcp, 2300);
        assert_eq!(socket.uid, Some(1234));
        assert_eq!(socket.interface, Some(1));
        assert_eq!(socket.cookie, Some(held.cookie().unwrap()));
    });
}

#[test]
fn a_connection_in_the_backlog_has_the_uid_of_its_listener_or_none() {
    in_new_namespace(|| {
        let held = bound(Type::STREAM, V4, 2400, Stack::Ipv6Only);
        rustix::fs::fchown(&held, Some(rustix::fs::Uid::from_raw(1234)), None).unwrap();
        held.listen(8).unwrap();
        let _client = connected(2401, 2400);
        let waiting = socket_in_state(2400, State::Established);
        assert!(matches!(waiting.uid, None | Some(1234)), "{:?}", waiting.uid);
    });
}
