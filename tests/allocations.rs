//! A steady scan takes no memory for each socket. A binary of its own, for it counts allocations.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

#[path = "support/namespace.rs"]
mod namespace;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    net::{TcpListener, UdpSocket},
};

use portscope::{
    domain::{Snapshot, Source},
    host::{Host as _, OwnerDepth, linux::LinuxHost},
};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "to count allocations there is no other way")]
// SAFETY: hands everything to `System` as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Allocations of the third scan into one snapshot, with this many sockets there.
fn allocations_of_a_scan(sockets: usize) -> u64 {
    let listeners: Vec<_> =
        (0..sockets / 2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let datagrams: Vec<_> =
        (0..sockets / 2).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let host = LinuxHost::new();
    let mut scanner = host.scanner().unwrap();
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    let mut allocations = 0;
    for _ in 0..3 {
        let before = COUNT.get();
        scanner.scan(OwnerDepth::Incremental, &mut snapshot).unwrap();
        allocations = COUNT.get() - before;
    }
    assert_eq!(snapshot.sockets.len(), listeners.len() + datagrams.len());
    allocations
}

#[test]
fn a_steady_scan_allocates_no_more_for_a_thousand_sockets_than_for_a_hundred() {
    let few = namespace::in_new_namespace(|| allocations_of_a_scan(100));
    let many = namespace::in_new_namespace(|| allocations_of_a_scan(1000));
    assert_eq!(few, many);
    eprintln!("{few:?} allocations a scan");
}
