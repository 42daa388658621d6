//! Rules about ports: each condition created for real in a network namespace, and its absence.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use portscope::{
    domain::{
        Analysis, Diagnosis, Evidence, Finding, Left, OwnerKey, ProcessTable, Severity, Snapshot,
        Source, State, Thresholds, Trends,
        diagnosis::{About, Figure, diagnose},
    },
    host::{
        Host as _, OwnerDepth, Scanner as _,
        linux::{LinuxHost, LinuxScanner},
    },
};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use crate::namespace::{create_sockets_in_order, in_new_namespace, set_sysctl};

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Ports of the servers, below every ephemeral range used here.
const SERVERS: [u16; 2] = [5000, 5001];
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(LOCAL), 0);

/// A private namespace with an ephemeral range of the test and two servers.
struct TestNamespace {
    servers: [TcpListener; 2],
}

impl TestNamespace {
    /// Runs `body` in a new namespace with this range.
    fn set(range: &str, body: impl FnOnce(&Self) + Send) {
        in_new_namespace(|| {
            create_sockets_in_order();
            set_sysctl("ip_local_port_range", range);
            let servers = SERVERS.map(|port| TcpListener::bind((LOCAL, port)).unwrap());
            body(&Self { servers });
        });
    }

    fn small(body: impl FnOnce(&Self) + Send) {
        Self::set("40000 40063", body);
    }

    fn address(&self, server: usize) -> SocketAddr {
        self.servers[server].local_addr().unwrap()
    }

    /// Returns a client and the accepted socket.
    fn connect(&self, server: usize) -> io::Result<[TcpStream; 2]> {
        let client = TcpStream::connect(self.address(server))?;
        Ok([client, self.servers[server].accept()?.0])
    }

    fn connections(&self, server: usize, count: usize) -> Vec<[TcpStream; 2]> {
        (0..count).map(|_| self.connect(server).unwrap()).collect()
    }

    /// Connects like a program that sets a source address without IP_BIND_ADDRESS_NO_PORT.
    fn connect_bound(&self, server: usize) -> io::Result<[TcpStream; 2]> {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        client.bind(&ANY.into())?;
        client.connect(&self.address(server).into())?;
        Ok([client.into(), self.servers[server].accept()?.0])
    }

    /// Opens connections that their client closes first.
    fn time_waits(&self, server: usize, count: usize) {
        for [client, accepted] in self.connections(server, count) {
            drop(client);
            wait_for_end(&accepted);
        }
    }

    /// Returns the errno of a connect(); None: it succeeds.
    fn errno_of_connect(&self, server: usize) -> Option<Errno> {
        let connected = TcpStream::connect(self.address(server));
        connected.err().and_then(|error| Errno::from_io_error(&error))
    }
}

fn wait_for_end(mut accepted: &TcpStream) {
    use std::io::Read as _;
    assert_eq!(accepted.read(&mut [0]).unwrap(), 0, "the other end was closed");
}

fn bound(kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, kind, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    Ok(socket)
}

/// A scan and its diagnosis.
struct Diagnosed {
    snapshot: Snapshot,
    analysis: Analysis,
    diagnosis: Diagnosis,
}

impl Diagnosed {
    fn now() -> Self {
        let machine = LinuxHost::new().machine();
        let mut snapshot = Snapshot::empty(Arc::clone(&machine), Source::SockDiag);
        let mut scanner = LinuxScanner::new(machine);
        scanner.scan(OwnerDepth::Full, &mut snapshot).unwrap();
        if snapshot.needs_numbered() {
            scanner.ask_numbered(&mut snapshot);
        }
        let analysis = Analysis::of(&snapshot);
        let diagnosis = diagnose(&Evidence {
            snapshot: &snapshot,
            analysis: &analysis,
            trends: &Trends::default(),
            processes: &ProcessTable::default(),
            before: None,
            thresholds: Thresholds::default(),
        });
        Self { snapshot, analysis, diagnosis }
    }

    fn find(&self, rule: &str) -> Vec<&Finding> {
        self.diagnosis.findings.iter().filter(|finding| finding.rule == rule).collect()
    }

