//! Counts, for each destination, the ports that its connections use. Does not judge the counts.

use std::{collections::HashMap, net::IpAddr};

use crate::domain::{
    Destination, DestinationUse, Protocol, RangeUse, Snapshot, Socket, State,
    analysis::{
        TopOwners,
        key_numbers::{KeyNumbers, Seed},
        owners::OwnerTable,
        ranges::PortState,
    },
    ephemeral::TupleReuse,
};

/// Destinations and their owners, in the order in which they first appeared.
pub(super) struct Destinations<'a> {
    snapshot: &'a Snapshot,
    /// Destinations of sockets that are bound to a device; usually empty. A socket without a device
    /// also counts for the same destination on each device.
    of_devices: Vec<Destination>,
    rows: Vec<DestinationEntry>,
    numbers: KeyNumbers<Packed>,
    pub pairs: Vec<Pair>,
    /// Indexes into `pairs` by destination and owner; only for destinations with several owners.
    pair_places: HashMap<(u32, u32), u32, Seed>,
}

pub(super) struct DestinationEntry {
    pub usage: DestinationUse,
    /// Number of ends of a range with an odd number of ports that a connection to this destination
    /// certainly blocks. Ends that `Ranges::connect_ends` does not include are not counted.
    odd_ends_used: u32,
    /// Ports of `usage.used` that are in `Analysis::numbered`.
    numbered: u32,
    /// Of `numbered`: ports of the low parity.
    low_parity_numbered: u32,
    /// Ports of `usage.used` that are in `Analysis::uncertain`.
    uncertain: u32,
    /// The port that was added to `uncertain` last.
    last_uncertain: Option<u16>,
    /// Maximum number of other used ports that may be uncertain too. It is unknown which ports.
    pub hidden: u32,
    /// The port that was counted last.
    port: Option<u16>,
    /// The state in which `port` was counted.
    counted: Counted,
    /// The pair that was counted last.
    pair: u32,
    has_many_owners: bool,
}

/// A destination as integers. Comparing and hashing its two `IpAddr` took a third of the time of an
/// analysis.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Packed {
    words: [u64; 4],
    port: u16,
    interface: u32,
}

/// The destination has no pair yet.
const NO_PAIR: u32 = u32::MAX;

/// The state of a port for a destination, from all sockets with this four-tuple. There may be
/// several if sockets are bound to devices.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Counted {
    time_wait: bool,
    reuse: TupleReuse,
}

/// The connections of one owner to a destination.
pub(super) struct Pair {
    /// Index into `Destinations::rows`.
    pub destination: u32,
    /// Index into the rows of `OwnerTable`.
    pub owner_key: u32,
    sockets: u32,
}

/// How a socket was counted.
pub(super) struct Connection {
    /// Index into `Destinations::pairs`.
    pub pair: u32,
    pub reuse: TupleReuse,
}

