//! Counts how much of the ephemeral range and of each destination's ports is used, and by which
//! owners. Determines no levels: `diagnosis` does.

mod choice;
mod destinations;
mod key_numbers;
mod owners;
mod ranges;
mod suspicion;

use std::{collections::BTreeSet, fmt};

use crate::domain::{
    Destination, Ephemeral, PortRange, Protocol, Snapshot, Socket, StateClass, notation::grouped,
};

pub use owners::TopOwners;

use self::{
    choice::PortChoice,
    destinations::Destinations,
    owners::OwnerTable,
    ranges::{PortState, Ranges, low_parity_in},
    suspicion::{Clients, Suspicion},
};

/// Port usage, counted from one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Analysis {
    /// In the order of `Protocol::EACH`.
    pub ranges: [RangeUse; 2],
    /// Highest `DestinationUse::share` first, then most used ports; ties in the order of
    /// `Destination`.
    pub destinations: Vec<DestinationUse>,
    /// Most ports first, then most sockets.
    pub owners: Vec<OwnerUse>,
    /// TCP ports, also outside the range, that are unusable for connect() to any destination: a
    /// listening or bound-inactive socket of any address and family uses them
    /// (`__inet_hash_connect`).
    pub unconnectable: PortSet,
    /// Ports of the range that are unusable for any further connect(), although no listening or
    /// bound socket uses them: a connected socket was bound to the port by number, or an earlier
    /// scan found a listening or bound socket on it (`Snapshot::listened`).
    pub numbered: PortSet,
    /// Connected ports that are probably unusable for other destinations: see
    /// `RangeUse::suspected`.
    pub suspected: PortSet,
    /// The ports counted in `RangeUse::uncertain`, as far as the count can be attributed to
    /// particular ports. Includes `suspected`.
    pub uncertain: PortSet,
}

/// Use of the ports that the kernel may choose, for one protocol. Reserved ports are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeUse {
    pub protocol: Protocol,
    pub range: PortRange,
    /// Ports of `range` that are not reserved.
    pub size: u32,
    /// Ports with at least one socket.
    pub occupied: u32,
    /// Of `occupied`: ports with TIME-WAIT sockets only.
    pub time_wait: u32,
    /// Ports with the parity of the range's first port (the low parity), which connect() tries
    /// first.
    pub low_parity_size: u32,
    pub low_parity_occupied: u32,
    /// TCP: ports of the range in `Analysis::unconnectable`.
    pub unconnectable: u32,
    /// Of `unconnectable`: ports of the low parity.
    pub low_parity_unconnectable: u32,
    /// TCP: connected ports that clients very likely bound before connect(), so that no other
    /// destination can share them. The kernel's tables do not show this, but the order of use does:
    /// connect() uses the low parity first, bind(0) the high parity.
    pub suspected: u32,
    /// TCP: ports of the range in `Analysis::numbered`.
    pub numbered: u32,
    /// Of `numbered`: ports of the low parity.
    pub low_parity_numbered: u32,
    /// TCP: upper bound of the number of connected ports that other destinations may be unable to
    /// share. A port can be shared only if connect() chose it. For these ports, the kernel does not
    /// show which call chose the port, and the order of use does not show that connect() did.
    pub uncertain: u32,
    /// TCP: number of available ports, 0 or 1, that a search of bind(0) may skip (see
    /// `Ephemeral::is_odd_end`).
    pub bind_may_miss: u32,
    /// As `bind_may_miss`, for connect() to a destination without connections.
    pub connect_may_miss: u32,
    /// TCP: upper bound of the number of the range's ports to which unlisted sockets may be bound.
    pub unlisted: u32,
    /// TCP: unlisted bound-inactive sockets may hold all ports that appear available: see
    /// `Snapshot::is_bind_refused`.
    pub is_bind_refused: bool,
}

/// Use of the ports that connect() may choose for one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationUse {
    pub destination: Destination,
    /// Ports of the range, without reserved ports, `Analysis::unconnectable`, and those ports of
    /// `Analysis::numbered` that have no connection to the destination.
    pub capacity: u32,
    /// Of `capacity`: distinct ports with a connection to the destination, TIME-WAIT included.
    pub used: u32,
    /// Of `used`: ports in TIME-WAIT.
    pub time_wait: u32,
    /// Of `time_wait`: ports that connect() may reuse now (`tcp_tw_reuse`), provided that connect()
    /// chose them and the peer sends timestamps.
    pub reusable: u32,
    /// Of `reusable`: ports that are certainly reusable.
    pub surely_reusable: u32,
    /// Of the unused ports of `capacity`: those counted in `RangeUse::uncertain`.
    pub uncertain: u32,
    /// Like `RangeUse::unlisted`, but limited to the number of unused ports of `capacity`.
    pub unlisted: u32,
    /// Number of available ports, 0 or 1, that a search of connect() may skip, see
    /// `Ephemeral::is_odd_end`.
    pub may_miss: u32,
    /// Ports of the low parity, without reserved ports and `Analysis::unconnectable`. Unlike
    /// `capacity`, includes all ports of `Analysis::numbered`.
    pub low_parity_capacity: u32,
    /// Of `low_parity_capacity`: ports of `Analysis::numbered` without a connection to the
    /// destination, which connect() searches but cannot use.
    pub low_parity_foreign: u32,
    /// Of `used`: ports of the low parity.
    pub low_parity_used: u32,
    /// The owners that hold or held the sockets, most sockets first. At most four.
    pub owners: TopOwners,
}

