//! About 5,000 sockets of every kind that we can create, to test `scan` with. Does not scan.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use crate::population::{
    Population, Row, SocketShare, bound, bound_to, can_become, client, connection,
    fill_send_buffer, listener, plain, time_wait, wait_for_end,
};

const LOCAL4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOCAL6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const ANY4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
/// Two users that need no entry in /etc/passwd.
const OTHER_USERS: [u32; 2] = [1000, 65_534];

/// Creates the sockets in the network namespace of the calling thread. Those that expire after 60 s
/// come last.
pub fn build() -> io::Result<Population> {
    let mut all = Population::default();
    for family in [LOCAL4, LOCAL6] {
        connections(&mut all, family, 250)?;
        half_closed(&mut all, family, 80)?;
        backlog(&mut all, family)?;
        reuse_port_groups(&mut all, family)?;
        shared_by_fork(&mut all, family)?;
    }
    dual_stack_connections(&mut all)?;
    listeners(&mut all)?;
    bound_inactive(&mut all)?;
    udp(&mut all)?;
    syn_sent(&mut all)?;
    for uid in OTHER_USERS {
        if can_become(uid) {
            other_user(&mut all, uid)?;
        } else {
            eprintln!("no sockets of user {uid}: we may not become that user here");
        }
    }
    orphans(&mut all)?;
    for (family, count) in [(LOCAL4, 250), (LOCAL6, 100)] {
        time_waits(&mut all, family, count)?;
    }
    Ok(all)
}

fn set_v6_only(socket: &Socket) -> io::Result<()> {
    socket.set_only_v6(true)
}

fn set_dual(socket: &Socket) -> io::Result<()> {
    socket.set_only_v6(false)
}

fn set_loopback_device(socket: &Socket) -> io::Result<()> {
    socket.bind_device(Some(b"lo"))
}

type Setting = fn(&Socket) -> io::Result<()>;

/// Every kind of address that a socket can be bound to.
const PLACES: [(IpAddr, Setting); 8] = [
    (ANY4, plain),
    (LOCAL4, plain),
    (IpAddr::V4(Ipv4Addr::new(127, 1, 2, 3)), plain),
    (ANY6, set_v6_only),
    (ANY6, set_dual),
    (LOCAL6, plain),
    (ANY4, set_loopback_device),
    (ANY6, set_loopback_device),
];

fn listeners(all: &mut Population) -> io::Result<()> {
    let mut share = SocketShare::default();
    for (address, set) in PLACES {
        for _ in 0..70 {
            share.take(listener(address, set)?, "LISTEN")?;
        }
    }
    all.give(share)
}

/// The two ends belong to different processes; the listener belongs to that of the accepted
/// sockets.
fn connections(all: &mut Population, address: IpAddr, count: usize) -> io::Result<()> {
    let (mut clients, mut servers) = (SocketShare::default(), SocketShare::default());
    let listening_socket = listener(address, plain)?;
    for _ in 0..count {
        let (client, accepted) = connection(&listening_socket, address)?;
        clients.take(client, "ESTABLISHED")?;
        servers.take(accepted, "ESTABLISHED")?;
    }
    servers.take(listening_socket, "LISTEN")?;
    all.keep(clients);
    all.give(servers)
}

/// IPv4 clients of an IPv6 listener, whose accepted sockets have addresses such as
/// `::ffff:127.0.0.1`.
fn dual_stack_connections(all: &mut Population) -> io::Result<()> {
    let mut share = SocketShare::default();
    let listening_socket = listener(ANY6, set_dual)?;
    for _ in 0..100 {
        for address in [LOCAL4, LOCAL6] {
            let (client, accepted) = connection(&listening_socket, address)?;
            share.take(client, "ESTABLISHED")?;
            share.take(accepted, "ESTABLISHED")?;
        }
    }
    share.take(listening_socket, "LISTEN")?;
    all.give(share)
}

fn half_closed(all: &mut Population, address: IpAddr, count: usize) -> io::Result<()> {
    let (mut ended, mut waiting) = (SocketShare::default(), SocketShare::default());
    let listening_socket = listener(address, plain)?;
    for _ in 0..count {
        let (client, accepted) = connection(&listening_socket, address)?;
        client.shutdown(std::net::Shutdown::Write)?;
        wait_for_end(&accepted)?;
        ended.take(client, "FIN-WAIT-2")?;
        waiting.take(accepted, "CLOSE-WAIT")?;
    }
    all.give(ended)?;
    all.give(waiting)
}

