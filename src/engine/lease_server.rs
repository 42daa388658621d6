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
    host::linux::{
        lease_socket::{self, Client, LeaseSocket, Ready},
        peer,
    },
};
use waiting::{Said, Waiting};

pub use desk::{Desk, NoLease, Ports};
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
    /// Asked for by a signal.
    Counted(Statistics),
}

/// What the server did since it began, and what it has now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    pub done: Done,
    pub ports: Ports,
    /// Clients that have not said their line, or wait for a port to be released.
    pub waiting: usize,
}

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Answered with a port.
    pub leased: u64,
    pub given_back: u64,
    pub refused: u64,
    pub not_understood: u64,
    pub closed: u64,
    pub reclaimed: u64,
}

impl Done {
    fn count(&mut self, happening: &Happening) {
        let count = match happening {
            Happening::Leased(_) => &mut self.leased,
            Happening::GivenBack(_) => &mut self.given_back,
            Happening::Refused { .. } => &mut self.refused,
            Happening::NotUnderstood(_) => &mut self.not_understood,
            Happening::Closed(_) => &mut self.closed,
            Happening::Reclaimed(_) => &mut self.reclaimed,
            Happening::Counted(_) => return,
        };
        *count += 1;
    }
}

/// Why the loop was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    End,
    /// The statistics are asked for.
    Count,
    /// Nothing that concerns the loop.
    Nothing,
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
    log: Log<'a>,
}

/// Counts what happens, and tells it.
struct Log<'a> {
    done: Done,
    tell: Tell<'a>,
}

impl Log<'_> {
    fn note(&mut self, happening: &Happening) {
        self.done.count(happening);
        (self.tell)(happening);
    }
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
            log: Log { done: Done::default(), tell },
        }
    }

    /// Until `why` says so, which is asked whenever `wake` has something to read.
    ///
    /// Errors: the machine cannot be waited on.
    pub fn run(mut self, wake: BorrowedFd<'_>, mut why: impl FnMut() -> Wake) -> io::Result<()> {
        loop {
            let ready = self.wait(wake)?;
            if ready.is_woken {
                match why() {
                    Wake::End => return Ok(()),
                    Wake::Count => self.count(),
                    Wake::Nothing => {}
                }
            }
            self.hear(&ready.clients);
            if ready.somebody_knocks {
                self.admit();
            }
            let now = Instant::now();
            self.complete(now);
            self.close_silent(now);
            self.relieve(now);
            self.desk.keep(now, &mut |happening| self.log.note(happening));
        }
    }

    fn count(&mut self) {
        let waiting = self.waiting.len() + self.in_need.len();
        let statistics = Statistics { done: self.log.done, ports: self.desk.ports(), waiting };
        self.log.note(&Happening::Counted(statistics));
    }

    fn wait(&self, wake: BorrowedFd<'_>) -> io::Result<Ready> {
        let now = Instant::now();
        let recovers = (self.recovered > now).then_some(self.recovered);
        let listener = recovers.is_none().then_some(&self.socket);
        let silent = self.waiting.front().map(|client| client.since + PATIENCE);
        let need = (!self.in_need.is_empty()).then(|| self.desk.next_look_in_need());
        let complete = self.waiting.iter().filter_map(Waiting::complete_at).min();
        let due = [recovers, silent, complete, need, self.desk.due()].into_iter().flatten().min();
        let longest = due.map(|due| due.saturating_duration_since(now));
        let clients = self.waiting.iter().map(|waiting| &waiting.client);
        lease_socket::wait(wake, listener, clients, longest)
    }

    /// Those of the waiting who have spoken.
    fn hear(&mut self, ready: &[bool]) {
        let now = Instant::now();
        let mut place = 0;
        for &has_spoken in ready {
            let said = if has_spoken { self.waiting[place].hear(now) } else { Said::Nothing };
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
        let now = Instant::now();
        let mut client = Waiting::new(client, now);
        let said = client.hear(now);
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
            self.log.note(&Happening::Closed(Why::Crowded));
        }
    }

    /// Answers those who sent a pid and no newline, and say no more.
    fn complete(&mut self, now: Instant) {
        let is_complete = |client: &Waiting| client.complete_at().is_some_and(|at| now >= at);
        while let Some(place) = self.waiting.iter().position(is_complete) {
            if let Some(client) = self.waiting.remove(place) {
                let line = client.line();
                self.follow(client.client, Said::Line(line));
            }
        }
    }

    fn close_silent(&mut self, now: Instant) {
        while self.waiting.front().is_some_and(|client| now >= client.since + PATIENCE) {
            self.waiting.pop_front();
            self.log.note(&Happening::Closed(Why::Silent));
        }
    }

    fn follow(&mut self, client: Client, said: Said) {
        let pid = match said {
            Said::Nothing | Said::Goodbye => return,
            Said::Line(Ok(pid)) => pid,
            Said::Line(Err(line)) => return self.log.note(&Happening::NotUnderstood(line)),
        };
        let pid = match peer::translate(&client, pid) {
            Ok(pid) => pid,
            Err(why) => return self.answer(&client, pid, Err(why.into())),
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
        self.desk.look(&mut |happening| self.log.note(happening));
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
        self.log.note(&happening);
    }
}
