//! Assigns each socket to one party and counts what each party holds. Does not count by
//! destination.

use std::cmp::Reverse;

use crate::domain::{
    Owner, OwnerUse, Party, Snapshot, Socket, State, StateClass,
    analysis::{places::Places, ranges::PortState},
};

/// Parties in the order in which they first appeared.
pub(super) struct Parties<'a> {
    snapshot: &'a Snapshot,
    rows: Vec<PartyEntry>,
    places: Places<Party>,
}

struct PartyEntry {
    owner: OwnerUse,
    /// The port of the ephemeral range that was counted last.
    port: Option<(crate::domain::Protocol, u16)>,
    /// The class in which `port` was counted.
    class: StateClass,
}

impl Party {
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
}

impl<'a> Parties<'a> {
    pub fn of(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, rows: Vec::new(), places: Places::default() }
    }

    /// Counts the socket and returns the index of its party.
    pub fn add(&mut self, port: &PortState, socket: &Socket) -> u32 {
        let party = Party::of(self.snapshot, socket);
        let place = self.places.of(party);
        if place as usize == self.rows.len() {
            self.rows.push(PartyEntry::of(party));
        }
        let row = &mut self.rows[place as usize];
        row.owner.sockets += 1;
        row.owner.close_wait += u32::from(socket.state == State::CloseWait);
        row.owner.bound += u32::from(socket.state == State::Bound);
        if port.is_automatic {
            row.count(port, StateClass::of(socket.state));
        }
        place
    }

    pub fn party(&self, place: u32) -> Party {
        self.rows[place as usize].owner.party
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the parties sorted by ports, then by sockets, most first. Omits `Party::Unresolved`:
    /// its sockets were opened or closed during the scan, and its row would come and go.
    pub fn into_rows(self) -> Vec<OwnerUse> {
        let rows = self.rows.into_iter().map(|row| row.owner);
        let mut rows: Vec<OwnerUse> = rows.filter(|row| row.party != Party::Unresolved).collect();
        rows.sort_unstable_by_key(|row| (Reverse(row.ports), Reverse(row.sockets), row.party));
        rows
    }
}

impl PartyEntry {
    fn of(party: Party) -> Self {
        let owner =
            OwnerUse { party, ports: 0, by_class: [0; 6], sockets: 0, close_wait: 0, bound: 0 };
        Self { owner, port: None, class: StateClass::TimeWait }
    }

    /// Counts each port once: in the class of its sockets that comes first in [`StateClass`].
    fn count(&mut self, port: &PortState, class: StateClass) {
        let at = Some((port.protocol, port.number));
        if self.port == at {
            let most_telling = self.class.min(class);
            self.owner.by_class[self.class as usize] -= 1;
            self.class = most_telling;
        } else {
            self.owner.ports += 1;
            (self.port, self.class) = (at, class);
        }
        self.owner.by_class[self.class as usize] += 1;
    }
}
