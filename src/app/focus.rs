//! The focus of the map: one destination, one owner, or what the filter selects, whose ports alone
//! are marked. Does not draw.

use crate::{
    app::Lens,
    domain::{Destination, OwnerKey, PortSet, Snapshot, Socket},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    Destination(Destination),
    OwnerKey(OwnerKey),
    /// The sockets that match the filter of the Sockets screen.
    Filter,
}

impl Focus {
    /// The lens that shows this focus.
    pub fn lens(self) -> Lens {
        match self {
            Self::Destination(_) => Lens::Connect,
            Self::OwnerKey(_) | Self::Filter => Lens::Owner,
        }
    }

    /// Whether the socket belongs to the focus. Never for `Filter`: `App::filtered_ports` has its ports.
    pub fn holds(self, snapshot: &Snapshot, socket: &Socket) -> bool {
        match self {
            Self::Destination(destination) => Destination::of(socket) == Some(destination),
            Self::OwnerKey(owner_key) => OwnerKey::of(snapshot, socket) == owner_key,
            Self::Filter => false,
        }
    }

    /// Returns all local ports of the focus, of both protocols.
    pub fn ports(self, snapshot: &Snapshot) -> PortSet {
        self.sockets(snapshot).map(|socket| socket.local.port).collect()
    }

    /// Returns the lowest port of the focus in the ephemeral range. If it has none there, returns
    /// its lowest port. None: the focus has no socket.
    pub fn first_port(self, snapshot: &Snapshot) -> Option<u16> {
        let range = snapshot.ephemeral.range;
        let ports = self.sockets(snapshot).map(|socket| socket.local.port);
        ports.min_by_key(|&port| (!range.contains(port), port))
    }

    fn sockets(self, snapshot: &Snapshot) -> impl Iterator<Item = &Socket> {
        snapshot.sockets.iter().filter(move |socket| self.holds(snapshot, socket))
    }
}
