//! Leases ports to other programs over a Unix socket, with the protocol of Google's portserver: a
//! client sends a pid and a newline, and receives a port and a newline, or is disconnected without
//! an answer.
//!
//! Runs one loop in the caller's thread. Does not store leases and makes no system calls on
//! sockets; `LeaseTable` and `host::lease_socket` do.

mod waiting;

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd as _, BorrowedFd},
    time::{Duration, Instant},
};

use crate::{
    allocator::{Lease, Shortage},
    engine::lease_table::{LeaseTable, NoLease, PoolPorts},
    host::{
        Host,
        lease_socket::{self, Client, LeaseSocket, Ready},
    },
};
use waiting::{ReceivedRequest, Waiting};

pub use waiting::NotAPid;

/// Time after which a client that sent no complete line is disconnected.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// Upper limit of `max_waiting`. If more than `max_waiting` clients have sent no complete line, the
/// oldest of them is disconnected.
pub const MAX_WAITING: usize = 512;

/// Maximum number of clients accepted before the requests of waiting clients are read again.
const MAX_ACCEPTED_AT_ONCE: usize = 64;

/// Pause after accept() failed because no descriptor or no memory is left.
const RECOVERY: Duration = Duration::from_millis(50);

/// Event of the server.
#[derive(Debug)]
pub enum ServerEvent {
    Leased(Lease),
    /// The lease was released, because the port could not be sent to the client.
    GivenBack(Lease),
    Refused {
        pid: u32,
        why: NoLease,
        /// Time since the server started.
        at: Duration,
    },
    /// The line that the client sent is not a pid.
    NotUnderstood(NotAPid),
    /// A client that sent nothing or an incomplete line was disconnected.
    Closed(CloseReason),
    /// The lease of this port ended, because its holder has ended and the port can be bound again.
    Reclaimed(u16),
    /// The statistics, on request (`ServerWake::Count`).
    Counted(Statistics),
}

/// Counters since the server started, and its current state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    pub event_counts: EventCounts,
    pub ports: PoolPorts,
    /// Clients that sent no complete line, or wait for a port to be released.
    pub waiting: usize,
}

/// Number of events of each kind since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Clients that received a port.
    pub leased: u64,
    pub given_back: u64,
    pub refused: u64,
    pub not_understood: u64,
    pub closed: u64,
    pub reclaimed: u64,
}

impl EventCounts {
    fn count(&mut self, event: &ServerEvent) {
        let count = match event {
            ServerEvent::Leased(_) => &mut self.leased,
            ServerEvent::GivenBack(_) => &mut self.given_back,
            ServerEvent::Refused { .. } => &mut self.refused,
            ServerEvent::NotUnderstood(_) => &mut self.not_understood,
            ServerEvent::Closed(_) => &mut self.closed,
            ServerEvent::Reclaimed(_) => &mut self.reclaimed,
            ServerEvent::Counted(_) => return,
        };
        *count += 1;
    }
}

/// Reason why the loop was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerWake {
    /// The server must end.
    End,
    /// The statistics must be reported as `ServerEvent::Counted`.
    Count,
    /// The cause does not concern the loop.
    Nothing,
}

/// Reason why a client that sent no complete line was disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// `TIMEOUT` has passed.
    Silent,
    /// The client was the oldest one when too many waited, or when accept() failed.
    TooManyClients,
}

/// Callback that receives each event as it occurs.
pub type EventSink<'a> = &'a mut dyn FnMut(&ServerEvent);

/// Server of leases: its listening socket, its clients and its lease table.
pub struct LeaseServer<'a> {
    host: &'a dyn Host,
    socket: LeaseSocket,
    lease_table: LeaseTable,
    /// Clients that sent no complete line, oldest first.
    waiting: VecDeque<Waiting>,
    /// Clients for which no port was left, each with its pid. They are answered after the next
    /// check for ended processes.
    without_port: VecDeque<(Client, u32)>,
    /// Maximum length of each of the two queues.
    max_waiting: usize,
    /// No client is accepted before this time.
    recovered: Instant,
    log: ServerLog<'a>,
}

