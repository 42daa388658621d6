//! The destination of a TCP connection, as connect() distinguishes it. Does not count connections.

use std::net::IpAddr;

use crate::domain::{Endpoint, Protocol, Socket, socket::canonical};

/// The part of a four-tuple that is known before connect() chooses the local port.
///
/// IPv4-mapped addresses are stored as IPv4, because the kernel compares them as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    pub source: IpAddr,
    pub remote: Endpoint,
    /// Index of the device that the connecting socket is bound to (SO_BINDTODEVICE); None: no
    /// device. A connection without a device blocks its four-tuple for sockets on any device, but
    /// not the reverse (`inet_match`, include/net/inet_hashtables.h).
    pub interface: Option<u32>,
}

impl Destination {
    /// Returns the destination of a TCP connection. None: the socket has no peer, or its protocol
    /// is UDP, whose automatic ports are never shared between destinations.
    pub fn of(socket: &Socket) -> Option<Self> {
        let remote = socket.remote.filter(|_| socket.protocol == Protocol::Tcp)?;
        Some(Self {
            source: canonical(socket.local.address),
            remote: Endpoint { address: canonical(remote.address), port: remote.port },
            interface: socket.interface,
        })
    }

    /// Returns whether source or destination is a loopback address, which satisfies `tcp_tw_reuse`
    /// 2 (`tcp_twsk_unique`, net/ipv4/tcp_ipv4.c).
    pub fn is_loopback(&self) -> bool {
        self.source.is_loopback() || self.remote.address.is_loopback()
    }

    /// Returns whether both ends are certainly on this machine. False: the peer may be remote.
    pub fn is_local(&self) -> bool {
        self.is_loopback() || self.source == self.remote.address
    }
}
