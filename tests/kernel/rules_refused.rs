//! Rules about what looks like exhaustion but has another cause: each condition created for real in
//! a network namespace, and its absence.

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use portscope::domain::{
    Finding, Severity, Vitals,
    diagnosis::{About, Figure},
};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use crate::{
    diagnoser::{Diagnoser, assert_said, figure},
    namespace::{in_new_namespace, set_sysctl},
    processes::{alone, not_tested},
};

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;
const TIMEOUT: Duration = Duration::from_secs(20);
/// A documentation address (RFC 3849). Nothing is sent, because there is no route.
const FOREIGN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// Whether the command succeeds in this namespace.
fn run(command: &str) -> bool {
    let _alone = alone();
    let mut words = command.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).output().is_ok_and(|output| output.status.success())
}

fn disable_ipv6(interface: &str, value: &str) {
    fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), value).unwrap();
}

fn errno_of<T>(result: io::Result<T>) -> Option<Errno> {
    result.err().and_then(|error| Errno::from_io_error(&error))
}

/// A UDP connect() chooses route and source address as TCP does, but sends nothing.
fn connect(to: Ipv6Addr) -> Option<Errno> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, None).unwrap();
    errno_of(socket.connect(&SocketAddr::from((to, 9)).into()))
}

fn bind(to: Ipv6Addr) -> Option<Errno> {
    errno_of(TcpListener::bind((to, 0)))
}

/// Asserts that the kernel finds no IPv6 source address.
#[track_caller]
fn assert_no_source() {
    assert_eq!(bind(Ipv6Addr::LOCALHOST), Some(Errno::ADDRNOTAVAIL));
    assert_eq!(connect(Ipv6Addr::LOCALHOST), Some(Errno::ADDRNOTAVAIL));
    assert_eq!(connect(FOREIGN), Some(Errno::ADDRNOTAVAIL));
    assert_eq!(bind(Ipv6Addr::UNSPECIFIED), None);
}

const ANY: &str = "connect() to any IPv6 address, and bind() to ::1, fail with EADDRNOTAVAIL";

#[test]
fn disabled_ipv6_is_not_reported_as_exhaustion() {
    in_new_namespace(|| {
        let _used = TcpListener::bind((LOCAL, 5000)).unwrap();
        Diagnoser::now().assert_no_finding("no-source-address");
        disable_ipv6("all", "1");
        assert_no_source();
        let words =
            [ANY, "on all interfaces (net.ipv6.conf.all.disable_ipv6 = 1)", "not exhaustion"];
        let finding = Diagnoser::now().one("no-source-address", Severity::Notice, &words);
        assert!(finding.advice[0].ends_with(
            "net.ipv6.conf.default.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0 \
             net.ipv6.conf.all.disable_ipv6=0"
        ));
        for interface in ["default", "lo", "all"] {
            disable_ipv6(interface, "0");
        }
        assert_eq!(bind(Ipv6Addr::LOCALHOST), None);
        Diagnoser::now().assert_no_finding("no-source-address");
    });
}

#[test]
fn ipv6_disabled_on_loopback_only_is_reported_with_what_works() {
    in_new_namespace(|| {
        disable_ipv6("lo", "1");
        assert_no_source();
        let words = [ANY, "disabled on lo (net.ipv6.conf.lo.disable_ipv6 = 1)"];
        Diagnoser::now().one("no-source-address", Severity::Notice, &words);
        // With an address on another interface only ::1 is missing.
        if !add_interface() {
            return not_tested("no right to make an interface");
        }
        let own = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
        assert_eq!((bind(Ipv6Addr::LOCALHOST), bind(own)), (Some(Errno::ADDRNOTAVAIL), None));
        assert_eq!(connect(FOREIGN), Some(Errno::NETUNREACH));
        let finding = Diagnoser::now().one("no-source-address", Severity::Notice, &["ENETUNREACH"]);
        assert!(finding.summary.starts_with("bind() to ::1 fails with EADDRNOTAVAIL"));
    });
}

/// Creates a pair of interfaces; one of them has fd00::1, without duplicate address detection.
fn add_interface() -> bool {
    run("ip link add d0 type veth peer name d1")
        && run("ip link set d0 up")
        && run("ip address add fd00::1/64 dev d0 nodad")
}

/// Disables IPv6 on another interface than `lo` and on future ones: no source address is missing
/// there.
#[test]
fn ipv6_disabled_on_another_interface_is_no_finding() {
    in_new_namespace(|| {
        disable_ipv6("default", "1");
        assert_eq!((bind(Ipv6Addr::LOCALHOST), connect(FOREIGN)), (None, Some(Errno::NETUNREACH)));
        Diagnoser::now().assert_no_finding("no-source-address");
        disable_ipv6("default", "0");
        if add_interface() {
            disable_ipv6("d0", "1");
            assert_eq!(connect(FOREIGN), Some(Errno::NETUNREACH));
            Diagnoser::now().assert_no_finding("no-source-address");
        }
    });
}

