//! Leases ports to other programs over a Unix socket, by the protocol of Google's portserver: a
//! client sends its pid and a newline and gets a port and a newline, or is closed without an answer.
//!
//! One loop in the caller's thread. What it leases is `desk`'s; the sockets are the host's.

mod desk;
mod line;
mod waiting;

use std::{
    collections::VecDeque,
    io,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use crate::{
    allocator::{Lease, Shortage},
    host::linux::lease_socket::{self, Client, LeaseSocket, Ready},
};
use waiting::{Said, Waiting};

pub use desk::{Desk, NoLease};
pub use line::NotAPid;

/// A client that has not said its line after so long is closed.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Clients that have not said their line yet, at most; the oldest is closed for a new one.
pub const MOST_WAITING: usize = 512;

/// Accepted in one go, before it is seen who of the others has spoken.
const MOST_AT_ONCE: usize = 64;

/// After accept() failed (no descriptor, no memory) the next one is tried so much later.
const RECOVERY: Duration = Duration::from_millis(50);

/// What the server did.
#[derive(Debug)]
pub enum Happening {
    Leased(Lease),
    /// The client left before its answer came, so that nobody knows of the lease: it is given back.
    GivenBack(Lease),
    Refused {
        pid: u32,
        why: NoLease,
        /// Counted from the server's begin.
        at: Duration,
    },
    /// What was said is no pid.
    NotUnderstood(NotAPid),
    /// Nothing, or half a line, was said.
    Closed(Why),
    /// The process of the lease on that port is gone, and the port can be bound.
    Reclaimed(u16),
}

/// Why a client was closed that had not said its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Silent,
    Crowded,
}

/// To be told of each happening, as it happens.
pub type Tell<'a> = &'a mut dyn FnMut(&Happening);

pub struct LeaseServer<'a> {
    socket: LeaseSocket,
    desk: Desk,
    /// The oldest first.
    waiting: VecDeque<Waiting>,
    /// Those that asked and found no port left; they are answered after the next look for processes
    /// that are gone.
    in_need: VecDeque<(Client, u32)>,
    /// Of each of the two.
    most_waiting: usize,
    /// Nobody is accepted before.
    recovered: Instant,
    tell: Tell<'a>,
}

impl<'a> LeaseServer<'a> {
    /// `most_waiting`: see `MOST_WAITING`; at least 1.
    pub fn new(socket: LeaseSocket, desk: Desk, most_waiting: usize, tell: Tell<'a>) -> Self {
        Self {
            socket,
            desk,
            waiting: VecDeque::new(),
            in_need: VecDeque::new(),
            most_waiting: most_waiting.clamp(1, MOST_WAITING),
            recovered: Instant::now(),
            tell,
        }
    }

    /// Until `wake` has something to read.
    ///
    /// Errors: the machine cannot be waited on.
    pub fn run(mut self, wake: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            let ready = self.wait(wake)?;
            if ready.is_over {
                return Ok(());
            }
            self.hear(&ready.clients);
            if ready.somebody_knocks {
                self.admit();
            }
            let now = Instant::now();
            self.close_silent(now);
            self.relieve(now);
            self.desk.keep(now, self.tell);
        }
    }

    fn wait(&self, wake: BorrowedFd<'_>) -> io::Result<Ready> {
        let now = Instant::now();
        let recovers = (self.recovered > now).then_some(self.recovered);
        let listener = recovers.is_none().then_some(&self.socket);
        let silent = self.waiting.front().map(|client| client.since + PATIENCE);
        let need = (!self.in_need.is_empty()).then(|| self.desk.next_look_in_need());
        let due = [recovers, silent, need, self.desk.due()].into_iter().flatten().min();
        let longest = due.map(|due| due.saturating_duration_since(now));
        let clients = self.waiting.iter().map(|waiting| &waiting.client);
        lease_socket::wait(wake, listener, clients, longest)
    }

    /// Those of the waiting who have spoken.
    fn hear(&mut self, ready: &[bool]) {
        let mut place = 0;
        for &has_spoken in ready {
            let said = if has_spoken { self.waiting[place].hear() } else { Said::Nothing };
            if said == Said::Nothing {
                place += 1;
            } else if let Some(client) = self.waiting.remove(place) {
                self.follow(client.client, said);
            }
        }
    }

    /// Most have said their line when they are accepted, and need not wait.
    fn admit(&mut self) {
        for _ in 0..MOST_AT_ONCE {
            match self.socket.accept() {
                Ok(Some(client)) => self.welcome(client),
                Ok(None) => return,
                Err(_) => {
                    self.close_oldest();
                    self.recovered = Instant::now() + RECOVERY;
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, client: Client) {
        let mut client = Waiting::new(client, Instant::now());
        let said = client.hear();
        if said != Said::Nothing {
            return self.follow(client.client, said);
        }
        if self.waiting.len() >= self.most_waiting {
            self.close_oldest();
        }
        self.waiting.push_back(client);
    }

    fn close_oldest(&mut self) {
        if self.waiting.pop_front().is_some() {
            (self.tell)(&Happening::Closed(Why::Crowded));
        }
    }

    fn close_silent(&mut self, now: Instant) {
        while self.waiting.front().is_some_and(|client| now >= client.since + PATIENCE) {
            self.waiting.pop_front();
            (self.tell)(&Happening::Closed(Why::Silent));
        }
    }

    fn follow(&mut self, client: Client, said: Said) {
        let pid = match said {
            Said::Nothing | Said::Goodbye => return,
            Said::Line(Ok(pid)) => pid,
            Said::Line(Err(line)) => return (self.tell)(&Happening::NotUnderstood(line)),
        };
        match self.desk.lease(pid) {
            Err(NoLease::Shortage(Shortage::NoneLeft { .. }))
                if self.in_need.len() < self.most_waiting =>
            {
                self.in_need.push_back((client, pid));
            }
            outcome => self.answer(&client, pid, outcome),
        }
    }

    /// One look for all who need it, so that what it costs is bounded however many ask.
    fn relieve(&mut self, now: Instant) {
        if self.in_need.is_empty() || now < self.desk.next_look_in_need() {
            return;
        }
        self.desk.look(self.tell);
        for (client, pid) in std::mem::take(&mut self.in_need) {
            let outcome = self.desk.lease(pid);
            self.answer(&client, pid, outcome);
        }
    }

    /// The client is closed afterwards. Without a port it gets no answer: portserver's own way to say
    /// no (its client would take "0" for one more port that it owns).
    fn answer(&mut self, client: &Client, pid: u32, outcome: Result<Lease, NoLease>) {
        let happening = match outcome {
            Ok(lease) if client.tell(format!("{}\n", lease.port).as_bytes()).is_ok() => {
                Happening::Leased(lease)
            }
            Ok(lease) => {
                self.desk.give_back(&lease);
                Happening::GivenBack(lease)
            }
            Err(why) => Happening::Refused { pid, why, at: self.desk.now() },
        };
        (self.tell)(&happening);
    }
}
