//! Rounds in which processes compete for ports, with `exec`, or with `pick` followed by a bind() of
//! the same port.

#![allow(dead_code, reason = "each binary uses a part of this file")]

use std::{
    collections::BTreeSet,
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use portscope::{
    domain::{Binder as _, PortRange, Protocols},
    host::linux::binder::RealBinder,
};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_portscope");
pub const PORT_CLIENTS: usize = 16;

/// How a program gets its port.
#[derive(Clone, Copy, Debug)]
pub enum HandoverMethod {
    /// The socket is never closed.
    Exec,
    /// `pick` prints a number, then the program binds it.
    CloseThenRebind,
}

impl HandoverMethod {
    /// Returns a shell script; `$0` is portscope, `$1` the range. It waits for a line, prints its
    /// port, reports when it holds the port, and holds it until the end of its standard input.
    fn script(self) -> &'static str {
        match self {
            Self::Exec => {
                r#"read go; exec "$0" exec --protocol both --range "$1" -- sh -c 'echo $PORT; echo kept; read end'"#
            }
            Self::CloseThenRebind => {
                r#"read go; port=$("$0" pick --range "$1") || exit; echo $port
                exec "$0" exec --protocol both --range $port -- sh -c 'echo kept; read end'"#
            }
        }
    }
}

/// Results of all rounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub rounds: u32,
    /// Processes that asked for a port.
    pub port_clients: u32,
    /// Ports that more than one process of a round got; the first process is not counted.
    pub duplicates: u32,
    /// Processes that got no port, or not the announced one, or whose port others could bind while
    /// they held it.
    pub lost: u32,
    /// Ports that could not be bound after all processes had ended, half of them by SIGKILL.
    pub leaked: u32,
    pub took: Duration,
}

/// Runs the rounds one after the other, in the network namespace of this thread.
pub fn race(method: HandoverMethod, range: PortRange, rounds: u32) -> io::Result<Tally> {
    let begun = Instant::now();
    let mut tally = Tally { rounds, ..Tally::default() };
    for round in 0..rounds {
        run(method, range, round as usize, &mut tally)?;
    }
    tally.took = begun.elapsed();
    Ok(tally)
}

fn run(
    method: HandoverMethod,
    range: PortRange,
    round: usize,
    tally: &mut Tally,
) -> io::Result<()> {
    let mut port_clients = (0..PORT_CLIENTS)
        .map(|_| PortClient::start(method, range))
        .collect::<io::Result<Vec<_>>>()?;
    for port_client in &mut port_clients {
        port_client.go()?;
    }
    let reported: Vec<Reported> =
        port_clients.iter_mut().map(PortClient::receive).collect::<io::Result<_>>()?;
    let ports: Vec<u16> = reported.iter().filter_map(|reported| reported.port).collect();
    let distinct: BTreeSet<u16> = ports.iter().copied().collect();
    let is_sound = |reported: &&Reported| {
        reported.is_kept && reported.port.is_some_and(|port| !can_bind(port))
    };
    let sound = reported.iter().filter(is_sound).count();
    tally.port_clients += PORT_CLIENTS as u32;
    tally.duplicates += (ports.len() - distinct.len()) as u32;
    tally.lost += (PORT_CLIENTS - sound) as u32;
    for (number, port_client) in port_clients.into_iter().enumerate() {
        port_client.end((number + round).is_multiple_of(2))?;
    }
    tally.leaked += range.ports().filter(|&port| !can_bind(port)).count() as u32;
    Ok(())
}

/// Whether the port can be bound on UDP and TCP, on all addresses. Releases it at once.
pub fn can_bind(port: u16) -> bool {
    let binder = RealBinder::new(Protocols::Both, None);
    binder.expect("sockets can be made").bind(port).0.is_ok()
}

struct Reported {
    port: Option<u16>,
    is_kept: bool,
}

struct PortClient {
    process: Child,
    input: ChildStdin,
}

impl PortClient {
    /// Starts a process, which then waits.
    fn start(method: HandoverMethod, range: PortRange) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", method.script(), PROGRAM, &range.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn()?;
        let input = process.stdin.take().expect("it is a pipe");
        Ok(Self { process, input })
    }

    fn go(&mut self) -> io::Result<()> {
        self.input.write_all(b"\n")
    }

    /// Reads all that the process prints until it waits for its end, or has ended.
    fn receive(&mut self) -> io::Result<Reported> {
        let mut lines = BufReader::new(self.process.stdout.take().expect("it is a pipe")).lines();
        let port = lines.next().transpose()?.and_then(|line| line.parse().ok());
        let is_kept = lines.next().transpose()?.is_some_and(|line| line == "kept");
        Ok(Reported { port, is_kept })
    }

    fn end(mut self, is_killed: bool) -> io::Result<()> {
        if is_killed {
            self.process.kill()?;
        }
        drop(self.input);
        self.process.wait().map(drop)
    }
}
