//! Counts, for each destination, the ports that its connections take. Judges nothing.

use std::{collections::HashMap, net::IpAddr};

use crate::domain::{
    Destination, DestinationUse, Ephemeral, RangeUse, Socket, State,
    analysis::{
        Foremost,
        owners::Owners,
        places::{Places, Seed},
        ranges::Port,
    },
};

/// Destinations and their parties, by the order in which they came.
#[derive(Default)]
pub(super) struct Destinations {
    tw_reuse: Option<u8>,
    rows: Vec<Row>,
    places: Places<Packed>,
    pairs: Vec<Pair>,
    /// By the places of destination and party; only of destinations with more than one party.
    pair_places: HashMap<(u32, u32), u32, Seed>,
}

struct Row {
    usage: DestinationUse,
    /// The last port counted, and as what.
    port: Option<u16>,
    counted: Counted,
    /// The pair counted last.
    pair: u32,
    has_many_parties: bool,
}

/// A destination as numbers: to compare and to hash two `IpAddr` took a third of an analysis.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Packed {
    words: [u64; 4],
    port: u16,
}

/// A destination of which no pair was counted yet.
const NO_PAIR: u32 = u32::MAX;

/// What a port is to a destination, by all its sockets with this four-tuple: with devices there may
/// be more than one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    time_wait: bool,
    reusable: bool,
}

/// What one party has of a destination.
pub(super) struct Pair {
    pub destination: u32,
    pub party: u32,
    sockets: u32,
}

/// Where a counted socket went.
pub(super) struct Connection {
    pub pair: u32,
    pub is_reusable: bool,
}

impl Destinations {
    /// Room for a destination a socket: what is not used costs no memory, and what grows is copied.
    pub fn of(ephemeral: &Ephemeral, sockets: usize) -> Self {
        Self {
            tw_reuse: ephemeral.tw_reuse,
            rows: Vec::with_capacity(sockets),
            pairs: Vec::with_capacity(sockets),
            ..Self::default()
        }
    }

    /// None: the socket has no destination, or its port is none that connect() may choose.
    pub fn add(&mut self, port: &Port, socket: &Socket, party: u32) -> Option<Connection> {
        if !port.is_automatic || port.is_poisoned {
            return None;
        }
        let destination = Destination::of(socket)?;
        let counted = self.count_as(&destination, socket);
        let place = self.places.of(Packed::of(&destination));
        if place as usize == self.rows.len() {
            self.rows.push(Row::of(destination));
        }
        self.rows[place as usize].count(port, counted);
        Some(Connection { pair: self.pair(place, party), is_reusable: counted.reusable })
    }

    /// Now that the whole range was counted.
    pub fn fit_into(&mut self, range: &RangeUse) {
        for row in &mut self.rows {
            row.usage.capacity = range.size - range.poisoned;
            row.usage.low_parity_capacity = range.low_parity_size - range.low_parity_poisoned;
        }
    }

    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    pub fn usage_of(&self, pair: u32) -> &DestinationUse {
        &self.rows[self.pairs[pair as usize].destination as usize].usage
    }

    /// One of the TIME-WAIT sockets is not reusable after all.
    pub fn refuse_reuse(&mut self, pair: u32) {
        let destination = self.pairs[pair as usize].destination;
        self.rows[destination as usize].usage.reusable -= 1;
    }

    pub fn into_rows(mut self, owners: &Owners) -> Vec<DestinationUse> {
        for pair in &self.pairs {
            let usage = &mut self.rows[pair.destination as usize].usage;
            usage.owners.insert(owners.party(pair.party), pair.sockets);
        }
        let ranked = self.ranked();
        ranked.into_iter().map(|place| self.rows[place as usize].usage).collect()
    }

