//! The sockets that appeared and ended in the last seconds, so that the list can mark them. Does not
//! compare snapshots that nobody saw.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use crate::domain::{Holder, Snapshot, Socket, owner::Span};

/// How long a new or ended socket is marked.
pub const MARKED: Duration = Duration::from_secs(3);
/// Maximum number of ended sockets that are kept. More would hide those that exist.
const MOST_ENDED: usize = 4096;

#[derive(Debug, Default)]
pub struct RecentChanges {
    /// When each new socket was first seen, by identity, as time since the program's start.
    appeared: HashMap<u64, Duration>,
    /// The sockets that have ended, as the last snapshot with them had them.
    ended: Option<Snapshot>,
    /// When each of `ended` was missed.
    missed: Vec<Duration>,
}

impl RecentChanges {
    /// Whether the socket is new.
    pub fn is_new(&self, socket: &Socket, now: Duration) -> bool {
        self.appeared.get(&socket.identity()).is_some_and(|&since| now < since + MARKED)
    }

    /// Number of new sockets.
    pub fn new_count(&self) -> usize {
        self.appeared.len()
    }

    /// The sockets that have ended, with their owners of that time. None: there are none.
    pub fn ended(&self) -> Option<&Snapshot> {
        self.ended.as_ref()
    }

    /// Forgets everything, because nobody looks any more.
    pub(super) fn clear(&mut self) {
        self.appeared.clear();
        self.missed.clear();
        self.ended = None;
    }

    /// Removes the marks that were shown long enough. Returns whether a row has disappeared.
    pub(super) fn expire(&mut self, now: Duration) -> bool {
        self.appeared.retain(|_, since| now < *since + MARKED);
        if self.missed.iter().all(|&since| now < since + MARKED) {
            return false;
        }
        let Some(old) = self.ended.take() else { return false };
        let missed = std::mem::take(&mut self.missed);
        for (socket, since) in old.sockets.iter().zip(missed) {
            if now < since + MARKED {
                self.keep(&old, socket, since);
            }
        }
        true
    }

    /// Compares two snapshots: `arrived` are the indexes, in `after`, of new sockets. Of those that
    /// have ended, keeps the ones that `is_shown` returns true for.
    pub(super) fn observe(
        &mut self,
        now: Duration,
        [before, after]: [&Snapshot; 2],
        arrived: &[u32],
        is_shown: impl Fn(&Socket) -> bool,
    ) {
        self.expire(now);
        let new = arrived.iter().filter_map(|&index| after.sockets.get(index as usize));
        self.appeared.extend(new.map(|socket| (socket.identity(), now)));
        let ended = ended(before, after);
        for socket in before.sockets.iter().filter(|socket| ended.contains(&socket.identity())) {
            if self.missed.len() < MOST_ENDED && is_shown(socket) {
                self.keep(before, socket, now);
            }
        }
    }

    fn keep(&mut self, source: &Snapshot, socket: &Socket, since: Duration) {
        let ended = self.ended.get_or_insert_with(|| Snapshot {
            interfaces: source.interfaces.clone(),
            ..Snapshot::empty(source.machine.clone(), source.source)
        });
        let first = ended.pids.len() as u32;
        let owner = source.owner(socket);
        ended.pids.extend_from_slice(owner.pids());
        let holder: Holder = owner.map(|pids| Span { first, length: pids.len() as u32 });
        ended.sockets.push(Socket { holder, ..*socket });
        self.missed.push(since);
    }
}

/// Returns the identities of the sockets that only the first snapshot has. Both must be sorted.
fn ended(before: &Snapshot, after: &Snapshot) -> HashSet<u64> {
    let key = |socket: &Socket| {
        let (protocol, port, family, cookie, inode) = socket.sort_key();
        (protocol, port, family, cookie, inode.filter(|_| cookie.is_none()))
    };
    let mut later = after.sockets.iter().map(key).peekable();
    let mut missing = HashSet::new();
    for socket in &before.sockets {
        let wanted = key(socket);
        while later.peek().is_some_and(|key| *key < wanted) {
            later.next();
        }
        if later.peek() != Some(&wanted) {
            missing.insert(socket.identity());
        }
    }
    // A socket may have another port or family now.
    if !missing.is_empty() {
        for socket in &after.sockets {
            missing.remove(&socket.identity());
        }
    }
    missing
}
