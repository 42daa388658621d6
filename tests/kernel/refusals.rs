//! The messages if no port of an address or of a range can be bound, and link-local addresses,
//! which need an interface. Never uses the machine's own addresses.

use std::{
    ffi::OsStr,
    fs,
    net::{Ipv6Addr, SocketAddrV6, TcpListener, TcpStream},
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use portscope::{
    domain::{
        Errno, Gap, LocalAddress, PortRange, ProcessTable, Protocol, Protocols, Snapshot, Source,
        availability::{self, Answer, Bind, BindAddress, Reuse, Verdict, probing::Probed},
    },
    engine::{AllocationRequest, AllocatorTarget, Report, Setup, allocation::spawn},
    host::{Host as _, linux::LinuxHost},
    report::{
        Explanation, Page, PageStyle, Scan,
        explain::{BindRow, Explanations, ProtocolPort, Reasons},
    },
};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::{
    mailbox::mailbox,
    namespace::{in_new_namespace, set_sysctl},
    outputs::{PROGRAM, program, stderr, stdout},
    processes::{alone, output_of},
};

/// Columns in which each answer is one line.
const WIDE: usize = 10_000;
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

fn run(words: &str) -> Output {
    let mut command = program();
    output_of(command.args(words.split(' ')).env("COLUMNS", WIDE.to_string()))
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn json(words: &str) -> Value {
    let output = run(&format!("{words} --format json"));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{words}: {output:?}"))
}

/// Returns the row of this address and reuse option for the first protocol.
fn row(explained: &Value, probe: &str, reuse: &str) -> Value {
    let rows = explained["protocols"][0]["bind"].as_array().unwrap();
    let is_it = |row: &&Value| row["probe"] == probe && row["reuse"] == reuse;
    rows.iter().find(is_it).unwrap_or_else(|| panic!("no {probe} {reuse} in {rows:#?}")).clone()
}

fn has_ip() -> bool {
    ["/sbin/ip", "/usr/sbin/ip", "/bin/ip", "/usr/bin/ip"]
        .iter()
        .any(|path| fs::exists(path).unwrap())
}

/// Runs commands of ip(8). Returns false if iproute2 is missing or a command fails; panics instead
/// if `CI` is set.
fn ip(lines: &[&str]) -> bool {
    let is_done = lines.iter().all(|words| {
        // Looked up first, because `output_of` expects that the program exists.
        has_ip() && output_of(Command::new("ip").args(words.split(' '))).status.success()
    });
    assert!(is_done || std::env::var_os("CI").is_none(), "CI needs iproute2");
    if !is_done {
        eprintln!("not tested here: what needs iproute2");
    }
    is_done
}

/// Creates the interfaces v0 and v1, both with fe80::1. Returns false if that is not possible.
fn has_same_link_local_addresses() -> bool {
    ip(&[
        "link add v0 type veth peer name v1",
        "link set v0 addrgenmode none up",
        "link set v1 addrgenmode none up",
        "addr add fe80::1/64 dev v0 nodad",
        "addr add fe80::1/64 dev v1 nodad",
    ])
}

fn index(name: &str) -> u32 {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    rustix::net::netdevice::name_to_index(&socket, name).unwrap()
}

fn disable_ipv6(interface: &str) {
    fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), "1").unwrap();
}

/// Asserts that each command prints `words` and makes no attempt.
#[track_caller]
fn assert_refused(address: &str, errno: &str, words: &str) {
    let picked = json(&format!("pick --address {address} --protocol tcp"));
    let error = &picked["error"];
    let message = error["message"].as_str().unwrap();
    assert_eq!(
        (&error["kind"], &picked["attempts"]),
        (&"address-refused".into(), &Value::Array(vec![]))
    );
    assert!(message.contains(words) && message.contains(errno), "{message}");
    for (command, expected) in [
        ("pick", 2),
        ("exec -- true", 2),
        ("serve --socket @portscope-refusals", 2),
        ("lab --occupancy live --runs 3 --strategy random", 2),
    ] {
        let (command, rest) = command.split_once(' ').unwrap_or((command, ""));
        let words_of = [&["--address", address, "--protocol", "tcp"], &*split(rest)].concat();
        let output = output_of(program().arg(command).args(&words_of));
        let reported = stderr(&output);
        assert_eq!(code(&output), expected, "{command}: {reported}");
        assert_eq!(reported.trim_end(), format!("portscope: {message}"), "{command}");
        assert_eq!(stdout(&output), "", "{command}");
    }
    let explained = json(&format!("explain 50001 --protocol tcp --address {address} --probe"));
    for reuse in Reuse::EACH {
        let row = row(&explained, address, reuse.name());
        assert_eq!((&row["verdict"], &row["errno"]), (&"refused".into(), &errno.into()), "{row}");
        assert!(row["because"].as_str().unwrap().contains(words), "{row}");
        assert_ne!(row["probed"], "free", "{row}");
    }
}

