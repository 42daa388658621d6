//! Finds the connected ports that connect() chose: only these can be shared with other
//! destinations. Decides by the order of use, except for ports that the kernel reports as bound by
//! number. Ports whose order shows nothing are uncertain.
//!
//! For each destination, connect() first takes ports of the low parity, that of the range's first
//! port (`__inet_hash_connect`). A port that was bound by number or accepted has any parity;
//! bind(0) takes the high parity first (`inet_csk_find_open_port`).

use crate::domain::{
    PortSet, RangeUse, Snapshot, Source,
    analysis::{
        destinations::Destinations,
        suspicion::{ClientPort, Clients, CreatedSocket, RankSum, is_ascending},
    },
    ephemeral::TupleReuse,
};

/// Number of standard deviations by which the low parity must outnumber the high parity. Random
/// ports exceed it with a probability of 1 in 4,000.
const SIGNIFICANT_DEVIATIONS: f64 = 3.5;
/// Minimum number of ports to judge their order.
const MIN_ORDERED: u32 = 16;

/// The input of [`PortChoice::judge`].
pub(super) struct PortChoice<'a> {
    pub clients: &'a Clients,
    pub snapshot: &'a Snapshot,
    pub range: &'a RangeUse,
    /// Ports that, judged by their order, were bound before connect().
    pub suspected: &'a PortSet,
}

/// Connections that are judged together: those of an owner to one destination, or to all
/// destinations to which the owner has few connections.
#[derive(Clone, Copy, Default)]
struct ConnectionGroup {
    low: u32,
    other: u32,
    /// Whether the group covers all destinations to which an owner has few connections, not one
    /// destination.
    is_of_owner: bool,
    /// Whether some ports of the group may have been bound by number or accepted although
    /// `Snapshot::numbered` does not contain them: the kernel does not report how the ports of
    /// TIME-WAIT sockets were bound. Accepted connections are usually spread over many destinations
    /// with few connections each.
    may_be_mixed: bool,
    /// Whether at least an eighth of the low parity is left for the destination.
    has_low_left: bool,
    shown: Shown,
}

/// The ports of a group that connect() chose, as far as the evidence shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shown {
    #[default]
    None,
    /// The ports of the low parity, because far more of them are in use.
    Low,
    /// All ports, for the same reason.
    All,
    /// All ports, because of the order of use.
    InOrder,
}

