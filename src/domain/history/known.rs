//! The smallest record by which a socket is recognized in the next snapshot. Contains no port
//! events.

use std::{net::IpAddr, time::Duration};

use crate::domain::{Endpoint, Family, Protocol, Socket, State};

/// Time since the first snapshot, in tenths of a second: 32 bits last for 13 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tick(u32);

impl Tick {
    /// Rounds down, so that no age is reported too short.
    pub fn of(time: Duration) -> Self {
        Self(u32::try_from(time.as_millis() / 100).unwrap_or(u32::MAX))
    }

    pub fn time(self) -> Duration {
        Duration::from_millis(u64::from(self.0) * 100)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct KnownPorts {
    /// The cookie. Without one, a fingerprint of the endpoints and the inode.
    pub identity: u64,
    /// A fingerprint of the local address and the remote endpoint; `port` is the local port.
    pub endpoints: u32,
    /// The time from which the age of the socket is measured.
    pub since: Tick,
    pub port: u16,
    pub protocol: Protocol,
    pub family: Family,
    pub state: State,
    pub has_cookie: bool,
    /// Whether the socket may be older than `since`.
    pub is_older: bool,
}

const _: () = assert!(size_of::<KnownPorts>() == 24, "there may be 200,000 of them");

impl KnownPorts {
    pub fn of(socket: &Socket) -> Self {
        Self {
            identity: socket.identity(),
            endpoints: endpoints(socket) as u32,
            since: Tick::default(),
            port: socket.local.port,
            protocol: socket.protocol,
            family: socket.family,
            state: socket.state,
            has_cookie: socket.cookie.is_some(),
            is_older: false,
        }
    }

    pub fn protocol_port(&self) -> (Protocol, u16) {
        (self.protocol, self.port)
    }

    /// Returns the sort key within a port. The order is that of `Socket::sort_key` if the sockets
    /// have cookies.
    pub fn order(&self) -> (Family, bool, u64) {
        (self.family, self.has_cookie, self.identity)
    }

    pub fn is(&self, socket: &Socket) -> bool {
        self.has_cookie == socket.cookie.is_some() && self.identity == socket.identity()
    }

    /// Returns whether `new`, with the same endpoints but another identity, is a later state of
    /// this socket.
    ///
    /// The state of a connection only advances: if it goes back, another connection uses the
    /// four-tuple. Without cookies, the identity changes with the inode, at accept() and close(),
    /// also within one state. With cookies, the state must have advanced or be FIN-WAIT-2: the
    /// kernel replaces a closed socket in FIN-WAIT-2 and in TIME-WAIT. (Linux 4.1 and newer keep
    /// the cookie, see `inet_twsk_alloc`.) If only one of the two has a cookie, the source of the
    /// snapshots has changed, and the sockets are taken as the same.
    pub fn is_continued_by(&self, new: &Self) -> bool {
        let is_connection = |state| (State::SynSent..=State::TimeWait).contains(&state);
        let are_connections = is_connection(self.state) && is_connection(new.state);
        match (self.has_cookie, new.has_cookie) {
            (true, true) if new.state == State::FinWait2 => {
                are_connections && self.state <= new.state
            }
            (true, true) => are_connections && new.state > self.state,
            (false, false) => are_connections && new.state >= self.state,
            _ => true,
        }
    }
}

impl Socket {
    /// Returns the number by which the socket is recognized in another snapshot: the cookie, or
    /// without one a fingerprint of the endpoints and the inode.
    pub fn identity(&self) -> u64 {
        let inode = self.inode.unwrap_or_default();
        self.cookie.unwrap_or_else(|| mixed(endpoints(self), inode.into()))
    }
}

/// Returns a fingerprint of the local address and the remote endpoint.
pub(in crate::domain) fn endpoints(socket: &Socket) -> u64 {
    let local = mixed(0, bits(socket.local.address));
    match socket.remote {
        None => local,
        Some(Endpoint { address, port }) => mixed(mixed(local, bits(address)), u64::from(port) + 1),
    }
}

fn bits(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            mixed((bits >> 64) as u64, bits as u64)
        }
    }
}

/// Mixes two words: multiplies by 2^64 divided by the golden ratio, and combines the high and the
/// low bits.
fn mixed(left: u64, right: u64) -> u64 {
    let product = (left.rotate_left(25) ^ right).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 29)
}