    /// Places, the fullest first; the capacity is the same for all.
    fn ranked(&self) -> Vec<u32> {
        let key = |row: &Row| rank(&row.usage);
        let mut ranks: Vec<(u128, u32)> = self.rows.iter().map(key).zip(0..).collect();
        ranks.sort_unstable_by(|(one, a), (other, b)| {
            let [a, b] = [a, b].map(|&place| &self.rows[place as usize].usage.destination);
            one.cmp(other).then_with(|| a.cmp(b))
        });
        ranks.into_iter().map(|(_, place)| place).collect()
    }

    fn count_as(&self, destination: &Destination, socket: &Socket) -> Counted {
        let time_wait = socket.state == State::TimeWait;
        let is_on = match self.tw_reuse {
            Some(1) => true,
            Some(2) => destination.is_loopback(),
            _ => false,
        };
        Counted { time_wait, reusable: is_on && socket.is_old_time_wait() }
    }

    /// Counts a socket of the pair and gives its place.
    fn pair(&mut self, destination: u32, party: u32) -> u32 {
        let row = &mut self.rows[destination as usize];
        let next = self.pairs.len() as u32;
        let place = match row.pair {
            NO_PAIR => next,
            last if self.pairs[last as usize].party == party => last,
            last => {
                if !std::mem::replace(&mut row.has_many_parties, true) {
                    let first = self.pairs[last as usize].party;
                    self.pair_places.insert((destination, first), last);
                }
                *self.pair_places.entry((destination, party)).or_insert(next)
            }
        };
        row.pair = place;
        if place == next {
            self.pairs.push(Pair { destination, party, sockets: 0 });
        }
        self.pairs[place as usize].sockets += 1;
        place
    }
}

impl Packed {
    /// No two destinations have the same: IPv4 stands as mapped, which those of IPv6 never are.
    fn of(destination: &Destination) -> Self {
        let Destination { source, remote } = destination;
        let [source, address] = [source, &remote.address].map(|address| match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        });
        let high = |address: u128| (address >> 64) as u64;
        let words = [high(source), source as u64, high(address), address as u64];
        Self { words, port: remote.port }
    }
}

impl Row {
    fn of(destination: Destination) -> Self {
        let usage = DestinationUse {
            destination,
            capacity: 0,
            used: 0,
            time_wait: 0,
            reusable: 0,
            low_parity_capacity: 0,
            low_parity_used: 0,
            owners: Foremost::default(),
        };
        let counted = Counted::default();
        Self { usage, port: None, counted, pair: NO_PAIR, has_many_parties: false }
    }

    /// Each port once: as TIME-WAIT only if nothing else is there.
    fn count(&mut self, port: &Port, counted: Counted) {
        let usage = &mut self.usage;
        let mut all = counted;
        if self.port == Some(port.number) {
            usage.time_wait -= u32::from(self.counted.time_wait);
            usage.reusable -= u32::from(self.counted.reusable);
            all.time_wait &= self.counted.time_wait;
            all.reusable &= self.counted.reusable;
        } else {
            usage.used += 1;
            usage.low_parity_used += u32::from(port.is_low);
        }
        usage.time_wait += u32::from(all.time_wait);
        usage.reusable += u32::from(all.reusable);
        (self.port, self.counted) = (Some(port.number), all);
    }
}

/// Orders as `(Reverse(used and not reusable), destination)` does; of IPv6 not to the end.
fn rank(usage: &DestinationUse) -> u128 {
    let Destination { source, remote } = usage.destination;
    let left = u128::from(u16::MAX - (usage.used - usage.reusable) as u16) << 112;
    left | match (source, remote.address) {
        (IpAddr::V4(source), IpAddr::V4(address)) => {
            let addresses = u128::from(source.to_bits()) << 32 | u128::from(address.to_bits());
            addresses << 16 | u128::from(remote.port)
        }
        (IpAddr::V4(source), IpAddr::V6(_)) => {
            u128::from(source.to_bits()) << 48 | 0xffff_ffff_ffff
        }
        (IpAddr::V6(source), _) => 1 << 111 | source.to_bits() >> 17,
    }
}
