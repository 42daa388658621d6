//! What was seen on ports over the snapshots of one run. Not what happened between two of them.

use std::time::Duration;

use crate::domain::{Endpoint, Protocol, Snapshot, Socket, State};

/// Since when sockets are there, and what was on a port before.
#[derive(Clone, Debug, Default)]
pub struct History {}

/// How old a socket is, as far as we watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It came between two snapshots; it is at most so old.
    Exactly(Duration),
    /// It was there in the first snapshot: it is at least so old.
    AtLeast(Duration),
}

/// Something that a snapshot showed on a port and the one before did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Since 1970: when the snapshot was taken.
    pub at: Duration,
    pub protocol: Protocol,
    /// None: the last socket of this protocol was gone.
    pub state: Option<State>,
    pub remote: Option<Endpoint>,
}

impl History {
    pub fn observe(&mut self, _snapshot: &Snapshot) {}

    /// Of a socket of the latest snapshot.
    pub fn age(&self, _socket: &Socket) -> Option<Age> {
        None
    }

    /// Newest first.
    pub fn on_port(&self, _port: u16) -> impl Iterator<Item = Sighting> {
        std::iter::empty()
    }
}
