//! The evaluation of one snapshot after another.

use std::{
    net::{TcpListener, TcpStream},
    time::Duration,
};

use portscope::{
    domain::{
        Age, Conntrack, Ephemeral, Monitor, PortRange, ProcessTable, Severity, Snapshot, Source,
        Thresholds,
        diagnosis::{Level, verdict},
    },
    host::{Host as _, OwnerDepth, linux::LinuxHost, simulated::SimulatedHost},
};
use socket2::SockRef;

use crate::namespace::{in_new_namespace, set_sysctl};

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

/// Observes a machine with this many packets dropped by conntrack, and returns what the diagnosis
/// says about them.
fn judge(monitor: &mut Monitor, at: u64, dropped: u64) -> Option<(Severity, String)> {
    let host = SimulatedHost::builder().build();
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    host.scanner().expect("simulated").scan(OwnerDepth::Full, &mut snapshot).expect("simulated");
    (snapshot.number, snapshot.taken_at) = (at, Duration::from_secs(at));
    snapshot.vitals.conntrack =
        Some(Conntrack { count: 500, max: 1000, insert_failed: 0, dropped, translated: None });
    let analysis = monitor.observe(&snapshot);
    let processes = ProcessTable::default();
    let diagnosis = monitor.diagnose(&snapshot, &analysis, &processes, Thresholds::default());
    let finding = diagnosis.findings.into_iter().find(|found| found.rule == "conntrack-full")?;
    Some((finding.severity, finding.summary))
}

#[test]
fn a_counter_is_compared_with_that_of_a_minute_ago_at_most() {
    let mut monitor = Monitor::default();
    let mut judge = |at, dropped| judge(&mut monitor, at, dropped);
    assert_eq!(judge(100, 7).expect("a finding").0, Severity::Notice, "dropped at some time");
    let (severity, summary) = judge(101, 9).expect("a finding");
    assert_eq!(severity, Severity::Critical);
    assert!(summary.contains("2 packets dropped in the last 1.0s"), "{summary}");
    for at in 102..=160 {
        assert_eq!(judge(at, 9).expect("a finding").0, Severity::Critical, "at {at}");
    }
    // The vitals that are kept are five seconds apart.
    for at in 161..=165 {
        judge(at, 9);
    }
    assert_eq!(judge(166, 9), None, "more than a minute after the last one");
}

#[cfg(target_os = "linux")]
#[test]
fn a_destination_that_was_full_a_moment_ago_is_failing_however_few_ports_it_uses_now() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 40063");
        let server = TcpListener::bind("127.0.0.1:5000").expect("a free port");
        let address = server.local_addr().expect("bound");
        let mut held: Vec<TcpStream> =
            (0..64).map(|_| TcpStream::connect(address).expect("a port is left")).collect();
        let host = LinuxHost::new();
        let (mut scanner, mut monitor) = (host.scanner().expect("Linux"), Monitor::default());
        let mut look = || {
            let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
            scanner.scan(OwnerDepth::Full, &mut snapshot).expect("Linux");
            let analysis = monitor.observe(&snapshot);
            let thresholds = Thresholds::default();
            let level = verdict(&analysis, monitor.trends(), thresholds).level;
            let diagnosis =
                monitor.diagnose(&snapshot, &analysis, &ProcessTable::default(), thresholds);
            (level, diagnosis.findings.first().map(|finding| finding.rule))
        };
        assert_eq!(look(), (Level::Exhausted, Some("destination-exhausted")));
        for client in held.drain(3..) {
            // Closes without TIME-WAIT.
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("TCP");
        }
        assert_eq!(look(), (Level::Failing, Some("destination-exhausted")));
    });
}
