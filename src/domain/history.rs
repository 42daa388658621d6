//! Records what the snapshots of one run showed on each port. What happened between two snapshots
//! is not known.

mod known;
mod port_events;
mod unlisted;

use std::time::Duration;

use crate::domain::{Endpoint, Protocol, Snapshot, Socket, State};

pub(in crate::domain) use self::known::endpoints;
use self::{
    known::{KnownPorts, Tick},
    port_events::PortEvents,
    unlisted::UnlistedPorts,
};

/// How long sockets have existed, and what was on each port before.
///
/// Takes 24 bytes per socket in each of two buffers, and at most 2.3 MB for the port events.
#[derive(Clone, Debug, Default)]
pub struct History {
    latest: Option<LastSnapshot>,
    /// The sockets of the latest snapshot, in its order.
    known: Vec<KnownPorts>,
    /// Buffer for the next snapshot's sockets.
    next: Vec<KnownPorts>,
    /// Sockets of earlier snapshots that may still exist, but that the latest snapshot could not
    /// list.
    missing: Vec<KnownPorts>,
    port_events: PortEvents,
    unpaired: Unpaired,
    /// Indexes into the sockets of the latest snapshot, see `History::arrived`.
    arrived: Vec<u32>,
    /// As `arrived`, see `History::entered_time_wait`.
    entered_time_wait: Vec<u32>,
}

/// Data of the latest snapshot besides its sockets.
#[derive(Clone, Copy, Debug)]
struct LastSnapshot {
    number: u64,
    taken_at: Duration,
    /// Time since the first snapshot. Does not advance when the clock is set back.
    watched: Duration,
    unlisted: UnlistedPorts,
}

/// The age of a socket, as far as the snapshots show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// The socket appeared between two snapshots. The age is an upper bound: the time since the
    /// earlier snapshot.
    Exactly(Duration),
    /// The socket was in the first snapshot, or the snapshot before it appeared could not list it.
    /// The age is a lower bound.
    AtLeast(Duration),
}

/// Something that a snapshot showed on a port and the previous snapshot did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortEvent {
    /// Time since 1970 at which the snapshot was taken.
    pub at: Duration,
    pub protocol: Protocol,
    /// None: no socket of this protocol is left on the port.
    pub state: Option<State>,
    /// None: the socket has no peer, or no socket is left.
    pub remote: Option<Endpoint>,
}

/// The sockets of one port that are not yet matched with a socket of the other snapshot.
#[derive(Clone, Debug, Default)]
struct Unpaired {
    /// Sockets of the previous snapshot, and whether each was found again.
    disappeared: Vec<(KnownPorts, bool)>,
    /// Indexes of sockets in the new snapshot.
    appeared: Vec<u32>,
}

impl History {
    /// Adds a snapshot, which must be sorted. Ignores one that is not newer than the latest.
    pub fn observe(&mut self, snapshot: &Snapshot) {
        let before = self.latest;
        if before.is_some_and(|before| before.number >= snapshot.number) {
            return;
        }
        let watched = before.map_or(Duration::ZERO, |before| {
            before.watched + snapshot.taken_at.saturating_sub(before.taken_at)
        });
        let (number, taken_at) = (snapshot.number, snapshot.taken_at);
        let unlisted = UnlistedPorts::of(&snapshot.gaps);
        let latest = LastSnapshot { number, taken_at, watched, unlisted };
        self.latest = Some(latest);
        self.arrived.clear();
        self.entered_time_wait.clear();
        if !self.missing.is_empty() {
            self.known.append(&mut self.missing);
            self.known.sort_by_key(KnownPorts::protocol_port);
        } else if is_same(&self.known, &snapshot.sockets) {
            return;
        }
        SnapshotComparison { history: self, snapshot, before, latest }.run();
        std::mem::swap(&mut self.known, &mut self.next);
    }

    /// Returns the age of a socket. None: the latest snapshot does not contain the socket.
    pub fn age(&self, socket: &Socket) -> Option<Age> {
        let at = socket.protocol_port();
        let start = self.known.partition_point(|known| known.protocol_port() < at);
        let mut on_port =
            self.known[start..].iter().take_while(|known| known.protocol_port() == at);
        self.age_of(on_port.find(|known| known.is(socket))?)
    }

    /// Returns the age of the socket with this index in the latest snapshot. None: there is none.
    pub fn age_at(&self, index: usize) -> Option<Age> {
        self.age_of(self.known.get(index)?)
    }