#[test]
fn loopback_down_is_a_warning_if_sockets_exist() {
    in_new_namespace(|| {
        if !run("ip link set lo down") {
            return not_tested("no ip here");
        }
        assert_no_source();
        let words = [ANY, "the interface lo is down", "ip link set lo up", "127.0.0.1"];
        Diagnoser::now().one("no-source-address", Severity::Notice, &words);
        let _used = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5000)).unwrap();
        Diagnoser::now().one("no-source-address", Severity::Warning, &words);
        assert!(run("ip link set lo up"));
        Diagnoser::now().assert_no_finding("no-source-address");
    });
}

#[test]
fn loopback_down_is_reported_if_ipv6_is_disabled_too() {
    in_new_namespace(|| {
        disable_ipv6("all", "1");
        if !run("ip link set lo down") {
            return not_tested("no ip here");
        }
        let found = Diagnoser::now().find("no-source-address");
        let [six, four] = &found[..] else { panic!("{found:#?}") };
        assert_said(six, Severity::Notice, &[ANY, "all.disable_ipv6 = 1"]);
        assert_said(four, Severity::Notice, &["127.0.0.1", "ENETUNREACH", "ip link set lo up"]);
    });
}

#[test]
fn removed_loopback_addresses_are_reported() {
    in_new_namespace(|| {
        if !run("ip address del ::1/128 dev lo") {
            return not_tested("no ip here");
        }
        assert_no_source();
        let words = [ANY, "lo has no address ::1", "ip address add ::1/128 dev lo"];
        Diagnoser::now().one("no-source-address", Severity::Notice, &words);
        assert!(run("ip address add ::1/128 dev lo") && run("ip address del 127.0.0.1/8 dev lo"));
        assert_eq!(errno_of(TcpListener::bind((LOCAL, 0))), Some(Errno::ADDRNOTAVAIL));
        let words = ["bind() to 127.0.0.1 fails with EADDRNOTAVAIL", "ip address add 127.0.0.1/8"];
        Diagnoser::now().one("no-source-address", Severity::Notice, &words);
        assert!(run("ip address add 127.0.0.1/8 dev lo"));
        Diagnoser::now().assert_no_finding("no-source-address");
    });
}

/// Clients whose handshakes stay unfinished, because nft drops the answers of the listener.
struct SynFlood {
    listener: TcpListener,
    clients: Vec<Socket>,
}

impl SynFlood {
    /// Starts a listener with this backlog. None: nft is missing, or may not filter.
    fn on(backlog: i32) -> Option<Self> {
        let rules = [
            "add table ip f",
            "add chain ip f in { type filter hook input priority 0 ; }",
            "add rule ip f in tcp sport 5000 tcp flags & (syn|ack) == (syn|ack) drop",
        ];
        let _alone = alone();
        let add = |rule: &&str| Command::new("nft").arg(rule).output();
        if !rules.iter().all(|rule| add(rule).is_ok_and(|output| output.status.success())) {
            not_tested("nft cannot filter here");
            return None;
        }
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((LOCAL, 5000)).into()).unwrap();
        listener.listen(backlog).unwrap();
        Some(Self { listener: listener.into(), clients: Vec::new() })
    }

    fn connect(&mut self, clients: usize) {
        for _ in 0..clients {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            let begun = client.connect(&self.listener.local_addr().unwrap().into());
            assert_eq!(errno_of(begun), Some(Errno::INPROGRESS));
            self.clients.push(client);
        }
    }
}

/// Scans until the rule finds something since `before`.
#[track_caller]
fn scan_until_found(diagnoser: &mut Diagnoser, before: &Vitals, rule: &str) -> Finding {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let mut found = diagnoser.scan().find_since(before, rule);
        if !found.is_empty() {
            return found.remove(0);
        }
        assert!(Instant::now() < deadline, "{:#?}", diagnoser.snapshot.vitals);
        thread::yield_now();
    }
}

#[test]
fn a_full_syn_queue_without_cookies_is_critical_and_not_a_listen_overflow() {
    in_new_namespace(|| {
        set_sysctl("tcp_syncookies", "0");
        set_sysctl("tcp_max_syn_backlog", "16");
        let Some(mut syn_flood) = SynFlood::on(64) else { return };
        syn_flood.connect(12);
        let mut diagnoser = Diagnoser::now();
        diagnoser.assert_no_finding("syn-queue-full");
        let before = diagnoser.snapshot.vitals.clone();
        // 13 are one more than three quarters of the limit, which is the share for unknown peers.
        // Further SYNs are dropped, and sent again after a second.
        syn_flood.connect(8);
        let finding = scan_until_found(&mut diagnoser, &before, "syn-queue-full");
        let words = [
            "on 127.0.0.1:5000 is full",
            "13 half-open",
            "SYN cookies off",
            "tcp_max_syn_backlog 16",
            "dropped",
            "ETIMEDOUT",
            "tcp_syncookies=1",
        ];
        assert_said(&finding, Severity::Critical, &words);
        assert_eq!(finding.about, About::Port(portscope::domain::Protocol::Tcp, 5000));
        assert_eq!(figure(&finding, "half_open"), Some(Figure::Count(13)));
        diagnoser.one("syn-queue-full", Severity::Warning, &["since the counter started"]);
        diagnoser.assert_no_finding("listen-overflow");
        diagnoser.assert_no_finding("destination-exhausted");

        let _alone = alone();
        drop(syn_flood);
        let idle_vitals = diagnoser.scan().snapshot.vitals.clone();
        // Only a counter remains, which may have other causes.
        diagnoser.assert_no_finding("syn-queue-full");
        assert_eq!(diagnoser.scan().find_since(&idle_vitals, "syn-queue-full"), []);
    });
}

