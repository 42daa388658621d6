//! Rules about single ports and how they are allocated: each condition created for real in a
//! network namespace, and its absence.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    sync::Arc,
    time::Duration,
};

use portscope::domain::{
    Finding, Machine, PortRange, Protocol, Severity, Text,
    diagnosis::{About, Figure},
};
use rustix::io::Errno;
use socket2::{Domain, SockRef, Socket, Type};

use crate::{
    diagnoser::{Diagnoser, command, figure},
    ip_option::{LOCAL_PORT_RANGE, set_ip_option},
    namespace::{create_sockets_in_order, in_new_namespace, needs_linux, set_sysctl},
    processes::{alone, not_tested},
};

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn own() -> String {
    format!("pid {}", std::process::id())
}

/// Calls connect() to a port on which no program listens, until the kernel chooses this port as the
/// local one.
fn connect_to_itself(to: SocketAddr) -> Socket {
    loop {
        let client = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
        if client.connect(&to.into()).is_ok() {
            assert_eq!(client.local_addr().unwrap().as_socket(), Some(to));
            return client;
        }
    }
}

/// Runs the command that the finding advises, in a shell. Returns false if the program is missing.
fn run(command: &str) -> bool {
    let _alone = alone();
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || output.status.code() == Some(127), "{command}: {reported}");
    output.status.success()
}

fn errno_of<T>(result: io::Result<T>) -> Option<Errno> {
    result.err().and_then(|error| Errno::from_io_error(&error))
}

/// Binds like a server that can restart despite TIME-WAIT (SO_REUSEADDR), and listens.
fn serve(at: SocketAddr) -> io::Result<Socket> {
    let server = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    server.set_reuse_address(true)?;
    server.bind(&at.into())?;
    server.listen(1)?;
    Ok(server)
}

#[test]
fn a_self_connected_socket_blocks_the_server_until_it_ends() {
    let addresses: [IpAddr; 3] =
        [LOCAL.into(), Ipv6Addr::LOCALHOST.into(), LOCAL.to_ipv6_mapped().into()];
    for address in addresses {
        in_new_namespace(|| {
            set_sysctl("ip_local_port_range", "40000 40015");
            let at = SocketAddr::new(address, 40_002);
            let client = connect_to_itself(at);
            assert_eq!(errno_of(serve(at)), Some(Errno::ADDRINUSE));
            let words = [&*at.to_string(), &own(), "EADDRINUSE", "one attempt in 8", "even ports"];
            let finding = Diagnoser::now().one("self-connected", Severity::Warning, &words);
            assert_eq!(finding.about, About::Port(Protocol::Tcp, 40_002));
            let reserve = "sysctl -w net.ipv4.ip_local_reserved_ports=40002";
            assert_eq!(command(&finding, 1, "sysctl"), reserve);
            if !run(&command(&finding, 0, "ss --kill")) {
                return not_tested("no ss here");
            }
            Diagnoser::now().assert_no_finding("self-connected");
            assert_eq!(errno_of(serve(at)), None, "the server starts at once");
            drop(client);
        });
    }
}

#[test]
fn time_wait_of_a_self_connected_socket_is_a_notice() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 40015");
        let at = SocketAddr::from((LOCAL, 40_002));
        drop(connect_to_itself(at));
        assert_eq!(errno_of(serve(at)), Some(Errno::ADDRINUSE));
        let words = ["127.0.0.1:40002", "TIME-WAIT keeps servers off port 40002"];
        let finding = Diagnoser::now().one("self-connected", Severity::Notice, &words);
        if needs_linux((6, 1), "ends TIME-WAIT") && run(&command(&finding, 0, "ss --kill")) {
            Diagnoser::now().assert_no_finding("self-connected");
            assert_eq!(errno_of(serve(at)), None);
        }
    });
}

#[test]
fn two_sockets_connected_to_each_other_are_not_self_connected() {
    in_new_namespace(|| {
        let server = TcpListener::bind((LOCAL, 5000)).unwrap();
        let _client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let _accepted = server.accept().unwrap();
        Diagnoser::now().assert_no_finding("self-connected");
    });
}

