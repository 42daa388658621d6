//! How much of the ephemeral range and of each destination's ports is used, and by whom. Says
//! nothing about good or bad.

mod choice;
mod destinations;
mod foremost;
mod left;
mod owners;
mod places;
mod ranges;
mod suspicion;

use crate::domain::{Destination, Ephemeral, PortRange, Protocol, Snapshot, Socket, StateClass};

pub use foremost::{Foremost, MOST_OWNERS};
pub use left::Left;

use self::{
    choice::Choice,
    destinations::Destinations,
    owners::Owners,
    ranges::{Port, Ranges, low_parity_in},
    suspicion::{Clients, Suspicion},
};

/// Counted once a snapshot, in time linear in its sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Analysis {
    /// In the order of `Protocol::EACH`.
    pub ranges: [RangeUse; 2],
    /// Most of their capacity used first; of equals in their own order.
    pub destinations: Vec<DestinationUse>,
    /// Most ports held first.
    pub owners: Vec<OwnerUse>,
    /// TCP ports that no connect() can get whatever its destination: a listening or bound-inactive
    /// socket of any address and family stands on them (`__inet_hash_connect`).
    pub poisoned: PortSet,
    /// Of no other use to connect() either: ports of the range that a connected socket was bound to
    /// by number, or on which a listener was seen earlier. None of `poisoned`.
    pub numbered: PortSet,
    /// As `poisoned`, but only by circumstance: see `RangeUse::suspected`.
    pub suspected: PortSet,
    /// Those of `RangeUse::uncertain` that are known one by one; those of `suspected` are among them.
    pub uncertain: PortSet,
}

/// The ports that the kernel may choose, of one protocol. Reserved ones count nowhere here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeUse {
    pub protocol: Protocol,
    pub range: PortRange,
    /// Ports of `range` that are not reserved.
    pub size: u32,
    /// Ports with at least one socket.
    pub occupied: u32,
    /// Of these, ports on which nothing but TIME-WAIT stands.
    pub time_wait: u32,
    /// Ports of the parity of the range's first port, which connect() tries first.
    pub low_parity_size: u32,
    pub low_parity_occupied: u32,
    /// TCP: ports of `Analysis::poisoned`.
    pub poisoned: u32,
    /// Of these, ports of the low parity.
    pub low_parity_poisoned: u32,
    /// TCP: connected ports of clients that were very likely bound before they connected, so that
    /// they are taken for all destinations. The tables do not tell; the order does: connect()
    /// hands out the low parity first, bind(0) the other one.
    pub suspected: u32,
    /// TCP: ports of `Analysis::numbered`.
    pub numbered: u32,
    /// TCP: connected ports, at most, that other destinations can share only if connect() chose them,
    /// which neither the kernel says nor the order in which they were used shows.
    pub uncertain: u32,
    /// TCP: a search may leave out one port that is available, see `Ephemeral::is_odd_end`. 0 or 1:
    /// for bind(0), and for connect() to a destination that nobody is connected to.
    pub bind_may_miss: u32,
    pub connect_may_miss: u32,
    /// TCP: ports of the range that sockets which are not listed may be bound to, at most.
    pub unlisted: u32,
    /// TCP: our own bind() to port 0 failed with EADDRINUSE, and bound-inactive sockets are not
    /// listed: all that seems left may be theirs.
    pub is_bind_refused: bool,
}

/// What one destination uses of the ports that connect() may choose for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationUse {
    pub destination: Destination,
    /// The range without reserved and poisoned ports, and without those that others bound by number.
    pub capacity: u32,
    /// Distinct ports of these with a connection to the destination, TIME-WAIT included.
    pub used: u32,
    /// Of `used`: in TIME-WAIT.
    pub time_wait: u32,
    /// Of `time_wait`: connect() may take them again by now (`tcp_tw_reuse`), if they were chosen
    /// automatically and the peer sends timestamps.
    pub reusable: u32,
    /// Of `reusable`: for certain.
    pub surely_reusable: u32,
    /// Of `capacity`, not of `used`: ports of `Analysis::uncertain`.
    pub uncertain: u32,
    /// As `RangeUse::unlisted`.
    pub unlisted: u32,
    /// 0 or 1: a search of connect() may leave out one port that is available, see
    /// `Ephemeral::is_odd_end`.
    pub may_miss: u32,
    /// Of `capacity` and `used`: ports of the low parity.
    pub low_parity_capacity: u32,
    pub low_parity_used: u32,
    /// Who has, or had, the sockets; most first. At most `MOST_OWNERS`.
    pub owners: Foremost,
}

/// Who holds sockets, as far as one name can be put to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// Also of what it closed and of what it did not accept yet. Of several processes that share a
    /// socket the lowest pid.
    Process(u32),
    /// A process that we may not see, of that user.
    Hidden(Option<u32>),
    /// TIME-WAIT and orphans whose process we did not see.
    Kernel,
    Nobody,
    /// Of sockets that were opened or closed while the processes were read.
    Unresolved,
    NotAsked,
}