/// Here the backlog of listen() is smaller than tcp_max_syn_backlog.
#[test]
fn a_syn_queue_as_long_as_the_backlog_is_full() {
    in_new_namespace(|| {
        set_sysctl("tcp_syncookies", "0");
        let Some(mut syn_flood) = SynFlood::on(4) else { return };
        let mut diagnoser = Diagnoser::now();
        let before = diagnoser.snapshot.vitals.clone();
        syn_flood.connect(8);
        let finding = scan_until_found(&mut diagnoser, &before, "syn-queue-full");
        assert_said(&finding, Severity::Critical, &["backlog 4, SYN cookies off", "dropped"]);
        diagnoser.assert_no_finding("listen-overflow");
    });
}

#[test]
fn a_full_syn_queue_with_cookies_is_a_warning_that_names_them() {
    in_new_namespace(|| {
        set_sysctl("tcp_syncookies", "1");
        let Some(mut syn_flood) = SynFlood::on(4) else { return };
        let mut diagnoser = Diagnoser::now();
        let before = diagnoser.snapshot.vitals.clone();
        syn_flood.connect(12);
        let finding = scan_until_found(&mut diagnoser, &before, "syn-queue-full");
        let words =
            ["127.0.0.1:5000 is full", "backlog 4", "answered with SYN cookies", "still connect"];
        assert_said(&finding, Severity::Warning, &words);
        assert_eq!(figure(&finding, "tcp_syncookies"), Some(Figure::Count(1)));
        diagnoser.one("syn-queue-full", Severity::Notice, &["SYN cookies"]);
        diagnoser.assert_no_finding("listen-overflow");
    });
}

#[test]
fn cookies_for_every_syn_and_a_partly_filled_syn_queue_are_no_finding() {
    in_new_namespace(|| {
        let Some(mut syn_flood) = SynFlood::on(64) else { return };
        syn_flood.connect(8);
        let mut diagnoser = Diagnoser::now();
        assert_eq!(diagnoser.snapshot.vitals.syn_queue.cookies, Some(1));
        diagnoser.assert_no_finding("syn-queue-full");
        set_sysctl("tcp_syncookies", "2");
        let before = diagnoser.snapshot.vitals.clone();
        syn_flood.connect(8);
        assert_eq!(diagnoser.scan().find_since(&before, "syn-queue-full"), []);
        diagnoser.assert_no_finding("syn-queue-full");
    });
}

/// The accept queue is full, not the SYN queue.
#[test]
fn a_full_accept_queue_is_not_reported_as_a_full_syn_queue() {
    in_new_namespace(|| {
        for cookies in ["0", "1"] {
            set_sysctl("tcp_syncookies", cookies);
            let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            listener.bind(&SocketAddr::from((LOCAL, 0)).into()).unwrap();
            listener.listen(1).unwrap();
            let to = listener.local_addr().unwrap();
            let mut diagnoser = Diagnoser::now();
            let before = diagnoser.snapshot.vitals.clone();
            let client = |_| {
                let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                client.set_nonblocking(true).unwrap();
                let _ = client.connect(&to);
                client
            };
            let clients: Vec<Socket> = (0..8).map(client).collect();
            let finding = scan_until_found(&mut diagnoser, &before, "listen-overflow");
            assert!(finding.summary.contains("accepts too slowly"), "{finding:#?}");
            diagnoser.assert_no_finding("syn-queue-full");
            drop((clients, listener));
        }
    });
}

/// A server that accepts each connection has no full queue.
#[test]
fn a_listener_that_accepts_has_no_finding() {
    in_new_namespace(|| {
        let listener = TcpListener::bind((LOCAL, 0)).unwrap();
        for _ in 0..20 {
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let _accepted = listener.accept().unwrap();
        }
        let diagnoser = Diagnoser::now();
        diagnoser.assert_no_finding("syn-queue-full");
        diagnoser.assert_no_finding("listen-overflow");
        assert_eq!(diagnoser.snapshot.vitals.syn_queue.cookies, None, "nothing to ask for");
    });
}
