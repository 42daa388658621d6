//! What a snapshot shows of the candidates: which look free. Not whether a bind will succeed.

use std::{net::IpAddr, rc::Rc};

use crate::domain::{Family, LocalAddress, Protocols, Snapshot, Socket};

/// Which ports look free; only a bind can tell for sure.
pub trait Sight {
    fn looks_free(&self, port: u16) -> bool;
}

/// A bit a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreePorts {
    taken: Box<[u64; 1024]>,
}

impl FreePorts {
    /// Nothing is known: everything looks free.
    pub fn everything() -> Self {
        Self { taken: Box::new([0; 1024]) }
    }

    pub fn without(taken: impl IntoIterator<Item = u16>) -> Self {
        let mut ports = Self::everything();
        taken.into_iter().for_each(|port| ports.take(port));
        ports
    }

    /// As a bind on `address` (None: on all) would find them, as far as a snapshot tells.
    pub fn seen(snapshot: &Snapshot, protocols: Protocols, asked: Option<LocalAddress>) -> Self {
        let interface = asked.and_then(|asked| asked.interface);
        // One that no socket is bound to has no entry; then 0, which is no index.
        let interface = interface.map(|name| {
            let by_name = snapshot.interfaces.index(name.as_str());
            by_name.or(name.index()).unwrap_or_default()
        });
        let address = asked.map(|asked| asked.address);
        let is_elsewhere = |socket: &Socket| {
            interface.is_some() && socket.interface.is_some() && socket.interface != interface
        };
        let in_the_way = |socket: &&Socket| {
            let is_asked = protocols.includes(socket.protocol) && !is_elsewhere(socket);
            is_asked && is_in_the_way(socket, address)
        };
        let sockets = snapshot.sockets.iter().filter(in_the_way);
        Self::without(sockets.map(|socket| socket.local.port))
    }

    pub fn take(&mut self, port: u16) {
        self.taken[usize::from(port >> 6)] |= 1 << (port & 63);
    }

    pub fn release(&mut self, port: u16) {
        self.taken[usize::from(port >> 6)] &= !(1 << (port & 63));
    }
}

/// Whether a bind of the socket's port on `address` meets the socket (`inet_rcv_saddr_equal`).
fn is_in_the_way(socket: &Socket, address: Option<IpAddr>) -> bool {
    let Some(address) = address else { return true };
    let local = socket.local.address;
    let meets_family = match address {
        IpAddr::V4(_) => socket.family != Family::Ipv6 || local.to_canonical().is_ipv4(),
        IpAddr::V6(_) => socket.family != Family::Ipv4,
    };
    let (local, address) = (local.to_canonical(), address.to_canonical());
    meets_family && (local == address || local.is_unspecified() || address.is_unspecified())
}

impl Sight for FreePorts {
    fn looks_free(&self, port: u16) -> bool {
        self.taken[usize::from(port >> 6)] >> (port & 63) & 1 == 0
    }
}

impl<S: Sight + ?Sized> Sight for Rc<S> {
    fn looks_free(&self, port: u16) -> bool {
        (**self).looks_free(port)
    }
}
