//! The real kernel in private network namespaces. Never uses the machine's own ports.

mod fallback;
mod holders;
mod identity;
mod one_port;
mod policy;
mod self_test;
mod states;
mod unlisted;

use std::time::{Duration, Instant};

use portscope::{
    domain::{Errno, Protocol, Snapshot, Socket, Source},
    host::{
        Host as _, OwnerDepth, Scanner as _,
        linux::{LinuxHost, LinuxScanner, sock_diag::DiagSocket},
    },
};

use crate::namespace;

/// A snapshot of the calling thread's namespace, without owners. Where the kernel does not list
/// bound-inactive sockets, they are found by their owners.
fn scan() -> Snapshot {
    let machine = LinuxHost::new().machine();
    scan_at(shallowest(), &mut LinuxScanner::new(machine))
}

/// That shows all sockets.
fn shallowest() -> OwnerDepth {
    if namespace::is_linux_at_least((6, 8)) { OwnerDepth::Skip } else { OwnerDepth::Full }
}

/// As `scan`, by /proc/net alone.
fn scan_without_netlink() -> Snapshot {
    let machine = LinuxHost::new().machine();
    scan_by(&mut LinuxScanner::over(machine, Err(Errno::EACCES)))
}

/// As `scan`, through this netlink socket.
fn scan_through(netlink: DiagSocket) -> Snapshot {
    let machine = LinuxHost::new().machine();
    scan_by(&mut LinuxScanner::over(machine, Ok(netlink)))
}

fn scan_by(scanner: &mut LinuxScanner) -> Snapshot {
    scan_at(OwnerDepth::Skip, scanner)
}

fn scan_at(depth: OwnerDepth, scanner: &mut LinuxScanner) -> Snapshot {
    let machine = LinuxHost::new().machine();
    let mut snapshot = Snapshot::empty(machine, Source::Simulated);
    scanner.scan(depth, &mut snapshot).expect("netlink or /proc/net answers");
    snapshot
}

/// The only socket on a port.
fn only(protocol: Protocol, port: u16) -> Socket {
    let snapshot = scan();
    let [socket] = snapshot.on_port(protocol, port) else {
        panic!("{protocol:?} {port}: {:#?}", snapshot.on_port(protocol, port))
    };
    *socket
}

/// Asks again until there is an answer, for 5 s at most: the kernel's own packets take a while.
fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
