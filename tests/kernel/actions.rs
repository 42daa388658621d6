//! Actions on ports: the forecast beside what the kernel does, with real sockets of real processes
//! in a private network namespace.
//!
//! `PORTSCOPE_ACTION_SITUATIONS` is the number of random situations, `PORTSCOPE_FUZZ_SEED` the seed.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr},
    os::fd::OwnedFd,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use portscope::{
    domain::{
        Errno, PortRange, ProcessTable, Protocol, Snapshot, Source, State,
        action::{
            ActionFacts, ActionForecast, ActionInput, EndSignal, Frees, Permission, PortAction,
            ReservedChange, TermReaction, choices, forecast,
        },
        availability::{Bind, BindAddress, Reuse},
    },
    engine::freeing,
    host::{
        Host as _, OwnerDepth, Scanner as _,
        actions::{ActionError, HostActions as _},
        linux::{
            LinuxHost, LinuxScanner,
            actions::{LinuxActions, process, reserved},
            policy, probe,
        },
    },
};
use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng, seq::IndexedRandom as _};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use socket2::{Socket, Type};

use crate::{
    holders::{self, ANY4, ANY6, LOCAL4, SocketOption},
    namespace::{in_new_namespace, needs_linux, set_sysctl},
    processes::{self, Sleeper, in_private_pid_namespace, is_in_role},
};

/// The ephemeral range of the namespace. The ports of the situations follow each other in it.
const PORTS: (u16, u16) = (20_000, 59_999);
/// Where the clients of the situations connect to.
const PEER: u16 = 1000;
/// Number of sockets that a `Sleeper` can hold: its standard streams.
const MAX_HELD: usize = 3;

fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::yield_now();
    }
}

/// Returns whether a bind() on all addresses, without reuse options, gets the port.
fn is_free(protocol: Protocol, port: u16) -> bool {
    let bind = Bind { protocol, address: BindAddress::AnyDual, reuse: Reuse::None };
    probe::bind(bind, port).is_ok()
}

/// The network namespace in which sockets are made, and what a scan of it shows.
struct ActionSetup {
    scanner: LinuxScanner,
    snapshot: Snapshot,
    processes: ProcessTable,
    actions: LinuxActions,
    peer: Socket,
    next_port: u16,
}

impl ActionSetup {
    fn new() -> Self {
        set_sysctl("ip_local_port_range", &format!("{} {}", PORTS.0, PORTS.1));
        let machine = LinuxHost::new().machine();
        Self {
            scanner: LinuxScanner::new(Arc::clone(&machine)),
            snapshot: Snapshot::empty(machine, Source::SockDiag),
            processes: ProcessTable::default(),
            actions: LinuxActions::new(),
            peer: listening(LOCAL4, PEER, &[]),
            next_port: PORTS.0,
        }
    }

    fn port(&mut self) -> u16 {
        self.next_port += 1;
        self.next_port
    }

    /// Scans, and reads the facts about the processes on the port.
    fn facts(&mut self, protocol: Protocol, port: u16) -> ActionFacts {
        self.scanner.scan(OwnerDepth::Full, &mut self.snapshot).unwrap();
        let sockets = self.snapshot.on_port(protocol, port).iter();
        let pids: BTreeSet<u32> =
            sockets.flat_map(|socket| self.snapshot.owner(socket).pids()).copied().collect();
        self.actions.facts(&pids, protocol, port)
    }

    fn input<'a>(&'a self, facts: &'a ActionFacts, protocol: Protocol, port: u16) -> ActionInput<'a> {
        ActionInput { snapshot: &self.snapshot, processes: &self.processes, facts, protocol, port }
    }

    /// Returns a client of the peer, whose port was given to bind() or chosen by connect(), and the
    /// accepted socket.
    fn client(&self, port: u16, is_bound: bool) -> [Socket; 2] {
        let client = holders::open(Type::STREAM, LOCAL4, &[]);
        if is_bound {
            client.bind(&SocketAddr::new(LOCAL4, port).into()).unwrap();
        } else {
            let client = holders::choosing(port, || {
                let client = holders::open(Type::STREAM, LOCAL4, &[SocketOption::OnlyPort(port)]);
                client.connect(&SocketAddr::new(LOCAL4, PEER).into()).unwrap();
                client
            });
            return [client, self.peer.accept().unwrap().0];
        }
        client.connect(&SocketAddr::new(LOCAL4, PEER).into()).unwrap();
        [client, self.peer.accept().unwrap().0]
    }

