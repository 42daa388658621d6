//! Rules about limits, counters, translation and gaps: each condition created for real in a network
//! namespace, and its absence. Limits of the whole machine are not set but simulated.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::OwnedFd,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use portscope::{
    domain::{
        Analysis, Conntrack, Diagnosis, Errno, Evidence, Finding, Gap, PortRange, Process,
        ProcessTable, Protocol, Severity, Snapshot, Source, Text, Thresholds, Translation, Trends,
        Vitals,
        diagnosis::{Figure, diagnose},
    },
    host::{
        Host as _, OwnerDepth, Scanner as _,
        linux::{LinuxHost, LinuxScanner},
    },
};
use rustix::process::{Pid, Resource, Rlimit};
use socket2::{Domain, Socket, Type};

use crate::{
    namespace::{in_new_namespace, is_linux_at_least, set_sysctl},
    processes::{Sleeper, alone, not_tested},
};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A scanner in the thread's namespace, and its last snapshot.
struct VitalsScanner {
    scanner: LinuxScanner,
    snapshot: Snapshot,
    processes: ProcessTable,
}

impl VitalsScanner {
    fn new() -> Self {
        let machine = LinuxHost::new().machine();
        Self::with(
            LinuxScanner::new(Arc::clone(&machine)),
            Snapshot::empty(machine, Source::SockDiag),
        )
    }

    fn with(scanner: LinuxScanner, snapshot: Snapshot) -> Self {
        Self { scanner, snapshot, processes: ProcessTable::default() }
    }

    fn scan(&mut self, owners: OwnerDepth) -> &mut Self {
        self.scanner.scan(owners, &mut self.snapshot).unwrap();
        self
    }

    fn diagnosis(&self, before: Option<(&Vitals, f64)>) -> Diagnosis {
        diagnose(&Evidence {
            snapshot: &self.snapshot,
            analysis: &Analysis::of(&self.snapshot),
            trends: &Trends::default(),
            processes: &self.processes,
            before,
            thresholds: Thresholds::default(),
        })
    }

    /// Returns the findings of a rule for the last snapshot alone.
    fn find(&self, rule: &str) -> Vec<Finding> {
        self.diagnosis(None).findings.into_iter().filter(|f| f.rule == rule).collect()
    }

    /// Returns the only finding of a rule.
    #[track_caller]
    fn one(&self, rule: &str) -> Finding {
        let mut found = self.find(rule);
        assert_eq!(found.len(), 1, "{rule}: {found:#?} {:#?}", self.snapshot.vitals);
        found.remove(0)
    }

    /// Returns the findings of a rule with `before` as the vitals of two seconds ago.
    fn find_since(&self, before: &Vitals, rule: &str) -> Vec<Finding> {
        let found = self.diagnosis(Some((before, 2.0))).findings;
        found.into_iter().filter(|finding| finding.rule == rule).collect()
    }
}

fn figure(finding: &Finding, name: &str) -> Option<Figure> {
    finding.evidence.iter().find(|(known, _)| *known == name).map(|(_, figure)| figure.clone())
}

/// Asserts that a finding is complete and contains these words.
#[track_caller]
fn assert_finding(finding: &Finding, severity: Severity, words: &[&str]) {
    assert_eq!(finding.severity, severity, "{finding:#?}");
    assert!(!finding.summary.contains('\n') && !finding.meaning.is_empty());
    assert!(!finding.advice.is_empty() && !finding.evidence.is_empty(), "{finding:#?}");
    for word in words {
        let is_said = finding.summary.contains(word) || finding.advice.join("\n").contains(word);
        assert!(is_said, "{word:?} is not in {finding:#?}");
    }
}

fn listener(backlog: i32) -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(backlog).unwrap();
    socket.into()
}

/// Starts to connect, and does not wait for the answer.
fn begin_to_connect(to: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(115) => panic!("{error}"), // EINPROGRESS
        _ => socket,
    }
}

/// Connects, and closes first, so that the client's port is left in TIME-WAIT.
fn leave_time_wait(server: &TcpListener) {
    let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    let (mut accepted, _) = server.accept().unwrap();
    drop(client);
    io::copy(&mut accepted, &mut io::sink()).unwrap();
}

/// Scans until `is_there` is true, or fails.
#[track_caller]
fn scan_until(
    vitals_scanner: &mut VitalsScanner,
    owners: OwnerDepth,
    is_there: fn(&Snapshot) -> bool,
) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_there(&vitals_scanner.scan(owners).snapshot) {
        assert!(Instant::now() < deadline, "{:#?}", vitals_scanner.snapshot.vitals);
        std::thread::yield_now();
    }
}

