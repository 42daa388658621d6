//! What portscope reports about a port compared with what the kernel does, for each kind of holder
//! and each kind of bind() and connect(). Never uses the machine's own ports.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use portscope::{
    domain::{
        Destination, Endpoint, Gap, Machine, ProcessTable, Protocol, Snapshot, Source, State,
        availability::{
            Answer, Bind, BindAddress, Reuse, Verdict, bind_answer, connect_answer, frees_when,
        },
    },
    host::{
        Host as _, OwnerDepth, Scanner as _,
        linux::{LinuxHost, LinuxScanner},
    },
};
use rustix::io::Errno;
use socket2::Type;

use crate::{
    holders::{self, ANY4, ANY6, Holder, LOCAL4, LOCAL6, SocketOption},
    namespace::{self, in_new_namespace, set_sysctl},
    outputs::program,
    processes,
};

/// Protocol, holder and probe of binds without options whose answer is unknown, because the kernel
/// does not report IPV6_V6ONLY of connected sockets. 127.0.0.6 is the IPv4 address that the kernel
/// stores for an IPv6 socket, so such a socket conflicts with a bind() to 127.0.0.6.
const EXPECTED_UNKNOWN: &[(Protocol, &str, &str)] = &[
    (Protocol::Tcp, "client implicit v6", "0.0.0.0"),
    (Protocol::Tcp, "client implicit v6", "127.0.0.6"),
    (Protocol::Tcp, "client implicit v6 V6ONLY", "0.0.0.0"),
    (Protocol::Tcp, "client implicit v6 V6ONLY", "127.0.0.6"),
    (Protocol::Udp, "connect() implicit v6", "0.0.0.0"),
    (Protocol::Udp, "connect() implicit v6", "127.0.0.6"),
];

/// Name, address of the question, address of the real bind(), and options for IPV6_V6ONLY.
const PROBES: [(&str, BindAddress, IpAddr, &[SocketOption]); 7] = [
    ("0.0.0.0", BindAddress::Any4, ANY4, &[]),
    ("[::] dual", BindAddress::AnyDual, ANY6, &[SocketOption::Dual]),
    ("[::] v6only", BindAddress::Any6, ANY6, &[SocketOption::V6Only]),
    ("127.0.0.1", BindAddress::At(LOCAL4), LOCAL4, &[]),
    ("127.0.0.3", BindAddress::At(loopback(3)), loopback(3), &[]),
    ("127.0.0.6", BindAddress::At(loopback(6)), loopback(6), &[]),
    ("::1", BindAddress::At(LOCAL6), LOCAL6, &[]),
];

const fn loopback(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, host))
}

/// How often the answer agreed with the kernel, was unknown, or was wrong.
#[derive(Default)]
struct Figures {
    rows: u32,
    certain: u32,
    unknown: u32,
    wrong: Vec<String>,
}

impl Figures {
    /// `is_refused`: whether the kernel refused the call.
    fn count(&mut self, what: &str, answer: &Answer, is_refused: bool) {
        let is_right = match answer.verdict {
            Verdict::Unknown => {
                self.unknown += 1;
                return;
            }
            Verdict::Free => !is_refused,
            Verdict::InUse | Verdict::Never => is_refused,
        };
        if is_right {
            self.certain += 1;
        } else {
            self.wrong.push(format!("{what}: {answer:?}, the kernel refused: {is_refused}"));
        }
    }
}

/// Scans. If the kernel does not list bound-inactive sockets, includes owners, because those
/// sockets are found among the descriptors of processes.
fn scan() -> Snapshot {
    let lists_all = namespace::is_linux_at_least((6, 8));
    let depth = if lists_all { OwnerDepth::Skip } else { OwnerDepth::Full };
    scan_by(depth, LinuxScanner::new)
}

/// Scans /proc/net, and with owners also the descriptors of processes.
fn scan_without_netlink(depth: OwnerDepth) -> Snapshot {
    let refused = Err(portscope::domain::Errno::EACCES);
    scan_by(depth, |machine| LinuxScanner::over(machine, refused))
}

/// Whether a connection from the port has ended, and the kernel does not show whether bind() chose
/// the port.
fn is_in_doubt(snapshot: &Snapshot, holder: &Holder) -> bool {
    holder.protocol == Protocol::Tcp
        && snapshot.gaps.iter().any(|gap| match gap {
            Gap::PortsInDoubt { ports } => ports.contains(holder.port),
            _ => false,
        })
}

