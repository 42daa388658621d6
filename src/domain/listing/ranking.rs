//! The columns of a list of sockets, and the order of its rows.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use crate::domain::{Age, Owner, OwnerKey, Snapshot, Socket, State, listing::ListingSource};

/// A column of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SocketColumn {
    Protocol,
    State,
    /// Sorts by protocol and port, as the snapshot does.
    #[default]
    Local,
    Remote,
    Owner,
    User,
    Unit,
    Queue,
    Age,
}

impl SocketColumn {
    pub const EACH: [Self; 9] = [
        Self::Protocol,
        Self::State,
        Self::Local,
        Self::Remote,
        Self::Owner,
        Self::User,
        Self::Unit,
        Self::Queue,
        Self::Age,
    ];

    /// Returns the title of the column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Protocol => "proto",
            Self::State => "state",
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Owner => "owner",
            Self::User => "user",
            Self::Unit => "unit",
            Self::Queue => "queue",
            Self::Age => "age",
        }
    }

    /// Returns whether the order is known only if the owners of the sockets are.
    pub fn needs_owners(self) -> bool {
        matches!(self, Self::Owner | Self::Unit)
    }
}

/// The order of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketOrder {
    pub column: SocketColumn,
    pub is_reversed: bool,
}

/// What a row is sorted by; equal ranks are in the order of the snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey {
    rank: u128,
    tie: u64,
}

/// Computes sort keys, without allocating for each socket.
#[derive(Debug)]
pub enum Ranking {
    Order,
    State,
    Remote,
    Queue,
    Age,
    /// The rank of the name of each pid, and of those that are no process.
    Owner {
        pids: HashMap<u32, u32>,
        others: [u32; 5],
    },
    User(HashMap<u32, u32>),
    Unit(HashMap<u32, u32>),
}

impl Ranking {
    pub fn of(column: SocketColumn, source: ListingSource<'_>) -> Self {
        match column {
            SocketColumn::Protocol | SocketColumn::Local => Self::Order,
            SocketColumn::State => Self::State,
            SocketColumn::Remote => Self::Remote,
            SocketColumn::Queue => Self::Queue,
            SocketColumn::Age => Self::Age,
            SocketColumn::Owner => owner_ranks(source),
            SocketColumn::User => {
                let users = &source.snapshot.machine.users;
                let uids = source.snapshot.sockets.iter().filter_map(|socket| socket.uid);
                let known: BTreeSet<u32> = uids.collect();
                let name =
                    |uid: u32| users.name(uid).map_or_else(|| uid.to_string(), ToString::to_string);
                Self::User(ranks(known.into_iter().map(|uid| (uid, name(uid)))).0)
            }
            SocketColumn::Unit => {
                let units = source.processes.iter().filter_map(|process| {
                    Some((process.pid, process.unit.as_ref()?.as_str().to_lowercase()))
                });
                Self::Unit(ranks(units).0)
            }
        }
    }

    /// Returns whether rows need their ages.
    pub fn needs_ages(&self) -> bool {
        matches!(self, Self::Age)
    }

    /// Returns the key of a socket. `tie`: its place in the snapshot.
    pub fn key(&self, snapshot: &Snapshot, socket: &Socket, age: Option<Age>, tie: u64) -> SortKey {
        let rank = match self {
            Self::Order => 0,
            Self::State => u128::from(socket.state as u8),
            Self::Remote => return remote_key(socket, tie),
            Self::Queue => u128::from(queued(socket)),
            // A socket that is at least as old as another one is older.
            Self::Age => age.map_or(u128::MAX, |age| match age {
                Age::Exactly(age) => age.as_millis() * 2,
                Age::AtLeast(age) => age.as_millis() * 2 + 1,
            }),
            Self::Owner { pids, others } => u128::from(owner_rank(snapshot, socket, pids, others)),
            Self::User(uids) => rank_of(socket.uid.as_ref(), uids),
            Self::Unit(units) => {
                let pids = snapshot.owner(socket).pids();
                rank_of(pids.iter().find(|pid| units.contains_key(pid)), units)
            }
        };
        SortKey { rank, tie }
    }
}

/// Returns the bytes in the queues; of a listener, the connections that wait for accept().
fn queued(socket: &Socket) -> u64 {
    let sent = if socket.state == State::Listen { 0 } else { socket.send_queue };
    u64::from(socket.receive_queue) + u64::from(sent)
}

fn rank_of(key: Option<&u32>, ranks: &HashMap<u32, u32>) -> u128 {
    key.and_then(|key| ranks.get(key)).map_or(u128::MAX, |&rank| u128::from(rank))
}

/// Sockets without a peer come last. The family decides before the address.
fn remote_key(socket: &Socket, tie: u64) -> SortKey {
    let Some(remote) = socket.remote else { return SortKey { rank: u128::MAX, tie } };
    let rank = match remote.address.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        // No address begins with ones only, so that none has the rank of no peer.
        IpAddr::V6(address) => address.to_bits().max(1 << 32),
    };
    SortKey { rank, tie: u64::from(remote.port) << 40 | tie }
}

/// Returns the rank of each key by its name, and that of names without a key.
fn ranks(names: impl Iterator<Item = (u32, String)>) -> (HashMap<u32, u32>, u32) {
    let mut names: Vec<(String, u32)> = names.map(|(key, name)| (name, key)).collect();
    names.sort_unstable();
    let last = names.len() as u32;
    let ranked = names.into_iter().enumerate().map(|(rank, (_, key))| (key, rank as u32));
    (ranked.collect(), last)
}

/// Ranks processes by name and pid. Sockets without a process come last.
fn owner_ranks(source: ListingSource<'_>) -> Ranking {
    let name = |pid: u32| match source.processes.get(pid) {
        Some(process) => process.name.as_str().to_lowercase(),
        None => OwnerKey::Process(pid).words(),
    };
    let mut pids = source.snapshot.pids.clone();
    pids.sort_unstable();
    pids.dedup();
    let (pids, last) = ranks(pids.into_iter().map(|pid| (pid, name(pid))));
    Ranking::Owner { pids, others: [last, last + 1, last + 2, last + 3, last + 4] }
}

fn owner_rank(
    snapshot: &Snapshot,
    socket: &Socket,
    pids: &HashMap<u32, u32>,
    others: &[u32; 5],
) -> u32 {
    let [kernel, hidden, nobody, unresolved, not_asked] = *others;
    match snapshot.owner(socket) {
        Owner::Process(held) | Owner::Departed(held) | Owner::Backlog(held) => {
            held.first().and_then(|pid| pids.get(pid)).copied().unwrap_or(nobody)
        }
        Owner::Kernel => kernel,
        Owner::Hidden => hidden,
        Owner::Nobody => nobody,
        Owner::Unresolved => unresolved,
        Owner::NotAsked => not_asked,
    }
}