    /// Returns the only finding of a rule, after checking that it is complete.
    #[track_caller]
    fn one(&self, rule: &str, severity: Severity, words: &[&str]) -> &Finding {
        let found = self.find(rule);
        assert_eq!(found.len(), 1, "{rule}: {:#?}", self.diagnosis);
        let finding = found[0];
        assert_eq!(finding.severity, severity, "{finding:#?}");
        assert!(!finding.meaning.is_empty() && !finding.advice.is_empty(), "{finding:#?}");
        assert!(!finding.evidence.is_empty() && !finding.avoid.is_empty(), "{finding:#?}");
        let said = [&finding.summary, &finding.meaning, &finding.advice.join("\n")]
            .map(String::as_str)
            .join("\n");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in {finding:#?}");
        }
        finding
    }

    #[track_caller]
    fn assert_no_finding(&self, rule: &str) {
        assert!(self.find(rule).is_empty(), "{:#?}", self.find(rule));
    }
}

fn figure<'a>(finding: &'a Finding, name: &str) -> &'a Figure {
    &finding.evidence.iter().find(|(known, _)| *known == name).expect(name).1
}

fn own() -> String {
    format!("pid {}", std::process::id())
}

#[test]
fn a_full_destination_is_critical_and_another_has_ports_left() {
    TestNamespace::small(|test_namespace| {
        let _held = test_namespace.connections(0, 64);
        assert_eq!(test_namespace.errno_of_connect(0), Some(Errno::ADDRNOTAVAIL));
        let diagnosed = Diagnosed::now();
        let words = ["127.0.0.1:5000", "64 of 64", &own(), "EADDRNOTAVAIL", "64 ports are left"];
        let finding = diagnosed.one("destination-exhausted", Severity::Critical, &words);
        let About::Destination(destination) = finding.about else { panic!("{finding:#?}") };
        assert_eq!(destination.remote, (LOCAL, 5000).into());
        assert_eq!(figure(finding, "others_available"), &Figure::Count(64));
        diagnosed.assert_no_finding("bind-before-connect");
        diagnosed.assert_no_finding("time-wait-pile");
        assert_eq!(
            test_namespace.errno_of_connect(1),
            None,
            "the other destination is free indeed"
        );
    });
}

#[test]
fn a_range_filled_by_bind_is_critical() {
    TestNamespace::small(|test_namespace| {
        let held: Vec<_> = (0..64).map(|_| bound(Type::STREAM).unwrap()).collect();
        assert_eq!(Errno::from_io_error(&bound(Type::STREAM).unwrap_err()), Some(Errno::ADDRINUSE));
        assert_eq!(test_namespace.errno_of_connect(1), Some(Errno::ADDRNOTAVAIL));
        let diagnosed = Diagnosed::now();
        diagnosed.one(
            "range-exhausted",
            Severity::Critical,
            &["64 of 64 ports", "EADDRINUSE", &own()],
        );
        diagnosed.one("bound-inactive-leak", Severity::Critical, &["64 ports", &own(), "0 ports"]);
        drop(held);
        let diagnosed = Diagnosed::now();
        diagnosed.assert_no_finding("range-exhausted");
        diagnosed.assert_no_finding("bound-inactive-leak");
    });
}

#[test]
fn udp_exhaustion_is_critical_and_does_not_affect_tcp() {
    TestNamespace::small(|test_namespace| {
        let held: Vec<_> = (0..64).map(|_| bound(Type::DGRAM).unwrap()).collect();
        let client = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        let refused = client.connect(&test_namespace.address(0).into()).unwrap_err();
        assert_eq!(Errno::from_io_error(&refused), Some(Errno::AGAIN));
        let diagnosed = Diagnosed::now();
        diagnosed.one("udp-exhausted", Severity::Critical, &["64 of 64 ports", "EAGAIN", &own()]);
        diagnosed.assert_no_finding("range-exhausted");
        diagnosed.assert_no_finding("destination-exhausted");
        assert_eq!(test_namespace.errno_of_connect(0), None);
        drop(held);
        Diagnosed::now().assert_no_finding("udp-exhausted");
    });
}

#[test]
fn time_wait_without_reuse_exhausts_a_destination() {
    TestNamespace::small(|test_namespace| {
        set_sysctl("tcp_tw_reuse", "0");
        test_namespace.time_waits(0, 64);
        assert_eq!(test_namespace.errno_of_connect(0), Some(Errno::ADDRNOTAVAIL));
        let diagnosed = Diagnosed::now();
        let words = ["127.0.0.1:5000", "none left", "tcp_tw_reuse=1", "keep-alive"];
        diagnosed.one("destination-exhausted", Severity::Critical, &words);
        let words = ["64 of 64 ports (100 %) are in TIME-WAIT", "(tcp_tw_reuse 0)", "keep-alive"];
        let pile = diagnosed.one("time-wait-pile", Severity::Warning, &words);
        assert_eq!(figure(pile, "reusable"), &Figure::Count(0));
        // A single scan of TIME-WAIT sockets does not show whether connect() chose the ports.
        assert_eq!(diagnosed.analysis.new_destination().most, 64);
    });
}

