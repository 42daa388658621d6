//! Tests the answers on invented snapshots, for cases that are hard to produce on a real kernel,
//! such as unreadable tables, assumed sysctls and other kernel versions. tests/kernel/matrix.rs compares
//! answers with the kernel's behaviour.

use std::{net::Ipv4Addr, sync::Arc};

use super::{
    probing::{Probed, Skipped},
    *,
};
use crate::domain::{
    Destination, Ephemeral, Errno, Gap, Holder, Machine, MachineKind, PortRange, Process,
    ProcessTable, Snapshot, Socket, Source, State, Table, Text, owner::Span,
};

const PORT: u16 = 40_000;
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn snapshot(sockets: &[Socket], gaps: &[Gap]) -> Snapshot {
    let machine = Machine::new(MachineKind::Simulated, Text::scrub("test"), Text::scrub("test"));
    let mut snapshot = Snapshot::empty(Arc::new(machine), Source::SockDiag);
    snapshot.sockets.extend(sockets);
    snapshot.gaps.extend_from_slice(gaps);
    snapshot.sort();
    snapshot
}

fn socket(protocol: Protocol, state: State, address: &str, remote: Option<&str>) -> Socket {
    let address: IpAddr = address.parse().unwrap();
    let remote = remote.map(|remote| (remote.parse::<IpAddr>().unwrap(), 443).into());
    Socket { remote, ..Socket::new(protocol, state, (address, PORT).into()) }
}

fn bind(snapshot: &Snapshot, protocol: Protocol, address: BindAddress, reuse: Reuse) -> Answer {
    bind_answer(snapshot, PORT, Bind { protocol, address, reuse })
}

fn plain(snapshot: &Snapshot, protocol: Protocol, address: BindAddress) -> Verdict {
    bind(snapshot, protocol, address, Reuse::None).verdict
}

fn towards(source: &str, remote: &str) -> Destination {
    let [source, remote]: [IpAddr; 2] = [source, remote].map(|address| address.parse().unwrap());
    Destination { source, remote: (remote, 443).into(), interface: None }
}

#[test]
fn answers_name_the_blocking_sockets() {
    let mut on_device = socket(Protocol::Tcp, State::Bound, "0.0.0.0", None);
    on_device.interface = Some(3);
    let cases = [
        (
            socket(Protocol::Tcp, State::Listen, "0.0.0.0", None),
            "LISTEN on 0.0.0.0 blocks every IPv4 address",
        ),
        (on_device, "BOUND on 0.0.0.0%3 blocks every IPv4 address"),
        (
            socket(Protocol::Tcp, State::TimeWait, "127.0.0.1", Some("127.0.0.1")),
            "a socket on 127.0.0.1 is in TIME-WAIT",
        ),
        (
            socket(Protocol::Tcp, State::Bound, "::ffff:127.0.0.1", None),
            "a socket on ::ffff:127.0.0.1 is BOUND",
        ),
    ];
    for (holder, because) in cases {
        let at = BindAddress::At(LOOPBACK);
        let answer = bind(&snapshot(&[holder], &[]), Protocol::Tcp, at, Reuse::None);
        assert_eq!((answer.verdict, answer.because.as_str()), (Verdict::InUse, because));
    }
    let waiting = socket(Protocol::Tcp, State::TimeWait, "127.0.0.1", Some("127.0.0.1"));
    let answer = bind(&snapshot(&[waiting], &[]), Protocol::Tcp, BindAddress::Any4, Reuse::None);
    let includes = "0.0.0.0 includes 127.0.0.1, on which a socket is in TIME-WAIT";
    assert_eq!(answer.because, includes);
}

