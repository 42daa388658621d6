//! Ways to hold a port, by name. Each holds its port until it is dropped.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
};

use socket2::{Domain, Socket, Type};

pub const V4: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
pub const V6: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
pub const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Whether an IPv6 socket takes IPv4 too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    Dual,
    Ipv6Only,
}

pub fn bound(kind: Type, address: impl Into<std::net::IpAddr>, port: u16, stack: Stack) -> Socket {
    let address = SocketAddr::new(address.into(), port);
    let socket = Socket::new(Domain::for_address(address), kind, None).unwrap();
    if address.is_ipv6() {
        socket.set_only_v6(stack == Stack::Ipv6Only).unwrap();
    }
    socket.bind(&address.into()).unwrap();
    socket
}

pub fn listening(address: impl Into<std::net::IpAddr>, port: u16, stack: Stack) -> Socket {
    let socket = bound(Type::STREAM, address, port, stack);
    socket.listen(8).unwrap();
    socket
}

/// Connected from `from` to `to` on 127.0.0.1; nobody has accepted it.
pub fn connected(from: u16, to: u16) -> Socket {
    let socket = bound(Type::STREAM, LOOPBACK, from, Stack::Ipv6Only);
    socket.connect(&SocketAddr::from((LOOPBACK, to)).into()).unwrap();
    socket
}

/// The client of `from`, then the accepted end of `to`; the listener is closed again.
pub fn pair(from: u16, to: u16) -> (Socket, Socket) {
    let listener = listening(LOOPBACK, to, Stack::Ipv6Only);
    let client = connected(from, to);
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

/// Writes until neither end takes any more.
pub fn fill(socket: &mut Socket) {
    socket.set_nonblocking(true).unwrap();
    let refusal = loop {
        if let Err(error) = socket.write_all(&[0; 4096]) {
            break error;
        }
    };
    assert_eq!(refusal.kind(), io::ErrorKind::WouldBlock);
}

/// Sockets of many kinds, both protocols, both families, on ports 20,001 to 20,060.
pub fn mixture() -> Vec<OwnedFd> {
    let mut held: Vec<Socket> = vec![
        listening(V4, 20_001, Stack::Ipv6Only),
        listening(V6, 20_002, Stack::Ipv6Only),
        listening(V6, 20_003, Stack::Dual),
        listening(Ipv6Addr::LOCALHOST, 20_004, Stack::Dual),
        listening(LOOPBACK.to_ipv6_mapped(), 20_005, Stack::Dual),
        bound(Type::STREAM, V4, 20_011, Stack::Ipv6Only),
        bound(Type::STREAM, V6, 20_012, Stack::Ipv6Only),
        bound(Type::STREAM, V6, 20_013, Stack::Dual),
        bound(Type::DGRAM, V4, 20_021, Stack::Ipv6Only),
        bound(Type::DGRAM, V6, 20_022, Stack::Ipv6Only),
        bound(Type::DGRAM, V6, 20_023, Stack::Dual),
        bound(Type::DGRAM, Ipv4Addr::new(224, 0, 0, 251), 20_024, Stack::Ipv6Only),
    ];
    let datagrams = bound(Type::DGRAM, LOOPBACK, 20_025, Stack::Ipv6Only);
    datagrams.connect(&SocketAddr::from((LOOPBACK, 20_021)).into()).unwrap();
    held.push(datagrams);
    held.extend(<[Socket; 2]>::from(pair(20_031, 20_032)));
    held.push(connected(20_033, 20_001)); // in the backlog
    held.push(connected(20_034, 20_003)); // in the backlog of a dual-stack one
    let (client, server) = pair(20_041, 20_042);
    client.shutdown(std::net::Shutdown::Write).unwrap();
    held.extend([client, server]);
    let (orphan, server) = pair(20_043, 20_044);
    drop(orphan);
    held.push(server);
    let (departed, server) = pair(20_045, 20_046);
    drop(departed);
    drop(server);
    held.into_iter().map(OwnedFd::from).collect()
}