#[test]
fn time_wait_on_ports_chosen_by_connect_is_reusable() {
    TestNamespace::small(|test_namespace| {
        set_sysctl("tcp_tw_reuse", "1");
        // Uses the low parity only; bind() would have chosen other ports.
        test_namespace.time_waits(0, 32);
        // connect() may reuse a TIME-WAIT port only when it is a second old (tcp_tw_reuse_delay).
        // Of random ports bound by number, 20 could have this parity.
        let diagnosed = until(|diagnosed| diagnosed.analysis.destinations[0].surely_reusable == 12);
        assert_eq!(diagnosed.analysis.destinations[0].left(), Left::new(44, 64));
        diagnosed.assert_no_finding("destination-exhausted");
        diagnosed.one("time-wait-pile", Severity::Notice, &["reuse 32 of them"]);
        let _held = test_namespace.connections(0, 64);
        assert_eq!(test_namespace.errno_of_connect(0), Some(Errno::ADDRNOTAVAIL));
    });
}

#[test]
fn time_wait_on_ports_of_unknown_origin_may_be_reusable() {
    TestNamespace::small(|test_namespace| {
        set_sysctl("tcp_tw_reuse", "1");
        test_namespace.time_waits(0, 64);
        let diagnosed = until(|diagnosed| diagnosed.analysis.destinations[0].reusable == 64);
        assert_eq!(diagnosed.analysis.destinations[0].left().most, 64);
        let words = ["EADDRINUSE", "64 ports are left for a new destination"];
        diagnosed.one("range-exhausted", Severity::Critical, &words);
        assert_eq!(test_namespace.errno_of_connect(0), None);
    });
}

#[test]
fn advice_about_a_full_tcp_range_counts_only_tcp_ports() {
    TestNamespace::small(|test_namespace| {
        let _held = test_namespace.connections(0, 60);
        let _udp: Vec<_> = (0..30).map(|_| UdpSocket::bind((LOCAL, 0)).unwrap()).collect();
        let words = ["60 of 64 ports", "with its 60 ports of the range"];
        Diagnosed::now().one("range-exhausted", Severity::Critical, &words);
    });
}

#[test]
fn time_wait_without_timestamps_is_not_reusable() {
    TestNamespace::small(|test_namespace| {
        set_sysctl("tcp_tw_reuse", "1");
        set_sysctl("tcp_timestamps", "0");
        test_namespace.time_waits(0, 64);
        // As old as required with timestamps.
        let is_old = |socket: &portscope::domain::Socket| {
            socket.state != State::TimeWait || socket.expires_ms.is_some_and(|left| left < 58_900)
        };
        let diagnosed = until(|diagnosed| diagnosed.snapshot.sockets.iter().all(is_old));
        assert_eq!(test_namespace.errno_of_connect(0), Some(Errno::ADDRNOTAVAIL));
        let words = ["none left", "net.ipv4.tcp_timestamps=1"];
        diagnosed.one("destination-exhausted", Severity::Critical, &words);
    });
}

#[test]
fn time_wait_of_clients_that_called_bind_may_not_be_reusable() {
    TestNamespace::small(|test_namespace| {
        set_sysctl("tcp_tw_reuse", "1");
        for _ in 0..64 {
            let [client, accepted] = test_namespace.connect_bound(0).unwrap();
            drop(client);
            wait_for_end(&accepted);
        }
        let diagnosed = until(|diagnosed| diagnosed.analysis.destinations[0].time_wait == 64);
        assert_eq!(test_namespace.errno_of_connect(0), Some(Errno::ADDRNOTAVAIL));
        assert_eq!(diagnosed.analysis.destinations[0].available(), 0);
        diagnosed.one("destination-exhausted", Severity::Critical, &["EADDRNOTAVAIL"]);
    });
}

/// Scans until `is_met` is true.
#[track_caller]
fn until(is_met: impl Fn(&Diagnosed) -> bool) -> Diagnosed {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let diagnosed = Diagnosed::now();
        if is_met(&diagnosed) {
            return diagnosed;
        }
        assert!(Instant::now() < deadline, "{:#?}", diagnosed.analysis);
    }
}

