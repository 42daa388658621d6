//! Finds the listener in whose queue a socket waits. Does not find who holds that listener.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::domain::{Family, Holder, Socket, State, owner::Span};

/// Buffers that are reused for one port after another.
#[derive(Default)]
pub struct Backlog {
    /// Sorted by key.
    listeners: Vec<Listener>,
    /// One entry for all listeners with the same key (a SO_REUSEPORT group); sorted by key.
    queues: Vec<Listener>,
    /// The pids of one group, while they are collected.
    union: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    address: IpAddr,
    interface: Option<u32>,
    family: Family,
    holder: Holder,
}

impl Listener {
    fn of(socket: &Socket) -> Self {
        Self {
            address: socket.local.address.to_canonical(),
            interface: socket.interface,
            family: socket.family,
            holder: socket.holder,
        }
    }

    fn key(&self) -> (IpAddr, Option<u32>) {
        (self.address, self.interface)
    }

    /// Returns whether the socket may wait in the queue of this listener. The socket has the family
    /// of its listener, even if its address is IPv4-mapped (`tcp_v6_syn_recv_sock`,
    /// net/ipv6/tcp_ipv6.c): an IPv6-only listener gets no IPv4 socket.
    fn takes(&self, socket: &Socket) -> bool {
        self.family != Family::Ipv6 || socket.family != Family::Ipv4
    }
}

impl Backlog {
    /// Sets the holder of each waiting socket of one port to the holders of its listener, which
    /// must be set already.
    ///
    /// A waiting socket is never an orphan: close() turns ESTABLISHED and SYN-RECEIVED into
    /// FIN-WAIT-1 and CLOSE-WAIT into LAST-ACK (`tcp_close_state`). If no listener of the port
    /// takes it, its listener has another address or port (IP_TRANSPARENT, BPF sk_lookup) or was
    /// closed during the dump. The holder is then `Nobody`, because no privilege would show the
    /// process.
    pub fn assign(&mut self, port: &mut [Socket], pids: &mut Vec<u32>) {
        self.collect(port, pids);
        for socket in port.iter_mut().filter(|socket| socket.is_in_backlog()) {
            socket.holder = self.queue_of(socket).map_or(Holder::Nobody, |queue| queue.holder);
        }
    }

    fn collect(&mut self, port: &[Socket], pids: &mut Vec<u32>) {
        self.listeners.clear();
        let listeners = port.iter().filter(|socket| socket.state == State::Listen);
        self.listeners.extend(listeners.map(Listener::of));
        self.listeners.sort_unstable_by_key(Listener::key);
        self.queues.clear();
        for group in self.listeners.chunk_by(|a, b| a.key() == b.key()) {
            let holder = group_holder(group, &mut self.union, pids);
            self.queues.push(Listener { holder, ..group[0] });
        }
    }

    /// Returns the most specific queue, as the kernel does: the address decides first, then the
    /// device. None: no listener of the port takes the socket.
    fn queue_of(&self, socket: &Socket) -> Option<&Listener> {
        keys(socket).find_map(|key| {
            let at = self.queues.binary_search_by_key(&key, Listener::key).ok()?;
            self.queues.get(at).filter(|queue| queue.takes(socket))
        })
    }
}

/// The uids of the listeners of a machine.
#[derive(Clone, Debug)]
pub struct ListenerUids {
    /// Sorted by port and key.
    listeners: Vec<(u16, Listener, Option<u32>)>,
}

impl ListenerUids {
    pub fn of(sockets: &[Socket]) -> Self {
        let listeners = sockets.iter().filter(|socket| socket.state == State::Listen);
        let listeners =
            listeners.map(|socket| (socket.local.port, Listener::of(socket), socket.uid));
        let mut listeners: Vec<_> = listeners.collect();
        listeners.sort_unstable_by_key(|(port, listener, _)| (*port, listener.key()));
        Self { listeners }
    }

    /// Returns the uid of the listener in whose queue the socket waits. None: it is unknown, or no
    /// listener of the port takes the socket.
    pub fn uid_of(&self, socket: &Socket) -> Option<u32> {
        let port = socket.local.port;
        let group = keys(socket).find_map(|key| {
            let of = |listener: &(u16, Listener, Option<u32>)| (listener.0, listener.1.key());
            let first = self.listeners.partition_point(|listener| of(listener) < (port, key));
            let end = self.listeners.partition_point(|listener| of(listener) <= (port, key));
            let group = self.listeners.get(first..end)?;
            group.first().filter(|(_, listener, _)| listener.takes(socket)).map(|_| group)
        })?;
        // All sockets of a SO_REUSEPORT group have the same user.
        let (_, _, uid) = group.first()?;
        uid.filter(|_| group.iter().all(|(_, _, other)| other == uid))
    }
}

/// Returns where the socket's listener may listen, the most specific first: the address decides
/// first, then the device.
fn keys(socket: &Socket) -> impl Iterator<Item = (IpAddr, Option<u32>)> {
    let interfaces = [socket.interface, None];
    addresses(socket)
        .into_iter()
        .flat_map(move |address| interfaces.map(|interface| (address, interface)))
}

/// Returns the addresses on which the socket's listener may listen, most specific first.
fn addresses(socket: &Socket) -> [IpAddr; 3] {
    let (any4, any6) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
    match (socket.local.address.to_canonical(), socket.family) {
        (own @ IpAddr::V4(_), Family::Ipv4) => [own, any4, any6],
        (own, _) => [own, any6, any6],
    }
}

/// Returns the holder of the sockets that wait for a group of listeners: all known processes of the
/// group, because it is unknown which listener has a connection. If none is known, the holder is
/// `Hidden`, `Unresolved` or `Nobody`.
fn group_holder(group: &[Listener], union: &mut Vec<u32>, pids: &mut Vec<u32>) -> Holder {
    if let [Listener { holder: Holder::Process(span), .. }] = group {
        return Holder::Backlog(*span);
    }
    union.clear();
    for listener in group {
        if let Holder::Process(span) = listener.holder {
            union.extend_from_slice(&pids[range(span)]);
        }
    }
    union.sort_unstable();
    union.dedup();
    if !union.is_empty() {
        return Holder::Backlog(super::append(pids, union.drain(..)));
    }
    let found = |holder| group.iter().any(|listener| listener.holder == holder);
    let unnamed = [Holder::Hidden, Holder::Unresolved].into_iter().find(|&holder| found(holder));
    unnamed.unwrap_or(Holder::Nobody)
}

pub(super) fn range(span: Span) -> std::ops::Range<usize> {
    let first = span.first as usize;
    first..first + span.length as usize
}