fn scan_by(depth: OwnerDepth, scanner: impl FnOnce(Arc<Machine>) -> LinuxScanner) -> Snapshot {
    let machine = LinuxHost::new().machine();
    let mut snapshot = Snapshot::empty(Arc::clone(&machine), Source::Simulated);
    scanner(machine).scan(depth, &mut snapshot).unwrap();
    snapshot
}

/// Scans until each holder is in its state, because the kernel's packets take some time.
fn settled_snapshot(holders: &[Holder]) -> Snapshot {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let snapshot = scan();
        let is_settled = |holder: &&Holder| {
            let sockets = snapshot.on_port(holder.protocol, holder.port);
            match holder.state {
                Some(State::Bound) if is_in_doubt(&snapshot, holder) => true,
                Some(state) => sockets.iter().any(|socket| socket.state == state),
                None => sockets.is_empty(),
            }
        };
        let Some(late) = holders.iter().find(|holder| !is_settled(holder)) else {
            let is_doubt = |gap: &Gap| matches!(gap, Gap::PortsInDoubt { .. });
            let is_old = !namespace::is_linux_at_least((6, 8));
            let may_be = |gap| is_old && is_doubt(gap);
            assert!(snapshot.gaps.iter().all(may_be), "nothing may be hidden: {:?}", snapshot.gaps);
            return snapshot;
        };
        let listed = snapshot.on_port(late.protocol, late.port);
        assert!(Instant::now() < deadline, "{} never has {:?}: {listed:#?}", late.name, late.state);
        std::thread::yield_now();
    }
}

fn kind(protocol: Protocol) -> Type {
    match protocol {
        Protocol::Tcp => Type::STREAM,
        Protocol::Udp => Type::DGRAM,
    }
}

/// Returns whether a real bind() is refused. Releases the port at once.
fn is_bind_refused(holder: &Holder, address: IpAddr, with: &[SocketOption]) -> bool {
    let socket = holders::open(kind(holder.protocol), address, with);
    match socket.bind(&SocketAddr::new(address, holder.port).into()) {
        Ok(()) => false,
        Err(error) if is(&error, Errno::ADDRINUSE) => true,
        Err(error) => panic!("{}: bind {address}: {error}", holder.name),
    }
}