fn bound_inactive(all: &mut Population) -> io::Result<()> {
    let mut share = SocketShare::default();
    for (address, set) in PLACES {
        for _ in 0..40 {
            share.take(bound(Type::STREAM, address, set)?, "BOUND")?;
        }
    }
    // A port that the caller chose remains bound after a failed connect(); one that bind(0) chose
    // is released (SOCK_BINDPORT_LOCK).
    for port in 20_000..20_030 {
        let refused = bound_to(Type::STREAM, SocketAddr::new(LOCAL4, port), plain)?;
        let nobody = SocketAddr::new(LOCAL4, 1);
        let error = refused.connect(&nobody.into()).expect_err("nobody listens on port 1");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        share.take(refused, "BOUND")?;

        let shut = bound_to(Type::STREAM, SocketAddr::new(LOCAL6, port), plain)?;
        shut.listen(1)?;
        shut.shutdown(std::net::Shutdown::Read)?;
        share.take(shut, "BOUND")?;
    }
    all.give(share)
}

/// Connections that no process accepts: open ones, and ones that the client has closed.
fn backlog(all: &mut Population, address: IpAddr) -> io::Result<()> {
    let (mut listening_sockets, mut clients) = (SocketShare::default(), SocketShare::default());
    for _ in 0..5 {
        let listening_socket = listener(address, plain)?;
        for _ in 0..20 {
            let client = client(&listening_socket, address)?;
            let row = Row::of(&client, "ESTABLISHED")?;
            listening_sockets
                .expect(Row::waiting(&row, "ESTABLISHED").expect("a client has a remote end"));
            clients.keep_as(client, row);
        }
        for _ in 0..2 {
            let client = client(&listening_socket, address)?;
            client.shutdown(std::net::Shutdown::Write)?;
            let row = Row::of(&client, "FIN-WAIT-2")?;
            listening_sockets
                .expect(Row::waiting(&row, "CLOSE-WAIT").expect("a client has a remote end"));
            clients.keep_as(client, row);
        }
        listening_sockets.take(listening_socket, "LISTEN")?;
    }
    all.keep(clients);
    all.keep_and_give(listening_sockets, 1)
}

/// The queue, of length one, is full, so that further SYNs are dropped and retransmitted for two
/// minutes.
fn syn_sent(all: &mut Population) -> io::Result<()> {
    let mut share = SocketShare::default();
    let listening_socket = bound(Type::STREAM, LOCAL4, plain)?;
    listening_socket.listen(0)?;
    let first = client(&listening_socket, LOCAL4)?;
    let row = Row::of(&first, "ESTABLISHED")?;
    share.expect(Row::waiting(&row, "ESTABLISHED").expect("a client has a remote end"));
    share.keep_as(first, row);
    let target = listening_socket.local_addr()?;
    for _ in 0..10 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let begun = socket.connect(&target).expect_err("the queue is full");
        assert_eq!(begun.raw_os_error(), Some(Errno::INPROGRESS.raw_os_error()));
        let row = Row { remote: target.as_socket(), ..Row::of(&socket, "SYN-SENT")? };
        share.keep_as(socket, row);
    }
    share.take(listening_socket, "LISTEN")?;
    all.keep(share);
    Ok(())
}

/// Groups of four sockets on one port, two each of two processes.
fn reuse_port_groups(all: &mut Population, address: IpAddr) -> io::Result<()> {
    let mut shares = [SocketShare::default(), SocketShare::default()];
    for (kind, groups, state) in [(Type::STREAM, 25, "LISTEN"), (Type::DGRAM, 12, "UNCONNECTED")] {
        for _ in 0..groups {
            let mut port = 0;
            for member in 0..4 {
                let endpoint = SocketAddr::new(address, port);
                let socket = bound_to(kind, endpoint, |s| s.set_reuse_port(true))?;
                if kind == Type::STREAM {
                    socket.listen(1)?;
                }
                let row = Row::of(&socket, state)?;
                port = row.local.port();
                shares[member % 2].keep_as(socket, row);
            }
        }
    }
    let [first, second] = shares;
    all.give(first)?;
    all.give(second)
}

