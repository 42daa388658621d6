//! Refused sources of data are replaced where possible, and reported in any case.

use std::io;

use portscope::{
    domain::{Errno, Family, Gap, Holder, Protocol, Snapshot, Socket, Source, State},
    host::{
        Host as _,
        linux::{
            LinuxHost, LinuxScanner,
            sock_diag::{Datagram, DiagSocket, Link, Netlink},
        },
    },
};

use socket2::Type;

use super::{
    eventually,
    holders::{Stack, V4, bound, mixture},
    namespace::in_new_namespace,
    scan, scan_at, scan_through, scan_without_netlink,
    self_test::OldKernel,
    shallowest,
};

/// Refuses requests of one type.
struct Without<L>(u8, L);

impl<L: Link> Link for Without<L> {
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        if request[4] == self.0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.1.send(request)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Datagram> {
        self.1.receive(buffer)
    }
}

fn scan_refusing(kind: u8) -> Snapshot {
    let netlink = DiagSocket::over(Box::new(Without(kind, Netlink::open().unwrap())));
    let machine = LinuxHost::new().machine();
    scan_at(shallowest(), &mut LinuxScanner::over(machine, Ok(netlink)))
}

/// The mixture has come to rest: its half-closed ends have been acknowledged.
fn is_settled(snapshot: &Snapshot) -> bool {
    let has = |port, state| snapshot.on_port(Protocol::Tcp, port).iter().any(|s| s.state == state);
    has(20_041, State::FinWait2) && has(20_043, State::FinWait2) && has(20_045, State::TimeWait)
}

/// A socket without what /proc/net cannot tell, and without the clock.
fn as_procfs_lists(socket: &Socket) -> Socket {
    let send_queue = if socket.state == State::Listen { 0 } else { socket.send_queue };
    let family = if socket.family == Family::Dual { Family::Ipv6 } else { socket.family };
    let expires_ms = socket.expires_ms.map(|_| 0);
    Socket {
        cookie: None,
        cgroup: None,
        interface: None,
        family,
        send_queue,
        expires_ms,
        holder: Holder::NotAsked,
        ..*socket
    }
}

/// In an order that needs no cookies.
fn sorted(sockets: impl Iterator<Item = Socket>) -> Vec<Socket> {
    let mut sockets: Vec<_> = sockets.collect();
    sockets.sort_by_key(|s| (s.protocol, s.local, s.remote, s.state, s.inode));
    sockets
}

#[test]
fn proc_net_lists_the_same_sockets_except_bound_inactive_ones() {
    in_new_namespace(|| {
        let _held = mixture();
        let diag = eventually("the mixture at rest", || Some(scan()).filter(is_settled));
        let procfs = scan_without_netlink();
        assert_eq!((diag.source, procfs.source), (Source::SockDiag, Source::Procfs));
        assert_eq!(diag.gaps, []);
        let error = Errno::EACCES;
        assert_eq!(procfs.gaps, [Gap::NetlinkRefused { error }, Gap::DualStackUnknown { error }]);
        let expected = diag.sockets.iter().filter(|s| s.state != State::Bound).map(as_procfs_lists);
        let found = procfs.sockets.iter().map(as_procfs_lists);
        assert_eq!(sorted(found), sorted(expected));
        assert_eq!(diag.sockets.iter().filter(|s| s.state == State::Bound).count(), 3);
        let expiry = |snapshot: &Snapshot| {
            snapshot.on_port(Protocol::Tcp, 20_045)[0].expires_ms.expect("TIME-WAIT has a timer")
        };
        assert!(expiry(&diag).abs_diff(expiry(&procfs)) < 5_000);
    });
}

#[test]
fn two_dumps_replace_a_refused_combined_dump() {
    in_new_namespace(|| {
        let _held = mixture();
        let whole = eventually("the mixture at rest", || Some(scan()).filter(is_settled));
        let halves = scan_refusing(18);
        assert_eq!((halves.source, halves.gaps.len()), (Source::SockDiag, 0));
        let without_clock = |s: &Socket| Socket { expires_ms: None, ..*s };
        assert_eq!(
            sorted(halves.sockets.iter().map(without_clock)),
            sorted(whole.sockets.iter().map(without_clock)),
        );
    });
}

#[test]
fn refused_udp_dumps_lose_cookies_and_dual_stack_information() {
    in_new_namespace(|| {
        let _held = mixture();
        let snapshot = scan_refusing(20);
        assert_eq!(snapshot.source, Source::SockDiag);
        let [Gap::DualStackUnknown { .. }] = snapshot.gaps[..] else {
            panic!("{:?}", snapshot.gaps);
        };
        let udp: Vec<_> = snapshot.sockets.iter().filter(|s| s.protocol == Protocol::Udp).collect();
        assert_eq!(udp.len(), 5);
        assert!(udp.iter().all(|socket| socket.cookie.is_none()));
    });
}

#[test]
fn refused_udp_dumps_do_not_hide_that_bound_ports_are_unlisted() {
    in_new_namespace(|| {
        let _held = bound(Type::STREAM, V4, 4000, Stack::Ipv6Only);
        let old = OldKernel(Netlink::open().unwrap());
        let snapshot = scan_through(DiagSocket::over(Box::new(Without(20, old))));
        assert_eq!(snapshot.source, Source::SockDiag);
        assert!(snapshot.on_port(Protocol::Tcp, 4000).is_empty());
        let unlisted = Gap::BoundInactiveUnlisted { assumed: false };
        assert!(snapshot.gaps.contains(&unlisted), "{:?}", snapshot.gaps);
    });
}
