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

#[derive(Clone, Copy)]
struct Listener {
    address: IpAddr,
    interface: Option<u32>,
    family: Family,
    holder: Holder,
}

impl Listener {
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
        self.listeners.extend(port.iter().filter(|s| s.state == State::Listen).map(|socket| {
            Listener {
                address: socket.local.address.to_canonical(),
                interface: socket.interface,
                family: socket.family,
                holder: socket.holder,
            }
        }));
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
        addresses(socket).into_iter().find_map(|address| {
            [socket.interface, None].into_iter().find_map(|interface| {
                let key = (address, interface);
                let at = self.queues.binary_search_by_key(&key, Listener::key).ok()?;
                self.queues.get(at).filter(|queue| queue.takes(socket))
            })
        })
    }
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
