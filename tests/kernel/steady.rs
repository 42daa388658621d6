//! A refresh without changes allocates no memory per socket. Counts allocations; does not measure
//! time.

use crate::{counting, mixture, namespace, population, processes};

use portscope::{
    domain::{Snapshot, Source},
    host::{Host as _, OwnerDepth, Scanner, linux::LinuxHost},
};

/// So few allocations per scan are none per socket.
const ALLOWED: u64 = 100;

#[test]
fn an_unchanged_refresh_allocates_no_memory_per_socket() {
    processes::in_process_of_its_own("steady::role_unchanged_refresh");
}

#[test]
#[ignore = "a role: its descriptors are inherited by every process that starts meanwhile"]
fn role_unchanged_refresh() {
    if !processes::is_in_role() {
        return;
    }
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
    let before = counting::by_this_thread();
    scanner.scan(depth, snapshot).unwrap();
    counting::by_this_thread() - before
}