#[test]
fn a_large_reservation_is_reported_and_a_small_one_is_not() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 40063");
        let mut vitals_scanner = VitalsScanner::new();
        for (reserved, expected) in [
            ("", None),
            ("8080,40000-40014", None),
            ("8080,40000-40015", Some(Severity::Notice)),
            ("40000-40030,40032", Some(Severity::Warning)),
        ] {
            set_sysctl("ip_local_reserved_ports", &format!("{reserved}\n"));
            let found = vitals_scanner.scan(OwnerDepth::Skip).find("reserved-large");
            assert_eq!(found.first().map(|f| f.severity), expected, "{reserved:?}");
        }
        let finding = vitals_scanner.one("reserved-large");
        assert_finding(
            &finding,
            Severity::Warning,
            &["50.0 %", "leaves 32 of 64 ports", "ip_local_reserved_ports"],
        );
        assert_eq!(figure(&finding, "reserved_ports"), Some(Figure::Count(32)));
    });
}

#[test]
fn connections_that_leave_no_time_wait_are_reported() {
    in_new_namespace(|| {
        set_sysctl("tcp_max_tw_buckets", "3");
        let mut vitals_scanner = VitalsScanner::new();
        let server = listener(16);
        assert_eq!(vitals_scanner.scan(OwnerDepth::Skip).find("time-wait-overflow"), []);
        let before = vitals_scanner.snapshot.vitals.clone();

        for _ in 0..7 {
            leave_time_wait(&server);
        }

        scan_until(&mut vitals_scanner, OwnerDepth::Skip, |snapshot| {
            snapshot.vitals.time_wait_overflow == Some(4)
        });
        assert_eq!(vitals_scanner.snapshot.vitals.time_wait, Some(3));
        assert_finding(
            &vitals_scanner.one("time-wait-overflow"),
            Severity::Warning,
            &["3 of 3 TIME-WAIT"],
        );
        let growing = &vitals_scanner.find_since(&before, "time-wait-overflow")[0];
        assert_finding(growing, Severity::Warning, &["4 connections", "tcp_max_tw_buckets"]);
        assert_eq!(figure(growing, "overflows_per_second"), Some(Figure::PerSecond(2.0)));

        // Once there is room again, an earlier overflow is a notice; it is no finding if it is
        // known to be old.
        set_sysctl("tcp_max_tw_buckets", "100");
        let old = vitals_scanner.scan(OwnerDepth::Skip).one("time-wait-overflow");
        assert_eq!(old.severity, Severity::Notice);
        let now = vitals_scanner.snapshot.vitals.clone();
        assert_eq!(vitals_scanner.find_since(&now, "time-wait-overflow"), []);
    });
}

#[test]
fn a_full_listen_queue_names_its_listener_and_its_process() {
    in_new_namespace(|| {
        let _alone = alone();
        let mut vitals_scanner = VitalsScanner::new();
        let (idle, full) = (listener(16), listener(1));
        assert_eq!(vitals_scanner.scan(OwnerDepth::Full).find("listen-overflow"), []);
        let before = vitals_scanner.snapshot.vitals.clone();

        let address = full.local_addr().unwrap();
        let clients: Vec<Socket> = (0..4).map(|_| begin_to_connect(address)).collect();

        scan_until(&mut vitals_scanner, OwnerDepth::Full, |snapshot| {
            snapshot.vitals.listen_overflows.is_some_and(|overflows| overflows > 0)
        });
        let finding = vitals_scanner.one("listen-overflow");
        let pid = format!("pid {}", std::process::id());
        let words = [&address.to_string(), &pid, "2 connections wait", "backlog is 1", "somaxconn"];
        assert_finding(&finding, Severity::Critical, &words);

        // No queue is full any more, but the counter has grown.
        drop(clients);
        drop(full);
        vitals_scanner.scan(OwnerDepth::Full);
        let growing = &vitals_scanner.find_since(&before, "listen-overflow")[0];
        assert_finding(growing, Severity::Warning, &["none is known to be full now"]);
        drop(idle);
    });
}