    /// Forecasts the end of the first socket on the port by SOCK_DESTROY, ends it, and returns both.
    fn close_first(
        &mut self,
        protocol: Protocol,
        port: u16,
    ) -> (ActionForecast, Result<(), ActionError>) {
        let facts = self.facts(protocol, port);
        let socket = self.snapshot.on_port(protocol, port)[0];
        let forecast = forecast(&self.input(&facts, protocol, port), &PortAction::Close(socket));
        (forecast, self.actions.close(&socket))
    }
}

fn bound(kind: Type, address: IpAddr, port: u16, with: &[SocketOption]) -> Socket {
    let socket = holders::open(kind, address, with);
    socket.bind(&SocketAddr::new(address, port).into()).unwrap();
    socket
}

fn listening(address: IpAddr, port: u16, with: &[SocketOption]) -> Socket {
    let socket = bound(Type::STREAM, address, port, with);
    socket.listen(64).unwrap();
    socket
}

/// A listener whose port bind() to port 0 chose.
fn listening_automatic(port: u16) -> Socket {
    let socket = udp_or_tcp_automatic(Type::STREAM, port);
    socket.listen(64).unwrap();
    socket
}

fn udp_or_tcp_automatic(kind: Type, port: u16) -> Socket {
    holders::choosing(port, || {
        let socket = holders::open(kind, LOCAL4, &[SocketOption::OnlyPort(port)]);
        socket.bind(&SocketAddr::new(LOCAL4, 0).into()).unwrap();
        socket
    })
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from(error)
}

/// Every row of the table "SOCK_DESTROY and the port": the forecast, the port afterwards, and what
/// the program sees.
#[test]
fn sock_destroy_does_to_each_kind_of_socket_what_is_forecast() {
    in_new_namespace(|| {
        let mut setup = ActionSetup::new();
        connections_lose_an_automatic_port(&mut setup);
        numbered_sockets_keep_their_port(&mut setup);
        datagram_sockets_follow_the_same_rule(&mut setup);
    });
}

fn assert_closed(
    (forecast, closed): (ActionForecast, Result<(), ActionError>),
    frees: Frees,
    (protocol, port): (Protocol, u16),
) {
    assert_eq!(forecast.frees, frees, "{forecast:?}");
    assert_eq!(forecast.permission, Permission::Granted);
    closed.unwrap();
    assert_eq!(is_free(protocol, port), frees == Frees::Yes, "{forecast:?}");
}

fn connections_lose_an_automatic_port(setup: &mut ActionSetup) {
    let tcp = Protocol::Tcp;
    let port = setup.port();
    let [client, server] = setup.client(port, false);
    assert_closed(setup.close_first(tcp, port), Frees::Yes, (tcp, port));
    let seen = (&client).read(&mut [0; 1]).unwrap_err();
    assert_eq!(seen.raw_os_error(), Some(103), "ECONNABORTED");
    assert_eq!((&server).read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);

    let port = setup.port();
    let [client, server] = setup.client(port, false);
    server.shutdown(Shutdown::Both).unwrap();
    assert_eq!((&client).read(&mut [0; 1]).unwrap(), 0);
    assert_closed(setup.close_first(tcp, port), Frees::Yes, (tcp, port));

    let port = setup.port();
    drop(setup.client(port, false));
    assert!(wait_until(Duration::from_secs(5), || {
        setup.facts(tcp, port);
        setup.snapshot.on_port(tcp, port).first().is_some_and(|s| s.state == State::TimeWait)
    }));
    if needs_linux((6, 0), "ends TIME-WAIT by SOCK_DESTROY") {
        assert_closed(setup.close_first(tcp, port), Frees::Yes, (tcp, port));
    }
}

