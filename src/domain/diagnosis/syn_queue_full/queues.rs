//! Counts the half-open connections of each listener. Does not model what the kernel does at the
//! limit.

use crate::domain::{Family, Protocol, Snapshot, Socket, State, SynQueue, socket::canonical};

/// The SYN queue of one listener, or the queues of several listeners that share an address and port
/// (SO_REUSEPORT). The tables do not show which of these queues has a given connection.
pub(super) struct Queue<'a> {
    /// The first of these listeners.
    pub listener: &'a Socket,
    pub members: u32,
    pub half_open: u32,
    /// The largest backlog of these listeners.
    pub backlog: u32,
    /// Whether the accept queue of a listener is full, so that handshakes cannot complete.
    is_accept_queue_full: bool,
}

impl Queue<'_> {
    /// Returns whether the queue may be full for a new SYN. Older kernels refuse at
    /// `length >= backlog`, newer ones at `length > backlog`. Returns false if an accept queue is
    /// full: see `listen-overflow`.
    pub fn is_full(&self, syn: &SynQueue) -> bool {
        let mut limit = self.backlog.max(1);
        if let (Some(0), Some(max)) = (syn.cookies, syn.max_syn_backlog) {
            limit = limit.min(limit_without_cookies(max) + 1);
        }
        !self.is_accept_queue_full && self.half_open >= limit * self.members
    }
}

/// Returns the queue length above which SYNs of clients that never connected before are dropped if
/// SYN cookies are off.
pub(super) fn limit_without_cookies(max_syn_backlog: u32) -> u32 {
    max_syn_backlog - max_syn_backlog / 4
}

/// Returns the queues with half-open connections, those with most of them first.
pub(super) fn queues(snapshot: &Snapshot) -> Vec<Queue<'_>> {
    let mut queues: Vec<Queue<'_>> = Vec::new();
    let half_open = snapshot.sockets.iter().filter(|socket| socket.state == State::SynReceived);
    let mut last = None;
    for socket in half_open {
        let port = socket.local.port;
        if last != Some(port) {
            last = Some(port);
            queues.extend(of_port(snapshot, port));
        }
        let here = queues.iter_mut().filter(|queue| queue.listener.local.port == port);
        if let Some(queue) = here.filter(|queue| queue.takes(socket)).max_by_key(|q| q.rank()) {
            queue.half_open += 1;
        }
    }
    queues.retain(|queue| queue.half_open > 0);
    queues.sort_by_key(|queue| std::cmp::Reverse(queue.half_open));
    queues
}

/// Returns one queue for each address and interface on which a socket listens.
fn of_port(snapshot: &Snapshot, port: u16) -> Vec<Queue<'_>> {
    let sockets = snapshot.on_port(Protocol::Tcp, port).iter();
    let mut queues: Vec<Queue<'_>> = Vec::new();
    for listener in sockets.filter(|socket| socket.state == State::Listen) {
        let is_accept_queue_full = listener.receive_queue > listener.send_queue;
        let key = |socket: &Socket| (socket.local, socket.interface);
        match queues.iter_mut().find(|queue| key(queue.listener) == key(listener)) {
            Some(queue) => {
                queue.members += 1;
                queue.backlog = queue.backlog.max(listener.send_queue);
                queue.is_accept_queue_full |= is_accept_queue_full;
            }
            None => queues.push(Queue {
                listener,
                members: 1,
                half_open: 0,
                backlog: listener.send_queue,
                is_accept_queue_full,
            }),
        }
    }
    queues
}

impl Queue<'_> {
    /// Returns whether a listener of this queue may have received the SYN of a half-open
    /// connection.
    fn takes(&self, socket: &Socket) -> bool {
        let (own, other) =
            (canonical(self.listener.local.address), canonical(socket.local.address));
        let is_any = own.is_unspecified()
            && (own.is_ipv4() == other.is_ipv4() || self.listener.family == Family::Dual);
        let is_here = self.listener.interface.is_none_or(|own| Some(own) == socket.interface);
        (own == other || is_any) && is_here
    }

    /// Returns a key that is higher for listeners that the kernel prefers: first those bound to a
    /// single address, then those bound to a device (net/ipv4/inet_hashtables.c,
    /// `__inet_lookup_listener`).
    fn rank(&self) -> (bool, bool) {
        (!self.listener.local.address.is_unspecified(), self.listener.interface.is_some())
    }
}