#[test]
fn a_gap_that_may_hide_a_socket_makes_free_unknown() {
    use Protocol::{Tcp, Udp};
    let error = Errno::EACCES;
    let (at, any6) = (BindAddress::At(LOOPBACK), BindAddress::Any6);
    let cases = [
        (Gap::TableRefused { table: Table::Tcp4, error }, Tcp, at, Verdict::Unknown),
        (Gap::TableRefused { table: Table::Tcp4, error }, Tcp, any6, Verdict::Free),
        (Gap::TableRefused { table: Table::Tcp6, error }, Tcp, at, Verdict::Unknown),
        (Gap::TableRefused { table: Table::Tcp6, error }, Udp, at, Verdict::Free),
        (Gap::DumpTruncated { table: Table::Udp6 }, Udp, at, Verdict::Unknown),
        (Gap::DumpInterrupted { table: Table::Udp4 }, Udp, any6, Verdict::Free),
        (Gap::DumpInterrupted { table: Table::Tcp }, Tcp, any6, Verdict::Unknown),
        (Gap::NetlinkRefused { error }, Tcp, at, Verdict::Unknown),
        (Gap::NetlinkRefused { error }, Udp, at, Verdict::Free),
        (Gap::BoundInactiveUnlisted { assumed: true }, Tcp, at, Verdict::Unknown),
        (Gap::BoundInactiveUnlisted { assumed: false }, Udp, at, Verdict::Free),
        (Gap::OwnersInvisible { sockets: 3 }, Tcp, at, Verdict::Free),
    ];
    for (gap, protocol, address, expected) in cases {
        let snapshot = snapshot(&[], std::slice::from_ref(&gap));
        assert_eq!(plain(&snapshot, protocol, address), expected, "{gap:?} {protocol:?}");
    }
}

#[test]
fn a_listed_conflict_is_in_use_despite_gaps() {
    let gap = Gap::DumpTruncated { table: Table::Tcp };
    let snapshot = snapshot(&[socket(Protocol::Tcp, State::Listen, "0.0.0.0", None)], &[gap]);
    assert_eq!(plain(&snapshot, Protocol::Tcp, BindAddress::Any4), Verdict::InUse);
    assert_eq!(connect_answer(&snapshot, Protocol::Tcp, PORT, None).verdict, Verdict::InUse);
}

#[test]
fn an_ipv6_wildcard_may_block_ipv4_if_dual_stack_is_unknown() {
    let gap = Gap::DualStackUnknown { error: Errno::EACCES };
    for (address, at_v4) in [("::", Verdict::Unknown), ("::1", Verdict::Free)] {
        let holder = socket(Protocol::Udp, State::Unconnected, address, None);
        let snapshot = snapshot(&[holder], std::slice::from_ref(&gap));
        assert_eq!(plain(&snapshot, Protocol::Udp, BindAddress::At(LOOPBACK)), at_v4);
        assert_eq!(plain(&snapshot, Protocol::Udp, BindAddress::AnyDual), Verdict::InUse);
    }
}

#[test]
fn a_syn_received_socket_without_its_listener_makes_the_answer_unknown() {
    let request = socket(Protocol::Tcp, State::SynReceived, "127.0.0.1", Some("127.0.0.1"));
    let alone = snapshot(&[request], &[]);
    assert_eq!(plain(&alone, Protocol::Tcp, BindAddress::AnyDual), Verdict::Unknown);
    let listener = socket(Protocol::Tcp, State::Listen, "0.0.0.0", None);
    let served = snapshot(&[request, listener], &[]);
    assert_eq!(plain(&served, Protocol::Tcp, BindAddress::AnyDual), Verdict::InUse);
}

#[test]
fn connect_never_gets_a_port_that_is_reserved_or_out_of_range() {
    let mut free = snapshot(&[], &[]);
    free.ephemeral = Ephemeral::new(
        PortRange::new(PORT, PORT + 7).unwrap(),
        vec![PortRange::new(PORT + 2, PORT + 2).unwrap()],
    );
    let verdict = |port| connect_answer(&free, Protocol::Tcp, port, None).verdict;
    let expected = [Verdict::Never, Verdict::Free, Verdict::Never, Verdict::Free, Verdict::Never];
    assert_eq!([PORT - 1, PORT, PORT + 2, PORT + 7, PORT + 8].map(verdict), expected);
}

