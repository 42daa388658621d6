//! A scan of one port shows the same as a full scan shows on that port.

use std::net::{TcpListener, TcpStream, UdpSocket};

use portscope::{
    domain::{Errno, Gap, Protocol, Snapshot, Socket, Source, State},
    host::{
        Host as _, OwnerDepth, Scanner as _,
        linux::{
            LinuxHost, LinuxScanner,
            sock_diag::{DiagSocket, Netlink},
        },
    },
};
use socket2::Type;

use super::{
    eventually,
    holders::{LOOPBACK, Stack, V4, V6, bound},
    namespace::{in_new_namespace, set_sysctl},
    self_test::OldKernel,
    unlisted::{own_gaps, sees_all},
};

fn scan_port(scanner: &mut LinuxScanner, port: u16) -> Snapshot {
    let mut snapshot = Snapshot::empty(LinuxHost::new().machine(), Source::Simulated);
    scanner.scan_port(port, &mut snapshot).unwrap();
    snapshot
}

fn scanner() -> LinuxScanner {
    LinuxScanner::new(LinuxHost::new().machine())
}

/// Without what differs from one look to the next.
fn lasting(socket: &Socket, snapshot: &Snapshot) -> String {
    let Socket { protocol, family, state, local, remote, inode, uid, cookie, .. } = socket;
    let owner = snapshot.owner(socket);
    format!(
        "{protocol:?} {family:?} {state} {local} {remote:?} {inode:?} {uid:?} {cookie:?} {owner:?}"
    )
}

#[test]
fn sockets_of_every_state_and_family_are_found_by_their_port() {
    in_new_namespace(|| {
        let _dual = TcpListener::bind("[::]:4000").unwrap();
        let client = TcpStream::connect("127.0.0.1:4000").unwrap();
        drop(TcpStream::connect("127.0.0.1:4000").unwrap());
        let _bound = bound(Type::STREAM, V4, 4002, Stack::Ipv6Only);
        let _bound6 = bound(Type::STREAM, V6, 4002, Stack::Ipv6Only);
        let _udp = UdpSocket::bind("127.0.0.1:4000").unwrap();
        let _udp6 = UdpSocket::bind("[::1]:4000").unwrap();
        let server = TcpListener::bind("127.0.0.1:4003").unwrap();
        let peer = TcpStream::connect("127.0.0.1:4003").unwrap();
        // The server closes first and keeps TIME-WAIT on its port.
        drop(server.accept().unwrap());
        drop((peer, server));
        let client_port = client.local_addr().unwrap().port();
        for port in [4000, 4002, 4003, client_port, 4999] {
            eventually("both scans show the same", || {
                let mut all = Snapshot::empty(LinuxHost::new().machine(), Source::Simulated);
                scanner().scan(OwnerDepth::Full, &mut all).unwrap();
                let one = scan_port(&mut scanner(), port);
                assert_eq!(one.gaps, all.gaps);
                let on_port = all.sockets.iter().filter(|socket| socket.local.port == port);
                let mut expected: Vec<String> = on_port.map(|s| lasting(s, &all)).collect();
                let mut found: Vec<String> = one.sockets.iter().map(|s| lasting(s, &one)).collect();
                expected.sort();
                found.sort();
                assert_eq!(found.is_empty(), port == 4999);
                (found == expected).then_some(())
            });
        }
        let time_wait = scan_port(&mut scanner(), 4003);
        assert_eq!(time_wait.sockets[0].state, State::TimeWait);
    });
}

#[test]
fn an_old_kernel_is_detected_in_a_scan_of_one_port() {
    in_new_namespace(|| {
        let _held = bound(Type::STREAM, LOOPBACK, 4000, Stack::Ipv6Only);
        let netlink = DiagSocket::over(Box::new(OldKernel(Netlink::open().unwrap())));
        let mut scanner = LinuxScanner::over(LinuxHost::new().machine(), Ok(netlink));
        let snapshot = scan_port(&mut scanner, 4000);
        let gap = Gap::BoundInactiveUnlisted { assumed: false };
        let expected = if sees_all() { vec![] } else { vec![gap] };
        assert_eq!(own_gaps(&snapshot), expected);
    });
}

#[test]
fn a_scan_of_one_port_without_netlink_omits_other_ports() {
    in_new_namespace(|| {
        let _one = TcpListener::bind("127.0.0.1:4000").unwrap();
        let _other = TcpListener::bind("127.0.0.1:4001").unwrap();
        let refused = Err(Errno::EACCES);
        let mut scanner = LinuxScanner::over(LinuxHost::new().machine(), refused);
        let snapshot = scan_port(&mut scanner, 4000);
        assert_eq!(snapshot.sockets.len(), 1);
        assert_eq!(snapshot.on_port(Protocol::Tcp, 4000).len(), 1);
    });
}

/// `wait` and `free` look at a port this way until it is free.
#[test]
fn a_look_at_a_port_without_netlink_shows_bound_sockets_until_they_are_closed() {
    in_new_namespace(|| {
        let held = bound(Type::STREAM, LOOPBACK, 4000, Stack::Ipv6Only);
        let mut scanner = LinuxScanner::over(LinuxHost::new().machine(), Err(Errno::EACCES));
        let mut snapshot = Snapshot::empty(LinuxHost::new().machine(), Source::Simulated);
        scanner.list_port(4000, &mut snapshot).unwrap();
        assert_eq!(snapshot.on_port(Protocol::Tcp, 4000).len(), 1, "{:?}", snapshot.gaps);
        drop(held);
        scanner.list_port(4000, &mut snapshot).unwrap();
        assert_eq!(snapshot.on_port(Protocol::Tcp, 4000).len(), 0);
        assert_eq!(snapshot.hides_bound_inactive(), !sees_all());
    });
}

#[test]
fn the_self_test_socket_is_never_listed() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "4000 4000");
        let snapshot = scan_port(&mut scanner(), 4000);
        assert_eq!((snapshot.sockets.len(), &*snapshot.gaps), (0, &[][..]));
    });
}