fn split(words: &str) -> Vec<&str> {
    words.split(' ').filter(|word| !word.is_empty()).collect()
}

#[test]
fn a_foreign_address_is_refused_without_an_attempt() {
    in_new_namespace(|| {
        let words = "192.0.2.1 is not an address of this machine, which has 127.0.0.1";
        assert_refused("192.0.2.1", "EADDRNOTAVAIL", words);
        assert_refused(
            "2001:db8::1",
            "EADDRNOTAVAIL",
            "2001:db8::1 is not an address of this machine",
        );
        let explained = json("explain 50001 --protocol tcp --address 192.0.2.1");
        assert_eq!(row(&explained, "127.0.0.1", "none")["verdict"], "free");
        // With this setting the kernel allows the bind().
        set_sysctl("ip_nonlocal_bind", "1");
        assert_eq!(code(&run("pick --address 192.0.2.1")), 0);
    });
}

#[test]
fn disabled_ipv6_is_the_cause() {
    in_new_namespace(|| {
        disable_ipv6("lo");
        let words = "IPv6 is disabled on lo: net.ipv6.conf.lo.disable_ipv6 = 1";
        assert_refused("::1", "EADDRNOTAVAIL", words);
    });
    in_new_namespace(|| {
        disable_ipv6("all");
        let words = "IPv6 is disabled here: net.ipv6.conf.all.disable_ipv6 = 1";
        assert_refused("::1", "EADDRNOTAVAIL", words);
        assert_refused("2001:db8::1", "EADDRNOTAVAIL", words);
        // The wildcard addresses and IPv4 addresses can still be bound.
        assert_eq!(code(&run("pick")), 0);
        let explained = json("explain 50001 --protocol tcp");
        assert_eq!(row(&explained, "[::] dual", "none")["verdict"], "free");
        assert_eq!(row(&explained, "::1", "none")["verdict"], "refused");
    });
    in_new_namespace(|| {
        if ip(&["link set lo down"]) {
            assert_refused("::1", "EADDRNOTAVAIL", "lo has no ::1: the interface is down");
        }
    });
}

#[test]
fn address_that_is_not_ready_is_the_cause() {
    in_new_namespace(|| {
        if !has_same_link_local_addresses() {
            return;
        }
        // Makes duplicate address detection take minutes.
        fs::write("/proc/sys/net/ipv6/conf/v0/dad_transmits", "1000").unwrap();
        assert!(ip(&["addr add 2001:db8::5/64 dev v0"]));
        assert_refused("2001:db8::5", "EADDRNOTAVAIL", "2001:db8::5 on v0 is tentative");
    });
}

#[test]
fn link_local_address_needs_an_interface_that_has_it() {
    in_new_namespace(|| {
        if !has_same_link_local_addresses() {
            return;
        }
        assert_refused("fe80::1", "EINVAL", "fe80::1 is link-local: add its interface");
        assert_refused("fe80::1%v9", "ENODEV", "there is no interface v9");
        assert_refused("fe80::1%99", "ENODEV", "there is no interface with index 99");
        assert_refused("fe80::9%v1", "EADDRNOTAVAIL", "v1 has no address fe80::9");
        assert_refused("ff02::fb%v1", "EINVAL", "a multicast address, which TCP cannot bind");
        assert_eq!(code(&run("pick --protocol udp --address ff02::fb%v1")), 0);
        for bad in ["::1%lo", "127.0.0.1%lo", "fe80::1%", "fe80::1%a/b"] {
            let output = run(&format!("pick --address {bad}"));
            assert_eq!(code(&output), 2, "{bad}");
            assert!(stderr(&output).starts_with("portscope: invalid value "), "{output:?}");
        }
    });
}

