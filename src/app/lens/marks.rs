//! The marks of the lenses connect, bind and owner: what connect() to one destination finds on each
//! port, what bind() finds there, and the ports of one owner. Does not define their names.

use crate::domain::{Occupancy, PortRange, PortSet, Protocols};

/// The ports of the owner in focus.
#[derive(Clone, Debug)]
pub struct Marks {
    pub ports: PortSet,
    /// Number of occupied ports on the map that are marked; `others` is the number of those that
    /// are not.
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

/// Categories of ports for connect() of an unbound TCP socket to one destination.
pub mod connect {
    use crate::{
        app::lens::{CategoryInput, Counting, categories::PORTS},
        domain::{Destination, State},
    };

    pub const ELIGIBLE: u8 = 0;
    pub const CONNECTED: u8 = 1;
    pub const TIME_WAIT: u8 = 2;
    /// Unusable for connect() to any destination: a listening or bound-inactive socket is on the
    /// port, or the port is in `Analysis::numbered`.
    pub const UNCONNECTABLE: u8 = 3;
    /// Suspected to be unusable for connect(): a socket on the port was very likely bound before it
    /// was connected to another destination.
    pub const SUSPECTED: u8 = 4;
    /// Reserved, or outside of the ephemeral range.
    pub const NEVER: u8 = 5;

    pub(in crate::app::lens) const COUNTING: Counting =
        Counting::All { each_port, weights: &[0, 3, 2, 8, 4, 0] };

    /// Returns the category of each port, by port number.
    pub fn each_port(input: CategoryInput<'_>) -> Vec<u8> {
        let ephemeral = &input.snapshot.ephemeral;
        let mut ports = vec![NEVER; PORTS];
        let analysis = input.analysis;
        for port in ephemeral.range.ports().filter(|&port| !ephemeral.is_reserved(port)) {
            // Ports in `numbered` are unusable for any further connect(), too.
            let is_blocked =
                analysis.unconnectable.contains(port) || analysis.numbered.contains(port);
            ports[usize::from(port)] = if is_blocked {
                UNCONNECTABLE
            } else if analysis.suspected.contains(port) {
                SUSPECTED
            } else {
                ELIGIBLE
            };
        }
        for socket in &input.snapshot.sockets {
            let is_unconnectable = analysis.unconnectable.contains(socket.local.port);
            let port = &mut ports[usize::from(socket.local.port)];
            if is_unconnectable
                || matches!(*port, NEVER | CONNECTED)
                || input.destination.is_none()
                || Destination::of(socket) != input.destination
            {
                continue;
            }
            *port = if socket.state == State::TimeWait { TIME_WAIT } else { CONNECTED };
        }
        ports
    }
}

/// Categories of ports for a bind() to `[::]`, IPv4 included, without SO_REUSEADDR, for the
/// protocols that the map shows.
pub mod bind {
    use crate::{
        app::lens::{CategoryInput, Counting, categories::PORTS},
        domain::{
            Protocol,
            availability::{Bind, BindAddress, Reuse, Verdict, bind_answer},
        },
    };

    pub const FREE: u8 = 0;
    pub const IN_USE: u8 = 1;
    /// No socket is known on the port, but the scan was not complete.
    pub const UNKNOWN: u8 = 2;

    pub(in crate::app::lens) const COUNTING: Counting =
        Counting::All { each_port, weights: &[0, 2, 1] };

    /// Returns the category of each port. Any socket on a port makes this bind() fail, whatever the
    /// socket's address, family and state. All ports without a socket have the same result, so only
    /// one of them is checked.
    pub fn each_port(input: CategoryInput<'_>) -> Vec<u8> {
        let mut ports = vec![FREE; PORTS];
        for socket in &input.snapshot.sockets {
            if input.protocols.includes(socket.protocol) {
                ports[usize::from(socket.local.port)] = IN_USE;
            }
        }
        let empty = (1..).zip(&ports[1..]).find(|(_, port)| **port == FREE);
        if empty.is_some_and(|(port, _)| !is_certainly_free(input, port)) {
            for port in ports.iter_mut().filter(|port| **port == FREE) {
                *port = UNKNOWN;
            }
        }
        ports
    }

    fn is_certainly_free(input: CategoryInput<'_>, port: u16) -> bool {
        let mut asked = Protocol::EACH.into_iter().filter(|&p| input.protocols.includes(p));
        asked.all(|protocol| {
            let bind = Bind { protocol, address: BindAddress::AnyDual, reuse: Reuse::None };
            bind_answer(input.snapshot, port, bind).verdict == Verdict::Free
        })
    }
}
