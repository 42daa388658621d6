//! The ports on which sockets wait for connections or datagrams, and how many connections arrive.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use crate::domain::{
    Age, Family, History, OwnerKey, Protocol, Snapshot, Socket, Source, State,
    trends::{MIN_WINDOW, WINDOW},
};

/// The listening sockets of one owner on one port.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerUse {
    pub key: ListenerKey,
    /// The local addresses, ascending, without repetition.
    pub addresses: Vec<IpAddr>,
    /// Whether the sockets accept connections to all addresses of both families.
    pub is_on_all: bool,
    /// Whether a socket without a device is on all addresses: of IPv4, of IPv6.
    wildcards: [bool; 2],
    /// Number of processes that hold the first socket.
    pub processes: usize,
    /// None: UDP, which has no such queue.
    pub queue: Option<AcceptQueue>,
    /// Age of the first socket. None: not known.
    pub age: Option<Age>,
    /// New connections that the scans of the last ten seconds found. Those opened and closed between
    /// two scans are not counted if they left no TIME-WAIT. None: UDP, or the scans cover
    /// less than `MIN_WINDOW`.
    pub connections_per_second: Option<f64>,
}

/// Identifies a `ListenerUse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerKey {
    pub protocol: Protocol,
    pub port: u16,
    pub owner_key: OwnerKey,
}

/// Connections that wait for accept().
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptQueue {
    pub waiting: u32,
    /// None: the source of the snapshot does not report it.
    pub limit: Option<u32>,
}

/// Counts the connections that arrive on listening ports. The newest scan comes last.
#[derive(Clone, Debug, Default)]
pub struct ListenerRates {
    scans: VecDeque<NewConnections>,
}

/// The new connections of one scan, by port.
#[derive(Clone, Debug)]
struct NewConnections {
    taken_at: Duration,
    by_port: BTreeMap<u16, u32>,
}

impl ListenerRates {
    /// Returns the listeners of a snapshot, by protocol and port. `history` must have observed it.
    pub fn observe(&mut self, snapshot: &Snapshot, history: &History) -> Vec<ListenerUse> {
        let mut rows: BTreeMap<ListenerKey, ListenerUse> = BTreeMap::new();
        for socket in snapshot.sockets.iter().filter(|socket| waits(snapshot, socket)) {
            let owner_key = OwnerKey::of(snapshot, socket);
            let key = ListenerKey { protocol: socket.protocol, port: socket.local.port, owner_key };
            rows.entry(key)
                .or_insert_with(|| ListenerUse::of(key, snapshot, socket, history))
                .add(socket, snapshot.source);
        }
        self.count(snapshot, history, &rows);
        let mut rows: Vec<ListenerUse> = rows.into_values().collect();
        for row in &mut rows {
            row.connections_per_second = self.per_second(row.key);
        }
        rows
    }

    /// Counts the connections that are new in this snapshot.
    fn count(
        &mut self,
        snapshot: &Snapshot,
        history: &History,
        rows: &BTreeMap<ListenerKey, ListenerUse>,
    ) {
        if !history.lists(Protocol::Tcp) {
            // A later scan would count connections that this one could not list.
            self.scans.clear();
            return;
        }
        let tcp = rows.keys().filter(|key| key.protocol == Protocol::Tcp);
        let mut by_port: BTreeMap<u16, u32> = tcp.map(|key| (key.port, 0)).collect();
        let arrived = history.arrived().iter().filter_map(|&at| snapshot.sockets.get(at as usize));
        for socket in arrived.filter(|socket| socket.remote.is_some()) {
            if socket.protocol == Protocol::Tcp
                && let Some(count) = by_port.get_mut(&socket.local.port)
            {
                *count += 1;
            }
        }
        let taken_at = snapshot.taken_at;
        self.scans.push_back(NewConnections { taken_at, by_port });
        let is_old = |scan: &NewConnections| taken_at.saturating_sub(scan.taken_at) > WINDOW;
        // The oldest scan only marks the start of the window.
        while self.scans.len() > 2 && self.scans.front().is_some_and(is_old) {
            self.scans.pop_front();
        }
    }

    fn per_second(&self, key: ListenerKey) -> Option<f64> {
        let (first, last) = (self.scans.front()?, self.scans.back()?);
        let window = last.taken_at.saturating_sub(first.taken_at);
        if key.protocol != Protocol::Tcp || window < MIN_WINDOW {
            return None;
        }
        let counts = self.scans.iter().skip(1).filter_map(|scan| scan.by_port.get(&key.port));
        Some(f64::from(counts.sum::<u32>()) / window.as_secs_f64())
    }
}

impl ListenerUse {
    fn of(key: ListenerKey, snapshot: &Snapshot, socket: &Socket, history: &History) -> Self {
        Self {
            key,
            addresses: Vec::new(),
            is_on_all: false,
            wildcards: [false; 2],
            processes: snapshot.owner(socket).pids().len(),
            queue: None,
            age: history.age(socket),
            connections_per_second: None,
        }
    }

    fn add(&mut self, socket: &Socket, source: Source) {
        let address = socket.local.address;
        if let Err(at) = self.addresses.binary_search(&address) {
            self.addresses.insert(at, address);
        }
        if socket.interface.is_none() && address.is_unspecified() {
            self.wildcards[0] |= address.is_ipv4() || socket.family == Family::Dual;
            self.wildcards[1] |= address.is_ipv6();
            self.is_on_all = self.wildcards == [true; 2];
        }
        if socket.state == State::Listen {
            // /proc/net does not report the limit.
            let limit = (source == Source::SockDiag).then_some(socket.send_queue);
            let queue = AcceptQueue { waiting: socket.receive_queue, limit };
            // Of several sockets, shows the one in which most connections wait.
            self.queue = Some(match self.queue {
                Some(other) if other.waiting >= queue.waiting => other,
                _ => queue,
            });
        }
    }
}

/// Returns whether the socket waits for connections or datagrams from anyone. A UDP socket without a
/// peer may belong to a client. It counts if its port is outside the ephemeral range, or if the
/// kernel reports that it was bound by number.
fn waits(snapshot: &Snapshot, socket: &Socket) -> bool {
    match socket.state {
        State::Listen => true,
        State::Unconnected => {
            !snapshot.ephemeral.range.contains(socket.local.port)
                || snapshot.vitals.is_bound_by_number(socket) == Some(true)
        }
        _ => false,
    }
}
