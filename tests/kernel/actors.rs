//! Actors: real processes that use real ports, in a private network namespace.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use portscope::{
    domain::{Errno, PortRange, Snapshot, Source, State},
    host::{
        ActorProcess, ChildInput, Host as _, OwnerDepth,
        actor::{
            Actor, ActorEvent, ActorRole, HoldTime, ListenRole, LocalPorts, OpenCall, OpenRole,
        },
        linux::{LinuxHost, actor},
    },
};

use crate::{
    namespace::{in_new_namespace, set_sysctl},
    outputs::{PROGRAM, program},
    processes::{self, Sleeper},
};

use ActorEvent::{Opened, Refused, Up};

const TIMEOUT: Duration = Duration::from_secs(10);
const BRIEFLY: HoldTime = HoldTime::For(Duration::from_millis(1));

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn ports(first: u16, last: u16) -> LocalPorts {
    let address = Ipv4Addr::LOCALHOST.into();
    LocalPorts { address, ports: PortRange::new(first, last).unwrap() }
}

/// Opens `count` sockets at once, and holds them.
fn opening(call: OpenCall, count: u64) -> OpenRole {
    OpenRole {
        call,
        reuse_address: false,
        bind_no_port: false,
        count,
        per_second: 1e6,
        most: 1000,
        hold: HoldTime::Forever,
        seed: 1,
    }
}

fn connecting(port: u16, count: u64) -> OpenRole {
    opening(OpenCall::Connect { from: None, to: local(port) }, count)
}

/// A running actor. Dropping it ends the process.
struct Running(Box<dyn ActorProcess>);

impl Running {
    fn start(role: ActorRole) -> Self {
        let _alone = processes::alone();
        let actor = Actor { name: "payments".to_owned(), role };
        Self(actor::start(Path::new(PROGRAM), &actor).unwrap())
    }

    fn opening(role: OpenRole) -> Self {
        let mut actor = Self::start(ActorRole::Open(role));
        assert_eq!(actor.next(), Some(Up { port: 0 }));
        actor
    }

    /// Starts a listener on a port that the kernel chooses, and returns the port.
    fn listening(hold: HoldTime) -> (Self, u16) {
        let role = ListenRole { at: local(0), reuse_address: true, hold };
        let mut actor = Self::start(ActorRole::Listen(role));
        match actor.next() {
            Some(Up { port }) if port > 0 => (actor, port),
            event => panic!("{event:?}"),
        }
    }

    /// Waits for the next event. None: the actor has ended.
    fn next(&mut self) -> Option<ActorEvent> {
        match self.0.receive(TIMEOUT).unwrap() {
            ChildInput::Line(line) => Some(ActorEvent::parse(&line).expect("an event")),
            ChildInput::End => None,
            ChildInput::Nothing => panic!("no event in {TIMEOUT:?}"),
        }
    }

    fn events(&mut self, count: usize) -> Vec<ActorEvent> {
        (0..count).map(|_| self.next().expect("it runs")).collect()
    }
}

/// Returns the ports of the events, each of which is `Opened`.
fn opened(events: &[ActorEvent]) -> Vec<u16> {
    let port = |event: &ActorEvent| match event {
        Opened { port, .. } => *port,
        event => panic!("{event:?}"),
    };
    events.iter().map(port).collect()
}

/// Waits until the namespace has `count` sockets in this state with this local port, or, if
/// `is_remote`, with this remote port.
fn until_sockets(count: usize, state: State, port: u16, is_remote: bool) {
    let mut snapshot = Snapshot::empty(LinuxHost::new().machine(), Source::Simulated);
    let mut scanner = LinuxHost::new().scanner().unwrap();
    let deadline = Instant::now() + TIMEOUT;
    loop {
        scanner.scan(OwnerDepth::Skip, &mut snapshot).unwrap();
        let sockets = snapshot.sockets.iter().filter(|socket| {
            let end = if is_remote { socket.remote } else { Some(socket.local) };
            socket.state == state && end.is_some_and(|end| end.port == port)
        });
        if sockets.count() == count {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "not {count} on port {port} in {}: {:#?}",
            state.name(),
            snapshot.sockets
        );
        std::thread::yield_now();
    }
}

