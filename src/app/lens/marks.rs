//! Lenses that mark ports whether or not something stands on them: what connect() to a destination
//! may choose, what bind() gets, what one owner has. Not their names.

use crate::domain::{Occupancy, PortRange, PortSet, Protocols};

/// The ports of the owner in focus.
#[derive(Clone, Debug)]
pub struct Marks {
    pub ports: PortSet,
    /// Of what the map shows: marked ports, and occupied ones that are not marked.
    pub marked: u32,
    pub others: u32,
}

impl Marks {
    pub fn count(
        ports: PortSet,
        range: PortRange,
        protocols: Protocols,
        occupancy: &Occupancy,
    ) -> Self {
        let (mut marked, mut others) = (0, 0);
        for (port, port_use) in occupancy.ports(range) {
            if port_use.is_occupied(protocols) {
                *(if ports.contains(port) { &mut marked } else { &mut others }) += 1;
            }
        }
        Self { ports, marked, others }
    }
}

/// What connect() of an unbound TCP socket to one destination meets on a port.
pub mod connect {
    use crate::{
        app::lens::{Seen, categories::PORTS},
        domain::{Destination, State},
    };

    pub const ELIGIBLE: u8 = 0;
    pub const CONNECTED: u8 = 1;
    pub const TIME_WAIT: u8 = 2;
    /// A listening or bound-inactive socket stands there: no connect() gets it.
    pub const POISONED: u8 = 3;
    /// Very likely bound before it was connected elsewhere: as `POISONED`, if so.
    pub const SUSPECTED: u8 = 4;
    /// Reserved, or not in the range.
    pub const NEVER: u8 = 5;

    /// How telling each is in a block of several ports; 0 is not marked.
    pub const WEIGHTS: [u32; 6] = [0, 3, 2, 8, 4, 0];

    pub fn each_port(seen: Seen<'_>) -> Vec<u8> {
        let ephemeral = &seen.snapshot.ephemeral;
        let mut ports = vec![NEVER; PORTS];
        for port in ephemeral.range.ports().filter(|&port| !ephemeral.is_reserved(port)) {
            ports[usize::from(port)] = if seen.analysis.poisoned.contains(port) {
                POISONED
            } else if seen.analysis.suspected.contains(port) {
                SUSPECTED
            } else {
                ELIGIBLE
            };
        }
        for socket in &seen.snapshot.sockets {
            let port = &mut ports[usize::from(socket.local.port)];
            if matches!(*port, NEVER | POISONED | CONNECTED)
                || seen.destination.is_none()
                || Destination::of(socket) != seen.destination
            {
                continue;
            }
            *port = if socket.state == State::TimeWait { TIME_WAIT } else { CONNECTED };
        }
        ports
    }
}

/// What a plain bind() to `[::]`, IPv4 included, gets of the protocols that the map shows.
pub mod bind {
    use crate::{
        app::lens::{Seen, categories::PORTS},
        domain::{
            Protocol,
            availability::{Bind, BindAddress, Reuse, Verdict, bind_answer},
        },
    };

    pub const FREE: u8 = 0;
    pub const IN_USE: u8 = 1;
    /// Nothing is seen there, but the scan could not see everything.
    pub const UNKNOWN: u8 = 2;

    /// As those of connect.
    pub const WEIGHTS: [u32; 3] = [0, 2, 1];

    /// Anything that stands on the port refuses it, whatever its address, family and state; so all
    /// ports on which nothing stands get the answer of one of them.
    pub fn each_port(seen: Seen<'_>) -> Vec<u8> {
        let mut ports = vec![FREE; PORTS];
        for socket in &seen.snapshot.sockets {
            if seen.protocols.includes(socket.protocol) {
                ports[usize::from(socket.local.port)] = IN_USE;
            }
        }
        let empty = (1..).zip(&ports[1..]).find(|(_, port)| **port == FREE);
        if empty.is_some_and(|(port, _)| !is_surely_free(seen, port)) {
            for port in ports.iter_mut().filter(|port| **port == FREE) {
                *port = UNKNOWN;
            }
        }
        ports
    }

    fn is_surely_free(seen: Seen<'_>, port: u16) -> bool {
        let mut asked = Protocol::EACH.into_iter().filter(|&p| seen.protocols.includes(p));
        asked.all(|protocol| {
            let bind = Bind { protocol, address: BindAddress::AnyDual, reuse: Reuse::None };
            bind_answer(seen.snapshot, port, bind).verdict == Verdict::Free
        })
    }
}