    /// Returns the ages of the latest snapshot's sockets, in its order.
    pub fn ages(&self) -> impl Iterator<Item = Age> {
        self.known.iter().filter_map(|known| self.age_of(known))
    }

    /// Returns the indexes, in the latest snapshot, of the sockets that appeared since the previous
    /// one. Leaves out sockets that may have existed without being listed.
    pub fn arrived(&self) -> &[u32] {
        &self.arrived
    }

    /// Returns the indexes, in the latest snapshot, of the sockets that entered TIME-WAIT since the
    /// previous one, or appeared in that state.
    pub fn entered_time_wait(&self) -> &[u32] {
        &self.entered_time_wait
    }

    /// Returns whether the latest snapshot lists all sockets of the protocol, except bound-inactive
    /// ones.
    pub fn lists(&self, protocol: Protocol) -> bool {
        self.latest.is_some_and(|latest| latest.unlisted.tables[protocol as usize] == [false; 2])
    }

    /// Returns whether the latest snapshot lists bound-inactive TCP sockets.
    pub fn lists_bound(&self) -> bool {
        self.latest.is_some_and(|latest| !latest.unlisted.bound)
    }

    /// Returns the events of a port, newest first, at most 8.
    pub fn on_port(&self, port: u16) -> impl Iterator<Item = PortEvent> {
        self.port_events.on_port(port)
    }

    fn age_of(&self, known: &KnownPorts) -> Option<Age> {
        let age = self.latest?.watched.saturating_sub(known.since.time());
        Some(if known.is_older { Age::AtLeast(age) } else { Age::Exactly(age) })
    }
}

fn is_same(known: &[KnownPorts], sockets: &[Socket]) -> bool {
    let is_same = |(known, socket): (&KnownPorts, &Socket)| {
        known.is(socket)
            && known.state == socket.state
            && known.protocol_port() == socket.protocol_port()
    };
    known.len() == sockets.len() && known.iter().zip(sockets).all(is_same)
}

/// Compares two snapshots port by port.
struct SnapshotComparison<'a> {
    history: &'a mut History,
    snapshot: &'a Snapshot,
    before: Option<LastSnapshot>,
    latest: LastSnapshot,
}

