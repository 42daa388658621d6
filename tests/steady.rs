//! A refresh without changes allocates no memory per socket. Counts allocations; does not measure
//! time.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test: what is not there fails it")]

#[path = "support/mixture.rs"]
mod mixture;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/population.rs"]
mod population;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use portscope::{
    domain::{Snapshot, Source},
    host::{Host as _, OwnerDepth, Scanner, linux::LinuxHost},
};

/// So few allocations per scan are none per socket.
const ALLOWED: u64 = 100;

#[test]
fn an_unchanged_refresh_allocates_no_memory_per_socket() {
    population::raise_descriptor_limit().unwrap();
    namespace::in_new_namespace(|| {
        let population = mixture::build().unwrap();
        let host = LinuxHost::new();
        let mut scanner = host.scanner().unwrap();
        let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
        scan(&mut *scanner, OwnerDepth::Full, &mut snapshot);
        scan(&mut *scanner, OwnerDepth::Incremental, &mut snapshot);

        let allocations = scan(&mut *scanner, OwnerDepth::Incremental, &mut snapshot);

        let sockets = snapshot.sockets.len();
        eprintln!("{allocations} allocations in a steady scan of {sockets} sockets");
        assert!(sockets >= population.sockets() / 2);
        assert!(allocations <= ALLOWED, "{allocations} allocations for {sockets} sockets");
    });
}

/// Returns how many allocations this thread made during the scan.
fn scan(scanner: &mut dyn Scanner, depth: OwnerDepth, snapshot: &mut Snapshot) -> u64 {
    let before = ALLOCATIONS.get();
    scanner.scan(depth, snapshot).unwrap();
    ALLOCATIONS.get() - before
}

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "counting needs an allocator, and that trait is unsafe")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