impl<'a> Destinations<'a> {
    /// Reserves capacity for one destination per socket: the kernel allocates no memory for pages
    /// that are never written, whereas growth would copy the rows.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let sockets = snapshot.of_protocol_in_range(Protocol::Tcp);
        let has_device = |socket: &&Socket| socket.interface.is_some();
        let mut of_devices: Vec<_> =
            sockets.iter().filter(has_device).filter_map(Destination::of).collect();
        of_devices.sort_unstable();
        of_devices.dedup();
        Self {
            snapshot,
            of_devices,
            rows: Vec::with_capacity(sockets.len()),
            numbers: KeyNumbers::default(),
            pairs: Vec::with_capacity(sockets.len()),
            pair_places: HashMap::default(),
        }
    }

    /// Counts a socket. None: it has no destination, or connect() cannot choose its port.
    pub fn add(&mut self, port: &PortState, socket: &Socket, owner_key: u32) -> Option<Connection> {
        if !port.is_automatic || port.is_unconnectable {
            return None;
        }
        let destination = Destination::of(socket)?;
        let reuse = self.snapshot.tuple_reuse(socket, &destination);
        let counted = Counted { time_wait: socket.state == State::TimeWait, reuse };
        if destination.interface.is_none() {
            self.count_for_devices(&destination, port, counted);
        }
        let index = self.count(destination, port, counted);
        Some(Connection { pair: self.pair(index, owner_key), reuse })
    }

    /// Counts a socket without a device for the same destination on each device, because it blocks
    /// its four-tuple there too.
    fn count_for_devices(&mut self, destination: &Destination, port: &PortState, counted: Counted) {
        for at in 0..self.of_devices.len() {
            let other = self.of_devices[at];
            if (Destination { interface: None, ..other }) == *destination {
                self.count(other, port, counted);
            }
        }
    }

    /// Counts a port for a destination and returns the index of the destination's row.
    fn count(&mut self, destination: Destination, port: &PortState, counted: Counted) -> u32 {
        let index = self.numbers.of(Packed::of(&destination));
        if index as usize == self.rows.len() {
            self.rows.push(DestinationEntry::of(destination));
        }
        self.rows[index as usize].count(port, counted);
        index
    }

    /// Sets the capacities and `may_miss`. Must be called after the whole range is counted.
    ///
    /// `open_ends` is the number of ends of a range with an odd number of ports that connect() may
    /// use.
    pub fn fit_into(&mut self, range: &RangeUse, open_ends: u32) {
        for row in &mut self.rows {
            let capacity = range.size - range.unconnectable - range.numbered;
            row.usage.capacity = capacity + row.numbered;
            row.usage.low_parity_capacity = range.low_parity_size - range.low_parity_unconnectable;
            row.usage.low_parity_foreign = range.low_parity_numbered - row.low_parity_numbered;
            row.usage.may_miss = u32::from(open_ends > row.odd_ends_used);
        }
    }

    /// Adds a port to the uncertain ports of the pair's destination. Ports must come in ascending
    /// order.
    pub fn note_uncertain(&mut self, pair: u32, port: u16) {
        let row = self.row_of(pair);
        row.uncertain += u32::from(row.last_uncertain != Some(port));
        row.last_uncertain = Some(port);
    }

    /// Sets the number of uncertain ports of each destination. `ports` is their number in the whole
    /// range, out of `connected` ports that connections use, without `Analysis::numbered`.
    /// Subtracts those that the destination uses: they are counted as used already. The ports
    /// counted in `hidden` are not surely reusable.
    pub fn add_uncertain(&mut self, ports: u32, connected: u32) {
        for DestinationEntry { usage, uncertain, hidden, numbered, .. } in &mut self.rows {
            let of_others = connected - (usage.used - *numbered);
            usage.uncertain = ports.saturating_sub(*uncertain + *hidden).min(of_others);
            usage.surely_reusable = usage.surely_reusable.saturating_sub(*hidden);
        }
    }

    /// Sets the number of unused ports that unlisted sockets may hold. `unlisted` is the number in
    /// the whole range.
    pub fn subtract_unlisted(&mut self, unlisted: u32) {
        for row in &mut self.rows {
            let unused = row.usage.capacity.saturating_sub(row.usage.used);
            row.usage.unlisted = unlisted.min(unused);
        }
    }

    pub fn row_of(&mut self, pair: u32) -> &mut DestinationEntry {
        &mut self.rows[self.pairs[pair as usize].destination as usize]
    }

    pub fn usage_of(&self, pair: u32) -> &DestinationUse {
        &self.rows[self.pairs[pair as usize].destination as usize].usage
    }

    pub fn into_rows(mut self, owners: &OwnerTable) -> Vec<DestinationUse> {
        for pair in &self.pairs {
            let usage = &mut self.rows[pair.destination as usize].usage;
            usage.owners.insert(owners.owner_key(pair.owner_key), pair.sockets);
        }
        let ranked = self.ranked();
        ranked.into_iter().map(|index| self.rows[index as usize].usage).collect()
    }

    /// Returns the indexes of the rows, sorted by `DestinationUse::share`, highest first.
    fn ranked(&self) -> Vec<u32> {
        let key = |row: &DestinationEntry| rank(&row.usage);
        let mut ranks: Vec<(u128, u32)> = self.rows.iter().map(key).zip(0..).collect();
        ranks.sort_unstable_by(|(one, a), (other, b)| {
            let [a, b] = [a, b].map(|&index| &self.rows[index as usize].usage.destination);
            one.cmp(other).then_with(|| a.cmp(b))
        });
        ranks.into_iter().map(|(_, index)| index).collect()
    }

    /// Counts a socket of the pair and returns the index of the pair.
    fn pair(&mut self, destination: u32, owner_key: u32) -> u32 {
        let row = &mut self.rows[destination as usize];
        let next = self.pairs.len() as u32;
        let index = match row.pair {
            NO_PAIR => next,
            last if self.pairs[last as usize].owner_key == owner_key => last,
            last => {
                if !std::mem::replace(&mut row.has_many_owners, true) {
                    let first = self.pairs[last as usize].owner_key;
                    self.pair_places.insert((destination, first), last);
                }
                *self.pair_places.entry((destination, owner_key)).or_insert(next)
            }
        };
        row.pair = index;
        if index == next {
            self.pairs.push(Pair { destination, owner_key, sockets: 0 });
        }
        self.pairs[index as usize].sockets += 1;
        index
    }
}

