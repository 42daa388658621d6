//! Bound sockets that the kernel does not list are found through their descriptors.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex},
};

use portscope::{
    domain::{Errno, Gap, Holder, Owner, Protocol, Snapshot, Socket, Source, State},
    host::{
        Host as _, OwnerDepth, Scanner as _,
        linux::{
            LinuxHost, LinuxScanner,
            owners::OwnerFinder,
            sock_diag::{Datagram, DiagSocket, Link, Netlink},
        },
    },
};
use socket2::{Domain, Type};

use super::{
    holders::{LOOPBACK, Stack, V4, V6, bound, mixture},
    namespace::{in_new_namespace, set_sysctl},
    self_test::OldKernel,
};

fn refused() -> LinuxScanner {
    LinuxScanner::over(LinuxHost::new().machine(), Err(Errno::EACCES))
}

fn old_kernel() -> LinuxScanner {
    let netlink = DiagSocket::over(Box::new(OldKernel(Netlink::open().unwrap())));
    LinuxScanner::over(LinuxHost::new().machine(), Ok(netlink))
}

/// Made one after the other: each holds a socket of its own until its first scan.
const SCANNERS: [fn() -> LinuxScanner; 2] = [refused, old_kernel];

fn scan(scanner: &mut LinuxScanner, depth: OwnerDepth) -> Snapshot {
    let mut snapshot = Snapshot::empty(LinuxHost::new().machine(), Source::Simulated);
    scanner.scan(depth, &mut snapshot).unwrap();
    snapshot
}

/// In an order of their own, without what only the kernel's list has.
fn bound_rows(snapshot: &Snapshot) -> Vec<(Socket, Vec<u32>)> {
    let mut rows: Vec<_> = snapshot
        .sockets
        .iter()
        .filter(|socket| socket.state == State::Bound)
        .map(|socket| {
            let holder = Holder::NotAsked;
            (Socket { cgroup: None, holder, ..*socket }, snapshot.owner(socket).pids().to_vec())
        })
        .collect();
    rows.sort_by_key(|(socket, _)| socket.cookie);
    rows
}

/// Whether the rights of this test show the descriptors of all processes.
pub fn sees_all() -> bool {
    OwnerFinder::new().find(OwnerDepth::Full, &[]).show_all()
}

/// The gaps, except for one about sockets of other processes: the machine may have more of them than
/// a scan reads.
pub fn own_gaps(snapshot: &Snapshot) -> Vec<Gap> {
    let is_own = |gap: &&Gap| match gap {
        Gap::PortsUnread { holders, .. } => holders.iter().any(|h| h.pid == std::process::id()),
        _ => true,
    };
    snapshot.gaps.iter().filter(is_own).cloned().collect()
}

fn hides_some(snapshot: &Snapshot) -> bool {
    own_gaps(snapshot).iter().any(Gap::hides_bound_inactive)
}

#[test]
fn sockets_found_through_descriptors_equal_those_the_kernel_lists() {
    in_new_namespace(|| {
        let _held = mixture();
        let _mapped = bound(Type::STREAM, LOOPBACK.to_ipv6_mapped(), 20_051, Stack::Dual);
        let _own = bound(Type::STREAM, Ipv6Addr::LOCALHOST, 20_052, Stack::Dual);
        let device = bound(Type::STREAM, V4, 20_053, Stack::Ipv6Only);
        device.bind_device(Some(b"lo")).unwrap();
        let machine = LinuxHost::new().machine();
        let listed = scan(&mut LinuxScanner::new(machine), OwnerDepth::Full);
        let expected = bound_rows(&listed);
        assert_eq!(expected.len(), 6);
        for scanner in SCANNERS {
            let mut scanner = scanner();
            for depth in [OwnerDepth::Full, OwnerDepth::Incremental] {
                let found = scan(&mut scanner, depth);
                assert_eq!(bound_rows(&found), expected);
                assert_eq!(found.sockets.len(), listed.sockets.len());
                assert_eq!(hides_some(&found), !sees_all(), "{:?}", found.gaps);
            }
        }
    });
}