/// Counts events, and passes them to the callback.
struct ServerLog<'a> {
    event_counts: EventCounts,
    on_event: EventSink<'a>,
}

impl ServerLog<'_> {
    fn record(&mut self, event: &ServerEvent) {
        self.event_counts.count(event);
        (self.on_event)(event);
    }

    fn record_reclaimed(&mut self, ports: Vec<u16>) {
        for port in ports {
            self.record(&ServerEvent::Reclaimed(port));
        }
    }
}

impl<'a> LeaseServer<'a> {
    /// Creates a server. `max_waiting` is limited to the range 1 to `MAX_WAITING`.
    pub fn new(
        host: &'a dyn Host,
        socket: LeaseSocket,
        lease_table: LeaseTable,
        max_waiting: usize,
        on_event: EventSink<'a>,
    ) -> Self {
        Self {
            host,
            socket,
            lease_table,
            waiting: VecDeque::new(),
            without_port: VecDeque::new(),
            max_waiting: max_waiting.clamp(1, MAX_WAITING),
            recovered: Instant::now(),
            log: ServerLog { event_counts: EventCounts::default(), on_event },
        }
    }

    /// Runs until `why` returns `ServerWake::End`. Calls `why` whenever `wake` is readable.
    ///
    /// Errors: waiting for events failed.
    pub fn run(
        mut self,
        wake: BorrowedFd<'_>,
        mut why: impl FnMut() -> ServerWake,
    ) -> io::Result<()> {
        loop {
            let ready = self.wait(wake)?;
            if ready.is_woken {
                match why() {
                    ServerWake::End => return Ok(()),
                    ServerWake::Count => self.count(),
                    ServerWake::Nothing => {}
                }
            }
            self.receive(&ready.clients);
            if ready.has_new_client {
                self.admit();
            }
            let now = Instant::now();
            self.complete(now);
            self.close_silent(now);
            self.retry_without_port(now);
            let reclaimed = self.lease_table.keep(self.host);
            self.log.record_reclaimed(reclaimed);
        }
    }

    fn count(&mut self) {
        let waiting = self.waiting.len() + self.without_port.len();
        let statistics = Statistics {
            event_counts: self.log.event_counts,
            ports: self.lease_table.ports(),
            waiting,
        };
        self.log.record(&ServerEvent::Counted(statistics));
    }

    fn wait(&self, wake: BorrowedFd<'_>) -> io::Result<Ready> {
        let now = Instant::now();
        let recovers = (self.recovered > now).then_some(self.recovered);
        let listener = recovers.is_none().then_some(&self.socket);
        let silent = self.waiting.front().map(|client| client.since + TIMEOUT);
        let need = (!self.without_port.is_empty()).then_some(self.lease_table.next_urgent_check);
        let complete = self.waiting.iter().filter_map(Waiting::complete_at).min();
        let due =
            [recovers, silent, complete, need, self.lease_table.due()].into_iter().flatten().min();
        let longest = due.map(|due| due.saturating_duration_since(now));
        let clients = self.waiting.iter().map(|waiting| &waiting.client);
        lease_socket::wait(wake, listener, clients, longest)
    }

    /// Reads from the clients that sent something. `ready` has one element for each client in
    /// `waiting`.
    fn receive(&mut self, ready: &[bool]) {
        let now = Instant::now();
        let mut index = 0;
        for &is_readable in ready {
            let received = if is_readable {
                self.waiting[index].receive(now)
            } else {
                ReceivedRequest::Nothing
            };
            if received == ReceivedRequest::Nothing {
                index += 1;
            } else if let Some(client) = self.waiting.remove(index) {
                self.handle(client.client, received);
            }
        }
    }

