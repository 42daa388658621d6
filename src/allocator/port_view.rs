//! Determines which ports look free in a snapshot. A bind to such a port may fail nevertheless.

use std::{net::IpAddr, rc::Rc};

use crate::domain::{Family, LocalAddress, Protocols, Snapshot, Socket};

/// Source of information about which ports look free. Only a bind shows whether a port is free.
pub trait PortView {
    fn looks_free(&self, port: u16) -> bool;
}

/// Bitmap of all ports, in which a set bit marks an occupied port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreePorts {
    occupied: Box<[u64; 1024]>,
}

impl FreePorts {
    /// Returns a bitmap in which every port looks free.
    pub fn all_free() -> Self {
        Self { occupied: Box::new([0; 1024]) }
    }

    /// Returns a bitmap in which every port except these looks free.
    pub fn without(occupied: impl IntoIterator<Item = u16>) -> Self {
        let mut ports = Self::all_free();
        occupied.into_iter().for_each(|port| ports.mark_occupied(port));
        ports
    }

    /// Returns the ports that a bind on `asked` (`None`: on all addresses) would find free, as far
    /// as a snapshot shows.
    pub fn from_snapshot(
        snapshot: &Snapshot,
        protocols: Protocols,
        asked: Option<LocalAddress>,
    ) -> Self {
        let wanted = WantedAddress::of(snapshot, asked);
        let is_conflicting =
            |socket: &&Socket| protocols.includes(socket.protocol) && wanted.conflicts_with(socket);
        let sockets = snapshot.sockets.iter().filter(is_conflicting);
        Self::without(sockets.map(|socket| socket.local.port))
    }

    pub fn mark_occupied(&mut self, port: u16) {
        self.occupied[usize::from(port >> 6)] |= 1 << (port & 63);
    }

    pub fn release(&mut self, port: u16) {
        self.occupied[usize::from(port >> 6)] &= !(1 << (port & 63));
    }
}

/// Address to bind, for comparison with the sockets of a snapshot.
#[derive(Clone, Copy)]
pub struct WantedAddress {
    /// `None`: all addresses.
    address: Option<IpAddr>,
    /// Index of the interface that the address names; 0, which is no valid index, if no such
    /// interface is known. `None`: the address names none.
    interface: Option<u32>,
}

impl WantedAddress {
    /// Returns `asked` (`None`: all addresses) with the index of its interface.
    pub fn of(snapshot: &Snapshot, asked: Option<LocalAddress>) -> Self {
        let interface = asked.and_then(|asked| asked.interface).map(|name| {
            let by_name = snapshot.interfaces.index(name.as_str());
            by_name.or(name.index()).unwrap_or_default()
        });
        Self { address: asked.map(|asked| asked.address), interface }
    }

    /// Returns whether a bind() to this address and to the port of `socket` would conflict with
    /// `socket` (`inet_rcv_saddr_equal`). If `address` is `None`, it conflicts with every socket.
    pub fn conflicts_with(self, socket: &Socket) -> bool {
        let Some(address) = self.address else { return true };
        let is_elsewhere = self.interface.is_some() && socket.interface.is_some();
        if is_elsewhere && socket.interface != self.interface {
            return false;
        }
        let (local, address) = (socket.local.address.to_canonical(), address.to_canonical());
        let is_same_family = match address {
            // connect() of an IPv6 socket that was not bound also blocks 0.0.0.0.
            IpAddr::V4(address) => {
                socket.family != Family::Ipv6
                    || local.is_ipv4()
                    || address.is_unspecified() && socket.state.has_peer()
            }
            // Includes all IPv4 addresses, unless net.ipv6.bindv6only is 1.
            IpAddr::V6(address) if address.is_unspecified() => true,
            IpAddr::V6(_) => socket.family != Family::Ipv4,
        };
        is_same_family && (local == address || local.is_unspecified() || address.is_unspecified())
    }
}

impl PortView for FreePorts {
    fn looks_free(&self, port: u16) -> bool {
        self.occupied[usize::from(port >> 6)] >> (port & 63) & 1 == 0
    }
}

impl<S: PortView + ?Sized> PortView for Rc<S> {
    fn looks_free(&self, port: u16) -> bool {
        (**self).looks_free(port)
    }
}