impl Packed {
    /// Converts the destination to a unique value. IPv4 addresses become IPv4-mapped IPv6
    /// addresses, which do not occur in IPv6 destinations.
    fn of(destination: &Destination) -> Self {
        let Destination { source, remote, interface } = destination;
        let [source, address] = [source, &remote.address].map(|address| match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        });
        let high = |address: u128| (address >> 64) as u64;
        let words = [high(source), source as u64, high(address), address as u64];
        Self { words, port: remote.port, interface: interface.unwrap_or_default() }
    }
}

impl DestinationUse {
    /// Returns the use of a destination without connections and without capacity.
    pub(in crate::domain) fn unused(destination: Destination) -> Self {
        Self {
            destination,
            capacity: 0,
            used: 0,
            time_wait: 0,
            reusable: 0,
            surely_reusable: 0,
            uncertain: 0,
            unlisted: 0,
            may_miss: 0,
            low_parity_capacity: 0,
            low_parity_foreign: 0,
            low_parity_used: 0,
            owners: TopOwners::default(),
        }
    }
}

impl DestinationEntry {
    fn of(destination: Destination) -> Self {
        let usage = DestinationUse::unused(destination);
        let counted = Counted { time_wait: false, reuse: TupleReuse::No };
        Self {
            usage,
            odd_ends_used: 0,
            numbered: 0,
            low_parity_numbered: 0,
            uncertain: 0,
            last_uncertain: None,
            hidden: 0,
            port: None,
            counted,
            pair: NO_PAIR,
            has_many_owners: false,
        }
    }

    /// Counts each port once. A port is in TIME-WAIT only if all its sockets are, and reusable only
    /// if all are.
    fn count(&mut self, port: &PortState, counted: Counted) {
        let usage = &mut self.usage;
        let mut all = counted;
        if self.port == Some(port.number) {
            usage.time_wait -= u32::from(self.counted.time_wait);
            usage.reusable -= u32::from(self.counted.is_reusable(port));
            self.odd_ends_used -= u32::from(self.counted.uses_odd_end(port));
            all.time_wait &= self.counted.time_wait;
            all.reuse = all.reuse.min(self.counted.reuse);
        } else {
            usage.used += 1;
            usage.low_parity_used += u32::from(port.is_low);
            self.numbered += u32::from(port.is_numbered);
            self.low_parity_numbered += u32::from(port.is_numbered && port.is_low);
        }
        usage.time_wait += u32::from(all.time_wait);
        usage.reusable += u32::from(all.is_reusable(port));
        self.odd_ends_used += u32::from(all.uses_odd_end(port));
        (self.port, self.counted) = (Some(port.number), all);
    }
}

impl Counted {
    /// Returns whether connect() can reuse the port, or may be able to.
    fn is_reusable(self, port: &PortState) -> bool {
        self.reuse != TupleReuse::No && !port.is_numbered
    }

    /// Returns whether the port is an end of a range with an odd number of ports and certainly not
    /// reusable. False for numbered ports: `Ranges::connect_ends` does not include them.
    fn uses_odd_end(self, port: &PortState) -> bool {
        port.is_odd_end && self.reuse == TupleReuse::No && !port.is_numbered
    }
}

/// Returns a sort key that orders like `(Reverse(share), Reverse(used), destination)`. The key of
/// an IPv6 destination contains only a part of the source address.
fn rank(usage: &DestinationUse) -> u128 {
    let Destination { source, remote, .. } = usage.destination;
    let free = (f64::from(u16::MAX) * (1.0 - usage.share())) as u16;
    let unused = u16::MAX - usage.used as u16;
    let counts = u128::from(free) << 112 | u128::from(unused) << 96;
    counts
        | match (source, remote.address) {
            (IpAddr::V4(source), IpAddr::V4(address)) => {
                let addresses = u128::from(source.to_bits()) << 32 | u128::from(address.to_bits());
                addresses << 16 | u128::from(remote.port)
            }
            (IpAddr::V4(source), IpAddr::V6(_)) => {
                u128::from(source.to_bits()) << 48 | 0xffff_ffff_ffff
            }
            (IpAddr::V6(source), _) => 1 << 95 | source.to_bits() >> 33,
        }
}