impl PortChoice<'_> {
    /// Returns the uncertain ports, and the maximum number of other ports that may be uncertain
    /// too. Sets both for each destination.
    pub fn judge(&self, destinations: &mut Destinations<'_>) -> (PortSet, u32) {
        let (mut groups, group_of) = self.group(destinations);
        // If /proc/net was read, it is unknown which ports were bound by number. Such ports may be
        // in order, too.
        if self.snapshot.source != Source::Procfs {
            if self.has_other_half() {
                groups.iter_mut().for_each(ConnectionGroup::judge_parity);
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
                destinations.row_of(client.pair).usage.surely_reusable += 1;
            }
        }
        let RangeUse { occupied, unconnectable, numbered, .. } = *self.range;
        let connected = occupied - unconnectable - numbered;
        let hidden: u32 = groups.iter().map(ConnectionGroup::hidden).sum();
        let hidden = hidden.min(connected - uncertain.len());
        for (pair, &group) in (0..).zip(&group_of) {
            let group = &groups[group as usize];
            if !group.is_of_owner {
                destinations.row_of(pair).hidden += group.hidden();
            }
        }
        destinations.add_uncertain(uncertain.len() + hidden, connected);
        (uncertain, hidden)
    }

    /// Returns whether at least half of the ports of the high parity are free. If few of them are
    /// used although so much of that parity is free, connect() chose the ports: a program that
    /// takes ports at random, or the high parity first, would use more of them.
    fn has_other_half(&self) -> bool {
        let RangeUse { size, low_parity_size, occupied, low_parity_occupied, .. } = *self.range;
        (occupied - low_parity_occupied) * 2 <= size - low_parity_size
    }

    /// Returns the groups, and for each pair the index of its group.
    fn group(&self, destinations: &Destinations<'_>) -> (Vec<ConnectionGroup>, Vec<u32>) {
        let pairs = &destinations.pairs;
        let mut counts = vec![(0, 0); pairs.len()];
        // Counts an owner once per port: a thousand connections that a listener accepted on one
        // port are no evidence.
        let mut owner_keys_of_port = Vec::new();
        for port in self.clients.rows.chunk_by(|a, b| a.port == b.port) {
            owner_keys_of_port.clear();
            for client in port.iter().filter(|client| !client.is_numbered) {
                let owner_key = pairs[client.pair as usize].owner_key;
                if !owner_keys_of_port.contains(&owner_key) {
                    owner_keys_of_port.push(owner_key);
                    let (low, other) = &mut counts[client.pair as usize];
                    *if client.is_low { low } else { other } += 1;
                }
            }
        }
        let owner_keys = pairs.iter().map(|pair| pair.owner_key + 1).max().unwrap_or_default();
        // The list begins with one group per owner, for the owner's destinations with few
        // connections.
        let few = ConnectionGroup {
            is_of_owner: true,
            may_be_mixed: true,
            has_low_left: true,
            ..ConnectionGroup::default()
        };
        let mut groups = vec![few; owner_keys as usize];
        let group_indexes = (0..).zip(pairs).zip(counts).map(|((index, pair), (low, other))| {
            let usage = destinations.usage_of(index);
            let has_low_left = usage.low_parity_available() * 8 >= usage.low_parity_capacity;
            if low + other < MIN_ORDERED && has_low_left {
                let few = &mut groups[pair.owner_key as usize];
                (few.low, few.other) = (few.low + low, few.other + other);
                return pair.owner_key;
            }
            let may_be_mixed = usage.time_wait > 0;
            groups.push(ConnectionGroup {
                low,
                other,
                may_be_mixed,
                has_low_left,
                ..ConnectionGroup::default()
            });
            groups.len() as u32 - 1
        });
        let group_indexes = group_indexes.collect();
        (groups, group_indexes)
    }

    /// Marks the groups in which both parities are in use and whose order is that of connect(): the
    /// low parity first, or ascending ports.
    fn find_order(&self, groups: &mut [ConnectionGroup], group_of: &[u32]) {
        let created = self.clients.rows.iter().filter_map(|client| {
            let group = group_of[client.pair as usize];
            let is_open = groups[group as usize].can_be_judged_by_order() && !client.is_numbered;
            let ClientPort { port, is_low, .. } = *client;
            let is_live = client.inode.is_some();
            let inode = client.inode.or(client.expires_ms)?;
            is_open.then_some(CreatedSocket { group, is_live, inode, port, is_low })
        });
        let mut created: Vec<CreatedSocket> = created.collect();
        // TIME-WAIT sockets with the same remaining time have an unknown order. The high parity is
        // put first, so that they do not count as evidence for connect().
        created.sort_unstable_by_key(|created| {
            (created.group, created.is_live, created.inode, created.is_low)
        });
        for created in created.chunk_by(|a, b| (a.group, a.is_live) == (b.group, b.is_live)) {
            let CreatedSocket { group, is_live, .. } = created[0];
            let order = if is_live { RankSum::by_inode(created) } else { RankSum::of(created) };
            // The ports of a program that binds ascending numbers ascend too. So ascending ports
            // are evidence only if the kernel reports which ports were bound by number.
            let is_upwards = is_live
                && self.snapshot.numbered.is_some()
                && created.len() >= MIN_ORDERED as usize
                && is_ascending(
                    created.iter().map(|created| created.port),
                    self.snapshot.ephemeral.range,
                );
            if is_upwards || order.is_low_first() {
                groups[group as usize].shown = Shown::InOrder;
            }
        }
    }

    /// Returns the ports that connect() chose. The evidence of one connection is valid for all
    /// connections of the same port and source address: connect() does not take a port that bind()
    /// chose, and bind() to an address does not take a port that a connection from this address
    /// uses.
    fn chosen(
        &self,
        groups: &[ConnectionGroup],
        group_of: &[u32],
        destinations: &Destinations<'_>,
    ) -> PortSet {
        let is_chosen =
            |client: &&ClientPort| match groups[group_of[client.pair as usize] as usize].shown {
                Shown::None => false,
                Shown::Low => client.is_low,
                Shown::All | Shown::InOrder => true,
            };
        let source = |client: &ClientPort| destinations.usage_of(client.pair).destination.source;
        let are_chosen = |port: &&[ClientPort]| {
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

impl ConnectionGroup {
    fn judge_parity(&mut self) {
        let (low, other) = (f64::from(self.low), f64::from(self.other));
        // Multiplies instead of dividing, so that zero ports do not give NaN.
        let is_beyond_chance = low - other > SIGNIFICANT_DEVIATIONS * (low + other).sqrt();
        self.shown = match self.has_low_left {
            _ if !is_beyond_chance => Shown::None,
            true => Shown::Low,
            false => Shown::All,
        };
    }

    /// Returns the maximum number of ports that count as chosen but that connect() did not choose:
    /// those of the high parity (only with `Shown::All`), and about as many of the low parity. For
    /// the low parity, allows 20 ports and `SIGNIFICANT_DEVIATIONS` standard deviations more. The
    /// probability that this is exceeded is 1 in 3,000 if half of the high parity is free.
    fn hidden(&self) -> u32 {
        let significant = 20.0 + SIGNIFICANT_DEVIATIONS * f64::from(2 * self.other).sqrt();
        match self.shown {
            Shown::Low if self.may_be_mixed => self.low.min(self.other + significant as u32),
            Shown::All if self.may_be_mixed => {
                self.other + self.low.min(self.other + significant as u32)
            }
            _ => 0,
        }
    }

    fn can_be_judged_by_order(self) -> bool {
        !self.has_low_left && self.low.min(self.other) >= MIN_ORDERED / 2
    }
}