#[test]
fn connect_is_unknown_if_the_port_range_is_assumed() {
    for (sysctl, expected) in [
        ("net.ipv4.ip_local_port_range", Verdict::Unknown),
        ("net.ipv4.ip_local_reserved_ports", Verdict::Unknown),
        ("net.ipv4.ip_unprivileged_port_start", Verdict::Free),
    ] {
        let free = snapshot(
            &[],
            &[Gap::PolicyAssumed { sysctl: Text::scrub(sysctl), error: Errno::ENOENT }],
        );
        assert_eq!(connect_answer(&free, Protocol::Tcp, PORT, None).verdict, expected, "{sysctl}");
    }
}

#[test]
fn connect_over_time_wait_depends_on_tcp_tw_reuse() {
    let local = towards("127.0.0.1", "127.0.0.1");
    let remote = towards("192.0.2.1", "198.51.100.7");
    for (reuse, to, expected) in [
        (Some(0), &local, Verdict::InUse),
        (Some(1), &remote, Verdict::Unknown),
        (Some(2), &local, Verdict::Unknown),
        (Some(2), &remote, Verdict::InUse),
        (None, &remote, Verdict::Unknown),
    ] {
        let (source, peer) = (to.source.to_string(), to.remote.address.to_string());
        let left = socket(Protocol::Tcp, State::TimeWait, &source, Some(&peer));
        let mut snapshot = snapshot(&[left], &[]);
        snapshot.ephemeral.tw_reuse = reuse;
        let answer = connect_answer(&snapshot, Protocol::Tcp, PORT, Some(to));
        assert_eq!(answer.verdict, expected, "{reuse:?} {to:?}");
    }
}

#[test]
fn orphaned_fin_wait_2_is_not_reused_by_tcp_tw_reuse() {
    let to = towards("127.0.0.1", "127.0.0.1");
    for (kernel, expected) in [("6.18.1", Verdict::InUse), ("6.8.0-45", Verdict::Unknown)] {
        let mut snapshot = snapshot(
            &[socket(Protocol::Tcp, State::FinWait2, "127.0.0.1", Some("127.0.0.1"))],
            &[],
        );
        let machine = Machine { kernel: Text::scrub(kernel), ..(*snapshot.machine).clone() };
        snapshot.machine = Arc::new(machine);
        snapshot.ephemeral.tw_reuse = Some(1);
        let answer = connect_answer(&snapshot, Protocol::Tcp, PORT, Some(&to));
        assert_eq!(answer.verdict, expected, "{kernel}");
        assert!(!answer.because.contains("tcp_tw_reuse"), "{}", answer.because);
    }
}

#[test]
fn scoped_bind_does_not_conflict_with_another_interface() {
    let scoped = |interface| BindAddress::Scoped { address: "fe80::1".parse().unwrap(), interface };
    let mut holder = socket(Protocol::Tcp, State::Listen, "fe80::1", None);
    holder.interface = Some(2);
    let listed = snapshot(&[holder], &[]);
    assert_eq!(plain(&listed, Protocol::Tcp, scoped(2)), Verdict::InUse);
    assert_eq!(plain(&listed, Protocol::Tcp, scoped(3)), Verdict::Free);
    assert_eq!(plain(&listed, Protocol::Tcp, BindAddress::AnyDual), Verdict::InUse);
    // /proc/net lists no interface.
    holder.interface = None;
    let mut undecided = snapshot(&[holder], &[]);
    undecided.source = Source::Procfs;
    assert_eq!(plain(&undecided, Protocol::Tcp, scoped(3)), Verdict::Unknown);
    assert_eq!(plain(&undecided, Protocol::Tcp, BindAddress::AnyDual), Verdict::InUse);
}

#[test]
fn probes_are_skipped_on_ports_with_connections_before_linux_6_18() {
    let bind = |reuse| Bind { protocol: Protocol::Tcp, address: BindAddress::Any4, reuse };
    let binds = Reuse::EACH.map(bind);
    let connected = socket(Protocol::Tcp, State::Established, "127.0.0.1", Some("127.0.0.1"));
    let listener = socket(Protocol::Tcp, State::Listen, "127.0.0.1", None);
    for (kernel, sockets, is_tried) in [
        ("6.17.9", &[connected][..], false),
        ("unknown", &[connected], false),
        ("6.18.0", &[connected], true),
        ("6.17.9", &[connected, listener], true),
        ("6.17.9", &[], true),
    ] {
        let mut snapshot = snapshot(sockets, &[]);
        let machine = Machine { kernel: Text::scrub(kernel), ..(*snapshot.machine).clone() };
        snapshot.machine = Arc::new(machine);
        let mut tried = 0;
        let probed = probing::probe_each(&snapshot, PORT, &binds, |_| {
            tried += 1;
            Err(Errno::EADDRINUSE)
        });
        let skipped = Probed::Skipped(Skipped::BesideConnection);
        assert_eq!(probed.contains(&skipped), !is_tried, "{kernel} {probed:?}");
        assert_eq!(tried > 0, is_tried, "{kernel}");
    }
}