fn numbered_sockets_keep_their_port(setup: &mut ActionSetup) {
    let tcp = Protocol::Tcp;
    let port = setup.port();
    let [client, _server] = setup.client(port, true);
    assert_closed(setup.close_first(tcp, port), Frees::No, (tcp, port));
    assert_eq!((&client).read(&mut [0; 1]).unwrap_err().raw_os_error(), Some(103));
    drop(client);
    assert!(is_free(tcp, port), "the descriptor is closed");

    let port = setup.port();
    let listener = listening(ANY4, port, &[]);
    assert_closed(setup.close_first(tcp, port), Frees::No, (tcp, port));
    assert_eq!(errno_of(&listener.accept().unwrap_err()), Errno::EINVAL);
    setup.facts(tcp, port);
    assert_eq!(setup.snapshot.on_port(tcp, port)[0].state, State::Bound);

    // What remains is bound-inactive, which SOCK_DESTROY does not find.
    let (forecast, closed) = setup.close_first(tcp, port);
    assert_eq!(forecast.frees, Frees::No);
    assert!(matches!(closed, Err(ActionError::SocketGone)), "{closed:?}");
    assert!(!is_free(tcp, port));

    let port = setup.port();
    let _listener = listening_automatic(port);
    assert_closed(setup.close_first(tcp, port), Frees::Yes, (tcp, port));
}

fn datagram_sockets_follow_the_same_rule(setup: &mut ActionSetup) {
    let udp = Protocol::Udp;
    let port = setup.port();
    let socket = bound(Type::DGRAM, ANY4, port, &[]);
    assert_closed(setup.close_first(udp, port), Frees::No, (udp, port));
    assert_eq!((&socket).read(&mut [0; 1]).unwrap_err().raw_os_error(), Some(103));

    let port = setup.port();
    let socket = udp_or_tcp_automatic(Type::DGRAM, port);
    assert_closed(setup.close_first(udp, port), Frees::Yes, (udp, port));
    assert_eq!((&socket).read(&mut [0; 1]).unwrap_err().raw_os_error(), Some(103));
}

#[test]
fn missing_capability_is_known_before_a_socket_is_closed() {
    in_new_namespace(|| {
        let mut setup = ActionSetup::new();
        let port = setup.port();
        let _listener = listening_automatic(port);
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, sets).unwrap();
        let (forecast, closed) = setup.close_first(Protocol::Tcp, port);
        let Permission::Missing { capability, .. } = forecast.permission else {
            panic!("{forecast:?}")
        };
        assert_eq!(capability, "CAP_NET_ADMIN");
        assert!(matches!(closed, Err(ActionError::Denied("CAP_NET_ADMIN"))), "{closed:?}");
        assert!(!is_free(Protocol::Tcp, port), "nothing was closed");
    });
}

/// The sockets of a situation on one port, and the processes that hold them.
struct Situation {
    protocol: Protocol,
    port: u16,
    words: Vec<String>,
    sleepers: Vec<Sleeper>,
    /// The other ends, held by the test.
    _kept: Vec<Socket>,
}

/// A socket on the port, and the numbers of the processes that hold it.
struct HeldSocket {
    socket: Socket,
    holders: Vec<usize>,
}

/// Creates situations at random.
struct Situations {
    random: ChaCha8Rng,
    setup: ActionSetup,
}

impl Situations {
    fn chance(&mut self, one_in: u32) -> bool {
        self.random.random_ratio(1, one_in)
    }

    /// Draws one or two of the processes 0 to 2.
    fn holders(&mut self) -> Vec<usize> {
        let one = *[0, 0, 1, 2].choose(&mut self.random).unwrap();
        let other = *[0, 1, 2].choose(&mut self.random).unwrap();
        if one != other && self.chance(3) { vec![one, other] } else { vec![one] }
    }

