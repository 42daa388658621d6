//! The evaluation of one snapshot after another.

use std::time::Duration;

use portscope::{
    domain::{Age, Ephemeral, Monitor, PortRange, ProcessTable, Snapshot, Source, Thresholds},
    host::{Host as _, OwnerDepth, simulated::SimulatedHost},
};

/// Diagnoses a machine whose range has this many ports, and returns the age of `range-narrow`.
fn age(monitor: &mut Monitor, at: u64, ports: u16) -> Option<Age> {
    let range = PortRange::new(40_000, 39_999 + ports).expect("at least one port");
    let host = SimulatedHost::builder().ephemeral(Ephemeral::new(range, Vec::new())).build();
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    let mut scanner = host.scanner().expect("simulated");
    scanner.scan(OwnerDepth::Full, &mut snapshot).expect("simulated");
    (snapshot.number, snapshot.taken_at) = (at, Duration::from_secs(at));
    let analysis = monitor.observe(&snapshot);
    let processes = ProcessTable::default();
    let diagnosis = monitor.diagnose(&snapshot, &analysis, &processes, Thresholds::default());
    let finding = diagnosis.findings.iter().find(|finding| finding.rule == "range-narrow")?;
    monitor.age(finding, &snapshot)
}

#[test]
fn a_finding_is_as_old_as_the_first_of_the_snapshots_that_all_have_it() {
    let mut monitor = Monitor::default();
    assert_eq!(age(&mut monitor, 100, 20_000), None);
    assert_eq!(age(&mut monitor, 101, 500), Some(Age::Exactly(Duration::ZERO)));
    assert_eq!(age(&mut monitor, 130, 500), Some(Age::Exactly(Duration::from_secs(29))));
    assert_eq!(age(&mut monitor, 131, 20_000), None);
    assert_eq!(age(&mut monitor, 132, 500), Some(Age::Exactly(Duration::ZERO)));
}

#[test]
fn a_finding_of_the_first_snapshot_may_be_older() {
    let mut monitor = Monitor::default();
    assert_eq!(age(&mut monitor, 100, 500), Some(Age::AtLeast(Duration::ZERO)));
    assert_eq!(age(&mut monitor, 160, 500), Some(Age::AtLeast(Duration::from_mins(1))));
}
