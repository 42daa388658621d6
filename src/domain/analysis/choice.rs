//! Which connected ports other destinations can share: those that connect() chose itself. Known by
//! the order of use, unless the kernel says otherwise; what shows no order is uncertain.
//!
//! connect() takes the parity of the range's first port first, for each destination by itself
//! (`__inet_hash_connect`). A port bound by number or accepted has any parity, one of bind(0) the
//! other one first (`inet_csk_find_open_port`).

use crate::domain::{
    PortSet, Snapshot,
    analysis::{
        destinations::Destinations,
        suspicion::{Client, Clients, Made, RankSum, goes_upwards},
    },
    ephemeral::TupleReuse,
};

/// Standard deviations by which the low parity must prevail: 1 in 4,000 at random.
const BEYOND_CHANCE: f64 = 3.5;
/// Fewer ports show no order.
const ORDERLY: u32 = 16;

/// What is judged.
pub(super) struct Choice<'a> {
    pub clients: &'a Clients,
    pub snapshot: &'a Snapshot,
    /// Bound before connect(), by their order.
    pub suspected: &'a PortSet,
}

/// Connections that show one order: those of a party to one destination, or to all those to which
/// it has few.
#[derive(Clone, Copy, Default)]
struct Group {
    low: u32,
    other: u32,
    /// The low parity is not used up towards the destination.
    has_low_left: bool,
    shown: Shown,
}

/// Which ports of a group connect() chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shown {
    #[default]
    None,
    Low,
    All,
}

impl Choice<'_> {
    /// The uncertain ports; gives the destinations what follows for them.
    pub fn judge(&self, destinations: &mut Destinations<'_>) -> PortSet {
        let (mut groups, group_of) = self.group(destinations);
        self.find_order(&mut groups, &group_of);
        let chosen = self.chosen(&groups, &group_of);
        let mut uncertain = PortSet::default();
        for client in &self.clients.rows {
            if client.is_numbered {
                continue;
            }
            if !chosen.contains(client.port) {
                uncertain.insert(client.port);
                destinations.note_uncertain(client.pair);
            } else if client.reuse == TupleReuse::Yes {
                destinations.note_surely_reusable(client.pair);
            }
        }
        destinations.add_uncertain(uncertain.len());
        uncertain
    }

    /// The groups, and the place of each pair's group.
    fn group(&self, destinations: &Destinations<'_>) -> (Vec<Group>, Vec<u32>) {
        let pairs = destinations.pairs();
        let mut counts = vec![(0, 0); pairs.len()];
        // One connection of a party on each port: a thousand that one listener accepted are no order.
        let mut parties_of_port = Vec::new();
        for port in self.clients.rows.chunk_by(|a, b| a.port == b.port) {
            parties_of_port.clear();
            for client in port.iter().filter(|client| !client.is_numbered) {
                let party = pairs[client.pair as usize].party;
                if !parties_of_port.contains(&party) {
                    parties_of_port.push(party);
                    let (low, other) = &mut counts[client.pair as usize];
                    *if client.is_low { low } else { other } += 1;
                }
            }
        }
        let parties = pairs.iter().map(|pair| pair.party + 1).max().unwrap_or_default();
        // The first groups are those of the parties.
        let mut groups = vec![Group { has_low_left: true, ..Group::default() }; parties as usize];
        let places = (0..).zip(pairs).zip(counts).map(|((place, pair), (low, other))| {
            let usage = destinations.usage_of(place);
            let has_low_left = usage.low_parity_available() * 8 >= usage.low_parity_capacity;
            if low + other < ORDERLY && has_low_left {
                let few = &mut groups[pair.party as usize];
                (few.low, few.other) = (few.low + low, few.other + other);
                return pair.party;
            }
            groups.push(Group { low, other, has_low_left, shown: Shown::None });
            groups.len() as u32 - 1
        });
        let places = places.collect();
        groups.iter_mut().for_each(Group::judge_parity);
        (groups, places)
    }

    /// Of the groups in which both parities are in use: was the low one first?
    fn find_order(&self, groups: &mut [Group], group_of: &[u32]) {
        let made = self.clients.rows.iter().filter_map(|client| {
            let group = group_of[client.pair as usize];
            let is_open = groups[group as usize].asks_for_order() && !client.is_numbered;
            let (order, is_live) = match (client.inode, client.expires_ms) {
                (Some(inode), _) => (inode, true),
                (None, Some(left)) => (left, false),
                (None, None) => return None,
            };
            let Client { port, is_low, .. } = *client;
            is_open.then_some((is_live, Made { group, inode: order, port, is_low }))
        });
        let mut made: Vec<(bool, Made)> = made.collect();
        // Of TIME-WAIT that the clock does not separate the order is the one that shows nothing.
        made.sort_unstable_by_key(|(is_live, made)| {
            (made.group, *is_live, made.inode, made.is_low)
        });
        for made in made.chunk_by(|(a, one), (b, other)| (a, one.group) == (b, other.group)) {
            let (is_live, group) = (made[0].0, made[0].1.group as usize);
            let made: Vec<&Made> = made.iter().map(|(_, made)| made).collect();
            // Ports that a program numbers upwards go upwards too: it must be known that it did not.
            let is_upwards = is_live
                && self.snapshot.numbered.is_some()
                && made.len() >= ORDERLY as usize
                && goes_upwards(made.iter().map(|made| made.port), self.snapshot.ephemeral.range);
            if is_upwards || RankSum::of(made.iter().copied()).is_low_first() {
                groups[group].shown = Shown::All;
            }
        }
    }

    /// What one connection shows of a port goes for all on it: they have one bind bucket.
    fn chosen(&self, groups: &[Group], group_of: &[u32]) -> PortSet {
        let is_chosen =
            |client: &&Client| match groups[group_of[client.pair as usize] as usize].shown {
                Shown::None => false,
                Shown::Low => client.is_low,
                Shown::All => true,
            };
        let chosen = self.clients.rows.iter().filter(is_chosen).map(|client| client.port);
        chosen.filter(|&port| !self.suspected.contains(port)).collect()
    }
}

impl Group {
    fn judge_parity(&mut self) {
        let (low, other) = (f64::from(self.low), f64::from(self.other));
        // Of no ports the excess is no number.
        let is_beyond_chance = low - other > BEYOND_CHANCE * (low + other).sqrt();
        self.shown = match self.has_low_left {
            _ if !is_beyond_chance => Shown::None,
            true => Shown::Low,
            false => Shown::All,
        };
    }

    fn asks_for_order(self) -> bool {
        self.shown == Shown::None && !self.has_low_left && self.low.min(self.other) >= ORDERLY / 2
    }
}
