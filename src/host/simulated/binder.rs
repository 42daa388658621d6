//! Binds ports of a simulated machine, in simulated time. Its results are reproducible.

use std::{net::IpAddr, os::fd::OwnedFd, sync::Arc, time::Duration};

use crate::{
    domain::{Binder, Errno, Family, PortRange, Protocol, Protocols, Refusal, Socket, automatic},
    host::{
        Held, HostBinder, HostError,
        simulated::{
            BIND_TIME, World,
            builder::SplitMix,
            changes::{self, SimulatedChanges},
        },
    },
};

pub struct SimulatedBinder {
    world: Arc<World>,
    protocols: Protocols,
    address: Option<IpAddr>,
    /// The range from which the machine chooses ports, and the generator of the ports at which its
    /// searches begin. The seed is constant, so each run begins at the same ports.
    choice: PortRange,
    chance: SplitMix,
    /// The port of the last refused bind(); 0: the machine found no port to choose.
    refused: u16,
    occupied: Occupied,
}

impl SimulatedBinder {
    pub fn new(world: Arc<World>, protocols: Protocols, address: Option<IpAddr>) -> Self {
        let occupied = Occupied { version: None, ports: vec![[false; 2]; 1 << 16] };
        let (choice, chance) = (world.ephemeral.range, SplitMix(0));
        Self { world, protocols, address, choice, chance, refused: 0, occupied }
    }
}

impl Binder for SimulatedBinder {
    type Held = Box<dyn Held>;

    fn port_of(&self, held: &Self::Held, _: u16) -> u16 {
        held.port()
    }

    fn refused_port(&self, _: u16) -> u16 {
        self.refused
    }

    /// Binds UDP first, like the real binder. A port that a binder of this host holds is in use on
    /// every address.
    fn bind(&mut self, asked: u16) -> (Result<Box<dyn Held>, Refusal>, Duration) {
        let Self { world, protocols, address, choice, chance, refused, occupied } = self;
        let mut changes = world.changes();
        occupied.mark_changes(&changes, &world.sockets, *address);
        let refusal = |protocol, port| {
            let is_taken = occupied.holds(protocol, port) || changes.holds(protocol, port);
            world.refusal(port).or(is_taken.then_some(Errno::EADDRINUSE))
        };
        let mut port = asked;
        let mut took = Duration::ZERO;
        for protocol in changes::each(*protocols) {
            took += BIND_TIME;
            if port == 0 {
                let random = chance.below(1 << 32) as u32;
                let is_available = |port| {
                    port > 0
                        && !world.ephemeral.is_reserved(port)
                        && refusal(protocol, port).is_none()
                };
                port = automatic::choose(*protocols, *choice, random, is_available).unwrap_or(0);
            }
            let errno = if port == 0 { Some(Errno::EADDRINUSE) } else { refusal(protocol, port) };
            if let Some(errno) = errno {
                *refused = port;
                return (Err(Refusal { protocol, errno }), took);
            }
        }
        changes.hold(*protocols, port);
        let (world, protocols) = (Arc::clone(world), *protocols);
        (Ok(Box::new(SimulatedPort { world, protocols, port })), took)
    }
}

impl HostBinder for SimulatedBinder {
    /// Replaces the machine's own range. Never fails.
    fn choose_within(&mut self, range: PortRange) -> Result<(), HostError> {
        self.choice = range;
        Ok(())
    }
}

/// Ports on which a socket of the population conflicts with the binder's address.
struct Occupied {
    /// `SimulatedChanges::version` at the last update; None: never updated.
    version: Option<u64>,
    /// Indexed by port, then by protocol.
    ports: Vec<[bool; 2]>,
}

impl Occupied {
    /// Updates the ports if the population has changed.
    fn mark_changes(
        &mut self,
        changes: &SimulatedChanges,
        sockets: &[Socket],
        address: Option<IpAddr>,
    ) {
        if self.version == Some(changes.version) {
            return;
        }
        self.version = Some(changes.version);
        self.ports.fill([false; 2]);
        for socket in changes.among(sockets).filter(|socket| conflicts(socket, address)) {
            self.ports[usize::from(socket.local.port)][socket.protocol as usize] = true;
        }
    }

    fn holds(&self, protocol: Protocol, port: u16) -> bool {
        self.ports[usize::from(port)][protocol as usize]
    }
}

/// Returns whether a bind() to `address` conflicts with a socket. The socket conflicts if it has
/// the same address, or an unspecified address that covers the family of `address`. A bind() to all
/// addresses (None, or an unspecified address) conflicts with every socket (`inet_rcv_saddr_equal`,
/// net/ipv4/inet_connection_sock.c). On Linux, 0.0.0.0 does not conflict with an IPv6-only socket;
/// here it does.
fn conflicts(socket: &Socket, address: Option<IpAddr>) -> bool {
    let Some(address) = address.filter(|a| !a.is_unspecified()) else {
        return true;
    };
    let takes_family = match socket.family {
        Family::Ipv4 => address.is_ipv4(),
        Family::Ipv6 => address.is_ipv6(),
        Family::Dual => true,
    };
    socket.local.address == address || (socket.local.address.is_unspecified() && takes_family)
}

struct SimulatedPort {
    world: Arc<World>,
    protocols: Protocols,
    port: u16,
}

impl Held for SimulatedPort {
    fn port(&self) -> u16 {
        self.port
    }

    fn into_descriptors(self: Box<Self>) -> Vec<OwnedFd> {
        Vec::new()
    }
}

impl Drop for SimulatedPort {
    fn drop(&mut self) {
        self.world.changes().release(self.protocols, self.port);
    }
}
