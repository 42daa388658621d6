//! What the inspector looks up in all sockets of a port: their owners, what they block, and what
//! frees the port. Kept until the next scan, because a port may have 100,000 sockets. Does not draw.

use std::{
    cell::OnceCell,
    cmp::Reverse,
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher as _},
    net::IpAddr,
    rc::Rc,
};

use crate::{
    app::{App, LatestScan},
    domain::{
        Family, ProcessTable, Protocol, Protocols, RemotePortUse, Snapshot, Socket, State,
        StateClass, Text,
        availability::{Bind, BindAddress, PortRelease, Reuse, Verdict, bind_answer, release},
    },
};

/// Maximum number of sockets in one state that are kept as examples.
const MAX_EXAMPLES: usize = 8;

/// A port and what was found in its sockets.
#[derive(Debug)]
pub struct InspectedPort {
    port: u16,
    /// The protocols that the map shows.
    protocols: Protocols,
    /// The most important one first. Empty: the port has no socket.
    pub owners: Vec<PortOwner>,
    /// The sockets of these protocols that lead to this port of another machine. None: not looked
    /// up, because the port has sockets, or there is none.
    pub remote: Option<RemotePortUse>,
    /// In the order of `Protocol::EACH`; empty until someone asks.
    effects: [OnceCell<PortEffects>; Protocol::EACH.len()],
}

/// What the sockets of one protocol on a port block, and what frees the port.
#[derive(Debug)]
pub struct PortEffects {
    /// None: no socket is on the port.
    pub release: Option<PortRelease>,
    /// Whether bind() on all addresses gets the port without options, with SO_REUSEADDR, and with
    /// SO_REUSEPORT.
    pub binds: [Verdict; 3],
    /// Whether connect() cannot choose the port for any destination.
    pub blocks_connect: bool,
}

/// The sockets of one owner on a port. Processes with the same name, user and unit are one owner,
/// such as the workers of a server.
#[derive(Debug)]
pub struct PortOwner {
    /// The processes, ascending. Empty: none is known.
    pub pids: Vec<u32>,
    /// The sockets by protocol and state, at least one.
    pub states: Vec<StateSockets>,
    /// A hash of what distinguishes the owner from the others, see `owner_key`.
    pub key: u64,
}

/// The sockets of one owner in the same state, at least one.
#[derive(Debug)]
pub struct StateSockets {
    pub protocol: Protocol,
    pub state: State,
    pub count: usize,
    /// The first sockets, at most `MAX_EXAMPLES`.
    pub examples: Vec<Socket>,
    /// One socket of each local address, with the number of sockets there. Empty: at least one
    /// socket has a peer.
    pub addresses: Vec<(Socket, u64)>,
    /// The addresses of the peers, that with most sockets first.
    pub peers: Vec<(IpAddr, u64)>,
}

impl App {
    /// Returns the owners of a port and what its sockets block. None before the first scan.
    pub fn inspected_port(&self, port: u16) -> Option<Rc<InspectedPort>> {
        let scan = self.scan()?;
        let mut kept = self.inspected_port.borrow_mut();
        let is_same =
            |kept: &&Rc<InspectedPort>| (kept.port, kept.protocols) == (port, self.map().protocols);
        if let Some(inspected) = kept.as_ref().filter(is_same) {
            return Some(Rc::clone(inspected));
        }
        Some(Rc::clone(kept.insert(Rc::new(InspectedPort::of(self, scan, port)))))
    }
}

impl InspectedPort {
    fn of(app: &App, scan: &LatestScan, port: u16) -> Self {
        let snapshot = &*scan.snapshot;
        let owners = owners(app, snapshot, port);
        let protocols = app.map().protocols;
        let is_shown = |protocol| protocols.includes(protocol);
        let is_remote = owners.is_empty() && scan.remote_ports().contains(port);
        let remote =
            is_remote.then(|| RemotePortUse::count(&snapshot.sockets, port, is_shown)).flatten();
        Self { port, protocols, owners, remote, effects: Default::default() }
    }

    /// Returns what the sockets of a protocol block, and what frees the port.
    pub fn effects(&self, app: &App, snapshot: &Snapshot, protocol: Protocol) -> &PortEffects {
        self.effects[protocol as usize]
            .get_or_init(|| PortEffects::of(snapshot, app.processes(), (protocol, self.port)))
    }
}

impl PortEffects {
    fn of(
        snapshot: &Snapshot,
        processes: &ProcessTable,
        (protocol, port): (Protocol, u16),
    ) -> Self {
        let on_port = snapshot.on_port(protocol, port);
        let is_automatic = snapshot.ephemeral.range.contains(port);
        let verdict = |reuse| {
            let bind = Bind { protocol, address: BindAddress::AnyDual, reuse };
            bind_answer(snapshot, port, bind).verdict
        };
        Self {
            release: release(snapshot, processes, protocol, port),
            binds: [Reuse::None, Reuse::Address, Reuse::Port].map(verdict),
            blocks_connect: is_automatic
                && on_port.iter().any(|socket| socket.state.blocks_connect()),
        }
    }
}

/// Returns the key of the socket's owner among the owners of its port.
pub fn owner_key(app: &App, snapshot: &Snapshot, socket: &Socket) -> u64 {
    PortOwnerKey::of(app, snapshot, socket).hashed()
}

impl PortOwner {
    /// Returns the socket that names the owner.
    pub fn first(&self) -> Option<&Socket> {
        self.states.first()?.examples.first()
    }