/// An MPTCP socket has another cookie than the row of its first subflow.
#[test]
fn mptcp_sockets_are_found() {
    in_new_namespace(|| {
        let mptcp = Some(socket2::Protocol::from(262));
        let Ok(socket) = socket2::Socket::new(Domain::IPV4, Type::STREAM, mptcp) else {
            return; // this kernel has none
        };
        socket.bind(&SocketAddr::from((LOOPBACK, 4000)).into()).unwrap();
        let listed = scan(&mut LinuxScanner::new(LinuxHost::new().machine()), OwnerDepth::Full);
        let without_cookie = |snapshot: &Snapshot| {
            let rows = bound_rows(snapshot).into_iter();
            rows.map(|(row, pids)| (Socket { cookie: None, ..row }, pids)).collect::<Vec<_>>()
        };
        for scanner in SCANNERS {
            let found = scan(&mut scanner(), OwnerDepth::Full);
            assert_eq!(without_cookie(&found), without_cookie(&listed));
            assert_eq!(found.sockets.len(), 1);
        }
    });
}

#[test]
fn a_scan_without_owners_keeps_the_gap() {
    in_new_namespace(|| {
        let _held = bound(Type::STREAM, V4, 4000, Stack::Ipv6Only);
        for scanner in SCANNERS {
            let snapshot = scan(&mut scanner(), OwnerDepth::Skip);
            assert_eq!(snapshot.sockets, []);
            assert!(hides_some(&snapshot), "{:?}", snapshot.gaps);
        }
    });
}

#[test]
fn sockets_without_a_port_and_those_of_other_namespaces_are_left_out() {
    in_new_namespace(|| {
        let _elsewhere = bound(Type::STREAM, V4, 4000, Stack::Ipv6Only);
        in_new_namespace(|| {
            let _unbound = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let here = bound(Type::STREAM, V4, 4001, Stack::Ipv6Only);
            let snapshot = scan(&mut refused(), OwnerDepth::Full);
            let ports: Vec<u16> = snapshot.sockets.iter().map(|s| s.local.port).collect();
            assert_eq!(ports, [4001]);
            drop(here);
            assert_eq!(scan(&mut refused(), OwnerDepth::Full).sockets, []);
        });
    });
}

/// After a refused connect() getsockname() gives a port in both cases.
#[test]
fn a_port_is_in_doubt_once_its_connection_has_ended() {
    in_new_namespace(|| {
        let nobody = SocketAddr::from((LOOPBACK, 4444)).into();
        let given_up = |socket: socket2::Socket| {
            socket.connect(&nobody).unwrap_err();
            socket
        };
        let held = given_up(bound(Type::STREAM, V4, 4000, Stack::Ipv6Only));
        let free = given_up(socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap());
        let idle = bound(Type::STREAM, V4, 4001, Stack::Ipv6Only);
        let port = free.local_addr().unwrap().as_socket().unwrap().port();
        assert_ne!(port, 0, "getsockname() still gives it");
        bound(Type::STREAM, V4, port, Stack::Ipv6Only);
        for scanner in SCANNERS {
            let snapshot = scan(&mut scanner(), OwnerDepth::Full);
            let ports: Vec<u16> = snapshot.sockets.iter().map(|s| s.local.port).collect();
            assert_eq!(ports, [4001]);
            let in_doubt = Gap::PortsInDoubt { ports: [4000, port].into_iter().collect() };
            assert!(snapshot.gaps.contains(&in_doubt), "{:?}", snapshot.gaps);
            assert!(!sees_all() || snapshot.unlisted_in_range() == 1, "{snapshot:?}");
        }
        drop((held, idle));
    });
}

/// By the kernel's total: the sockets of other tests and of the machine count, too.
#[test]
fn unlisted_count_is_at_least_the_number_of_bound_sockets() {
    in_new_namespace(|| {
        let held: Vec<_> =
            (0..20).map(|offset| bound(Type::STREAM, V4, 4000 + offset, Stack::Ipv6Only)).collect();
        for scanner in SCANNERS {
            let snapshot = scan(&mut scanner(), OwnerDepth::Skip);
            let allocated = snapshot.vitals.allocated.unwrap();
            assert!((20..=allocated).contains(&snapshot.unlisted), "{}", snapshot.unlisted);
        }
        drop(held);
    });
}

