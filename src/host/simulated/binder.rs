//! Binds ports of a simulated machine, in simulated time. Decides nothing by chance.

use std::{net::IpAddr, os::fd::OwnedFd, sync::Arc, time::Duration};

use crate::{
    domain::{Binder, Errno, Family, PortRange, Protocol, Protocols, Refusal, Socket, automatic},
    host::{
        Held, HostBinder, HostError,
        simulated::{
            BIND_TIME, World,
            builder::SplitMix,
            standing::{self, Standing},
        },
    },
};

pub struct SimulatedBinder {
    world: Arc<World>,
    protocols: Protocols,
    address: Option<IpAddr>,
    /// What the machine chooses from, and where its searches begin: the same places each time.
    choice: PortRange,
    chance: SplitMix,
    /// By the last bind(); 0: the machine had none to choose.
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

    /// UDP first, as the real one. A port that a binder of this host holds is taken whatever the
    /// address.
    fn bind(&mut self, asked: u16) -> (Result<Box<dyn Held>, Refusal>, Duration) {
        let Self { world, protocols, address, choice, chance, refused, occupied } = self;
        let mut standing = world.standing();
        occupied.look(&standing, &world.sockets, *address);
        let refusal = |protocol, port| {
            let is_taken = occupied.holds(protocol, port) || standing.holds(protocol, port);
            world.refusal(port).or(is_taken.then_some(Errno::EADDRINUSE))
        };
        let mut port = asked;
        let mut took = Duration::ZERO;
        for protocol in standing::each(*protocols) {
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
        standing.hold(*protocols, port);
        let (world, protocols) = (Arc::clone(world), *protocols);
        (Ok(Box::new(SimulatedPort { world, protocols, port })), took)
    }
}

impl HostBinder for SimulatedBinder {
    /// The machine's own range is as simulated as the rest: it gives way.
    fn choose_within(&mut self, range: PortRange) -> Result<(), HostError> {
        self.choice = range;
        Ok(())
    }
}

/// Ports whose sockets of the population conflict with an address.
struct Occupied {
    /// Of the population that was looked at; None: none was.
    version: Option<u64>,
    /// By port, then by protocol.
    ports: Vec<[bool; 2]>,
}

impl Occupied {
    /// Nothing is done while nothing changed.
    fn look(&mut self, standing: &Standing, sockets: &[Socket], address: Option<IpAddr>) {
        if self.version == Some(standing.version) {
            return;
        }
        self.version = Some(standing.version);
        self.ports.fill([false; 2]);
        for socket in standing.among(sockets).filter(|socket| conflicts(socket, address)) {
            self.ports[usize::from(socket.local.port)][socket.protocol as usize] = true;
        }
    }

    fn holds(&self, protocol: Protocol, port: u16) -> bool {
        self.ports[usize::from(port)][protocol as usize]
    }
}

/// A bind to `address` meets a socket of the same address, or of an unspecified one that takes its
/// family; a bind to all addresses meets every socket (kernel.md 1c).
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
        self.world.standing().release(self.protocols, self.port);
    }
}