    /// Returns the sort key: processes first, then the most informative state, then the largest
    /// number of sockets.
    fn rank(&self) -> (bool, Option<StateClass>, Reverse<usize>) {
        let class = self.states.first().map(|all| StateClass::of(all.state));
        let count = self.states.iter().map(|all| all.count).sum();
        (self.pids.is_empty(), class, Reverse(count))
    }
}

impl StateSockets {
    fn of(sockets: &[&Socket]) -> Option<Self> {
        let first = sockets.first()?;
        let mut peers: HashMap<IpAddr, u64> = HashMap::new();
        for remote in sockets.iter().filter_map(|socket| socket.remote) {
            *peers.entry(remote.address).or_default() += 1;
        }
        let mut peers: Vec<_> = peers.into_iter().collect();
        peers.sort_unstable_by_key(|&(address, count)| (Reverse(count), address));
        Some(Self {
            protocol: first.protocol,
            state: first.state,
            count: sockets.len(),
            examples: sockets.iter().take(MAX_EXAMPLES).map(|&&socket| socket).collect(),
            addresses: if peers.is_empty() { by_address(sockets) } else { Vec::new() },
            peers,
        })
    }
}

/// Counts the sockets of each local address and device, in the order in which they appear.
fn by_address(sockets: &[&Socket]) -> Vec<(Socket, u64)> {
    let mut counts: Vec<(Socket, u64)> = Vec::new();
    let mut indices: HashMap<_, usize> = HashMap::new();
    for &&socket in sockets {
        let key = (socket.local.address, socket.interface, socket.family == Family::Dual);
        let index = *indices.entry(key).or_insert_with(|| {
            counts.push((socket, 0));
            counts.len() - 1
        });
        counts[index].1 += 1;
    }
    counts
}

/// What distinguishes the owner of a socket from the other owners of a port.
#[derive(PartialEq, Eq, Hash)]
struct PortOwnerKey<'a> {
    kind: Option<&'static str>,
    processes: Vec<PortProcessKey<'a>>,
    /// None also if a process is known.
    uid: Option<u32>,
    tunnels: Option<String>,
}

/// A process as far as it distinguishes one owner from another: name, user and unit. The pid is
/// None if the process is described.
type PortProcessKey<'a> = (Option<u32>, Option<(&'a Text, Option<u32>, Option<&'a Text>)>);

impl<'a> PortOwnerKey<'a> {
    fn of(app: &'a App, snapshot: &'a Snapshot, socket: &Socket) -> Self {
        let owner = snapshot.owner(socket);
        let pids = owner.pids();
        Self {
            kind: owner.kind(),
            processes: process_keys(app, pids),
            uid: socket.uid.filter(|_| pids.is_empty()),
            tunnels: snapshot.tunnel_names(socket),
        }
    }

    fn hashed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// An owner while its sockets are collected.
struct OwnerSockets<'a> {
    pids: Vec<u32>,
    key: u64,
    by_state: Vec<Vec<&'a Socket>>,
}

impl<'a> OwnerSockets<'a> {
    fn add(&mut self, socket: &'a Socket) {
        let of = |socket: &Socket| (socket.protocol, socket.state);
        let is_same =
            |all: &&mut Vec<&Socket>| all.first().is_some_and(|&one| of(one) == of(socket));
        match self.by_state.iter_mut().find(is_same) {
            Some(all) => all.push(socket),
            None => self.by_state.push(vec![socket]),
        }
    }

    fn summed_up(mut self) -> PortOwner {
        self.pids.sort_unstable();
        self.pids.dedup();
        let mut states: Vec<_> =
            self.by_state.iter().filter_map(|all| StateSockets::of(all)).collect();
        states.sort_by_key(|all| (StateClass::of(all.state), all.state, all.protocol));
        PortOwner { pids: self.pids, states, key: self.key }
    }
}

/// Returns the owners of the sockets on a port, the most important one first.
fn owners(app: &App, snapshot: &Snapshot, port: u16) -> Vec<PortOwner> {
    let mut owners: Vec<OwnerSockets<'_>> = Vec::new();
    // The processes are compared only once for each holder: most sockets have the same one.
    let mut by_holder: HashMap<_, usize> = HashMap::new();
    let mut by_key: HashMap<PortOwnerKey<'_>, usize> = HashMap::new();
    for socket in Protocol::EACH.iter().flat_map(|&protocol| snapshot.on_port(protocol, port)) {
        let owner = snapshot.owner(socket);
        let pids = owner.pids();
        let uid = socket.uid.filter(|_| pids.is_empty());
        let holder = (owner.kind(), pids, uid, snapshot.tunnel_names(socket));
        let index = *by_holder.entry(holder).or_insert_with(|| {
            let key = PortOwnerKey::of(app, snapshot, socket);
            let hashed = key.hashed();
            let index = *by_key.entry(key).or_insert_with(|| {
                let (pids, by_state) = (Vec::new(), Vec::new());
                owners.push(OwnerSockets { pids, key: hashed, by_state });
                owners.len() - 1
            });
            owners[index].pids.extend(pids);
            index
        });
        owners[index].add(socket);
    }
    let mut owners: Vec<PortOwner> = owners.into_iter().map(OwnerSockets::summed_up).collect();
    owners.sort_by_key(PortOwner::rank);
    owners
}

/// Returns the distinct processes among these.
fn process_keys<'a>(app: &'a App, pids: &[u32]) -> Vec<PortProcessKey<'a>> {
    let mut keys: Vec<PortProcessKey<'a>> = Vec::new();
    for &pid in pids {
        let process = app.processes().get(pid);
        let key = match process {
            Some(found) => (None, Some((&found.name, found.uid, found.unit.as_ref()))),
            None => (Some(pid), None),
        };
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}
