//! Groups the sockets of a port by owner, and those of one owner by state. Does not draw.

use std::{cmp::Reverse, collections::HashMap};

use crate::{
    app::App,
    domain::{Owner, Protocol, Snapshot, Socket, State, StateClass, Text},
};

/// The sockets of one owner on a port. Processes with the same name, user and unit are one owner,
/// such as the workers of a server.
pub struct PortOwner<'a> {
    /// The processes, ascending. Empty: none is known.
    pub pids: Vec<u32>,
    /// The sockets by protocol and state, at least one.
    pub states: Vec<StateSockets<'a>>,
}

/// The sockets of one owner in the same state, at least one.
pub struct StateSockets<'a> {
    pub protocol: Protocol,
    pub state: State,
    pub sockets: Vec<&'a Socket>,
}

impl<'a> PortOwner<'a> {
    /// Returns the socket that names the owner.
    pub fn first(&self) -> Option<&'a Socket> {
        self.states.first()?.sockets.first().copied()
    }

    /// Returns whether the socket is one of the owner's.
    pub fn has(&self, socket: &Socket) -> bool {
        let mut sockets = self.states.iter().flat_map(|all| &all.sockets);
        sockets.any(|other| other.identity() == socket.identity())
    }

    fn add(&mut self, socket: &'a Socket) {
        let (protocol, state) = (socket.protocol, socket.state);
        match self.states.iter_mut().find(|all| (all.protocol, all.state) == (protocol, state)) {
            Some(all) => all.sockets.push(socket),
            None => self.states.push(StateSockets { protocol, state, sockets: vec![socket] }),
        }
    }

    /// Returns the sort key: processes first, then the most informative state, then the largest
    /// number of sockets.
    fn rank(&self) -> (bool, Option<StateClass>, Reverse<usize>) {
        let class = self.states.first().map(|all| StateClass::of(all.state));
        let count = self.states.iter().map(|all| all.sockets.len()).sum();
        (self.pids.is_empty(), class, Reverse(count))
    }
}

/// A process as far as it distinguishes one owner from another: name, user and unit. The pid is
/// None if the process is described.
type ProcessKey<'a> = (Option<u32>, Option<(&'a Text, Option<u32>, Option<&'a Text>)>);

/// Returns the owners of the sockets on a port, the most important one first.
pub fn owners<'a>(app: &'a App, snapshot: &'a Snapshot, port: u16) -> Vec<PortOwner<'a>> {
    let mut owners: Vec<PortOwner<'a>> = Vec::new();
    let mut by_holder: HashMap<_, usize> = HashMap::new();
    let mut by_process: HashMap<_, usize> = HashMap::new();
    for socket in app.sockets_on(port) {
        let owner = snapshot.owner(socket);
        let pids = owner.pids();
        let uid = socket.uid.filter(|_| pids.is_empty());
        let tunnels = snapshot.tunnel_names(socket);
        let index =
            *by_holder.entry((owner.kind(), pids, uid, tunnels)).or_insert_with_key(|key| {
                let (kind, pids, uid, tunnels) = key;
                let processes = process_keys(app, pids);
                let known = (*kind, processes, *uid, tunnels.clone());
                let index = *by_process.entry(known).or_insert_with(|| {
                    owners.push(PortOwner { pids: Vec::new(), states: Vec::new() });
                    owners.len() - 1
                });
                owners[index].pids.extend(*pids);
                index
            });
        owners[index].add(socket);
    }
    for owner in &mut owners {
        owner.pids.sort_unstable();
        owner.pids.dedup();
        owner.states.sort_by_key(|all| (StateClass::of(all.state), all.state, all.protocol));
    }
    owners.sort_by_key(PortOwner::rank);
    owners
}

/// Returns the distinct processes among these.
fn process_keys<'a>(app: &'a App, pids: &[u32]) -> Vec<ProcessKey<'a>> {
    let mut keys: Vec<ProcessKey<'a>> = Vec::new();
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

/// Returns whether the processes hold the sockets now.
pub fn is_held(owner: Owner<'_>) -> bool {
    matches!(owner, Owner::Process(_) | Owner::Backlog(_))
}
