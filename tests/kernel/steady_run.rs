//! An attempt allocates no memory, and a report little. Counts allocations; does not measure time.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use portscope::{
    domain::{Protocols, port::IANA_DYNAMIC},
    engine::{AllocationRequest, AllocatorTarget, Outbox, Report, Setup, Speed, allocation::spawn},
    host::simulated::SimulatedHost,
};

use crate::{counting, processes};

const ALLOCATIONS: u64 = 20_000;
const ATTEMPTS_EACH: u32 = 100;

struct Mailbox(mpsc::Sender<Report>);

impl Outbox for Mailbox {
    fn offer(&self, report: Report) -> Result<(), Report> {
        self.deliver(report);
        Ok(())
    }

    fn deliver(&self, report: Report) -> bool {
        self.0.send(report).is_ok()
    }
}

#[test]
fn refused_attempts_allocate_no_memory() {
    processes::in_process_of_its_own("steady_run::role_refused_attempts");
}

#[test]
#[ignore = "a role: counts the allocations of its process"]
fn role_refused_attempts() {
    if !processes::is_in_role() {
        return;
    }
    let (reports, inbox) = mpsc::channel();
    let host = Arc::new(SimulatedHost::builder().build());
    let thread = spawn(host, Box::new(Mailbox(reports))).unwrap();
    let setup = Setup {
        strategy: 0,
        target: AllocatorTarget::Simulated { share: 1.0 },
        protocols: Protocols::Udp,
        range: IANA_DYNAMIC,
        max_attempts: ATTEMPTS_EACH,
        seed: 1,
        address: None,
        reserved: Vec::new(),
        hold_limit: 0,
        stop_after: Some(ALLOCATIONS),
    };
    assert!(thread.send(AllocationRequest::Prepare(setup)));
    assert!(thread.send(AllocationRequest::Speed(Speed::Max)));
    let timeout = Duration::from_mins(1);
    for _ in 0..3 {
        inbox.recv_timeout(timeout).unwrap();
    }

    let before = counting::by_the_process();
    assert!(thread.send(AllocationRequest::Run));
    let (mut deltas, mut attempts) = (0, 0);
    while attempts < ALLOCATIONS * u64::from(ATTEMPTS_EACH) {
        let Report::Allocation(delta) = inbox.recv_timeout(timeout).unwrap() else { panic!() };
        (deltas, attempts) = (deltas + 1, attempts + delta.stats.attempts);
    }
    let asked = counting::by_the_process() - before;

    eprintln!("{asked} allocations for {deltas} reports of {attempts} attempts");
    assert!(asked < 100 * (deltas + 1), "{asked} allocations for {deltas} reports");
}
