//! Which process had a socket that the kernel keeps after the process closed it, on the real
//! kernel.

use std::{
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use portscope::{
    domain::{Owner, Protocol, Snapshot, Socket, Source, State},
    host::{Host as _, OwnerDepth, Scanner, linux::LinuxHost},
};

use crate::namespace::in_new_namespace;

/// A scanner and its last snapshot.
struct Watch {
    scanner: Box<dyn Scanner>,
    snapshot: Snapshot,
}

impl Watch {
    fn new() -> Self {
        let host = LinuxHost::new();
        let snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
        Self { scanner: host.scanner().unwrap(), snapshot }
    }

    fn scan(&mut self, depth: OwnerDepth) -> &Snapshot {
        self.scanner.scan(depth, &mut self.snapshot).unwrap();
        &self.snapshot
    }

    /// Scans until the port has exactly one socket, in this state.
    fn wait_for(&mut self, port: u16, state: State, depth: OwnerDepth) -> (Socket, Owner<'_>) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let rows = self.scan(depth).on_port(Protocol::Tcp, port);
            match *rows {
                [socket] if socket.state == state => break,
                _ if Instant::now() > deadline => panic!("not {state}: {rows:?}"),
                _ => thread::yield_now(),
            }
        }
        let socket = self.snapshot.on_port(Protocol::Tcp, port)[0];
        (socket, self.snapshot.owner(&socket))
    }
}

/// Returns a client, its port, and the accepted socket.
fn connection(address: impl Into<std::net::IpAddr>) -> (TcpStream, u16, TcpStream) {
    let listening_socket = TcpListener::bind(SocketAddr::new(address.into(), 0)).unwrap();
    let client = TcpStream::connect(listening_socket.local_addr().unwrap()).unwrap();
    let (server, _) = listening_socket.accept().unwrap();
    let port = client.local_addr().unwrap().port();
    (client, port, server)
}

#[test]
fn time_wait_is_departed_from_the_process_that_had_the_connection() {
    in_new_namespace(|| {
        for address in [Ipv4Addr::LOCALHOST.into(), std::net::IpAddr::from(Ipv6Addr::LOCALHOST)] {
            let mut watch = Watch::new();
            let (client, port, server) = connection(address);
            watch.scan(OwnerDepth::Full);
            drop(client);
            drop(server);
            for _ in 0..3 {
                let (_, owner) = watch.wait_for(port, State::TimeWait, OwnerDepth::Incremental);
                assert_eq!(owner, Owner::Departed(&[std::process::id()]));
            }
        }
    });
}

#[test]
fn an_orphan_stays_departed_as_time_wait() {
    in_new_namespace(|| {
        let mut watch = Watch::new();
        let (client, port, server) = connection(Ipv4Addr::LOCALHOST);
        watch.scan(OwnerDepth::Full);
        drop(client);
        let own = [std::process::id()];
        let ours = Owner::Departed(&own);
        let (_, owner) = watch.wait_for(port, State::FinWait2, OwnerDepth::Incremental);
        assert_eq!(owner, ours);
        drop(server);
        let (_, owner) = watch.wait_for(port, State::TimeWait, OwnerDepth::Incremental);
        assert_eq!(owner, ours);
    });
}

#[test]
fn scans_without_owners_do_not_change_departed_owners() {
    in_new_namespace(|| {
        let mut watch = Watch::new();
        let (client, port, server) = connection(Ipv4Addr::LOCALHOST);
        watch.scan(OwnerDepth::Full);
        watch.scan(OwnerDepth::Skip);
        drop(client);
        drop(server);
        let (_, owner) = watch.wait_for(port, State::TimeWait, OwnerDepth::Skip);
        assert_eq!(owner, Owner::NotAsked);
        let (_, owner) = watch.wait_for(port, State::TimeWait, OwnerDepth::Full);
        assert_eq!(owner, Owner::Departed(&[std::process::id()]));
    });
}

#[test]
fn sockets_closed_before_the_first_scan_belong_to_the_kernel() {
    in_new_namespace(|| {
        let mut watch = Watch::new();
        let (client, port, server) = connection(Ipv4Addr::LOCALHOST);
        client.shutdown(Shutdown::Both).unwrap();
        drop(client);
        drop(server);
        for _ in 0..2 {
            let (_, owner) = watch.wait_for(port, State::TimeWait, OwnerDepth::Full);
            assert_eq!(owner, Owner::Kernel);
        }
    });
}