/// The ports of the ephemeral range that somebody holds, of both protocols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerUse {
    pub party: Party,
    /// Distinct (protocol, port) pairs in the range.
    pub ports: u32,
    /// These by their most telling class, in the order of `StateClass::EACH`.
    pub by_class: [u32; StateClass::EACH.len()],
    /// All sockets, of any port.
    pub sockets: u32,
    /// CLOSE-WAIT and bound-inactive sockets, of any port.
    pub close_wait: u32,
    pub bound: u32,
}

/// A set of port numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSet(Box<[u64; 1024]>);

impl Analysis {
    /// The snapshot is sorted: the sockets of one port are neighbours.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut ranges = Ranges::of(&snapshot.ephemeral);
        let mut owners = Owners::of(snapshot);
        let mut destinations = Destinations::of(snapshot);
        let mut clients = Clients::default();
        for sockets in snapshot.sockets.chunk_by(|a, b| place(a) == place(b)) {
            let port = Port::of(sockets, snapshot);
            ranges.add(&port, sockets);
            for socket in sockets {
                let party = owners.add(&port, socket);
                if let Some(connection) = destinations.add(&port, socket, party) {
                    clients.add(&port, socket, &connection);
                }
            }
        }
        let Ranges { each: mut ranges, poisoned, numbered, connect_ends, .. } = ranges;
        let tcp = &mut ranges[Protocol::Tcp as usize];
        destinations.fit_into(tcp, connect_ends);
        let suspicion = Suspicion { clients: &clients, owners: &owners, range: tcp };
        let suspected = suspicion.judge(&mut destinations);
        let choice = Choice { clients: &clients, snapshot, range: tcp, suspected: &suspected };
        let (uncertain, hidden) = choice.judge(&mut destinations);
        (tcp.suspected, tcp.uncertain) = (suspected.len(), uncertain.len() + hidden);
        tcp.is_bind_refused = snapshot.is_bind_refused();
        tcp.unlisted = snapshot.unlisted_in_range();
        destinations.doubt(tcp.unlisted);
        Self {
            ranges,
            destinations: destinations.into_rows(&owners),
            owners: owners.into_rows(),
            poisoned,
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

    /// What connect() can get towards a destination that nobody is connected to.
    pub fn new_destination(&self) -> Left {
        let range = self.range(Protocol::Tcp);
        let most = range.size - range.poisoned - range.numbered;
        let least = most.saturating_sub(range.uncertain + range.connect_may_miss + range.unlisted);
        Left::new(least, most)
    }

    /// The lower end of `new_destination`.
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
            poisoned: 0,
            low_parity_poisoned: 0,
            suspected: 0,
            numbered: 0,
            uncertain: 0,
            bind_may_miss: 0,
            connect_may_miss: 0,
            unlisted: 0,
            is_bind_refused: false,
        }
    }

    /// What bind(0) on all addresses of both families can still get.
    pub fn left(&self) -> Left {
        let most = self.size - self.occupied;
        Left::new(most.saturating_sub(self.bind_may_miss + self.unlisted), most)
    }

    /// The lower end of `left`.
    pub fn available(&self) -> u32 {
        self.left().least
    }

    pub fn low_parity_available(&self) -> u32 {
        self.low_parity_size - self.low_parity_occupied
    }

    /// 0 to 1: the occupied ports; a range without ports is full.
    pub fn used_share(&self) -> f64 {
        share(self.occupied, self.size)
    }

    /// 0 to 1: what bind(0) on all addresses cannot get for certain; a range without ports is full.
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
    /// What connect() can still get.
    pub fn left(&self) -> Left {
        let most = (self.capacity + self.reusable).saturating_sub(self.used);
        let sure = (self.capacity + self.surely_reusable).saturating_sub(self.used);
        Left::new(sure.saturating_sub(self.uncertain + self.unlisted + self.may_miss), most)
    }

    /// The lower end of `left`.
    pub fn available(&self) -> u32 {
        self.left().least
    }

    pub fn low_parity_available(&self) -> u32 {
        self.low_parity_capacity.saturating_sub(self.low_parity_used)
    }

    /// 0 to 1, of the capacity: the used ports.
    pub fn used_share(&self) -> f64 {
        share(self.used, self.capacity)
    }

    /// 0 to 1, of the capacity: what connect() cannot get for certain; no capacity is full.
    pub fn share(&self) -> f64 {
        share(self.capacity.saturating_sub(self.available()), self.capacity)
    }
}

fn place(socket: &Socket) -> (Protocol, u16) {
    (socket.protocol, socket.local.port)
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

    /// Of all ports.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|ports| ports.count_ones()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&ports| ports == 0)
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0..=u16::MAX).filter(|&port| self.contains(port))
    }

    pub fn count_in(&self, range: PortRange) -> u32 {
        range.ports().filter(|&port| self.contains(port)).count() as u32
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