#[test]
fn a_process_near_its_descriptor_limit_is_reported() {
    in_new_namespace(|| {
        let _alone = alone();
        let held: OwnedFd = UdpSocket::bind(("127.0.0.1", 0)).unwrap().into();
        let child = Sleeper::holding(&held);
        wait_until_asleep(child.pid());
        let pid = u64::from(child.pid());
        let of_child = |f: &Finding| figure(f, "pid") == Some(Figure::Count(pid));
        let mut idle_vitals = VitalsScanner::new();
        let descriptors = &idle_vitals.scan(OwnerDepth::Full).snapshot.vitals.descriptors;
        let open = descriptors.iter().find(|row| row.pid == child.pid()).unwrap().open;
        assert!(!idle_vitals.find("descriptor-limit").iter().any(of_child));

        let limit = Rlimit { current: Some(open.into()), maximum: Some(open.into()) };
        let target = Pid::from_raw(child.pid().cast_signed()).unwrap();
        rustix::process::prlimit(Some(target), Resource::Nofile, limit).unwrap();

        // A new scanner, because the first one reads descriptors again only after some seconds.
        let mut vitals_scanner = VitalsScanner::new();
        vitals_scanner.scan(OwnerDepth::Full);
        vitals_scanner.processes.insert(named(child.pid(), "payments"));
        let found = vitals_scanner.find("descriptor-limit");
        let finding = found.iter().find(|finding| of_child(finding)).unwrap();
        let used = format!("{open} of {open} descriptors");
        assert_finding(finding, Severity::Critical, &["payments", &used, "prlimit --pid"]);
        assert!(finding.meaning.contains("EMFILE"));
    });
}

#[test]
fn nat_without_a_port_left_is_critical_at_the_first_scan() {
    in_new_namespace(|| {
        let server = listener(16);
        let address = server.local_addr().unwrap();
        if !translate(address.port(), "127.0.0.9:40000-40003") {
            return not_tested("nft cannot translate addresses here");
        }
        let mut vitals_scanner = VitalsScanner::new();
        assert_eq!(vitals_scanner.scan(OwnerDepth::Skip).find("nat-ports-exhausted"), []);
        let before = vitals_scanner.snapshot.vitals.clone();
        let three: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        assert_eq!(VitalsScanner::new().scan(OwnerDepth::Skip).find("nat-ports-exhausted"), []);

        let fourth = TcpStream::connect(address).unwrap();
        let fifth = begin_to_connect(address);

        let mut vitals_scanner = VitalsScanner::new();
        scan_until(&mut vitals_scanner, OwnerDepth::Skip, |snapshot| {
            snapshot.vitals.conntrack.as_ref().is_some_and(|table| table.insert_failed > 0)
        });
        let finding = vitals_scanner.one("nat-ports-exhausted");
        let destination = address.to_string();
        let words = ["every port from 40000 to 40003", &destination, "127.0.0.9", "masquerade to"];
        assert_finding(&finding, Severity::Critical, &words);
        let growing = &vitals_scanner.find_since(&before, "nat-ports-exhausted")[0];
        assert_eq!(growing.severity, Severity::Critical);
        assert_eq!(vitals_scanner.find("conntrack-full"), [], "these drops are the translation's");
        // The fifth connect() hangs, without an errno.
        assert_eq!(fifth.take_error().unwrap().map(|error| error.to_string()), None);
        assert!(fifth.peer_addr().is_err());
        drop((three, fourth));
    });
}

#[test]
fn a_nat_range_inside_the_ephemeral_range_is_reported() {
    in_new_namespace(|| {
        let server = listener(16);
        let address = server.local_addr().unwrap();
        if !translate(address.port(), "127.0.0.9:40000-40003") {
            return not_tested("nft cannot translate addresses here");
        }
        let _held: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(address).unwrap()).collect();
        let vitals_scanner = &mut VitalsScanner::new();
        let finding = vitals_scanner.scan(OwnerDepth::Skip).one("range-overlap");
        assert_finding(&finding, Severity::Notice, &["127.0.0.9", "40000-40003", "4 of them"]);
        set_sysctl("ip_local_port_range", "41000 42000");
        assert_eq!(vitals_scanner.scan(OwnerDepth::Skip).find("range-overlap"), []);
    });
}

#[test]
fn overlaps_with_kubernetes_and_common_service_ports_are_reported() {
    in_new_namespace(|| {
        let mut vitals_scanner = VitalsScanner::new();
        vitals_scanner.processes.insert(named(1, "kubelet"));
        for (range, reserved, expected) in [
            ("32768 60999", "", None),
            ("30000 60999", "", Some("NodePort")),
            ("30000 60999", "30000-32767", None),
            ("9000 29999", "", Some("starts at 9000")),
            ("10000 29999", "", None),
        ] {
            set_sysctl("ip_local_port_range", range);
            set_sysctl("ip_local_reserved_ports", &format!("{reserved}\n"));
            let found = vitals_scanner.scan(OwnerDepth::Skip).find("range-overlap");
            assert_eq!(found.len(), usize::from(expected.is_some()), "{range}: {found:#?}");
            if let (Some(finding), Some(words)) = (found.first(), expected) {
                assert_finding(finding, Severity::Notice, &[words, "net.ipv4."]);
            }
        }
        set_sysctl("ip_local_port_range", "30000 60999");
        vitals_scanner.processes = ProcessTable::default();
        assert_eq!(
            vitals_scanner.scan(OwnerDepth::Skip).find("range-overlap"),
            [],
            "no Kubernetes here"
        );
    });
}