/// The owner of a socket, reduced to one process or one category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerKey {
    /// The process that holds the socket, closed it, or has not accepted it yet. If several
    /// processes share the socket, the one with the lowest pid.
    Process(u32),
    /// A process or a descriptor table that is not visible to portscope. The uid is that of the
    /// socket; None: unknown.
    Hidden(Option<u32>),
    /// TIME-WAIT and orphaned sockets whose former process is unknown, and sockets of tunnels.
    Kernel,
    /// No process was found that holds the socket, see `Owner::Nobody`.
    Nobody,
    /// The first search did not find the holder, see `Owner::Unresolved`.
    Unresolved,
    /// Owners were not looked up in the scan.
    #[default]
    NotAsked,
}

/// The ports of the ephemeral range that one owner holds, of both protocols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerUse {
    pub owner_key: OwnerKey,
    /// Distinct (protocol, port) pairs in the range.
    pub ports: u32,
    /// `ports` by class, in the order of `StateClass::EACH`. A port with several classes counts as
    /// the first of them.
    pub by_class: [u32; StateClass::EACH.len()],
    /// All sockets of the owner, on any port.
    pub sockets: u32,
    /// CLOSE-WAIT sockets of the owner, on any port.
    pub close_wait: u32,
    /// Bound-inactive sockets of the owner, on any port.
    pub bound: u32,
}

/// The number of ports left, between two bounds. Levels and forecasts use `least`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Ports that are certainly left.
    pub least: u32,
    /// Ports that are possibly left, `least` included.
    pub most: u32,
}

/// A set of port numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSet(Box<[u64; 1024]>);

impl Analysis {
    /// Returns the number of distinct source addresses of the destinations.
    pub fn sources(&self) -> usize {
        let sources = self.destinations.iter().map(|row| row.destination.source);
        sources.collect::<BTreeSet<_>>().len()
    }

    /// Counts a snapshot, which must be sorted so that the sockets of one port are adjacent.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut ranges = Ranges::of(&snapshot.ephemeral);
        let mut owners = OwnerTable::of(snapshot);
        let mut destinations = Destinations::of(snapshot);
        let mut clients = Clients::default();
        for sockets in snapshot.sockets.chunk_by(Socket::shares_port) {
            let port = PortState::of(sockets, snapshot);
            ranges.add(&port, sockets);
            for socket in sockets {
                let owner_key = owners.add(&port, socket);
                if let Some(connection) = destinations.add(&port, socket, owner_key) {
                    clients.add(&port, socket, &connection);
                }
            }
        }
        let Ranges { each: mut ranges, unconnectable, numbered, connect_ends, .. } = ranges;
        let tcp = &mut ranges[Protocol::Tcp as usize];
        destinations.fit_into(tcp, connect_ends);
        let suspicion = Suspicion { clients: &clients, owners: &owners, range: tcp };
        let suspected = suspicion.judge(&mut destinations);
        let choice = PortChoice { clients: &clients, snapshot, range: tcp, suspected: &suspected };
        let (uncertain, hidden) = choice.judge(&mut destinations);
        (tcp.suspected, tcp.uncertain) = (suspected.len(), uncertain.len() + hidden);
        tcp.is_bind_refused = snapshot.is_bind_refused();
        tcp.unlisted = snapshot.unlisted_in_range();
        destinations.subtract_unlisted(tcp.unlisted);
        Self {
            ranges,
            destinations: destinations.into_rows(&owners),
            owners: owners.into_rows(),
            unconnectable,
            numbered,
            suspected,
            uncertain,
        }
    }

    pub fn range(&self, protocol: Protocol) -> &RangeUse {
        &self.ranges[protocol as usize]
    }

    pub fn destination(&self, destination: &Destination) -> Option<&DestinationUse> {
        self.destinations.iter().find(|row| row.destination == *destination)
    }

    /// Returns the number of ports available to connect() for a destination without connections.
    pub fn new_destination(&self) -> Left {
        let range = self.range(Protocol::Tcp);
        let most = range.size - range.unconnectable - range.numbered;
        let least = most.saturating_sub(range.uncertain + range.connect_may_miss + range.unlisted);
        Left::new(least, most)
    }

    /// Returns the lower bound of `new_destination`.
    pub fn unused_capacity(&self) -> u32 {
        self.new_destination().least
    }
}