#[test]
fn a_udp_service_inside_the_range_is_named_and_a_client_is_not() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 40999");
        let any = || UdpSocket::bind((LOCAL, 0)).unwrap();
        let clients = [any(), any()];
        let sender = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        sender.send_to(b"x", &SocketAddr::from((LOCAL, 9)).into()).unwrap();
        let listener = TcpListener::bind((LOCAL, 0)).unwrap();
        let mut diagnoser = Diagnoser::now();
        diagnoser.assert_no_finding("listener-in-range");

        let service = UdpSocket::bind((LOCAL, 40_500)).unwrap();
        let six = UdpSocket::bind((Ipv6Addr::LOCALHOST, 40_501)).unwrap();
        let before = diagnoser.snapshot.vitals.clone();
        let found = diagnoser.scan().find_since(&before, "listener-in-range");
        assert_eq!(found, [], "a resolver has such a socket for a moment");
        let words =
            ["2 services listen", "UDP 40500 ", &own(), "ip_local_reserved_ports=40500-40501"];
        let finding = diagnoser.one("listener-in-range", Severity::Notice, &words);
        assert_eq!(finding.about, About::Port(Protocol::Udp, 40_500));
        let before = diagnoser.snapshot.vitals.clone();
        assert_eq!(diagnoser.scan().find_since(&before, "listener-in-range"), [finding]);

        set_sysctl("ip_local_reserved_ports", "40500-40501");
        diagnoser.scan().assert_no_finding("listener-in-range");
        drop((clients, sender, listener, service, six));
    });
}

#[test]
fn the_advised_command_reserves_every_port_and_keeps_what_was_reserved() {
    in_new_namespace(|| {
        set_sysctl("ip_local_reserved_ports", "50000-50010,52000");
        let listeners: Vec<TcpListener> =
            (0..20).map(|i| TcpListener::bind((LOCAL, 40_000 + 10 * i)).unwrap()).collect();
        let neighbours: Vec<UdpSocket> =
            (50_011..50_031).map(|port| UdpSocket::bind((LOCAL, port)).unwrap()).collect();
        let finding = Diagnoser::now().one("listener-in-range", Severity::Notice, &["and 32 more"]);
        let reserve = command(&finding, 0, "sysctl");
        assert!(reserve.contains("40190,50000-50030,52000"), "{reserve}");
        if run(&reserve) {
            Diagnoser::now().assert_no_finding("listener-in-range");
            let range = Diagnoser::now().snapshot.ephemeral;
            assert!(range.is_reserved(52_000) && range.is_reserved(50_005));
        }
        drop((listeners, neighbours));
    });
}

#[test]
fn a_reserved_list_longer_than_a_page_is_written_completely() {
    in_new_namespace(|| {
        let reserved: Vec<String> = (0..700).map(|i| (20_000 + 2 * i).to_string()).collect();
        set_sysctl("ip_local_reserved_ports", &reserved[..600].join(","));
        let held: Vec<UdpSocket> =
            (0..150).map(|i| UdpSocket::bind((LOCAL, 40_000 + 2 * i)).unwrap()).collect();
        let finding =
            Diagnoser::now().one("listener-in-range", Severity::Notice, &["150 services"]);
        assert!(finding.avoid.iter().any(|words| words.contains("4,095 bytes")), "{finding:#?}");
        assert!(run(&command(&finding, 0, "echo")));
        let diagnoser = Diagnoser::now();
        diagnoser.assert_no_finding("listener-in-range");
        assert_eq!(diagnoser.snapshot.ephemeral.reserved().len(), 750);
        drop(held);
    });
}

#[test]
fn a_reserved_list_that_covers_the_range_is_named_first() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 40063");
        let server = TcpListener::bind((LOCAL, 5000)).unwrap();
        let service = TcpListener::bind((LOCAL, 40_010)).unwrap();
        set_sysctl("ip_local_reserved_ports", "80,39990-40070");
        let connect = || TcpStream::connect(server.local_addr().unwrap());
        assert_eq!(errno_of(connect()), Some(Errno::ADDRNOTAVAIL));
        assert_eq!(errno_of(TcpListener::bind((LOCAL, 0))), Some(Errno::ADDRINUSE));
        let diagnoser = Diagnoser::now();
        assert_eq!(diagnoser.diagnosis(None).findings[0].rule, "reserved-large");
        let words = ["all 64 ports", "40000-40063", "EADDRNOTAVAIL", "EADDRINUSE", "EAGAIN"];
        let finding = diagnoser.one("reserved-large", Severity::Critical, &words);
        assert!(
            finding.advice[1].ends_with("ip_local_port_range=\"10240 39989\"")
                || finding.advice[1].ends_with("ip_local_port_range=\"40071 65534\""),
            "{finding:#?}"
        );
        let set = command(&finding, 0, "sysctl");
        assert_eq!(
            set,
            "sysctl -w net.ipv4.ip_local_reserved_ports=80,39990-39999,40010,40064-40070"
        );
        if run(&set) {
            assert_eq!(errno_of(connect()), None);
            Diagnoser::now().assert_no_finding("reserved-large");
        }
        drop(service);
    });
}