    fn next(&mut self) -> Situation {
        let port = self.setup.port();
        let mut words = Vec::new();
        let (mut held, mut kept) = (Vec::new(), Vec::new());
        let shape = self.random.random_range(0..10);
        let protocol = if shape >= 8 { Protocol::Udp } else { Protocol::Tcp };
        match shape {
            0..4 => self.server(port, (&mut held, &mut kept), &mut words),
            4..6 => self.client(port, (&mut held, &mut kept), &mut words),
            6 => self.bound_inactive(port, &mut held, &mut words),
            7 => self.automatic_listener(port, (&mut held, &mut kept), &mut words),
            _ => self.datagrams(port, &mut held, &mut words),
        }
        let sleepers = self.start(held, &mut words);
        Situation { protocol, port, words, sleepers, _kept: kept }
    }

    fn hold(&mut self, socket: Socket, held: &mut Vec<HeldSocket>, words: &mut Vec<String>) {
        let mut holders = self.holders();
        let has_room = |holder: &usize| {
            held.iter().filter(|other| other.holders.contains(holder)).count() < MAX_HELD
        };
        holders.retain(has_room);
        words.push(format!("held by {holders:?}"));
        held.push(HeldSocket { socket, holders });
    }

    /// One to three listeners, accepted connections, connections in the queue, TIME-WAIT.
    fn server(
        &mut self,
        port: u16,
        (held, kept): (&mut Vec<HeldSocket>, &mut Vec<Socket>),
        words: &mut Vec<String>,
    ) {
        let count = *[1, 1, 1, 2, 3].choose(&mut self.random).unwrap();
        let address = *[ANY4, LOCAL4, ANY6].choose(&mut self.random).unwrap();
        let mut with = vec![SocketOption::ReuseAddress];
        with.extend((count > 1).then_some(SocketOption::ReusePort));
        with.extend((address == ANY6).then_some(SocketOption::Dual));
        let listeners: Vec<Socket> = (0..count).map(|_| listening(address, port, &with)).collect();
        words.push(format!("{count} × LISTEN on {address}"));
        if count == 1 {
            for _ in 0..*[0, 0, 1, 1, 2].choose(&mut self.random).unwrap() {
                let (accepted, client) = accepted(&listeners[0], port);
                self.connection(accepted, client, (&mut *held, &mut *kept), words);
            }
            if self.chance(4) {
                words.push("not accepted".to_owned());
                kept.push(connected(port));
            }
        }
        let is_closed = count == 1 && self.chance(5);
        for listener in listeners {
            if is_closed {
                words.push("listener closed".to_owned());
            } else if held.len() < MAX_HELD {
                self.hold(listener, held, words);
            }
        }
    }

    /// Brings a connection into a state, and lets a process hold it, or closes it.
    fn connection(
        &mut self,
        ours: Socket,
        peer: Socket,
        (held, kept): (&mut Vec<HeldSocket>, &mut Vec<Socket>),
        words: &mut Vec<String>,
    ) {
        match self.random.random_range(0..8) {
            0 => {
                words.push("CLOSE-WAIT".to_owned());
                peer.shutdown(Shutdown::Write).unwrap();
                if self.chance(2) {
                    assert_eq!((&ours).read(&mut [0; 1]).unwrap(), 0);
                }
            }
            1 => {
                words.push("unread data".to_owned());
                (&peer).write_all(b"data").unwrap();
            }
            2 => {
                words.push("FIN-WAIT-2".to_owned());
                ours.shutdown(Shutdown::Write).unwrap();
            }
            3 => {
                words.push("TIME-WAIT".to_owned());
                drop(ours);
                drop(peer);
                return;
            }
            4 => {
                words.push("FIN-WAIT-2 orphan".to_owned());
                drop(ours);
                kept.push(peer);
                return;
            }
            5 if self.chance(3) && held.len() + 1 < MAX_HELD => {
                words.push("both ends in one process".to_owned());
                held.push(HeldSocket { socket: peer, holders: vec![0] });
                held.push(HeldSocket { socket: ours, holders: vec![0] });
                return;
            }
            _ => words.push("ESTABLISHED".to_owned()),
        }
        kept.push(peer);
        self.hold(ours, held, words);
    }