#[test]
fn connect_is_unknown_if_a_socket_with_the_four_tuple_is_bound_to_an_interface() {
    let mut holder = socket(Protocol::Tcp, State::Established, "127.0.0.1", Some("127.0.0.1"));
    let to = towards("127.0.0.1", "127.0.0.1");
    for (interface, expected) in [(None, Verdict::InUse), (Some(1), Verdict::Unknown)] {
        holder.interface = interface;
        let snapshot = snapshot(&[holder], &[]);
        let answer = connect_answer(&snapshot, Protocol::Tcp, PORT, Some(&to));
        assert_eq!(answer.verdict, expected);
    }
}

#[test]
fn frees_when_names_processes_and_the_longest_timeout() {
    let mut listener = socket(Protocol::Tcp, State::Listen, "0.0.0.0", None);
    listener.holder = Holder::Process(Span { first: 0, length: 2 });
    let mut hidden = socket(Protocol::Tcp, State::CloseWait, "127.0.0.1", Some("127.0.0.1"));
    (hidden.holder, hidden.inode, hidden.uid) = (Holder::Hidden, Some(7), Some(1000));
    let left = |expires| Socket {
        expires_ms: Some(expires),
        ..socket(Protocol::Tcp, State::TimeWait, "127.0.0.1", Some("127.0.0.1"))
    };
    let mut snapshot = snapshot(&[listener, hidden, left(3000), left(41_001)], &[]);
    snapshot.pids.extend([812, 813]);
    let processes = ProcessTable::from_iter([Process::new(812, Text::scrub("nginx"))]);
    assert_eq!(
        frees_when(&snapshot, &processes, Protocol::Tcp, PORT).unwrap(),
        "each of nginx[812], pid 813 must close the socket in LISTEN, or exit; shutdown() and `ss \
         --kill` do not release a port given to bind(). The peer has closed; a hidden process of \
         user 1000 must close the socket in CLOSE-WAIT, which starts no TIME-WAIT. TIME-WAIT ends \
         by itself in at most 42s; `ss --kill` ends it at once (needs Linux 6.0 or newer). \
         `ss --kill` ends a connection at once, but a socket whose port was given to bind() stays \
         bound until its process closes it."
    );
    assert_eq!(frees_when(&snapshot, &processes, Protocol::Udp, PORT), None);
}

#[test]
fn release_continues_a_line_and_keeps_the_name_of_a_process() {
    let mut hidden = socket(Protocol::Tcp, State::Listen, "127.0.0.1", None);
    (hidden.holder, hidden.inode, hidden.uid) = (Holder::Hidden, Some(7), Some(1000));
    let mut own = socket(Protocol::Tcp, State::Listen, "127.0.0.2", None);
    own.holder = Holder::Process(Span { first: 0, length: 1 });
    let waiting = socket(Protocol::Tcp, State::TimeWait, "127.0.0.1", Some("127.0.0.1"));
    let processes = ProcessTable::from_iter([Process::new(812, Text::scrub("Xorg"))]);
    for (sockets, start) in [
        (vec![hidden], "a hidden process of user 1000 must close"),
        (vec![own], "Xorg[812] must exit"),
        (vec![waiting], "TIME-WAIT ends by itself"),
    ] {
        let mut snapshot = snapshot(&sockets, &[]);
        snapshot.pids.push(812);
        let words = release(&snapshot, &processes, Protocol::Tcp, PORT).unwrap().words;
        assert!(words.starts_with(start), "{words}");
    }
}