#[test]
fn a_reserved_list_that_leaves_few_ports_is_critical_once_they_are_used() {
    // Until its exec(), a process that another test starts holds a copy of the socket that a scan
    // binds.
    let _alone = alone();
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 40999");
        set_sysctl("ip_local_reserved_ports", "40008-40999");
        Diagnoser::now().one(
            "reserved-large",
            Severity::Warning,
            &["99.2 %", "leaves 8 of 1,000 ports"],
        );
        let server = TcpListener::bind((LOCAL, 5000)).unwrap();
        let held: Vec<TcpStream> =
            (0..8).map(|_| TcpStream::connect(server.local_addr().unwrap()).unwrap()).collect();
        let diagnoser = Diagnoser::now();
        diagnoser.one("reserved-large", Severity::Critical, &["leaves 8 of 1,000 ports"]);
        assert_eq!(diagnoser.diagnosis(None).findings[0].rule, "reserved-large");
        drop(held);
    });
}

#[test]
fn a_range_of_odd_size_is_reported() {
    in_new_namespace(|| {
        for (range, fix) in [
            ("1024 65000", Some("\"10240 65001\"")),
            ("40000 40002", Some("\"10240 65535\"")),
            ("40001 40063", Some("\"10240 65535\"")),
            ("32768 60999", None),
            ("40000 40000", None),
            ("40001 40064", None),
        ] {
            set_sysctl("ip_local_port_range", range);
            let diagnoser = Diagnoser::now();
            match fix {
                Some(fix) => {
                    diagnoser.one(
                        "range-odd",
                        Severity::Notice,
                        &[fix, "EADDRNOTAVAIL", "one of them"],
                    );
                }
                None => diagnoser.assert_no_finding("range-odd"),
            }
            let narrow = diagnoser.find("range-narrow");
            let words = narrow.iter().flat_map(|f| f.avoid.iter().chain([&f.summary]));
            assert!(words.clone().all(|words| !words.contains("parity")), "{range}: {narrow:#?}");
            let is_one = range == "40000 40000";
            assert_eq!(words.clone().any(|words| words.contains("has 1 port;")), is_one, "{range}");
        }
    });
}

/// Connects until EADDRNOTAVAIL; any other error fails the test.
fn fill(connect: impl Fn() -> io::Result<TcpStream>) -> Vec<TcpStream> {
    let mut held = Vec::new();
    loop {
        match connect() {
            Ok(client) => held.push(client),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{error}");
                return held;
            }
        }
    }
}

fn wide_listener() -> Socket {
    let server = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    server.bind(&SocketAddr::from((LOCAL, 5000)).into()).unwrap();
    server.listen(4096).unwrap();
    server
}

fn limit_ports(socket: &Socket, range: PortRange) -> io::Result<()> {
    let value = u32::from(range.last()) << 16 | u32::from(range.first());
    set_ip_option(socket, LOCAL_PORT_RANGE, value)
}

/// Connects from IP_LOCAL_PORT_RANGE; None: the kernel has no such option.
fn connect_within(range: PortRange) -> Option<io::Result<TcpStream>> {
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    match limit_ports(&client, range) {
        Err(error) if error.raw_os_error() == Some(Errno::NOPROTOOPT.raw_os_error()) => {
            return None;
        }
        limited => limited.unwrap(),
    }
    let connected = client.connect(&SocketAddr::from((LOCAL, 5000)).into());
    Some(connected.map(|()| client.into()))
}

