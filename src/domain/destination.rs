//! Where a TCP connection goes, as connect() counts it. Not how many go there.

use std::net::IpAddr;

use crate::domain::{Endpoint, Protocol, Socket, socket::canonical};

/// The part of a four-tuple that is given before connect() chooses the local port.
///
/// v4-mapped addresses stand as IPv4: the kernel compares them as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    pub source: IpAddr,
    pub remote: Endpoint,
    /// Index of the device that the connecting socket is bound to (SO_BINDTODEVICE). Without one a
    /// socket does not collide with those that have one (`inet_match`, include/net/inet_hashtables.h).
    pub interface: Option<u32>,
}

impl Destination {
    /// None: UDP (its automatic ports are never shared between destinations), or no peer.
    pub fn of(socket: &Socket) -> Option<Self> {
        let remote = socket.remote.filter(|_| socket.protocol == Protocol::Tcp)?;
        Some(Self {
            source: canonical(socket.local.address),
            remote: Endpoint { address: canonical(remote.address), port: remote.port },
            interface: socket.interface,
        })
    }

    /// As `tcp_tw_reuse` 2 has it: source or destination is a loopback address
    /// (net/ipv4/tcp_ipv4.c, `tcp_twsk_unique`).
    pub fn is_loopback(&self) -> bool {
        self.source.is_loopback() || self.remote.address.is_loopback()
    }

    /// Both ends are surely on this machine.
    pub fn is_local(&self) -> bool {
        self.is_loopback() || self.source == self.remote.address
    }
}
