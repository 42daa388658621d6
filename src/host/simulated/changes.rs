//! Which sockets of a simulated machine exist now, and which ports its binders hold. Does not
//! contain the sockets.

use std::collections::BTreeSet;

use crate::domain::{Protocol, Protocols, Socket};

/// The sockets of one fill, in the order in which a growing share includes them.
#[derive(Clone, Copy)]
pub struct Fill {
    pub first: usize,
    pub length: usize,
}

impl Fill {
    /// Returns how many of the sockets this share (0 to 1) includes.
    pub fn count(self, share: f64) -> usize {
        (share.clamp(0.0, 1.0) * self.length as f64).round() as usize
    }
}

/// The state of a simulated machine that can change.
pub struct SimulatedChanges {
    /// For each socket, whether it exists now.
    is_at: Vec<bool>,
    held: BTreeSet<(Protocol, u16)>,
    /// Number of calls of `refill` so far.
    pub version: u64,
}

impl SimulatedChanges {
    /// Returns the initial state of this number of sockets: all of them exist.
    pub fn of(sockets: usize) -> Self {
        Self { is_at: vec![true; sockets], held: BTreeSet::new(), version: 0 }
    }

    pub fn refill(&mut self, fill: Fill, share: f64, sockets: &[Socket]) {
        let count = fill.count(share);
        for place in 0..fill.length {
            let at = fill.first + place;
            let Socket { protocol, local, .. } = &sockets[at];
            let is_ours = self.held.contains(&(*protocol, local.port));
            self.is_at[at] = place < count && !is_ours;
        }
        self.version += 1;
    }

    /// Returns the sockets among the machine's `sockets` that exist now.
    pub fn among<'a>(&self, sockets: &'a [Socket]) -> impl Iterator<Item = &'a Socket> {
        sockets.iter().zip(&self.is_at).filter_map(|(socket, &is_at)| is_at.then_some(socket))
    }

    pub fn held(&self) -> impl Iterator<Item = (Protocol, u16)> {
        self.held.iter().copied()
    }

    pub fn holds(&self, protocol: Protocol, port: u16) -> bool {
        self.held.contains(&(protocol, port))
    }

    pub fn hold(&mut self, protocols: Protocols, port: u16) {
        self.held.extend(each(protocols).map(|protocol| (protocol, port)));
    }

    pub fn release(&mut self, protocols: Protocols, port: u16) {
        for protocol in each(protocols) {
            self.held.remove(&(protocol, port));
        }
    }
}

/// Returns each of the protocols; UDP first, like the real binder.
pub fn each(protocols: Protocols) -> impl Iterator<Item = Protocol> {
    [Protocol::Udp, Protocol::Tcp].into_iter().filter(move |&p| protocols.includes(p))
}
