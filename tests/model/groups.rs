//! Findings about several processes of one name or unit, on simulated machines.

use portscope::{
    domain::{
        Analysis, DescriptorUse, Ephemeral, Errno, Evidence, Finding, Gap, OwnerKey, PortRange,
        Process, ProcessTable, Snapshot, State, Text, Thresholds, Trends,
        diagnosis::{About, Figure, diagnose},
    },
    host::simulated::SimulatedHost,
};

/// Pid, name, unit and number of sockets.
type Worker<'a> = (u32, &'a str, Option<&'a str>, u16);

fn findings(rule: &str, workers: &[Worker<'_>], snapshot: &Snapshot) -> Vec<Finding> {
    let mut processes = ProcessTable::default();
    for &(pid, name, unit, _) in workers {
        processes.insert(Process {
            pid,
            name: Text::scrub(name),
            command: Some(Text::scrub(name)),
            uid: None,
            started: None,
            unit: unit.map(Text::scrub),
            directory: None,
            parent: None,
        });
    }
    let diagnosis = diagnose(&Evidence {
        snapshot,
        analysis: &Analysis::of(snapshot),
        trends: &Trends::default(),
        processes: &processes,
        before: None,
        thresholds: Thresholds::default(),
    });
    diagnosis.findings.into_iter().filter(|finding| finding.rule == rule).collect()
}

/// Returns a machine with a range of 2,000 ports, which the workers use in ascending order.
fn machine(workers: &[Worker<'_>], state: State) -> Snapshot {
    let range = PortRange::new(40_000, 41_999).unwrap();
    let mut machine = SimulatedHost::builder().ephemeral(Ephemeral::new(range, Vec::new()));
    let mut port = 40_000;
    for &(pid, name, _, sockets) in workers {
        machine = machine.process(pid, name, name, 0);
        for _ in 0..sockets {
            machine = machine.tcp(([10, 0, 0, 7], port), state).owned_by(&[pid]);
            if state != State::Bound {
                machine = machine.connected_to(([10, 0, 3, 17], 443));
            }
            port += 1;
        }
    }
    machine.build().snapshot()
}

fn pids(finding: &Finding) -> Vec<String> {
    let pids = finding.evidence.iter().find(|(name, _)| *name == "pids");
    let Some((_, Figure::List(pids))) = pids else { return Vec::new() };
    pids.clone()
}

#[test]
fn three_leaking_processes_with_one_name_are_one_finding() {
    let workers = [
        (31, "holder", None, 100),
        (32, "holder", None, 100),
        (33, "holder", None, 100),
        (40, "other", None, 100),
    ];
    let leaks = findings("close-wait-leak", &workers, &machine(&workers, State::CloseWait));
    let summaries: Vec<_> = leaks.iter().map(|finding| finding.summary.as_str()).collect();
    assert_eq!(
        summaries,
        [
            "holder, 3 processes: 300 of 300 sockets in CLOSE-WAIT (100 each), to \
             10.0.3.17:443",
            "other[40] leaves 100 of its 100 sockets in CLOSE-WAIT, to 10.0.3.17:443",
        ]
    );
    assert_eq!(pids(&leaks[0]), ["31", "32", "33"]);
    assert_eq!(pids(&leaks[1]), [""; 0]);
    assert_eq!(leaks[0].about, About::Owner(OwnerKey::Process(31)));

    let bound = findings("bound-inactive-leak", &workers, &machine(&workers, State::Bound));
    assert_eq!(bound.len(), 2);
    assert!(bound[0].summary.starts_with("holder, 3 processes: 300 ports of the range (100 each)"));
    assert_eq!(pids(&bound[0]), ["31", "32", "33"]);
}

#[test]
fn the_finding_is_about_the_process_with_most() {
    let workers = [(31, "holder", None, 50), (32, "holder", None, 400), (33, "holder", None, 60)];
    let leaks = findings("close-wait-leak", &workers, &machine(&workers, State::CloseWait));
    assert_eq!(leaks.len(), 1);
    assert!(leaks[0].summary.starts_with("holder, 3 processes: 510 of "), "{leaks:?}");
    assert!(leaks[0].summary.contains("(50 to 400 each)"), "{leaks:?}");
    assert_eq!(leaks[0].about, About::Owner(OwnerKey::Process(32)));
    assert_eq!(pids(&leaks[0]), ["32", "33", "31"]);
}

#[test]
fn processes_of_one_service_are_grouped_and_those_of_a_session_are_not() {
    let of_unit = |unit| [(31, "web-1", Some(unit), 100), (32, "web-2", Some(unit), 100)];
    let service = of_unit("web.service");
    let leaks = findings("close-wait-leak", &service, &machine(&service, State::CloseWait));
    assert_eq!(leaks.len(), 1);
    assert!(leaks[0].summary.starts_with("web.service, 2 processes: 200 of"), "{leaks:?}");
    let session = of_unit("session-4.scope");
    let leaks = findings("close-wait-leak", &session, &machine(&session, State::CloseWait));
    assert_eq!(leaks.len(), 2);
    let instances =
        [(31, "web", Some("web@1.service"), 100), (32, "web", Some("web@2.service"), 100)];
    let leaks = findings("close-wait-leak", &instances, &machine(&instances, State::CloseWait));
    assert_eq!(leaks.len(), 1);
    assert!(leaks[0].summary.starts_with("web, 2 processes: 200 of"), "{leaks:?}");
}

#[test]
fn processes_near_their_descriptor_limit_are_one_finding() {
    let workers = [(31, "holder", None, 0), (32, "holder", None, 0), (33, "holder", None, 0)];
    let mut snapshot = machine(&workers, State::Established);
    snapshot.vitals.descriptors = [(31, 900), (32, 1_000), (33, 500)]
        .map(|(pid, open)| DescriptorUse { pid, open, limit: 1_024, hard_limit: 524_288 })
        .to_vec();
    let near = findings("descriptor-limit", &workers, &snapshot);
    assert_eq!(near.len(), 1);
    let summary = "holder, 2 processes: 900 to 1,000 each of 1,024 descriptors open";
    assert_eq!(near[0].summary, summary);
    assert!(
        near[0].advice[0]
            .contains("for pid in 32 31; do prlimit --pid $pid --nofile=65536:524288;")
    );
    assert_eq!(near[0].about, About::Owner(OwnerKey::Process(32)));
}

/// A command of a finding sets the whole list of reserved ports.
#[test]
fn no_finding_replaces_reserved_ports_that_could_not_be_read() {
    let machine = |gaps: &[Gap]| {
        let range = PortRange::new(1024, 65_535).unwrap();
        let builder = SimulatedHost::builder()
            .ephemeral(Ephemeral::new(range, Vec::new()))
            .process(20, "kubelet", "kubelet", 0)
            .tcp(([0, 0, 0, 0], 40_000), State::Listen)
            .owned_by(&[20])
            .tcp(([127, 0, 0, 1], 40_002), State::Established)
            .connected_to(([127, 0, 0, 1], 40_002))
            .owned_by(&[20]);
        gaps.iter().fold(builder, |builder, gap| builder.gap(gap.clone())).build().snapshot()
    };
    let workers = [(20, "kubelet", None, 0)];
    let rules = ["listener-in-range", "range-overlap", "self-connected"];
    let advice = |snapshot: &Snapshot| -> Vec<usize> {
        let of_rule = |rule: &&str| {
            let found = findings(rule, &workers, snapshot);
            let items = found.iter().flat_map(|finding| &finding.advice);
            items.filter(|item| item.contains("ip_local_reserved_ports=")).count()
        };
        rules.iter().map(of_rule).collect()
    };
    assert_eq!(advice(&machine(&[])), [1, 2, 1]);
    let sysctl = Text::scrub(Gap::RESERVED);
    let assumed = machine(&[Gap::PolicyAssumed { sysctl, error: Errno::EACCES }]);
    assert_eq!(advice(&assumed), [0, 0, 0]);
    assert_eq!(findings("self-connected", &workers, &assumed).len(), 1);
}