    /// Accepts clients. Most clients have already sent their line and are answered at once.
    fn admit(&mut self) {
        for _ in 0..MAX_ACCEPTED_AT_ONCE {
            match self.socket.accept() {
                Ok(Some(client)) => self.serve_new_client(client),
                Ok(None) => return,
                Err(_) => {
                    self.close_oldest();
                    self.recovered = Instant::now() + RECOVERY;
                    return;
                }
            }
        }
    }

    fn serve_new_client(&mut self, client: Client) {
        let now = Instant::now();
        let mut client = Waiting::new(client, now);
        let received = client.receive(now);
        if received != ReceivedRequest::Nothing {
            return self.handle(client.client, received);
        }
        if self.waiting.len() >= self.max_waiting {
            self.close_oldest();
        }
        self.waiting.push_back(client);
    }

    fn close_oldest(&mut self) {
        if self.waiting.pop_front().is_some() {
            self.log.record(&ServerEvent::Closed(CloseReason::TooManyClients));
        }
    }

    /// Answers clients that sent a pid without a newline and then nothing for `waiting::QUIET`.
    fn complete(&mut self, now: Instant) {
        let is_complete = |client: &Waiting| client.complete_at().is_some_and(|at| now >= at);
        while let Some(index) = self.waiting.iter().position(is_complete) {
            if let Some(client) = self.waiting.remove(index) {
                let line = client.line();
                self.handle(client.client, ReceivedRequest::Line(line));
            }
        }
    }

    fn close_silent(&mut self, now: Instant) {
        while self.waiting.front().is_some_and(|client| now >= client.since + TIMEOUT) {
            self.waiting.pop_front();
            self.log.record(&ServerEvent::Closed(CloseReason::Silent));
        }
    }

    fn handle(&mut self, client: Client, received: ReceivedRequest) {
        let pid = match received {
            ReceivedRequest::Nothing | ReceivedRequest::Shutdown => return,
            ReceivedRequest::Line(Ok(pid)) => pid,
            ReceivedRequest::Line(Err(line)) => {
                return self.log.record(&ServerEvent::NotUnderstood(line));
            }
        };
        let pid = match self.host.pid_of_client(client.as_fd(), pid) {
            Ok(pid) => pid,
            Err(why) => return self.answer(&client, pid, Err(why.into())),
        };
        match self.lease_table.lease(self.host, pid) {
            Err(NoLease::Shortage(Shortage::NoneLeft { .. }))
                if self.without_port.len() < self.max_waiting =>
            {
                self.without_port.push_back((client, pid));
            }
            outcome => self.answer(&client, pid, outcome),
        }
    }

    /// Checks for ended processes once for all clients that need a port, so that the cost does not
    /// grow with the number of clients.
    fn retry_without_port(&mut self, now: Instant) {
        if self.without_port.is_empty() || now < self.lease_table.next_urgent_check {
            return;
        }
        let reclaimed = self.lease_table.reclaim_ended(self.host);
        self.log.record_reclaimed(reclaimed);
        for (client, pid) in std::mem::take(&mut self.without_port) {
            let outcome = self.lease_table.lease(self.host, pid);
            self.answer(&client, pid, outcome);
        }
    }

    /// Sends the port, if `outcome` has one, and disconnects the client. Without a port, the client
    /// receives nothing, as from portserver: a client of portserver would use "0" as a port.
    fn answer(&mut self, client: &Client, pid: u32, outcome: Result<Lease, NoLease>) {
        let event = match outcome {
            Ok(lease) if client.send(format!("{}\n", lease.port).as_bytes()).is_ok() => {
                ServerEvent::Leased(lease)
            }
            Ok(lease) => {
                self.lease_table.release(lease.port);
                ServerEvent::GivenBack(lease)
            }
            Err(why) => ServerEvent::Refused { pid, why, at: self.lease_table.now() },
        };
        self.log.record(&event);
    }
}
