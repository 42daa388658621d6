//! Assigns each socket to one owner (an [`OwnerKey`]) and counts what each owner holds. Does not
//! count by destination.

use std::{cmp::Reverse, ops::Deref};

use crate::domain::{
    Owner, OwnerKey, OwnerUse, Protocol, Snapshot, Socket, State, StateClass,
    analysis::{key_numbers::KeyNumbers, ranges::PortState},
    notation::NamedProcess,
};

/// Owners in the order in which they first appeared.
pub(super) struct OwnerTable<'a> {
    snapshot: &'a Snapshot,
    rows: Vec<OwnerEntry>,
    numbers: KeyNumbers<OwnerKey>,
}

struct OwnerEntry {
    owner: OwnerUse,
    /// The port of the ephemeral range that was counted last.
    port: Option<(Protocol, u16)>,
    /// The class in which `port` was counted.
    class: StateClass,
}

impl OwnerKey {
    pub fn of(snapshot: &Snapshot, socket: &Socket) -> Self {
        match snapshot.owner(socket) {
            Owner::Process(pids) | Owner::Departed(pids) | Owner::Backlog(pids) => {
                pids.iter().min().map_or(Self::Nobody, |&pid| Self::Process(pid))
            }
            Owner::Hidden => Self::Hidden(socket.uid),
            Owner::Kernel => Self::Kernel,
            Owner::Nobody => Self::Nobody,
            Owner::Unresolved => Self::Unresolved,
            Owner::NotAsked => Self::NotAsked,
        }
    }

    /// Names the owner without what only other tables know, the name of a process and of a user:
    /// `pid 4121`, `hidden`, `kernel`.
    pub fn words(self) -> String {
        match self {
            Self::Process(pid) => NamedProcess { name: None, pid }.to_string(),
            Self::Hidden(_) => "hidden".to_owned(),
            Self::Kernel => "kernel".to_owned(),
            Self::Nobody => "none visible".to_owned(),
            Self::Unresolved => "just opened or closed".to_owned(),
            Self::NotAsked => "not looked up".to_owned(),
        }
    }

    /// Returns the pid. None: it is no process, or a hidden one.
    pub fn pid(self) -> Option<u32> {
        if let Self::Process(pid) = self { Some(pid) } else { None }
    }

    /// Returns whether it is a process, visible or hidden.
    pub fn is_process(self) -> bool {
        matches!(self, Self::Process(_) | Self::Hidden(_))
    }
}

impl<'a> OwnerTable<'a> {
    pub fn of(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, rows: Vec::new(), numbers: KeyNumbers::default() }
    }

    /// Counts the socket and returns the index of its owner.
    pub fn add(&mut self, port: &PortState, socket: &Socket) -> u32 {
        let owner_key = OwnerKey::of(self.snapshot, socket);
        let index = self.numbers.of(owner_key);
        if index as usize == self.rows.len() {
            self.rows.push(OwnerEntry::of(owner_key));
        }
        let row = &mut self.rows[index as usize];
        row.owner.sockets += 1;
        row.owner.close_wait += u32::from(socket.state == State::CloseWait);
        row.owner.bound += u32::from(socket.state == State::Bound);
        if port.is_automatic {
            row.count(port, StateClass::of(socket.state));
        }
        index
    }

    pub fn owner_key(&self, index: u32) -> OwnerKey {
        self.rows[index as usize].owner.owner_key
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the owners sorted by ports, then by sockets, most first. Omits
    /// `OwnerKey::Unresolved`: most of its sockets were opened or closed during the scan, so its
    /// row would appear and disappear.
    pub fn into_rows(self) -> Vec<OwnerUse> {
        let rows = self.rows.into_iter().map(|row| row.owner);
        let mut rows: Vec<OwnerUse> =
            rows.filter(|row| row.owner_key != OwnerKey::Unresolved).collect();
        rows.sort_unstable_by_key(|row| (Reverse(row.ports), Reverse(row.sockets), row.owner_key));
        rows
    }
}

impl OwnerEntry {
    fn of(owner_key: OwnerKey) -> Self {
        let owner =
            OwnerUse { owner_key, ports: 0, by_class: [0; 6], sockets: 0, close_wait: 0, bound: 0 };
        Self { owner, port: None, class: StateClass::TimeWait }
    }

    /// Counts each port once, in the first class of its sockets in the order of [`StateClass`].
    fn count(&mut self, port: &PortState, class: StateClass) {
        let at = Some((port.protocol, port.number));
        if self.port == at {
            let shown_class = self.class.min(class);
            self.owner.by_class[self.class as usize] -= 1;
            self.class = shown_class;
        } else {
            self.owner.ports += 1;
            (self.port, self.class) = (at, class);
        }
        self.owner.by_class[self.class as usize] += 1;
    }
}

/// Number of owners that are kept.
const MAX_OWNERS: usize = 4;

/// The owners with most sockets and their numbers of sockets, sorted by that number in descending
/// order, then by owner; and how many owners there are. Stored inline: a heap-allocated list for
/// each of 30,000 destinations took longer than counting their sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopOwners {
    rows: [(OwnerKey, u32); MAX_OWNERS],
    count: u32,
    /// Of `count`: processes.
    processes: u32,
}

impl TopOwners {
    /// Inserts an owner with all its sockets. An owner must be inserted only once.
    pub fn insert(&mut self, owner_key: OwnerKey, sockets: u32) {
        let rank = |&(owner_key, sockets): &(OwnerKey, u32)| (Reverse(sockets), owner_key);
        let new = (owner_key, sockets);
        let index = self.partition_point(|row| rank(row) < rank(&new));
        if index < MAX_OWNERS {
            self.rows[index..].rotate_right(1);
            self.rows[index] = new;
        }
        self.count += 1;
        self.processes += u32::from(owner_key.pid().is_some());
    }

    /// Returns the number of owners, also of those that are not kept.
    pub fn total(&self) -> u32 {
        self.count
    }

    /// Returns the number of owners besides `main`. If that is a process, counts only processes: the
    /// TIME-WAIT sockets of the kernel are no further user of the destination.
    pub fn others(&self) -> u32 {
        let all = if self.process().is_some() { self.processes } else { self.count };
        all.saturating_sub(1)
    }

    /// Returns the process with most sockets among those kept, or the first owner if there is none,
    /// and the number of its sockets. None: there is no owner.
    pub fn main(&self) -> Option<(OwnerKey, u32)> {
        self.process().or_else(|| self.first().copied())
    }

    /// Returns the process with most sockets among those kept, and their number. None: none is a
    /// process.
    pub fn process(&self) -> Option<(OwnerKey, u32)> {
        self.iter().find(|(owner_key, _)| owner_key.pid().is_some()).copied()
    }
}

impl Deref for TopOwners {
    type Target = [(OwnerKey, u32)];

    fn deref(&self) -> &Self::Target {
        &self.rows[..MAX_OWNERS.min(self.count as usize)]
    }
}
