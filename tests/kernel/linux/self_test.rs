//! Whether bound-inactive sockets are listed is tested, not assumed.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
};

use portscope::{
    domain::{Errno, Gap, Protocol, State},
    host::linux::{
        self_test::SelfTest,
        sock_diag::{BOUND_INACTIVE, Datagram, DiagSocket, Link, Netlink},
    },
};
use socket2::Type;

use super::{
    holders::{LOOPBACK, Stack, V4, bound},
    namespace::{in_new_namespace, set_sysctl},
    scan, scan_through,
};

/// Forgets bit 13 of the states, as Linux before 6.8 does.
pub struct OldKernel(pub Netlink);

impl Link for OldKernel {
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let mut request = request.to_owned();
        let states = if request[4] == 18 { 68..72 } else { 20..24 };
        let asked = u32::from_ne_bytes(request[states.clone()].try_into().unwrap());
        request[states].copy_from_slice(&(asked & !BOUND_INACTIVE).to_ne_bytes());
        self.0.send(&request)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Datagram> {
        self.0.receive(buffer)
    }
}

#[test]
fn this_kernel_lists_bound_inactive_sockets_and_the_probe_is_removed() {
    in_new_namespace(|| {
        let snapshot = scan();
        assert_eq!(snapshot.gaps, []);
        assert_eq!(snapshot.sockets, []);
    });
}

#[test]
fn an_old_kernel_is_detected_by_the_self_test() {
    in_new_namespace(|| {
        let _held = bound(Type::STREAM, V4, 4000, Stack::Ipv6Only);
        let snapshot =
            scan_through(DiagSocket::over(Box::new(OldKernel(Netlink::open().unwrap()))));
        assert_eq!(snapshot.gaps, [Gap::BoundInactiveUnlisted { assumed: false }]);
        assert!(snapshot.on_port(Protocol::Tcp, 4000).is_empty());
    });
}

#[test]
fn the_kernel_version_decides_if_no_port_can_be_bound() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40001 40001");
        let _held = bound(Type::STREAM, LOOPBACK, 40_001, Stack::Ipv6Only);
        let test = SelfTest::start();
        assert!(!test.remove_probe(&mut scan().sockets));
        assert_eq!(test.gap("6.8.0-45-generic"), None);
        assert_eq!(test.gap("5.15.0"), Some(Gap::BoundInactiveUnlisted { assumed: true }));
    });
}

#[test]
fn a_full_range_causes_no_gap_on_this_kernel() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40001 40001");
        let _held = bound(Type::STREAM, LOOPBACK, 40_001, Stack::Ipv6Only);
        let snapshot = scan();
        let [socket] = snapshot.on_port(Protocol::Tcp, 40_001) else { panic!("{snapshot:#?}") };
        assert_eq!(socket.state, State::Bound);
    });
}

/// Before Linux 6.18 connect() would not get that port again.
#[test]
fn the_self_test_does_not_bind_a_port_with_connections() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40001 40001");
        let server = TcpListener::bind("127.0.0.1:3000").unwrap();
        let client = bound(Type::STREAM, Ipv4Addr::new(127, 0, 0, 9), 40_001, Stack::Ipv6Only);
        client.connect(&server.local_addr().unwrap().into()).unwrap();
        assert_eq!(SelfTest::start().refusal(), Some(Errno::EADDRINUSE));
        let old = DiagSocket::over(Box::new(OldKernel(Netlink::open().unwrap())));
        let snapshot = scan_through(old);
        assert_eq!(snapshot.refused_bind, Some(Errno::EADDRINUSE));
        assert!(!snapshot.is_bind_refused(), "no port is left to hide a socket");
    });
}
