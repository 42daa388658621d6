//! What the map marks alone: the ports of one destination, or of one owner. Not how it looks.

use crate::{
    app::Lens,
    domain::{Destination, Party, PortSet, Snapshot, Socket},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    Destination(Destination),
    Party(Party),
}

impl Focus {
    /// The lens that shows it.
    pub fn lens(self) -> Lens {
        match self {
            Self::Destination(_) => Lens::Connect,
            Self::Party(_) => Lens::Owner,
        }
    }

    pub fn holds(self, snapshot: &Snapshot, socket: &Socket) -> bool {
        match self {
            Self::Destination(destination) => Destination::of(socket) == Some(destination),
            Self::Party(party) => Party::of(snapshot, socket) == party,
        }
    }

    /// All ports of it, of both protocols.
    pub fn ports(self, snapshot: &Snapshot) -> PortSet {
        let mut ports = PortSet::default();
        for socket in snapshot.sockets.iter().filter(|socket| self.holds(snapshot, socket)) {
            ports.insert(socket.local.port);
        }
        ports
    }

    /// The lowest port of `range`, else of all.
    pub fn first_port(self, snapshot: &Snapshot) -> Option<u16> {
        let range = snapshot.ephemeral.range;
        let held = snapshot.sockets.iter().filter(|socket| self.holds(snapshot, socket));
        held.map(|socket| socket.local.port).min_by_key(|&port| (!range.contains(port), port))
    }
}
