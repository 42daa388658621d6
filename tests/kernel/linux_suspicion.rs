//! Which clients are suspected of bind() before connect(), on the real kernel.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use portscope::{
    domain::{Analysis, Protocol, Snapshot, Source},
    host::{Host as _, OwnerDepth, linux::LinuxHost},
};
use socket2::{Domain, Socket, Type};

use crate::{
    ip_option::{BIND_ADDRESS_NO_PORT, LOCAL_PORT_RANGE, set_ip_option},
    namespace::{create_sockets_in_order, in_new_namespace, needs_linux, set_sysctl},
};

/// How a client gets its port.
#[derive(Clone, Copy, Debug)]
enum ClientKind {
    Connect,
    /// bind(127.0.0.1:0), then connect().
    Bind,
    /// As `Bind`, with IP_BIND_ADDRESS_NO_PORT.
    BindWithoutPort,
    /// connect() with IP_LOCAL_PORT_RANGE, which ignores the parity.
    OwnRange,
}

const SERVERS: [u16; 2] = [9000, 9001];

#[test]
fn clients_that_only_connect_are_not_suspected() {
    for (size, count) in SIZES {
        assert_eq!(suspected(size, &[(ClientKind::Connect, count, 0)]).unwrap_or(0), 0, "{count}");
    }
}

#[test]
fn clients_that_bind_without_a_port_are_not_suspected() {
    for (size, count) in SIZES {
        let found = suspected(size, &[(ClientKind::BindWithoutPort, count, 0)]);
        assert_eq!(found.unwrap_or(0), 0, "{count} of {size}");
    }
}

#[test]
fn clients_with_a_range_of_their_own_are_not_suspected() {
    if !needs_linux((6, 3), "has IP_LOCAL_PORT_RANGE") {
        return;
    }
    for (size, count) in SIZES {
        let found = suspected(size, &[(ClientKind::OwnRange, count, 0)]);
        assert_eq!(found.unwrap_or(0), 0, "{count} of {size}");
    }
}

#[test]
fn clients_that_bind_before_they_connect_are_suspected() {
    for (size, count) in SIZES {
        let Some(found) = suspected(size, &[(ClientKind::Bind, count, 0)]) else { return };
        assert!(found * 10 >= count * 9, "{found} suspected of {count} of {size}");
    }
}

#[test]
fn bound_clients_do_not_affect_connecting_clients_of_another_destination() {
    let client_kinds = [(ClientKind::Connect, 100, 0), (ClientKind::Bind, 100, 1)];
    let Some(found) = suspected(256, &client_kinds) else { return };
    assert!((90..=100).contains(&found), "{found} suspected");
}

/// Pairs of a range's size and a number of clients: half, three quarters and all of the range.
const SIZES: [(u32, u32); 6] = [(64, 32), (64, 48), (64, 64), (256, 128), (256, 192), (256, 256)];

/// Opens clients on a range of `size` ports, and counts the suspected ones. None: no namespace
/// could be created.
fn suspected(size: u32, client_kinds: &[(ClientKind, u32, usize)]) -> Option<u32> {
    in_new_namespace(|| {
        create_sockets_in_order();
        set_sysctl("ip_local_port_range", &format!("40000 {}", 40_000 + size - 1));
        let servers = SERVERS.map(listener);
        let mut clients: Vec<Socket> = Vec::new();
        for &(client_kind, count, server) in client_kinds {
            clients.extend((0..count).map(|_| client(client_kind, SERVERS[server])));
        }
        let analysis = Analysis::of(&scan());
        drop((servers, clients));
        let found = analysis.range(Protocol::Tcp).suspected;
        assert_eq!(found, analysis.suspected.len());
        found
    })
}

fn listener(port: u16) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&address(port)).unwrap();
    socket.listen(1000).unwrap();
    socket
}

fn client(client_kind: ClientKind, server: u16) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    match client_kind {
        ClientKind::Connect => {}
        ClientKind::Bind => socket.bind(&address(0)).unwrap(),
        ClientKind::BindWithoutPort => {
            set_ip_option(&socket, BIND_ADDRESS_NO_PORT, 1).unwrap();
            socket.bind(&address(0)).unwrap();
        }
        ClientKind::OwnRange => {
            set_ip_option(&socket, LOCAL_PORT_RANGE, 65_535 << 16 | 1024).unwrap();
        }
    }
    socket.connect(&address(server)).unwrap();
    socket
}

fn address(port: u16) -> socket2::SockAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).into()
}

fn scan() -> Snapshot {
    let host = LinuxHost::new();
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    host.scanner().unwrap().scan(OwnerDepth::Full, &mut snapshot).unwrap();
    snapshot
}