#[test]
fn a_scan_of_one_port_finds_unlisted_sockets() {
    in_new_namespace(|| {
        let _held = bound(Type::STREAM, V6, 4000, Stack::Dual);
        let _other = bound(Type::STREAM, V4, 4001, Stack::Ipv6Only);
        let _listener = TcpListener::bind("127.0.0.1:4002").unwrap();
        for scanner in SCANNERS {
            let mut snapshot = Snapshot::empty(LinuxHost::new().machine(), Source::Simulated);
            scanner().scan_port(4000, &mut snapshot).unwrap();
            let [socket] = snapshot.on_port(Protocol::Tcp, 4000) else { panic!("{snapshot:#?}") };
            assert_eq!(snapshot.sockets.len(), 1);
            assert_eq!(socket.state, State::Bound);
            assert_eq!(snapshot.owner(socket), Owner::Process(&[std::process::id()]));
        }
    });
}

#[test]
fn copied_descriptors_are_closed_after_the_scan() {
    in_new_namespace(|| {
        let held = bound(Type::STREAM, LOOPBACK, 4000, Stack::Ipv6Only);
        let mut scanner = refused();
        scan(&mut scanner, OwnerDepth::Full);
        drop(held);
        // Else the port would be in use.
        drop(bound(Type::STREAM, LOOPBACK, 4000, Stack::Ipv6Only));
        assert_eq!(scan(&mut scanner, OwnerDepth::Incremental).sockets, []);
    });
}

/// A full range of one port, held by a socket that is only bound.
#[test]
fn a_refused_self_test_bind_is_reported_until_it_succeeds() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "4000 4000");
        let held = bound(Type::STREAM, LOOPBACK, 4000, Stack::Ipv6Only);
        let machine = || LinuxHost::new().machine();
        let mut scanners = [refused(), old_kernel(), LinuxScanner::new(machine())];
        for scanner in &mut scanners {
            for depth in [OwnerDepth::Skip, OwnerDepth::Incremental] {
                let snapshot = scan(scanner, depth);
                assert_eq!(snapshot.refused_bind, Some(Errno::EADDRINUSE));
            }
        }
        drop(held);
        // Tried again with a full walk.
        for scanner in &mut scanners {
            for depth in [OwnerDepth::Full, OwnerDepth::Skip] {
                let snapshot = scan(scanner, depth);
                assert_eq!(snapshot.refused_bind, None);
                assert_eq!(snapshot.sockets, [], "nothing of our own is left");
            }
        }
        let assumed = Gap::BoundInactiveUnlisted { assumed: true };
        assert!(!scan(&mut scanners[1], OwnerDepth::Skip).gaps.contains(&assumed), "tried by now");
        assert_eq!(scan(&mut LinuxScanner::new(machine()), OwnerDepth::Skip).refused_bind, None);
    });
}

/// Closes a socket when the last table of a scan is asked for: after it was listed.
struct ClosesLast(Netlink, Arc<Mutex<Option<TcpListener>>>);

impl Link for ClosesLast {
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let is_udp6 = request[4] == 20 && (request[16], request[17]) == (10, 17);
        if is_udp6 {
            self.1.lock().unwrap().take();
        }
        self.0.send(request)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Datagram> {
        self.0.receive(buffer)
    }
}

#[test]
fn a_socket_that_closes_during_the_scan_is_neither_hidden_nor_a_gap() {
    in_new_namespace(|| {
        let listener = Arc::new(Mutex::new(Some(TcpListener::bind("127.0.0.1:4000").unwrap())));
        let link = ClosesLast(Netlink::open().unwrap(), Arc::clone(&listener));
        let netlink = DiagSocket::over(Box::new(link));
        let mut scanner = LinuxScanner::over(LinuxHost::new().machine(), Ok(netlink));
        for number in 0..3 {
            let snapshot = scan(&mut scanner, OwnerDepth::Incremental);
            let [socket] = snapshot.on_port(Protocol::Tcp, 4000) else { panic!("{snapshot:#?}") };
            assert_eq!(snapshot.owner(socket), Owner::Unresolved, "scan {number}");
            assert_eq!(snapshot.gaps, []);
            *listener.lock().unwrap() = Some(TcpListener::bind("127.0.0.1:4000").unwrap());
        }
    });
}
