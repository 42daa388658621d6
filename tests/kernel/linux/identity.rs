//! Which network namespace a scan reads, and whether it is isolated from that of the machine.

use std::thread;

use portscope::{
    domain::Protocol,
    host::{
        Host as _,
        linux::{LinuxHost, LinuxScanner},
    },
};

use super::{
    holders::{Stack, V4, listening},
    namespace::{in_another_namespace, in_new_namespace},
    only, scan_by,
};

#[test]
fn a_private_namespace_without_interfaces_is_isolated() {
    let outside = LinuxHost::new().machine();
    in_new_namespace(|| {
        let inside = LinuxHost::new().machine();
        assert!(inside.is_isolated);
        assert_ne!(inside.network_namespace, outside.network_namespace);
        // It has no name, so it is called by its number.
        let number = inside.network_namespace.map(|id| id.to_string());
        assert_eq!(inside.namespace_label.as_ref().map(ToString::to_string), number);
        assert_eq!(inside.name, outside.name);
        assert_eq!(inside.kernel, outside.kernel);
    });
}

#[test]
fn a_scanner_stays_in_the_namespace_it_was_made_in() {
    in_new_namespace(|| {
        let _held = listening(V4, 3000, Stack::Ipv6Only);
        let cookie = only(Protocol::Tcp, 3000).cookie;
        let mut scanner = LinuxScanner::new(LinuxHost::new().machine());
        // Its threads inherit a namespace; another test's thread would not.
        let elsewhere = thread::scope(|scope| {
            scope
                .spawn(|| {
                    in_another_namespace(|| scan_by(&mut scanner)).expect("we are in one already")
                })
                .join()
                .unwrap()
        });
        let [socket] = elsewhere.on_port(Protocol::Tcp, 3000) else { panic!("{elsewhere:#?}") };
        assert_eq!(socket.cookie, cookie);
    });
}