#[test]
fn a_process_that_exhausted_its_own_port_range_is_suspected() {
    in_new_namespace(|| {
        create_sockets_in_order();
        set_sysctl("ip_local_port_range", "40000 49999");
        let _server = wide_listener();
        let range = PortRange::new(45_000, 45_099).unwrap();
        let Some(first) = connect_within(range) else {
            eprintln!("not tested here: IP_LOCAL_PORT_RANGE needs Linux 6.3");
            return;
        };
        let mut held = vec![first.unwrap()];
        held.extend((1..80).map(|_| connect_within(range).unwrap().unwrap()));
        Diagnoser::now().assert_no_finding("port-range-of-socket");
        held.extend(fill(|| connect_within(range).unwrap()));
        assert_eq!(held.len(), 100);
        let words =
            ["suspected", "45000-45099", "all 100 are in use", &own(), "EADDRNOTAVAIL", "9,900"];
        let finding = Diagnoser::now().one("port-range-of-socket", Severity::Warning, &words);
        assert_eq!(figure(&finding, "used"), Some(Figure::Count(100)));
        for client in held.split_off(80) {
            // Closes by a reset, which leaves no FIN-WAIT and no TIME-WAIT.
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        }
        Diagnoser::now().assert_no_finding("port-range-of-socket");
    });
}

#[test]
fn ports_chosen_by_connect_or_counted_by_a_program_are_not_suspected() {
    in_new_namespace(|| {
        create_sockets_in_order();
        set_sysctl("ip_local_port_range", "40000 40063");
        let _server = wide_listener();
        let connect = || TcpStream::connect((LOCAL, 5000));
        let mut held: Vec<TcpStream> = (0..19).map(|_| connect().unwrap()).collect();
        Diagnoser::now().assert_no_finding("port-range-of-socket");
        held.extend((19..40).map(|_| connect().unwrap()));
        Diagnoser::now().assert_no_finding("port-range-of-socket");
        held.extend(fill(connect));
        Diagnoser::now().assert_no_finding("port-range-of-socket");
        drop(held);

        set_sysctl("ip_local_port_range", "40000 49999");
        let bound = |port: u16| {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.bind(&SocketAddr::from((LOCAL, port)).into()).unwrap();
            client.connect(&SocketAddr::from((LOCAL, 5000)).into()).unwrap();
            client
        };
        let counted: Vec<Socket> = (45_000..45_100).map(bound).collect();
        Diagnoser::now().assert_no_finding("port-range-of-socket");
        drop(counted);
        // As a program uses them that chooses random numbers.
        let drawn: Vec<Socket> =
            (0..100u32).map(|i| bound(41_000 + (i * 3_637 % 3_989) as u16)).collect();
        Diagnoser::now().assert_no_finding("port-range-of-socket");
        drop(drawn);
    });
}

/// The cost of a search of 1,000 ports, for several kernel versions and table sizes.
#[test]
fn the_estimated_search_cost_depends_on_the_kernel_and_its_hash_table() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 41999");
        let _server = wide_listener();
        let _held: Vec<TcpStream> =
            (0..1_010).map(|_| TcpStream::connect((LOCAL, 5000)).unwrap()).collect();
        let mut diagnoser = Diagnoser::now();
        for (kernel, buckets, cost) in [
            ("6.18.0", Some(-262_144), "at least 90.1µs"),
            ("6.15.0-rc1", None, "at least 90.0µs"),
            ("6.12.118", Some(65_536), "at least 154µs"),
            ("5.10.0-33-amd64", None, "at least 153µs"),
            ("6.18.0", Some(256), "at least 232µs"),
        ] {
            let machine =
                Machine { kernel: Text::scrub(kernel), ..(*diagnoser.snapshot.machine).clone() };
            diagnoser.snapshot.machine = Arc::new(machine);
            diagnoser.snapshot.vitals.hash_buckets = buckets;
            let finding = diagnoser.one("slow-zone", Severity::Warning, &[cost]);
            let is_small = buckets == Some(256);
            let names_it = finding.meaning.contains("has only 256 buckets");
            assert_eq!(names_it, is_small, "{finding:#?}");
        }
    });
}

/// Checks the rules of this file in a namespace where nothing is wrong.
#[test]
fn an_idle_namespace_has_no_finding_of_these_rules() {
    in_new_namespace(|| {
        let _server = wide_listener();
        let _held: Vec<TcpStream> =
            (0..50).map(|_| TcpStream::connect((LOCAL, 5000)).unwrap()).collect();
        let diagnoser = Diagnoser::now();
        let found: Vec<Finding> = diagnoser.diagnosis(None).findings;
        assert!(found.is_empty(), "{found:#?}");
    });
}