    fn client(
        &mut self,
        port: u16,
        (held, kept): (&mut Vec<HeldSocket>, &mut Vec<Socket>),
        words: &mut Vec<String>,
    ) {
        let is_bound = self.chance(3);
        words.push(format!("client, bound by number: {is_bound}"));
        let [client, server] = self.setup.client(port, is_bound);
        self.connection(client, server, (held, kept), words);
    }

    fn bound_inactive(
        &mut self,
        port: u16,
        held: &mut Vec<HeldSocket>,
        words: &mut Vec<String>,
    ) {
        for _ in 0..*[1, 1, 2].choose(&mut self.random).unwrap() {
            words.push("BOUND".to_owned());
            let socket = bound(Type::STREAM, ANY4, port, &[SocketOption::ReusePort]);
            self.hold(socket, held, words);
        }
    }

    fn automatic_listener(
        &mut self,
        port: u16,
        (held, kept): (&mut Vec<HeldSocket>, &mut Vec<Socket>),
        words: &mut Vec<String>,
    ) {
        words.push("LISTEN, automatic port".to_owned());
        let listener = listening_automatic(port);
        if self.chance(2) {
            let (accepted, client) = accepted(&listener, port);
            self.connection(accepted, client, (&mut *held, &mut *kept), words);
        }
        self.hold(listener, held, words);
    }

    fn datagrams(&mut self, port: u16, held: &mut Vec<HeldSocket>, words: &mut Vec<String>) {
        if self.chance(3) {
            words.push("UDP, automatic port".to_owned());
            let socket = udp_or_tcp_automatic(Type::DGRAM, port);
            if self.chance(2) {
                socket.connect(&SocketAddr::new(LOCAL4, 9).into()).unwrap();
            }
            return self.hold(socket, held, words);
        }
        for _ in 0..*[1, 1, 2, 3].choose(&mut self.random).unwrap() {
            words.push("UDP, bound by number".to_owned());
            let socket = bound(Type::DGRAM, LOCAL4, port, &[SocketOption::ReusePort]);
            if self.chance(4) {
                socket.connect(&SocketAddr::new(LOCAL4, 9).into()).unwrap();
            }
            self.hold(socket, held, words);
        }
    }

    /// Starts the processes, and closes the sockets here. Some processes ignore SIGTERM.
    fn start(&mut self, held: Vec<HeldSocket>, words: &mut Vec<String>) -> Vec<Sleeper> {
        let mut sleepers = Vec::new();
        for number in 0..3 {
            let theirs: Vec<&Socket> = held
                .iter()
                .filter(|held| held.holders.contains(&number))
                .map(|held| &held.socket)
                .collect();
            if theirs.is_empty() {
                continue;
            }
            let ignores = self.chance(15);
            let mut command = sleep(&theirs, ignores);
            let sleeper = Sleeper::spawn(&mut command);
            let reaction = if ignores { TermReaction::Ignores } else { TermReaction::Ends };
            // Until exec() the process has the handlers of the test.
            assert!(wait_until(Duration::from_secs(10), || {
                process::facts(sleeper.pid()).is_some_and(|facts| facts.reaction == reaction)
            }));
            words.push(format!("process {number} is pid {}, ignores: {ignores}", sleeper.pid()));
            sleepers.push(sleeper);
        }
        sleepers
    }

    /// Selects one of the actions on the port, or the end of one of its processes.
    fn action(&mut self, actions: Vec<PortAction>) -> Option<PortAction> {
        let acting = actions.into_iter().filter(|action| {
            !matches!(action, PortAction::Reserve | PortAction::Wait)
        });
        let action = acting.collect::<Vec<_>>().choose(&mut self.random)?.clone();
        match action {
            PortAction::End { processes, signal } if self.chance(3) => {
                let one = *processes.choose(&mut self.random)?;
                Some(PortAction::End { processes: vec![one], signal })
            }
            action => Some(action),
        }
    }
}