/// Returns whether a real connect() that can use only this port is refused. If no program listens
/// at `to`, the port was chosen nevertheless.
fn is_connect_refused(holder: &Holder, to: Endpoint) -> bool {
    let address = to.address.to_canonical();
    let connected = holders::choosing(holder.port, || {
        let socket =
            holders::open(kind(holder.protocol), address, &[SocketOption::OnlyPort(holder.port)]);
        socket.set_nonblocking(true).unwrap();
        // A connection must leave no TIME-WAIT on the port.
        if holder.protocol == Protocol::Tcp {
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
        socket.connect(&SocketAddr::new(address, to.port).into())
    });
    match connected {
        Ok(()) => false,
        Err(error) if is(&error, Errno::INPROGRESS) || is(&error, Errno::CONNREFUSED) => false,
        Err(error) if is(&error, Errno::ADDRNOTAVAIL) => holder.protocol == Protocol::Tcp,
        Err(error) if is(&error, Errno::AGAIN) => holder.protocol == Protocol::Udp,
        Err(error) => panic!("{}: connect to {to}: {error}", holder.name),
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

fn reuse_options(reuse: Reuse) -> &'static [&'static [SocketOption]] {
    match reuse {
        Reuse::None => &[&[]],
        Reuse::Address => &[&[SocketOption::ReuseAddress]],
        // As root, and as another user.
        Reuse::Port => {
            &[&[SocketOption::ReusePort], &[SocketOption::ReusePort, SocketOption::User1000]]
        }
    }
}

fn compare_binds(
    snapshot: &Snapshot,
    holders: &[Holder],
    protocol: Protocol,
    reuse: Reuse,
) -> Figures {
    let mut figures = Figures::default();
    for holder in holders.iter().filter(|holder| holder.protocol == protocol) {
        figures.rows += 1;
        for (name, address, at, family) in PROBES {
            let answer = bind_answer(snapshot, holder.port, Bind { protocol, address, reuse });
            assert!(!answer.because.is_empty());
            if reuse == Reuse::None && snapshot.is_complete() {
                let is_expected_unknown = EXPECTED_UNKNOWN.contains(&(protocol, holder.name, name));
                let is_unknown = answer.verdict == Verdict::Unknown;
                assert_eq!(is_unknown, is_expected_unknown, "{} {name}: {answer:?}", holder.name);
            }
            for options in reuse_options(reuse) {
                let is_refused = is_bind_refused(holder, at, &[family, *options].concat());
                let what = format!("{protocol:?} {} bind {name} {reuse:?}", holder.name);
                figures.count(&what, &answer, is_refused);
            }
        }
    }
    figures
}

/// Returns the destinations of the port's sockets, and three others.
fn destinations(snapshot: &Snapshot, holder: &Holder) -> Vec<Destination> {
    let on_port = snapshot.on_port(holder.protocol, holder.port);
    let same = on_port.iter().filter_map(|socket| {
        let remote = socket.remote?;
        let source = socket.local.address.to_canonical();
        Some(Destination {
            source,
            remote: (remote.address.to_canonical(), remote.port).into(),
            interface: None,
        })
    });
    let other = [(LOCAL4, 9), (LOCAL4, 10), (LOCAL6, 9)];
    same.chain(other.map(|to| Destination { source: to.0, remote: to.into(), interface: None }))
        .collect()
}

fn compare_connects(snapshot: &Snapshot, holders: &[Holder], protocol: Protocol) -> Figures {
    let mut figures = Figures::default();
    for holder in holders.iter().filter(|holder| holder.protocol == protocol) {
        figures.rows += 1;
        let elsewhere = connect_answer(snapshot, protocol, holder.port, None);
        for to in destinations(snapshot, holder) {
            let answer = connect_answer(snapshot, protocol, holder.port, Some(&to));
            assert!(!answer.because.is_empty());
            let is_refused = is_connect_refused(holder, to.remote);
            let what = format!("{protocol:?} {} connect {}", holder.name, to.remote);
            if to.remote.port == 9 && protocol == Protocol::Tcp {
                figures.count(&format!("{what} as any"), &elsewhere, is_refused);
            }
            figures.count(&what, &answer, is_refused);
        }
    }
    figures
}

/// Prints the figures, and fails if an answer was wrong.
fn check_answer(tables: &[(String, Figures)]) {
    eprintln!("{:28} {:>5} {:>8} {:>8} {:>6}", "", "rows", "certain", "unknown", "wrong");
    for (name, Figures { rows, certain, unknown, wrong }) in tables {
        eprintln!("{name:28} {rows:>5} {certain:>8} {unknown:>8} {:>6}", wrong.len());
    }
    let wrong: Vec<_> = tables.iter().flat_map(|(_, figures)| &figures.wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Compares every kind of bind(), then every kind of connect(), because connect() may reuse a
/// TIME-WAIT port.
fn compare(snapshot: &Snapshot, holders: &[Holder]) -> Vec<(String, Figures)> {
    let kinds = Protocol::EACH.into_iter().flat_map(|p| Reuse::EACH.map(|reuse| (p, reuse)));
    let binds = kinds.map(|(protocol, reuse)| {
        let name = format!("{} bind, reuse {}", protocol.name(), reuse.name());
        (name, compare_binds(snapshot, holders, protocol, reuse))
    });
    let connects = Protocol::EACH.into_iter().map(|protocol| {
        let name = format!("{} connect", protocol.name());
        (name, compare_connects(snapshot, holders, protocol))
    });
    binds.chain(connects).collect()
}

#[test]
fn no_answer_is_wrong_and_binds_without_options_are_certain() {
    let _alone = processes::alone();
    in_new_namespace(|| {
        let holders = holders::all();
        check_answer(&compare(&settled_snapshot(&holders), &holders));
    });
}

/// The JSON output of the program and the results of its --probe agree with real binds of this
/// test.
#[test]
fn explain_json_matches_real_binds() {
    let _alone = processes::alone();
    in_new_namespace(|| {
        let holders = holders::all();
        let snapshot = settled_snapshot(&holders);
        let mut tables = Vec::new();
        for protocol in Protocol::EACH {
            let mut each = Reuse::EACH.map(|_| Figures::default());
            for holder in holders.iter().filter(|holder| holder.protocol == protocol) {
                let rows = explain(holder);
                let is_doubtful = is_in_doubt(&snapshot, holder);
                for (figures, reuse) in each.iter_mut().zip(Reuse::EACH) {
                    figures.rows += 1;
                    compare_explained(&rows, holder, is_doubtful, reuse, figures);
                }
            }
            let names = Reuse::EACH.map(Reuse::name);
            tables.extend(names.into_iter().zip(each).map(|(reuse, figures)| {
                (format!("{} explain, reuse {reuse}", protocol.name()), figures)
            }));
        }
        check_answer(&tables);
    });
}

/// Returns `protocols[0].bind` of `explain --probe`.
fn explain(holder: &Holder) -> Vec<serde_json::Value> {
    let output = program()
        .args(["explain", &holder.port.to_string(), "--protocol", holder.protocol.name()])
        .args(["--address", "127.0.0.3", "--probe", "--format", "json"])
        .output()
        .unwrap();
    let code = i32::from(holder.state.is_none());
    assert_eq!(output.status.code(), Some(code), "{}: {output:?}", holder.name);
    let mut reported: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let serde_json::Value::Array(rows) = reported["protocols"][0]["bind"].take() else {
        panic!("{}: no binds", holder.name)
    };
    assert_eq!(rows.len(), 18, "six addresses, three ways each");
    rows
}

fn compare_explained(
    rows: &[serde_json::Value],
    holder: &Holder,
    is_doubtful: bool,
    reuse: Reuse,
    figures: &mut Figures,
) {
    // In the order of --probe, because a bind() with SO_REUSEPORT to one wildcard address makes a
    // later one to another wildcard address succeed.
    let is_widest = |row: &&serde_json::Value| row["probe"] == "[::] dual";
    let (widest, rest): (Vec<_>, Vec<_>) = rows.iter().partition(is_widest);
    for row in widest.into_iter().chain(rest).filter(|row| row["reuse"] == reuse.name()) {
        let probe = row["probe"].as_str().unwrap();
        let (name, _, at, family) = *PROBES.iter().find(|known| known.0 == probe).expect(probe);
        let verdict = match row["verdict"].as_str().unwrap() {
            "free" => Verdict::Free,
            "in-use" => Verdict::InUse,
            "unknown" => Verdict::Unknown,
            other => panic!("{other}"),
        };
        let is_expected_unknown = EXPECTED_UNKNOWN.contains(&(holder.protocol, holder.name, name));
        let is_plain = reuse == Reuse::None && !is_doubtful;
        assert!(
            !is_plain || is_expected_unknown == (verdict == Verdict::Unknown),
            "{}: {row}",
            holder.name
        );
        let own = &[family, reuse_options(reuse)[0]].concat();
        let is_refused = is_bind_refused(holder, at, own);
        let probed = if is_refused { "in-use" } else { "free" };
        // Before Linux 6.18 --probe skips ports with connections, because a bind() would take the
        // port from connect().
        let is_left_out = row["probed"].is_null() && !namespace::is_linux_at_least((6, 18));
        assert!(is_left_out || row["probed"] == probed, "{} {name} {reuse:?}", holder.name);
        let answer = Answer { verdict, because: row["because"].to_string() };
        figures.count(&format!("{} {name} {reuse:?}", holder.name), &answer, is_refused);
    }
}

#[test]
fn no_answer_is_wrong_without_netlink() {
    let _alone = processes::alone();
    in_new_namespace(|| {
        let holders = holders::all();
        settled_snapshot(&holders);
        let mut figures = Vec::new();
        for depth in [OwnerDepth::Skip, OwnerDepth::Full] {
            let snapshot = scan_without_netlink(depth);
            assert_eq!(snapshot.source, Source::Procfs);
            figures.extend(compare(&snapshot, &holders));
        }
        check_answer(&figures);
    });
}

#[test]
fn connect_answers_follow_tcp_tw_reuse() {
    let _alone = processes::alone();
    in_new_namespace(|| {
        let holders = holders::all();
        settled_snapshot(&holders);
        let mut tables = Vec::new();
        for reuse in ["0", "2", "1"] {
            set_sysctl("tcp_tw_reuse", reuse);
            let figures = compare_connects(&scan(), &holders, Protocol::Tcp);
            tables.push((format!("tcp connect, tcp_tw_reuse {reuse}"), figures));
        }
        check_answer(&tables);
        let [(_, off), (_, loopback), _] = &tables[..] else { panic!("three were made") };
        assert!(off.certain > loopback.certain, "without reuse a TIME-WAIT tuple is certain");
    });
}

#[test]
fn frees_when_is_reported_for_each_port_in_use() {
    let _alone = processes::alone();
    in_new_namespace(|| {
        let holders = holders::all();
        let snapshot = settled_snapshot(&holders);
        for holder in holders.iter().filter(|holder| !is_in_doubt(&snapshot, holder)) {
            let processes = ProcessTable::default();
            let reported = frees_when(&snapshot, &processes, holder.protocol, holder.port);
            assert_eq!(reported.is_some(), holder.state.is_some(), "{}: {reported:?}", holder.name);
        }
    });
}