impl SnapshotComparison<'_> {
    /// Fills `History::next`.
    fn run(&mut self) {
        let sockets = self.snapshot.sockets.as_slice();
        let known = std::mem::take(&mut self.history.known);
        let next = &mut self.history.next;
        next.clear();
        if next.capacity() < sockets.len() {
            // Reserves a little more, so that slow growth does not reallocate each time.
            next.reserve_exact(sockets.len() + sockets.len() / 64);
        }
        let mut old = known.as_slice();
        for new in sockets.chunk_by(Socket::shares_port) {
            let at = new[0].protocol_port();
            self.vanish_until(&mut old, |known| known.protocol_port() < at);
            let (same_port, later) =
                old.split_at(old.iter().take_while(|known| known.protocol_port() == at).count());
            old = later;
            if is_same(same_port, new) {
                self.history.next.extend_from_slice(same_port);
            } else {
                self.compare(same_port, new);
            }
        }
        self.vanish_until(&mut old, |_| true);
        self.history.known = known;
    }

    /// Removes from the start of `old` the sockets for which `is_before` is true: the snapshot has
    /// no socket on their ports. Records an event for each of these ports, unless the gaps may hide
    /// one of its sockets.
    fn vanish_until(&mut self, old: &mut &[KnownPorts], is_before: impl Fn(&KnownPorts) -> bool) {
        let count = old.iter().take_while(|known| is_before(known)).count();
        let (vanished, later) = old.split_at(count);
        *old = later;
        for port in vanished.chunk_by(|a, b| a.protocol_port() == b.protocol_port()) {
            let mut is_empty = true;
            for known in port {
                is_empty &= !self.keep_missing(known);
            }
            if is_empty {
                let (at, protocol) = (self.snapshot.taken_at, port[0].protocol);
                let event = PortEvent { at, protocol, state: None, remote: None };
                self.history.port_events.push(port[0].port, event);
            }
        }
    }

    /// Keeps a socket that may still exist although the snapshot does not list it. Returns whether
    /// the socket was kept.
    fn keep_missing(&mut self, known: &KnownPorts) -> bool {
        let may_be_there = self.latest.unlisted.hides(known);
        if may_be_there {
            self.history.missing.push(*known);
        }
        may_be_there
    }

    /// Compares the sockets of a port on which something changed, and adds the new ones to `next`.
    fn compare(&mut self, old: &[KnownPorts], new: &[Socket]) {
        let start = self.history.next.len();
        self.history.next.extend(new.iter().map(KnownPorts::of));
        let mut unpaired = std::mem::take(&mut self.history.unpaired);
        unpaired.disappeared.clear();
        unpaired.appeared.clear();
        self.walk(old, start, &mut unpaired);
        // Without a cookie, the identity changes with the inode, which a connection gets at accept()
        // and loses when it is closed.
        self.pair(&mut unpaired, |known| known.identity, |_, _| true);
        self.pair(&mut unpaired, |known| known.endpoints.into(), KnownPorts::is_continued_by);
        for &index in &unpaired.appeared {
            self.add_new(index as usize);
        }
        for (known, is_found) in &unpaired.disappeared {
            if !is_found {
                self.keep_missing(known);
            }
        }
        self.history.unpaired = unpaired;
    }

    /// Pairs sockets by the order of `Socket::sort_key`, from index `start` of `next`. Sockets
    /// without a cookie and sockets whose family changed can be out of this order: `pair` matches
    /// these.
    fn walk(&mut self, old: &[KnownPorts], start: usize, unpaired: &mut Unpaired) {
        let (mut from, mut to) = (0, start);
        while let (Some(known), Some(new)) = (old.get(from), self.history.next.get(to)) {
            match known.order().cmp(&new.order()) {
                std::cmp::Ordering::Equal => {
                    self.follow(known, to);
                    (from, to) = (from + 1, to + 1);
                }
                std::cmp::Ordering::Less => {
                    unpaired.disappeared.push((*known, false));
                    from += 1;
                }
                std::cmp::Ordering::Greater => {
                    unpaired.appeared.push(to as u32);
                    to += 1;
                }
            }
        }
        unpaired.disappeared.extend(old[from..].iter().map(|known| (*known, false)));
        unpaired.appeared.extend(to as u32..self.history.next.len() as u32);
    }

    /// Pairs the sockets that have the same key and for which `are_one` is true.
    fn pair(
        &mut self,
        unpaired: &mut Unpaired,
        key: fn(&KnownPorts) -> u64,
        are_one: fn(&KnownPorts, &KnownPorts) -> bool,
    ) {
        let Unpaired { disappeared, appeared } = unpaired;
        if disappeared.is_empty() || appeared.is_empty() {
            return;
        }
        disappeared.retain(|(_, is_found)| !is_found);
        disappeared.sort_unstable_by_key(|(known, _)| key(known));
        appeared.retain(|&index| {
            let new = self.history.next[index as usize];
            let first = disappeared.partition_point(|(known, _)| key(known) < key(&new));
            let alike =
                disappeared[first..].iter_mut().take_while(|(known, _)| key(known) == key(&new));
            let mut free = alike.filter(|(known, is_found)| !is_found && are_one(known, &new));
            let Some((known, is_found)) = free.next() else { return true };
            *is_found = true;
            self.follow(known, index as usize);
            false
        });
    }

    /// Records that the socket at `index` is the same one as `known`.
    fn follow(&mut self, known: &KnownPorts, index: usize) {
        let new = &mut self.history.next[index];
        (new.since, new.is_older) = (known.since, known.is_older);
        if new.state != known.state {
            self.enter_state(index);
        }
    }

    /// Handles the socket at `index`, which matches no socket of the previous snapshot.
    fn add_new(&mut self, index: usize) {
        let new = &mut self.history.next[index];
        match self.before {
            Some(before) if !before.unlisted.hides(new) => {
                new.since = Tick::of(before.watched);
                self.history.arrived.push(index as u32);
                self.enter_state(index);
            }
            // The socket may have existed before without being listed.
            _ => (new.since, new.is_older) = (Tick::of(self.latest.watched), true),
        }
    }

    fn enter_state(&mut self, index: usize) {
        let Socket { protocol, state, local, remote, .. } = self.snapshot.sockets[index];
        if state == State::TimeWait {
            self.history.entered_time_wait.push(index as u32);
        }
        let at = self.snapshot.taken_at;
        let event = PortEvent { at, protocol, state: Some(state), remote };
        self.history.port_events.push(local.port, event);
    }
}

#[cfg(test)]
mod tests;
