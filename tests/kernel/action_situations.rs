//! Forecasts of random situations beside what the kernel does, with real sockets of real processes in
//! a private network namespace.
//!
//! `PORTSCOPE_ACTION_SITUATIONS` is the number of situations (at least, until each kind has occurred),
//! `PORTSCOPE_FUZZ_SEED` the seed.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr},
    os::fd::OwnedFd,
    process::{Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use portscope::{
    domain::{
        Protocol,
        action::{Frees, PortAction, TermReaction, choices, forecast},
    },
    engine::freeing,
    host::linux::actions::process,
};
use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng, seq::IndexedRandom as _};
use socket2::{Socket, Type};

use crate::{
    action_setup::{
        ActionSetup, PORTS, bound, is_free, listening, listening_automatic, udp_or_tcp_automatic,
        wait_until,
    },
    holders::{ANY4, ANY6, LOCAL4, SocketOption},
    namespace::{in_new_namespace, needs_linux},
    processes::Sleeper,
};

/// Number of situations. About 500 show the share of unknown forecasts.
const SITUATIONS: u64 = 120;
/// Minimum number of situations for the share of unknown forecasts to be asserted.
const MANY: u32 = 500;

/// The kinds of situations: parts of the words that describe them.
const KINDS: [&str; 22] = [
    "1 × LISTEN",
    "2 × LISTEN",
    "3 × LISTEN",
    "LISTEN on 0.0.0.0",
    "LISTEN on 127.0.0.1",
    "LISTEN on ::",
    "LISTEN, automatic port",
    "listener closed",
    "not accepted",
    "ESTABLISHED",
    "unread data",
    "CLOSE-WAIT",
    "FIN-WAIT-2",
    "closed, the peer open",
    "TIME-WAIT",
    "both ends in one process",
    "client, bound by number: true",
    "client, bound by number: false",
    "BOUND",
    "UDP, automatic port",
    "UDP, bound by number",
    "ignores: true",
];

/// Number of sockets that a `Sleeper` can hold: its standard streams.
const MAX_HELD: usize = 3;

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
        let sleepers = self.start(&held, &mut words);
        drop(held);
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
                words.push("closed, the peer open".to_owned());
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

    fn bound_inactive(&mut self, port: u16, held: &mut Vec<HeldSocket>, words: &mut Vec<String>) {
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
    fn start(&mut self, held: &[HeldSocket], words: &mut Vec<String>) -> Vec<Sleeper> {
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
        let acting = actions
            .into_iter()
            .filter(|action| !matches!(action, PortAction::Reserve | PortAction::Wait));
        let action = acting.collect::<Vec<_>>().choose(&mut self.random)?.clone();
        match action {
            PortAction::End { processes, signal, inodes } if self.chance(3) => {
                let one = *processes.choose(&mut self.random)?;
                Some(PortAction::End { processes: vec![one], signal, inodes })
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
    /// The kinds of the situations.
    kinds: BTreeSet<&'static str>,
}

impl ForecastCounts {
    fn compared(&self) -> u32 {
        self.right + self.unknown + self.wrong.len() as u32
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |typed| typed.parse().unwrap())
}

#[test]
fn forecasts_of_random_situations_are_right() {
    if !needs_linux((6, 12), "ends every closed connection by SOCK_DESTROY") {
        return;
    }
    let count = number("PORTSCOPE_ACTION_SITUATIONS", SITUATIONS) as u32;
    let seed = number("PORTSCOPE_FUZZ_SEED", 21);
    let counts = in_new_namespace(|| {
        let random = ChaCha8Rng::seed_from_u64(seed);
        let mut situations = Situations { random, setup: ActionSetup::new() };
        let mut counts = ForecastCounts::default();
        // A rare kind may take some more situations, with another seed than the usual one.
        let has_all = |counts: &ForecastCounts| counts.kinds.len() == KINDS.len();
        while counts.compared() < count || !has_all(&counts) && counts.compared() < 4 * count {
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
    let missing: Vec<&&str> = KINDS.iter().filter(|kind| !counts.kinds.contains(**kind)).collect();
    assert!(missing.is_empty(), "seed {seed}: no situation with {missing:?}");
    let compared = counts.compared();
    assert!(counts.freed * 4 > compared && counts.freed * 4 < compared * 3, "{counts:?}");
    assert!(compared < MANY || counts.unknown * 20 < compared, "{counts:?}");
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
    let is_of = |kind: &&str| words.iter().any(|word| word.contains(kind));
    counts.kinds.extend(KINDS.into_iter().filter(is_of));
    let setup = &mut situations.setup;
    let forecast = forecast(&setup.input(&facts, protocol, port), &action);
    let results = freeing::perform(&mut setup.actions, &action, Duration::from_millis(300));
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
