//! Which connected ports other destinations can share: those that connect() chose itself. Known by
//! the order of use, unless the kernel says otherwise; what shows no order is uncertain.
//!
//! connect() takes the parity of the range's first port first, for each destination by itself
//! (`__inet_hash_connect`). A port bound by number or accepted has any parity, one of bind(0) the
//! other one first (`inet_csk_find_open_port`).

use crate::domain::{
    PortSet, RangeUse, Snapshot, Source,
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
    pub range: &'a RangeUse,
    /// Bound before connect(), by their order.
    pub suspected: &'a PortSet,
}

/// Connections that show one order: those of a party to one destination, or to all those to which
/// it has few.
#[derive(Clone, Copy, Default)]
struct Group {
    low: u32,
    other: u32,
    /// Of all destinations to which a party has few, not of one.
    is_of_party: bool,
    /// A port of it may have been bound by number or accepted even where the kernel was asked: what is
    /// in TIME-WAIT does not tell, and what was accepted goes to destinations of its own.
    may_be_mixed: bool,
    /// The low parity is not used up towards the destination.
    has_low_left: bool,
    shown: Shown,
}

/// Which ports of a group connect() chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shown {
    #[default]
    None,
    /// Those of the low parity, by their number.
    Low,
    /// All, by the same.
    All,
    /// All, by the order of use.
    InOrder,
}

impl Choice<'_> {
    /// The uncertain ports, and how many of the others may be uncertain, too; gives the destinations
    /// what follows for them.
    pub fn judge(&self, destinations: &mut Destinations<'_>) -> (PortSet, u32) {
        let (mut groups, group_of) = self.group(destinations);
        // Without the kernel's word a port bound by number may be among those in order.
        if self.snapshot.source != Source::Procfs {
            if self.has_other_half() {
                groups.iter_mut().for_each(Group::judge_parity);
            }
            self.find_order(&mut groups, &group_of);
        }
        let chosen = self.chosen(&groups, &group_of, destinations);
        let mut uncertain = PortSet::default();
        for client in &self.clients.rows {
            if client.is_numbered {
                continue;
            }
            if !chosen.contains(client.port) {
                uncertain.insert(client.port);
                destinations.note_uncertain(client.pair, client.port);
            } else if client.reuse == TupleReuse::Yes {
                destinations.note_surely_reusable(client.pair);
            }
        }
        let hidden = groups.iter().map(Group::hidden).sum();
        for (pair, &group) in (0..).zip(&group_of) {
            let group = &groups[group as usize];
            if !group.is_of_party {
                destinations.note_hidden(pair, group.hidden());
            }
        }
        destinations.add_uncertain(uncertain.len() + hidden);
        (uncertain, hidden)
    }

    /// Most ports of the other parity are free: what takes ports at random, or those first, would have
    /// got them.
    fn has_other_half(&self) -> bool {
        let RangeUse { size, low_parity_size, occupied, low_parity_occupied, .. } = *self.range;
        (occupied - low_parity_occupied) * 2 <= size - low_parity_size
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
        let few =
            Group { is_of_party: true, may_be_mixed: true, has_low_left: true, ..Group::default() };
        let mut groups = vec![few; parties as usize];
        let places = (0..).zip(pairs).zip(counts).map(|((place, pair), (low, other))| {
            let usage = destinations.usage_of(place);
            let has_low_left = usage.low_parity_available() * 8 >= usage.low_parity_capacity;
            if low + other < ORDERLY && has_low_left {
                let few = &mut groups[pair.party as usize];
                (few.low, few.other) = (few.low + low, few.other + other);
                return pair.party;
            }
            let may_be_mixed = usage.time_wait > 0;
            groups.push(Group { low, other, may_be_mixed, has_low_left, ..Group::default() });
            groups.len() as u32 - 1
        });
        let places = places.collect();
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
            let made: Vec<Made> = made.iter().map(|&(_, made)| made).collect();
            let order = if is_live { RankSum::by_inode(&made) } else { RankSum::of(&made) };
            // Ports that a program numbers upwards go upwards too: it must be known that it did not.
            let is_upwards = is_live
                && self.snapshot.numbered.is_some()
                && made.len() >= ORDERLY as usize
                && goes_upwards(made.iter().map(|made| made.port), self.snapshot.ephemeral.range);
            if is_upwards || order.is_low_first() {
                groups[group].shown = Shown::InOrder;
            }
        }
    }

    /// What one connection shows of a port goes for all from its source: connect() does not take a port
    /// that bind() gave, and bind() to an address none that a connection from it has.
    fn chosen(
        &self,
        groups: &[Group],
        group_of: &[u32],
        destinations: &Destinations<'_>,
    ) -> PortSet {
        let is_chosen =
            |client: &&Client| match groups[group_of[client.pair as usize] as usize].shown {
                Shown::None => false,
                Shown::Low => client.is_low,
                Shown::All | Shown::InOrder => true,
            };
        let source = |client: &Client| destinations.usage_of(client.pair).destination.source;
        let are_chosen = |port: &&[Client]| {
            let mut shown = port.iter().filter(is_chosen);
            let Some(first) = shown.next().map(source) else { return false };
            port.iter().all(|client| {
                let from = source(client);
                from == first || is_chosen(&client) || shown.clone().any(|one| source(one) == from)
            })
        };
        let ports = self.clients.rows.chunk_by(|a, b| a.port == b.port).filter(are_chosen);
        let ports = ports.map(|port| port[0].port);
        ports.filter(|&port| !self.suspected.contains(port)).collect()
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

    /// Ports, at most, that connect() did not choose although it chose most: those of the other parity,
    /// and about as many of the low one. That these are 20 more has a chance of 1 in 3,000, where half
    /// of the other parity is free.
    fn hidden(&self) -> u32 {
        let beyond_chance = 20.0 + BEYOND_CHANCE * f64::from(2 * self.other).sqrt();
        match self.shown {
            Shown::Low if self.may_be_mixed => self.low.min(self.other + beyond_chance as u32),
            Shown::All if self.may_be_mixed => {
                self.other + self.low.min(self.other + beyond_chance as u32)
            }
            _ => 0,
        }
    }

    fn asks_for_order(self) -> bool {
        !self.has_low_left && self.low.min(self.other) >= ORDERLY / 2
    }
}