#[test]
fn ports_bound_before_connect_are_unusable_for_all_destinations() {
    TestNamespace::small(|test_namespace| {
        let _held: Vec<_> = (0..64).map(|_| test_namespace.connect_bound(0).unwrap()).collect();
        assert_eq!(test_namespace.errno_of_connect(1), Some(Errno::ADDRNOTAVAIL));
        let diagnosed = Diagnosed::now();
        let words = [&own(), "IP_BIND_ADDRESS_NO_PORT", "EADDRNOTAVAIL"];
        let finding = diagnosed.one("bind-before-connect", Severity::Critical, &words);
        assert_eq!(finding.about, About::Owner(OwnerKey::Process(std::process::id())));
        let words = ["127.0.0.1:5000", "very likely has no port"];
        diagnosed.one("destination-exhausted", Severity::Critical, &words);
    });
}

#[test]
fn sockets_left_in_close_wait_are_a_leak() {
    TestNamespace::small(|test_namespace| {
        let held = test_namespace.connections(0, 48);
        Diagnosed::now().assert_no_finding("close-wait-leak");
        // The accepted sockets stay open.
        let (clients, accepted): (Vec<_>, Vec<_>) = held.into_iter().map(|[a, b]| (a, b)).unzip();
        drop(clients);
        accepted.iter().for_each(wait_for_end);
        let diagnosed = Diagnosed::now();
        let waiting = diagnosed.snapshot.sockets.iter().filter(|s| s.state == State::CloseWait);
        assert_eq!(waiting.count(), 48);
        diagnosed.one(
            "close-wait-leak",
            Severity::Warning,
            &["48 of its", &own(), "read() returns 0"],
        );
    });
}

#[test]
fn a_service_inside_the_range_is_reported_until_its_port_is_reserved() {
    TestNamespace::small(|_| {
        set_sysctl("ip_local_reserved_ports", "40060-40063");
        let _service = TcpListener::bind((LOCAL, 40_010)).unwrap();
        let diagnosed = Diagnosed::now();
        let words = ["40010", &own(), "ip_local_reserved_ports=40010,40060-40063", "EADDRINUSE"];
        diagnosed.one("listener-in-range", Severity::Notice, &words);
        set_sysctl("ip_local_reserved_ports", "40060-40063,40010");
        Diagnosed::now().assert_no_finding("listener-in-range");
    });
}

#[test]
fn a_narrow_range_is_reported_and_the_default_one_is_not() {
    TestNamespace::small(|test_namespace| {
        Diagnosed::now().one("range-narrow", Severity::Notice, &["64 ports", "10240 65535"]);
        let _held = test_namespace.connections(0, 40);
        Diagnosed::now().one("range-narrow", Severity::Warning, &["40000-40063"]);
        set_sysctl("ip_local_port_range", "32768 60999");
        Diagnosed::now().assert_no_finding("range-narrow");
    });
}

#[test]
fn a_destination_with_half_of_its_ports_in_use_is_in_the_slow_zone() {
    // 2,000 ports: from 512 of a parity on the walk costs more than connect() itself.
    TestNamespace::set("40000 41999", |test_namespace| {
        let mut held = test_namespace.connections(0, 970);
        Diagnosed::now().assert_no_finding("slow-zone");
        held.extend(test_namespace.connections(0, 40));
        let diagnosed = Diagnosed::now();
        let words = ["127.0.0.1:5000", "1,000 even ports", "at least ", "µs longer", &own()];
        let finding = diagnosed.one("slow-zone", Severity::Warning, &words);
        assert_eq!(figure(finding, "available"), &Figure::Count(990));
        diagnosed.assert_no_finding("destination-exhausted");
    });
}

#[test]
fn an_idle_machine_has_no_finding_of_these_rules() {
    TestNamespace::set("32768 60999", |test_namespace| {
        let _held = test_namespace.connections(0, 20);
        test_namespace.time_waits(1, 20);
        let _udp: Vec<_> = (0..20).map(|_| UdpSocket::bind((LOCAL, 0)).unwrap()).collect();
        let diagnosed = Diagnosed::now();
        for rule in [
            "destination-exhausted",
            "range-exhausted",
            "slow-zone",
            "time-wait-pile",
            "close-wait-leak",
            "bound-inactive-leak",
            "bind-before-connect",
            "listener-in-range",
            "range-narrow",
            "udp-exhausted",
        ] {
            diagnosed.assert_no_finding(rule);
        }
        assert_eq!(diagnosed.diagnosis.severity.max(Severity::Notice), Severity::Notice);
    });
}