/// Returns a program that holds up to three sockets as its standard streams.
fn sleep(sockets: &[&Socket], ignores_term: bool) -> Command {
    let mut command = if ignores_term {
        let mut command = Command::new("env");
        command.args(["--ignore-signal=TERM", "sleep", "1000"]);
        command
    } else {
        let mut command = Command::new("sleep");
        command.arg("1000");
        command
    };
    let mut streams = sockets.iter().map(|socket| {
        Stdio::from(OwnedFd::from(socket.try_clone().expect("a descriptor is left")))
    });
    command.stdin(streams.next().unwrap_or_else(Stdio::null));
    command.stdout(streams.next().unwrap_or_else(Stdio::null));
    command.stderr(streams.next().unwrap_or_else(Stdio::null));
    command
}

/// Connects from a port outside the ephemeral range, so that no situation needs it.
fn connected(port: u16) -> Socket {
    static NEXT: AtomicU16 = AtomicU16::new(2000);
    let own = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(own < PORTS.0, "each port is used once");
    let client = bound(Type::STREAM, LOCAL4, own, &[]);
    client.connect(&SocketAddr::new(LOCAL4, port).into()).unwrap();
    client
}

fn accepted(listener: &Socket, port: u16) -> (Socket, Socket) {
    let client = connected(port);
    (listener.accept().unwrap().0, client)
}

/// What became of the forecasts.
#[derive(Debug, Default)]
struct ForecastCounts {
    right: u32,
    unknown: u32,
    freed: u32,
    skipped: u32,
    wrong: Vec<String>,
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |typed| typed.parse().unwrap())
}

#[test]
fn forecasts_of_random_situations_are_right() {
    if !needs_linux((6, 12), "ends every closed connection by SOCK_DESTROY") {
        return;
    }
    let count = number("PORTSCOPE_ACTION_SITUATIONS", 500) as u32;
    let seed = number("PORTSCOPE_FUZZ_SEED", 21);
    let counts = in_new_namespace(|| {
        let random = ChaCha8Rng::seed_from_u64(seed);
        let mut situations = Situations { random, setup: ActionSetup::new() };
        let mut counts = ForecastCounts::default();
        while counts.right + counts.unknown + (counts.wrong.len() as u32) < count {
            let situation = situations.next();
            try_one(&mut situations, situation, &mut counts);
        }
        counts
    });
    let Some(counts) = counts else { return };
    eprintln!(
        "right {}, of these freed {}; unknown {}; nothing to do {}; wrong {}",
        counts.right,
        counts.freed,
        counts.unknown,
        counts.skipped,
        counts.wrong.len()
    );
    assert!(counts.wrong.is_empty(), "seed {seed}: {}", counts.wrong.join("\n"));
    assert!(counts.unknown * 20 < count, "{counts:?}");
    assert!(counts.freed * 4 > count && counts.freed * 4 < count * 3, "{counts:?}");
}

/// Forecasts a random action, performs it, and compares.
fn try_one(situations: &mut Situations, situation: Situation, counts: &mut ForecastCounts) {
    let Situation { protocol, port, words, sleepers, _kept } = situation;
    let facts = situations.setup.facts(protocol, port);
    let actions: Vec<PortAction> = choices(&situations.setup.input(&facts, protocol, port))
        .into_iter()
        .map(|choice| choice.action)
        .collect();
    let Some(action) = situations.action(actions) else {
        counts.skipped += 1;
        return;
    };
    let setup = &mut situations.setup;
    let forecast = forecast(&setup.input(&facts, protocol, port), &action);
    let results =
        freeing::perform(&mut setup.actions, &action, Duration::from_millis(300));
    // A port that is to stay in use is looked at for some time: a connection may be ending.
    let limit = match forecast.frees {
        Frees::Yes => Duration::from_secs(3),
        Frees::No | Frees::Unknown => Duration::from_millis(10),
    };
    let is_freed = wait_until(limit, || is_free(protocol, port));
    match (forecast.frees, is_freed) {
        (Frees::Unknown, _) => counts.unknown += 1,
        (Frees::Yes, true) => {
            counts.right += 1;
            counts.freed += 1;
        }
        (Frees::No, false) => counts.right += 1,
        (frees, _) => counts.wrong.push(format!(
            "{words:?}\n  {action:?}\n  forecast {frees:?} ({}), but freed: {is_freed}; {results:?}",
            forecast.because
        )),
    }
    drop(sleepers);
}