#[test]
fn same_link_local_address_on_two_interfaces_is_two_addresses() {
    in_new_namespace(|| {
        if !has_same_link_local_addresses() {
            return;
        }
        let at = |name| SocketAddrV6::new(LINK_LOCAL, 8080, 0, index(name));
        let _holder = TcpListener::bind(at("v0")).unwrap();
        assert!(TcpListener::bind(at("v0")).is_err(), "the kernel");
        drop(TcpListener::bind(at("v1")).expect("the kernel"));
        for (scope, verdict) in [("v0", "in-use"), ("v1", "free")] {
            let by_index = index(scope).to_string();
            for scope in [scope, &by_index] {
                let address = format!("fe80::1%{scope}");
                let explained =
                    json(&format!("explain 8080 --protocol tcp --address {address} --probe"));
                let row = row(&explained, &address, "none");
                assert_eq!((&row["verdict"], &row["probed"]), (&verdict.into(), &verdict.into()));
                let picked = run(&format!("pick --protocol tcp --range 8080 --address {address}"));
                assert_eq!(code(&picked), i32::from(verdict == "in-use"), "{address}");
                let with_port_view = "pick --protocol tcp --range 8080 --strategy bitmap --address";
                assert_eq!(code(&run(&format!("{with_port_view} {address}"))), code(&picked));
            }
        }
        // A bind() to the wildcard address conflicts with either socket.
        let explained = json("explain 8080 --protocol tcp --probe");
        let wide = row(&explained, "[::] dual", "none");
        assert_eq!((&wide["verdict"], &wide["probed"]), (&"in-use".into(), &"in-use".into()));
        let includes = "[::] includes fe80::1%v0, on which a socket is in LISTEN";
        assert_eq!(wide["because"], includes, "{wide}");
    });
}

#[test]
fn interface_of_a_socket_is_shown() {
    in_new_namespace(|| {
        if !has_same_link_local_addresses() {
            return;
        }
        let at = |port, name| SocketAddrV6::new(LINK_LOCAL, port, 0, index(name));
        let listener = TcpListener::bind(at(8080, "v1")).unwrap();
        let client = TcpStream::connect(at(8080, "v1")).unwrap();
        let _accepted = listener.accept().unwrap();
        let device = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        device.bind_device(Some(b"v0")).unwrap();
        device.bind(&std::net::SocketAddr::from(([0, 0, 0, 0], 68)).into()).unwrap();
        let scan = run("scan");
        let port = client.local_addr().unwrap().port();
        for shown in ["[fe80::1%v1]:8080 ", "0.0.0.0%v0:68 ", &format!("[fe80::1%v1]:{port} ")] {
            assert!(stdout(&scan).contains(shown), "{shown} in {}", stdout(&scan));
        }
        let scan = json("scan --range 8080");
        for socket in scan["sockets"].as_array().unwrap() {
            assert_eq!(
                (&socket["local"]["address"], &socket["interface"]),
                (&"fe80::1".into(), &"v1".into())
            );
        }
        let explained = run("explain 8080 --protocol tcp");
        let words = stdout(&explained);
        assert!(words.contains("LISTEN on [fe80::1%v1]:8080"), "{words}");
    });
}

#[test]
fn range_below_the_unprivileged_start_is_named() {
    in_new_namespace(|| {
        let without_right = |words: &str| {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set", "-net_bind_service", PROGRAM]).args(words.split(' '));
            command
        };
        if without_right("--version").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "CI needs setpriv");
            eprintln!("not tested here: what needs setpriv");
            return;
        }
        let reported =
            "ports below ip_unprivileged_port_start = 1024 need CAP_NET_BIND_SERVICE (EACCES)";
        for (words, expected) in [
            ("pick --range 80", 1),
            ("pick --range system", 1),
            ("exec --range 1-1023 -- true", 75),
            ("serve --socket @portscope-refusals --range system", 2),
            ("lab --occupancy live --range system --runs 3 --strategy random", 2),
        ] {
            let output = output_of(&mut without_right(words));
            assert_eq!(
                (code(&output), stderr(&output)),
                (expected, &*format!("portscope: {reported}\n"))
            );
        }
        let picked = output_of(&mut without_right("pick --range 1-1023 --format json"));
        let picked: Value = serde_json::from_slice(&picked.stdout).unwrap();
        assert_eq!(picked["error"]["kind"], "permission-denied");
        assert_eq!(picked["attempts"], Value::Array(vec![]));
        // If only a part of the range may be bound, ports of that part are chosen.
        let across_start = output_of(&mut without_right("pick --range 1-1025 --count 2"));
        let mut ports: Vec<&str> = stdout(&across_start).lines().collect();
        ports.sort_unstable();
        assert_eq!(ports, ["1024", "1025"]);
        assert!(stderr(&across_start).contains("1023 ports below"), "{}", stderr(&across_start));
        let explained =
            output_of(&mut without_right("explain 80 --protocol tcp --probe --format json"));
        let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
        let row = row(&explained, "0.0.0.0", "none");
        assert_eq!((&row["verdict"], &row["probed"]), (&"refused".into(), &"denied".into()));
        set_sysctl("ip_unprivileged_port_start", "80");
        assert_eq!(code(&output_of(&mut without_right("pick --range 80"))), 0);
    });
}