#[test]
fn gaps_are_findings() {
    in_new_namespace(|| {
        let mut without_gap = VitalsScanner::new();
        // Before Linux 6.8, bound-inactive sockets are found only together with owners.
        let lists_all = is_linux_at_least((6, 8));
        let depth = if lists_all { OwnerDepth::Skip } else { OwnerDepth::Full };
        assert_eq!(without_gap.scan(depth).snapshot.vitals.gaps, []);
        assert_eq!(without_gap.find("not-seen"), []);

        let machine = LinuxHost::new().machine();
        let refused = Err(Errno::EACCES);
        let scanner = LinuxScanner::over(Arc::clone(&machine), refused);
        let mut with_gap = VitalsScanner::with(scanner, Snapshot::empty(machine, Source::Procfs));
        let found = with_gap.scan(OwnerDepth::Skip).find("not-seen");
        assert_eq!(found.len(), with_gap.snapshot.gaps.len());
        assert_finding(&found[0], Severity::Notice, &["could not read", "NETLINK_SOCK_DIAG"]);

        let table = portscope::domain::Table::Udp4;
        with_gap.snapshot.gaps = vec![Gap::DumpInterrupted { table }];
        assert_finding(
            &with_gap.one("not-seen"),
            Severity::Warning,
            &["UDP over IPv4", "scan again"],
        );
    });
}

/// `tcp_max_orphans` and `nf_conntrack_max` apply to the whole machine, so the test does not change
/// them.
#[test]
fn machine_limits_are_evaluated_with_made_up_vitals() {
    in_new_namespace(|| {
        let mut vitals_scanner = VitalsScanner::new();
        vitals_scanner.scan(OwnerDepth::Skip);
        assert_eq!(vitals_scanner.find("orphans-high"), []);
        assert_eq!(vitals_scanner.find("conntrack-full"), []);
        for (orphans, expected) in
            [(4095, None), (4096, Some(Severity::Warning)), (6144, Some(Severity::Critical))]
        {
            let vitals = &mut vitals_scanner.snapshot.vitals;
            (vitals.orphans, vitals.max_orphans) = (Some(orphans), Some(8192));
            let found = vitals_scanner.find("orphans-high");
            assert_eq!(found.first().map(|f| f.severity), expected, "{orphans}");
        }
        assert_finding(
            &vitals_scanner.one("orphans-high"),
            Severity::Critical,
            &["6,144", "tcp_max_orphans"],
        );

        let before = Vitals { conntrack: Some(Conntrack::default()), ..Vitals::default() };
        for (count, dropped, alone, growing) in [
            (69, 0, None, None),
            (70, 0, Some(Severity::Warning), Some(Severity::Warning)),
            (85, 0, Some(Severity::Critical), Some(Severity::Critical)),
            (10, 9, Some(Severity::Notice), Some(Severity::Critical)),
        ] {
            let table = Conntrack { count, max: 100, dropped, ..Conntrack::default() };
            vitals_scanner.snapshot.vitals.conntrack = Some(table);
            let severity = |found: Vec<Finding>| found.first().map(|f| f.severity);
            assert_eq!(severity(vitals_scanner.find("conntrack-full")), alone, "{count}");
            assert_eq!(
                severity(vitals_scanner.find_since(&before, "conntrack-full")),
                growing,
                "{count}"
            );
        }
        let finding = vitals_scanner.one("conntrack-full");
        assert_finding(&finding, Severity::Notice, &["10 of 100 entries", "nf_conntrack_max=200"]);
    });
}