#[test]
fn reused_pid_is_never_signalled() {
    in_private_pid_namespace("", "actions::reuse_pids_role");
}

/// Runs as the first process of a pid namespace, in which the next pid can be chosen.
#[test]
#[ignore = "a role"]
fn reuse_pids_role() {
    if !is_in_role() {
        return;
    }
    let (mut reused, mut rounds) = (0, 0);
    while reused < 300 && rounds < 600 {
        rounds += 1;
        let first = Sleeper::spawn(Command::new("sleep").arg("1000"));
        let identity = process::facts(first.pid()).unwrap().identity;
        drop(first);
        // Until then, a new process may have the same start time: it is counted in ticks.
        assert!(wait_until(Duration::from_secs(5), || ticks() > identity.started + 1));
        fs::write("/proc/sys/kernel/ns_last_pid", (identity.pid - 1).to_string()).unwrap();
        let innocent = Sleeper::spawn(Command::new("sleep").arg("1000"));
        if innocent.pid() != identity.pid {
            continue;
        }
        reused += 1;
        let before = process::facts(innocent.pid()).unwrap().identity;
        let ended = process::end(identity, EndSignal::Kill);
        assert!(matches!(ended, Err(ActionError::Replaced)), "round {rounds}");
        assert_eq!(process::facts(innocent.pid()).map(|facts| facts.identity), Some(before));
        assert!(process::end(before, EndSignal::Kill).unwrap().wait(Duration::from_secs(5)));
    }
    assert_eq!(reused, 300, "of {rounds} rounds");
}

/// Returns the time since boot in clock ticks of 10 ms, as in /proc/PID/stat.
fn ticks() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 100 + now.tv_nsec as u64 / 10_000_000
}

#[test]
fn reserved_ports_are_merged_and_removed_whatever_the_length_of_the_list() {
    in_new_namespace(|| {
        let single = |port| PortRange::new(port, port).unwrap();
        // About 14 kB, which the kernel takes in four parts.
        let odd: Vec<PortRange> = (30_001..35_000).step_by(2).map(single).collect();
        let result = reserved::change(&ReservedChange::add(odd.clone())).unwrap();
        assert_eq!((result.before.len(), &result.after), (0, &odd));
        assert_eq!(policy::read_reserved().unwrap(), odd);
        reserved::change(&ReservedChange::remove(odd[1..].to_vec())).unwrap();
        assert_eq!(policy::read_reserved().unwrap(), odd[..1]);
        reserved::change(&ReservedChange::remove(odd)).unwrap();
        assert_eq!(policy::read_reserved().unwrap(), []);
    });
}

#[test]
fn concurrent_changes_of_the_reserved_ports_lose_no_entry() {
    in_new_namespace(|| {
        let (threads, each) = (4, 100);
        // A thread starts in the namespace of the thread that starts it.
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    for number in 0..each {
                        let port = 20_000 + (number * threads + thread) * 2;
                        let port = PortRange::new(port, port).unwrap();
                        reserved::change(&ReservedChange::add(vec![port])).unwrap();
                    }
                });
            }
        });
        let listed = policy::read_reserved().unwrap();
        assert_eq!(listed.len(), usize::from(threads * each));
    });
}

#[test]
fn process_of_another_user_needs_cap_kill() {
    let Some(theirs) = Sleeper::of_user(1000, &OwnedFd::from(fs::File::open("/dev/null").unwrap()))
    else {
        return processes::not_tested("no right to start a process of another user");
    };
    let denied = std::thread::spawn(move || {
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::KILL);
        set_capabilities(None, sets).unwrap();
        rustix::thread::set_thread_uid(rustix::thread::Uid::from_raw(1001)).unwrap();
        let facts = process::facts(theirs.pid()).unwrap();
        let refused = process::end(facts.identity, EndSignal::Term);
        (facts.permission, matches!(refused, Err(ActionError::Denied("CAP_KILL"))), theirs)
    });
    let (permission, is_denied, _theirs) = denied.join().unwrap();
    assert!(matches!(permission, Permission::Missing { capability: "CAP_KILL", .. }));
    assert!(is_denied);
}