#[test]
fn holder_of_a_port_is_named_and_no_port_is_tried_twice() {
    in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let own = format!("[{}]", std::process::id());
        for address in ["", "--address 0.0.0.0", "--address ::", "--address ::ffff:127.0.0.1"] {
            let picked = run(format!("pick --range 8080 {address}").trim_end());
            let reported = stderr(&picked);
            assert!(reported.starts_with("portscope: 8080 is in use by "), "{reported}");
            assert!(reported.trim_end().ends_with(&own), "{reported}");
        }
        let _other = TcpListener::bind("127.0.0.1:8081").unwrap();
        let both = json("pick --range 8080-8081 --seed 1");
        let attempts = both["attempts"].as_array().unwrap();
        assert!((2..50).contains(&attempts.len()), "{attempts:#?}");
        let last = attempts.last().unwrap();
        let repeated = attempts.iter().filter(|attempt| attempt["port"] == last["port"]).count();
        assert_eq!(repeated, 1, "it ends with the last port that was not tried yet");
        let message = both["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("range 8080-8081 is full (2 of 2): 8080 by "), "{message}");
        // The server closes first, so its port is in TIME-WAIT.
        let client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let alone = alone();
        drop(listener.accept().unwrap());
        drop((client, listener));
        drop(alone);
        let waiting = run("pick --range 8080 --protocol tcp");
        let said = stderr(&waiting);
        let start = "8080 is in use by a socket in TIME-WAIT (closed by its process, ";
        let seconds = said.split_once(start).and_then(|(_, rest)| rest.split_once("s left)"));
        let seconds: u32 = seconds.and_then(|(seconds, _)| seconds.parse().ok()).expect(said);
        // On a slow machine, the program looks seconds later.
        assert!((1..=60).contains(&seconds), "{said}");
    });
}

#[test]
fn reserved_ports_that_cover_the_range_are_named_first() {
    in_new_namespace(|| {
        set_sysctl("ip_local_reserved_ports", "32768-45000,45003-60999");
        let _taken = [45_001, 45_002].map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap());
        for strategy in ["random", "kernel-bind"] {
            let words = format!("pick --range ephemeral --protocol tcp --strategy {strategy}");
            let output = run(&words);
            let reported = "portscope: 28,230 of the 28,232 ports of range 32768-60999 are \
                        reserved (ip_local_reserved_ports), the other 2 are in use: 45001 by ";
            assert!(stderr(&output).starts_with(reported), "{}", stderr(&output));
            let picked = json(&words);
            assert_eq!(picked["error"]["kind"], "range-full");
        }
        set_sysctl("ip_local_reserved_ports", "32768-60999");
        let output = run("pick --range ephemeral --strategy kernel-bind");
        assert!(stderr(&output).contains("are reserved (ip_local_reserved_ports)"), "{output:?}");
    });
}