/// The range of a NAT rule cannot be read, so whether it is full is inferred from the ports in use.
#[test]
fn only_dense_nat_ports_count_as_a_full_range() {
    in_new_namespace(|| {
        let mut vitals_scanner = VitalsScanner::new();
        vitals_scanner.scan(OwnerDepth::Skip);
        let before = Vitals { conntrack: Some(Conntrack::default()), ..Vitals::default() };
        let (notice, warning, critical) =
            (Some(Severity::Notice), Some(Severity::Warning), Some(Severity::Critical));
        for (what, ports, moved, last, failed, alone, growing) in [
            ("nothing", 0, 0, 40_000, 0, None, None),
            ("a client that counts up", 8, 0, 40_007, 0, None, None),
            ("the same, and a race", 8, 0, 40_007, 3, notice, warning),
            ("chosen at random", 500, 500, 60_000, 0, None, None),
            ("a range of one port", 1, 1, 40_000, 1, notice, critical),
            ("a full range, nothing failed yet", 4, 4, 40_003, 0, warning, warning),
            ("a range filled as far as the kernel tries", 97, 97, 40_099, 1, critical, critical),
            ("three quarters of all ports", 48_384, 9, 65_535, 0, warning, warning),
            ("nearly all ports", 60_000, 9, 65_535, 0, critical, critical),
        ] {
            let first = if ports > 25_000 { 1024 } else { 40_000 };
            let row = Translation {
                protocol: Protocol::Tcp,
                source: [10, 0, 0, 1].into(),
                destination: ([10, 0, 0, 2], 443).into(),
                ports,
                moved,
                seen: PortRange::new(first, last).unwrap(),
            };
            let (count, max, insert_failed, dropped) = (ports, 1_000_000, failed, failed);
            let translated = Some(vec![row]);
            let table = Conntrack { count, max, insert_failed, dropped, translated };
            vitals_scanner.snapshot.vitals.conntrack = Some(table);
            let severity = |found: Vec<Finding>| found.first().map(|finding| finding.severity);
            assert_eq!(severity(vitals_scanner.find("nat-ports-exhausted")), alone, "{what}");
            let since = vitals_scanner.find_since(&before, "nat-ports-exhausted");
            assert_eq!(severity(since), growing, "{what}, growing");
        }
    });
}

#[test]
fn vitals_match_the_kernel() {
    in_new_namespace(|| {
        set_sysctl("tcp_max_tw_buckets", "77");
        let _alone = alone();
        let held: OwnedFd = UdpSocket::bind(("127.0.0.1", 0)).unwrap().into();
        let child = Sleeper::holding(&held);
        wait_until_asleep(child.pid());
        let mut vitals_scanner = VitalsScanner::new();
        let vitals = &vitals_scanner.scan(OwnerDepth::Full).snapshot.vitals;
        assert_eq!(vitals.max_time_wait, Some(77));
        assert_eq!((vitals.time_wait, vitals.time_wait_overflow), (Some(0), Some(0)));
        assert_eq!((vitals.listen_overflows, vitals.listen_drops), (Some(0), Some(0)));
        assert!(vitals.orphans.is_some() && vitals.orphans_killed.is_some());
        let row = vitals.descriptors.iter().find(|row| row.pid == child.pid()).unwrap();
        // Another test may have changed the limit of this process meanwhile.
        let limits = fs::read_to_string(format!("/proc/{}/limits", child.pid())).unwrap();
        let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files "));
        let limit = limit.unwrap().split_whitespace().next().unwrap();
        assert_eq!(row.limit, limit.parse().unwrap_or(u64::MAX), "inherited");
        let open = fs::read_dir(format!("/proc/{}/fd", child.pid())).unwrap().count();
        assert_eq!(row.open as usize, open);
        if let Some(table) = &vitals.conntrack {
            assert_eq!((table.count, table.insert_failed), (0, 0), "nothing is tracked here");
            assert_eq!(table.translated, Some(Vec::new()));
        }
    });
}

/// Adds a NAT rule that gives connections to this port of 127.0.0.1 another source. Returns false
/// if nft cannot do that.
fn translate(port: u16, source: &str) -> bool {
    let _alone = alone();
    let rules = format!(
        "add table ip nat\n\
         add chain ip nat out {{ type nat hook postrouting priority 100 ; }}\n\
         add rule ip nat out ip daddr 127.0.0.1 tcp dport {port} snat to {source}\n"
    );
    let is_done = |line| Command::new("nft").arg(line).output().is_ok_and(|o| o.status.success());
    rules.lines().all(is_done)
}

/// Waits until the process sleeps: then it has loaded its libraries, and its descriptors no longer
/// change.
fn wait_until_asleep(pid: u32) {
    let deadline = Instant::now() + TIMEOUT;
    while !fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains("(sleep) S") {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

fn named(pid: u32, name: &str) -> Process {
    let name = Text::scrub(name);
    Process {
        pid,
        command: Some(name.clone()),
        name,
        uid: None,
        started: None,
        unit: None,
        directory: None,
        parent: None,
    }
}
