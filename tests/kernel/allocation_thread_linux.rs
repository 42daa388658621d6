//! The allocation thread on real sockets, in private network namespaces.

use std::{sync::Arc, time::Duration};

use portscope::{
    allocator::ALLOCATORS,
    domain::{Binder, PortRange, Protocols},
    engine::{
        AllocationRequest as Ask, AllocatorTarget, Report, Setup, Speed,
        allocation::{merge, spawn},
        message::AllocationDelta,
    },
    host::{
        Held,
        linux::{LinuxHost, binder::RealBinder},
    },
};

use crate::{
    mailbox::mailbox,
    namespace::{in_new_namespace, is_linux_at_least, needs_linux},
};

const SOON: Duration = Duration::from_mins(1);

fn thousand() -> PortRange {
    PortRange::new(50_000, 50_999).unwrap()
}

/// Binds all ports except every `free_each`-th one.
fn occupy(protocols: Protocols, free_each: u16) -> Vec<Box<dyn Held>> {
    let mut binder = RealBinder::new(protocols, None).unwrap();
    let taken = thousand().ports().filter(|port| port % free_each != 0);
    taken.map(|port| binder.bind(port).0.unwrap()).collect()
}

/// Returns the sum of all deltas of a run with this number of allocations.
fn run(strategy: usize, protocols: Protocols, holds: bool, allocations: u64) -> AllocationDelta {
    let (outbox, reports) = mailbox(1);
    let thread = spawn(Arc::new(LinuxHost::new()), outbox).unwrap();
    let setup = Setup {
        strategy,
        target: AllocatorTarget::Machine,
        protocols,
        range: thousand(),
        max_attempts: 1_000,
        seed: 1,
        address: None,
        reserved: Vec::new(),
        hold_limit: 1_000,
        stop_after: Some(allocations),
    };
    for request in [Ask::Prepare(setup), Ask::Hold(holds), Ask::Speed(Speed::Max), Ask::Run] {
        assert!(thread.send(request));
    }
    let mut all = AllocationDelta { run: 1, ..AllocationDelta::default() };
    while all.finished.is_none_or(|finished| finished.number < allocations) {
        match reports.recv_timeout(SOON).unwrap() {
            Report::Allocation(delta) => all = merge(all, *delta),
            other => panic!("{other:?}"),
        }
    }
    all
}

#[test]
fn every_strategy_allocates_on_a_machine_that_is_nearly_full() {
    let has_option = needs_linux((6, 3), "has IP_LOCAL_PORT_RANGE, which kernel-bind needs");
    in_new_namespace(|| {
        for protocols in [Protocols::Udp, Protocols::Tcp] {
            let _others = occupy(protocols, 50);
            // Before Linux 6.8 the kernel does not list TCP sockets that are only bound.
            let lists_all = protocols == Protocols::Udp || is_linux_at_least((6, 8));
            for (number, row) in ALLOCATORS.iter().enumerate() {
                if row.lets_machine_choose && !has_option {
                    continue;
                }
                let all = run(number, protocols, false, 100);
                assert!(all.stats.successes > 0, "{}", row.name);
                assert!(all.attempts_by_port.iter().all(|&(port, _)| thousand().contains(port)));
                let is_reported = all.stats.snapshots.0 > 0 && !all.stats.snapshots.1.is_zero();
                assert_eq!(is_reported, row.needs_port_view, "{}", row.name);
                if row.needs_port_view && lists_all || row.lets_machine_choose {
                    assert_eq!((all.stats.attempts, all.stats.failures), (100, 0), "{}", row.name);
                }
            }
        }
    });
}

#[test]
fn bitmap_does_not_try_ports_held_by_others() {
    in_new_namespace(|| {
        let _others = occupy(Protocols::Udp, 50);
        let bitmap = ALLOCATORS.iter().position(|row| row.name == "bitmap").unwrap();
        let all = run(bitmap, Protocols::Udp, true, 25);
        assert_eq!((all.stats.successes, all.stats.attempts, all.held.len()), (20, 20, 20));
        assert_eq!((all.stats.failures, all.stats.failed_attempts), (5, 0), "nothing looked free");
    });
}