#[test]
fn probes_do_not_change_a_port() {
    in_new_namespace(|| {
        let fresh = |port: u16| {
            let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.set_only_v6(false).unwrap();
            socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0).into()).is_ok()
        };
        let _listener = TcpListener::bind("[::1]:8080").unwrap();
        assert!(!fresh(8080), "the kernel before");
        let explained = json("explain 8080 --protocol tcp --probe");
        assert_eq!(row(&explained, "[::] dual", "port")["probed"], "in-use");
        assert_eq!(row(&explained, "0.0.0.0", "port")["probed"], "free");
        assert!(!fresh(8080), "the kernel after");
        // No bind() without options succeeds here, so the mark of a probe would stay on the port.
        let group = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        group.set_reuse_port(true).unwrap();
        group.bind(&std::net::SocketAddr::from(([0, 0, 0, 0], 8081)).into()).unwrap();
        group.listen(1).unwrap();
        let _listener = TcpListener::bind("[::1]:8081").unwrap();
        assert!(!fresh(8081), "the kernel before");
        let explained = json("explain 8081 --protocol tcp --probe");
        let left_out = row(&explained, "0.0.0.0", "port");
        assert_eq!(left_out["probed"], Value::Null);
        assert!(left_out["not_probed"].as_str().unwrap().contains("SO_REUSEPORT"), "{left_out}");
        assert!(!fresh(8081), "the kernel after");
        let text = run("explain 8081 --protocol tcp --probe --why");
        assert!(stdout(&text).contains("Not tried: it would let"), "{}", stdout(&text));
    });
}

/// As if netlink were refused: bound sockets that neither listen nor are connected are in no table.
#[test]
fn port_without_a_listed_socket_is_not_called_free() {
    let machine = LinuxHost::new().machine();
    let mut snapshot = Snapshot::empty(machine, Source::Procfs);
    snapshot.gaps.push(Gap::BoundInactiveUnlisted { assumed: false });
    assert!(availability::may_be_unlisted(&snapshot, Protocol::Tcp, 8080));
    let bind = Bind { protocol: Protocol::Tcp, address: BindAddress::Any4, reuse: Reuse::None };
    let reported = |probed| {
        let answer = Answer { verdict: Verdict::Unknown, because: String::new() };
        let probe = "0.0.0.0".to_owned();
        let row = BindRow { probe, bind, answer, refusal: None, probed };
        let side = ProtocolPort {
            protocol: Protocol::Tcp,
            service: None,
            binds: vec![row],
            connects: Vec::new(),
            destinations_left_out: 0,
            remote: None,
            frees_when: None,
        };
        let processes = ProcessTable::default();
        let scan = Scan { snapshot: &snapshot, processes: &processes };
        let (port, sides) = (41_000, &[side]);
        let ports = vec![Explanation { scan, port, sides, publications: &None }];
        let explained = Explanations { scan, ports, left_out: None };
        let mut text = Vec::new();
        let style = PageStyle { width: Some(WIDE), ..PageStyle::default() };
        let mut page = Page::new(&mut text, style);
        portscope::report::explain::text::write(&explained, Reasons::Shown, &mut page).unwrap();
        (String::from_utf8(text).unwrap(), explained.ports[0].is_held())
    };
    let (words, is_held) = reported(Probed::NotAsked);
    assert!(
        words.contains("No socket is listed on TCP 41000; an unlisted socket may be bound to it"),
        "{words}"
    );
    assert!(!is_held);
    let (words, is_held) = reported(Probed::Tried(Err(Errno::EADDRINUSE)));
    assert!(words.contains("an unlisted socket is bound to it"), "{words}");
    assert!(is_held);
}

#[test]
fn the_allocate_screen_shows_the_same_refusal_without_an_attempt() {
    in_new_namespace(|| {
        let (outbox, reports) = mailbox(1);
        let thread = spawn(Arc::new(LinuxHost::new()), outbox).unwrap();
        let address: LocalAddress = "192.0.2.1".parse().unwrap();
        thread.send(AllocationRequest::Prepare(Setup {
            target: AllocatorTarget::Machine,
            strategy: 0,
            protocols: Protocols::Udp,
            range: PortRange::new(50_000, 50_999).unwrap(),
            max_attempts: 100,
            seed: 1,
            address: Some(address),
            reserved: Vec::new(),
            hold_limit: 10,
            stop_after: None,
        }));
        match reports.recv_timeout(Duration::from_mins(1)).unwrap() {
            Report::AllocationFailed(words) => assert_eq!(
                words.as_str(),
                "192.0.2.1 is not an address of this machine, which has 127.0.0.1 (EADDRNOTAVAIL)"
            ),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn an_interface_name_is_not_taken_for_another_argument() {
    let words: Vec<&OsStr> = ["pick", "--address", "fe80::1%\u{1b}[2J"].map(OsStr::new).into();
    let output = output_of(program().args(words));
    assert_eq!(code(&output), 2);
    assert!(!stderr(&output).trim_end().contains(char::is_control), "{output:?}");
}