impl RangeUse {
    pub fn empty(protocol: Protocol, ephemeral: &Ephemeral) -> Self {
        Self {
            protocol,
            range: ephemeral.range,
            size: ephemeral.automatic_capacity(),
            occupied: 0,
            time_wait: 0,
            low_parity_size: low_parity_in(ephemeral),
            low_parity_occupied: 0,
            unconnectable: 0,
            low_parity_unconnectable: 0,
            suspected: 0,
            numbered: 0,
            low_parity_numbered: 0,
            uncertain: 0,
            bind_may_miss: 0,
            connect_may_miss: 0,
            unlisted: 0,
            is_bind_refused: false,
        }
    }

    /// Returns the number of ports still available to bind(0) on all addresses of both families.
    pub fn left(&self) -> Left {
        let most = self.size - self.occupied;
        Left::new(most.saturating_sub(self.bind_may_miss + self.unlisted), most)
    }

    /// Returns the lower bound of `left`.
    pub fn available(&self) -> u32 {
        self.left().least
    }

    pub fn low_parity_available(&self) -> u32 {
        self.low_parity_size - self.low_parity_occupied
    }

    /// Returns the occupied share of the range, 0 to 1; 1 if the range has no ports.
    pub fn used_share(&self) -> f64 {
        share(self.occupied, self.size)
    }

    /// Returns the share of the range, 0 to 1, that is not certain to be available to bind(0) on
    /// all addresses; 1 if the range has no ports.
    pub fn share(&self) -> f64 {
        share(self.size - self.available(), self.size)
    }
}

impl Default for RangeUse {
    fn default() -> Self {
        Self::empty(Protocol::Tcp, &Ephemeral::default())
    }
}

impl DestinationUse {
    /// Returns the number of ports still available to connect().
    pub fn left(&self) -> Left {
        let most = (self.capacity + self.reusable).saturating_sub(self.used);
        let sure = (self.capacity + self.surely_reusable).saturating_sub(self.used);
        Left::new(sure.saturating_sub(self.uncertain + self.unlisted + self.may_miss), most)
    }

    /// Returns the lower bound of `left`.
    pub fn available(&self) -> u32 {
        self.left().least
    }

    pub fn low_parity_available(&self) -> u32 {
        let unusable = self.low_parity_foreign + self.low_parity_used;
        self.low_parity_capacity.saturating_sub(unusable)
    }

    /// Returns the number of unused ports of the other parity, which connect() tries last.
    pub fn high_parity_available(&self) -> u32 {
        let low = self.low_parity_capacity.saturating_sub(self.low_parity_foreign);
        let used = self.used.saturating_sub(self.low_parity_used);
        self.capacity.saturating_sub(low).saturating_sub(used)
    }

    /// Returns the number of ports in use: those of `used` that connect() cannot surely reuse. The
    /// others are counted in `left`.
    pub fn in_use(&self) -> u32 {
        self.used.saturating_sub(self.surely_reusable)
    }

    /// Returns the share of the capacity that is `in_use`, 0 to 1; 1 if the capacity is 0.
    pub fn used_share(&self) -> f64 {
        share(self.in_use(), self.capacity)
    }

    /// Returns the share of the capacity, 0 to 1, that is not certain to be available to connect();
    /// 1 if the capacity is 0.
    pub fn share(&self) -> f64 {
        share(self.capacity.saturating_sub(self.available()), self.capacity)
    }
}

impl Left {
    /// Creates the interval; a `least` above `most` is lowered to `most`.
    pub fn new(least: u32, most: u32) -> Self {
        Self { least: least.min(most), most }
    }

    pub fn is_exact(self) -> bool {
        self.least == self.most
    }
}

/// Prints `28,232`, or `24 to 64`.
impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.is_exact() {
            grouped(self.most)
        } else {
            format!("{} to {}", grouped(self.least), grouped(self.most))
        };
        f.pad(&text)
    }
}

fn share(used: u32, of: u32) -> f64 {
    if of == 0 { 1.0 } else { f64::from(used) / f64::from(of) }
}

impl PortSet {
    pub fn insert(&mut self, port: u16) {
        self.0[usize::from(port) / 64] |= 1 << (port % 64);
    }

    pub fn contains(&self, port: u16) -> bool {
        self.0[usize::from(port) / 64] & (1 << (port % 64)) != 0
    }

    /// Returns the number of ports in the set.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|ports| ports.count_ones()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&ports| ports == 0)
    }

    /// Iterates in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0..=u16::MAX).filter(|&port| self.contains(port))
    }
}

impl FromIterator<u16> for PortSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        let mut set = Self::default();
        ports.into_iter().for_each(|port| set.insert(port));
        set
    }
}

impl Default for PortSet {
    fn default() -> Self {
        Self(Box::new([0; 1024]))
    }
}