fn until(what: &str, mut is_met: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_met() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_listener_accepts_connections_and_closes_them_when_the_peer_does() {
    in_new_namespace(|| {
        let (mut listener, port) = Running::listening(HoldTime::UntilPeerCloses);
        let clients: Vec<TcpStream> =
            (0..20).map(|_| TcpStream::connect(local(port)).unwrap()).collect();
        let expected: Vec<ActorEvent> = (0..)
            .zip(&clients)
            .map(|(held, client)| Opened { port: client.local_addr().unwrap().port(), held })
            .collect();
        assert_eq!(listener.events(20), expected);
        drop(clients);
        until_sockets(20, State::TimeWait, port, true);
    });
}

#[test]
fn a_client_opens_its_count_of_connections_at_its_rate_and_closes_first() {
    in_new_namespace(|| {
        let (_server, port) = Running::listening(HoldTime::UntilPeerCloses);
        let begun = Instant::now();
        let role = OpenRole { per_second: 1000.0, hold: BRIEFLY, ..connecting(port, 200) };
        let mut client = Running::opening(role);
        let used: BTreeSet<u16> = opened(&client.events(200)).into_iter().collect();
        // 0.2 s on average, with a standard deviation of 0.014 s.
        assert!(begun.elapsed() > Duration::from_millis(130), "{:?}", begun.elapsed());
        assert_eq!(used.len(), 200);
        until_sockets(200, State::TimeWait, port, true);
        until_sockets(0, State::TimeWait, port, false);
    });
}

#[test]
fn a_client_lets_the_peer_close_first_or_never_closes() {
    in_new_namespace(|| {
        let (_server, port) = Running::listening(BRIEFLY);
        let role = OpenRole { hold: HoldTime::UntilPeerCloses, ..connecting(port, 10) };
        let _client = Running::opening(role);
        until_sockets(10, State::TimeWait, port, false);
        let _leaking = Running::opening(connecting(port, 5));
        until_sockets(5, State::CloseWait, port, true);
    });
}

#[test]
fn an_actor_never_holds_more_than_its_maximum() {
    in_new_namespace(|| {
        let (_server, port) = Running::listening(HoldTime::UntilPeerCloses);
        let mut client =
            Running::opening(OpenRole { most: 3, hold: BRIEFLY, ..connecting(port, 100) });
        let most = client.events(100).into_iter().map(|event| match event {
            Opened { held, .. } => held + 1,
            event => panic!("{event:?}"),
        });
        assert_eq!(most.max(), Some(3));
    });
}

#[test]
fn refused_connections_count_and_are_reported_with_their_errno() {
    in_new_namespace(|| {
        let mut client = Running::opening(connecting(9, 3));
        let refused = Refused { port: 0, errno: Errno::ECONNREFUSED };
        assert_eq!(client.events(3), [refused; 3]);
    });
}

#[test]
fn a_port_is_bound_by_number_or_by_the_kernel() {
    in_new_namespace(|| {
        let by_number = opening(OpenCall::Bind { from: ports(40_000, 40_000) }, 1);
        let mut holder = Running::opening(by_number);
        assert_eq!(holder.next(), Some(Opened { port: 40_000, held: 0 }));
        let error = TcpListener::bind(local(40_000)).unwrap_err();
        assert_eq!(Errno::from(error), Errno::EADDRINUSE);
        let mut late = Running::opening(by_number);
        assert_eq!(late.next(), Some(Refused { port: 40_000, errno: Errno::EADDRINUSE }));
        let mut chosen = Running::opening(opening(OpenCall::Bind { from: ports(0, 0) }, 1));
        let port = opened(&chosen.events(1))[0];
        assert!(TcpListener::bind(local(port)).is_err(), "{port}");
        for (ended, port) in [(holder, 40_000), (chosen, port)] {
            drop(ended);
            TcpListener::bind(local(port)).expect("its port is free once it has ended");
        }
    });
}

#[test]
fn all_ports_of_a_range_are_bound_in_random_order() {
    in_new_namespace(|| {
        let role = opening(OpenCall::UdpBind { from: ports(40_000, 40_019) }, 20);
        let mut holder = Running::opening(role);
        let mut order = Vec::new();
        while order.len() < 20 {
            match holder.next().expect("it runs") {
                Opened { port, .. } => order.push(port),
                Refused { port, errno } => {
                    assert!(order.contains(&port) && errno == Errno::EADDRINUSE);
                }
                event @ Up { .. } => panic!("{event:?}"),
            }
        }
        assert!(!order.is_sorted(), "{order:?}");
        assert!(order.iter().copied().collect::<BTreeSet<u16>>().into_iter().eq(40_000..=40_019));
        assert!((40_000..=40_019).all(|port| UdpSocket::bind(local(port)).is_err()));
    });
}

#[test]
fn a_udp_socket_sends_a_datagram_and_is_held() {
    in_new_namespace(|| {
        let server = UdpSocket::bind(local(0)).unwrap();
        server.set_read_timeout(Some(TIMEOUT)).unwrap();
        let call = OpenCall::UdpSend { to: server.local_addr().unwrap() };
        let mut resolver = Running::opening(opening(call, 20));
        let used = opened(&resolver.events(20));
        for &port in &used {
            let (length, from) = server.recv_from(&mut [0; 8]).unwrap();
            assert_eq!((length, from.port()), (1, port));
            let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            assert!(UdpSocket::bind(everywhere).is_err());
        }
        assert_eq!(used.iter().collect::<BTreeSet<_>>().len(), 20);
    });
}

#[test]
fn bind_before_connect_uses_up_the_ports_of_all_destinations_unless_it_takes_none() {
    for bind_no_port in [false, true] {
        in_new_namespace(|| {
            set_sysctl("ip_local_port_range", "40000 40003");
            let everything: BTreeSet<u16> = (40_000..=40_003).collect();
            let servers = [5001, 5002].map(|port| TcpListener::bind(local(port)).unwrap());
            let mut clients = servers.each_ref().map(|server| {
                let (from, to) = (Some(ports(0, 0)), server.local_addr().unwrap());
                let role = opening(OpenCall::Connect { from, to }, 4);
                let mut client = Running::opening(OpenRole { bind_no_port, ..role });
                (client.events(4), client)
            });
            let [first, second] = clients.each_mut().map(|(events, _)| std::mem::take(events));
            assert_eq!(opened(&first).into_iter().collect::<BTreeSet<u16>>(), everything);
            if bind_no_port {
                assert_eq!(opened(&second).into_iter().collect::<BTreeSet<u16>>(), everything);
            } else {
                assert_eq!(second, [Refused { port: 0, errno: Errno::EADDRINUSE }; 4]);
            }
        });
    }
}

#[test]
fn a_port_in_time_wait_needs_reuse_address() {
    in_new_namespace(|| {
        let (server, port) = Running::listening(BRIEFLY);
        let role = OpenRole { hold: HoldTime::UntilPeerCloses, ..connecting(port, 1) };
        let _client = Running::opening(role);
        until_sockets(1, State::TimeWait, port, false);
        drop(server);
        let restart = |reuse_address| {
            let hold = HoldTime::Forever;
            Running::start(ActorRole::Listen(ListenRole { at: local(port), reuse_address, hold }))
        };
        let mut refused = restart(false);
        assert_eq!(refused.next(), Some(Refused { port, errno: Errno::EADDRINUSE }));
        assert_eq!(refused.next(), None);
        assert_eq!(restart(true).next(), Some(Up { port }));
    });
}

/// One actor of each kind that opens or accepts sockets. Nobody answers on port 9.
fn each_kind() -> [ActorRole; 5] {
    let from = ports(40_000, 40_009);
    [
        ActorRole::Listen(ListenRole {
            at: local(0),
            reuse_address: false,
            hold: HoldTime::Forever,
        }),
        ActorRole::Open(connecting(9, u64::MAX)),
        ActorRole::Open(opening(OpenCall::Bind { from }, u64::MAX)),
        ActorRole::Open(opening(OpenCall::UdpBind { from }, 10)),
        ActorRole::Open(opening(OpenCall::UdpSend { to: local(9) }, 10)),
    ]
}

/// A shell that starts an actor with the shell's own standard input, prints its pid, and waits.
const SHELL: &str = r#"exec 3<&0; "$@" <&3 >/dev/null & echo $!; wait"#;

#[test]
fn an_actor_ends_when_its_parent_is_killed() {
    in_new_namespace(|| {
        for role in each_kind() {
            let words = Actor { name: "payments".to_owned(), role }.words();
            let mut command = Command::new("sh");
            command.args(["-c", SHELL, "sh", PROGRAM, "run-actor"]).args(&words);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut shell = {
                let _alone = processes::alone();
                Sleeper::spawn(&mut command)
            };
            let mut pid = String::new();
            let output = shell.child().stdout.take().unwrap();
            BufReader::new(output).read_line(&mut pid).unwrap();
            let file = |name| fs::read_to_string(format!("/proc/{}/{name}", pid.trim()));
            until("it has its name", || file("comm").is_ok_and(|comm| comm == "payments\n"));
            // The pipe to the actor stays open here: the signal alone ends it.
            let stdin = shell.child().stdin.take();
            drop(shell);
            let is_gone = || file("stat").map_or(true, |stat| stat.contains(") Z "));
            until(&words.join(" "), is_gone);
            drop(stdin);
        }
    });
}

#[test]
fn an_actor_ends_when_its_standard_input_is_closed() {
    for role in each_kind() {
        in_new_namespace(|| {
            let words = Actor { name: "payments".to_owned(), role: role.clone() }.words();
            let mut command = program();
            command.arg("run-actor").args(&words).stdin(Stdio::piped()).stdout(Stdio::null());
            let mut actor = {
                let _alone = processes::alone();
                Sleeper::spawn(&mut command)
            };
            drop(actor.child().stdin.take());
            let status = actor.child().wait().unwrap();
            assert!(status.success(), "{words:?}: {status}");
        });
    }
}

#[test]
fn a_bad_description_is_refused_before_the_actor_starts() {
    for role in each_kind() {
        let words = Actor { name: "payments".to_owned(), role }.words();
        let place = words.iter().position(|word| word == "hold").unwrap() + 1;
        let mut bad = words.clone();
        "soon".clone_into(&mut bad[place]);
        for (words, refusal) in [
            (&bad[..], "invalid value 'soon' for hold: expected nanoseconds"),
            (&words[..place], "missing field 'hold': expected nanoseconds"),
        ] {
            let output = processes::output_of(program().arg("run-actor").args(words));
            let printed = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()));
            assert!(printed.contains(refusal) && printed.lines().count() == 1, "{printed}");
        }
    }
}