/// Sockets that this process and two others hold.
fn shared_by_fork(all: &mut Population, address: IpAddr) -> io::Result<()> {
    let mut share = SocketShare::default();
    let listening_socket = listener(address, plain)?;
    for _ in 0..25 {
        let (client, accepted) = connection(&listening_socket, address)?;
        share.take(client, "ESTABLISHED")?;
        share.take(accepted, "ESTABLISHED")?;
        share.take(listener(address, plain)?, "LISTEN")?;
        share.take(bound(Type::STREAM, address, plain)?, "BOUND")?;
        share.take(bound(Type::DGRAM, address, plain)?, "UNCONNECTED")?;
    }
    share.take(listening_socket, "LISTEN")?;
    all.keep_and_give(share, 2)
}

fn udp(all: &mut Population) -> io::Result<()> {
    let mut share = SocketShare::default();
    for (address, set) in PLACES {
        for _ in 0..60 {
            share.take(bound(Type::DGRAM, address, set)?, "UNCONNECTED")?;
        }
    }
    for address in [LOCAL4, LOCAL6] {
        let peer = bound(Type::DGRAM, address, plain)?;
        let target = peer.local_addr()?;
        for _ in 0..50 {
            let from_bound = bound(Type::DGRAM, address, plain)?;
            let from_none =
                Socket::new(Domain::for_address(SocketAddr::new(address, 0)), Type::DGRAM, None)?;
            for socket in [from_bound, from_none] {
                socket.connect(&target)?;
                share.take(socket, "CONNECTED")?;
            }
        }
        share.take(peer, "UNCONNECTED")?;
    }
    all.give(share)
}

fn other_user(all: &mut Population, uid: u32) -> io::Result<()> {
    let mut share = SocketShare::default();
    for address in [LOCAL4, LOCAL6] {
        let listening_socket = listener(address, plain)?;
        for _ in 0..20 {
            let (client, accepted) = connection(&listening_socket, address)?;
            share.take(client, "ESTABLISHED")?;
            share.take(accepted, "ESTABLISHED")?;
            share.take(listener(address, plain)?, "LISTEN")?;
            share.take(bound(Type::STREAM, address, plain)?, "BOUND")?;
            share.take(bound(Type::DGRAM, address, plain)?, "UNCONNECTED")?;
        }
        share.take(listening_socket, "LISTEN")?;
    }
    all.give_to_user(share, uid)
}

/// Sockets closed by their processes but not finished: the other end did not close, or does not
/// read.
fn orphans(all: &mut Population) -> io::Result<()> {
    let mut share = SocketShare::default();
    let listening_socket = listener(LOCAL4, |s| s.set_recv_buffer_size(4096))?;
    for _ in 0..20 {
        let (client, accepted) = connection(&listening_socket, LOCAL4)?;
        share.expect(Row::of(&client, "FIN-WAIT-2")?.closed("FIN-WAIT-2"));
        drop(client);
        wait_for_end(&accepted)?;
        share.take(accepted, "CLOSE-WAIT")?;

        let (client, accepted) = connection(&listening_socket, LOCAL4)?;
        fill_send_buffer(&client)?;
        share.expect(Row::of(&client, "FIN-WAIT-1")?.closed("FIN-WAIT-1"));
        drop(client);
        share.take(accepted, "ESTABLISHED")?;

        let (client, accepted) = connection(&listening_socket, LOCAL4)?;
        fill_send_buffer(&client)?;
        client.shutdown(std::net::Shutdown::Write)?;
        share.take(client, "FIN-WAIT-1")?;
        share.take(accepted, "ESTABLISHED")?;

        let (client, accepted) = connection(&listening_socket, LOCAL4)?;
        client.shutdown(std::net::Shutdown::Write)?;
        wait_for_end(&accepted)?;
        fill_send_buffer(&accepted)?;
        share.expect(Row::of(&accepted, "LAST-ACK")?.closed("LAST-ACK"));
        drop(accepted);
        share.take(client, "FIN-WAIT-2")?;
    }
    share.take(listening_socket, "LISTEN")?;
    all.keep(share);
    Ok(())
}

fn time_waits(all: &mut Population, address: IpAddr, count: usize) -> io::Result<()> {
    let mut share = SocketShare::default();
    let listening_socket = listener(address, plain)?;
    for _ in 0..count {
        share.expect(time_wait(&listening_socket, address)?);
    }
    all.keep(share);
    Ok(())
}
