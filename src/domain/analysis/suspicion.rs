//! Finds ports that were bound before connect(), by the order in which the kernel assigns ports.
//! The result is a suspicion, not a proof.
//!
//! For each destination, connect() searches upwards from a random port. It takes ports of the
//! parity of the range's first port (the low parity) until they are used up
//! (`__inet_hash_connect`). bind(0) starts at a random port and tries the high parity first
//! (`inet_csk_find_open_port`). bind(0) skips ports with a conflicting socket. Inodes show the order
//! in which sockets were created (`inode_batch`).

use crate::domain::{
    DestinationUse, OwnerKey, PortRange, PortSet, RangeUse, Socket, State,
    analysis::{
        destinations::{Connection, Destinations},
        owners::OwnerTable,
        ranges::PortState,
    },
    ephemeral::TupleReuse,
    socket::inode_batch,
};

/// Minimum number of ports of each parity to judge their order.
const MIN_PER_PARITY: u32 = 8;
/// With at most this number of ports of the high parity, parity alone is not significant, even if
/// no port of the low parity is in use.
const MAX_INSIGNIFICANT: u32 = 16;
/// Number of standard deviations above which a difference is treated as significant.
const SIGNIFICANT_DEVIATIONS: f64 = 4.0;
/// Minimum share, 0 to 1, of all pairs of a low-parity and a high-parity port in which the
/// high-parity port is older.
const MIN_OLDER_SHARE: f64 = 0.9;
/// From this number of batches on, the inodes of all batches are compared; with fewer, only those
/// within a batch.
const MIN_BATCHES: usize = 8;

/// Connected TCP sockets of the range, sorted by port.
#[derive(Default)]
pub(super) struct Clients {
    pub rows: Vec<ClientPort>,
}

pub(super) struct ClientPort {
    /// Index into `Destinations::pairs`.
    pub pair: u32,
    pub port: u16,
    pub is_low: bool,
    /// Whether no other socket uses the port. bind(0) usually requires this; connect() does not.
    pub is_alone: bool,
    /// Whether the port is in `Analysis::numbered`.
    pub is_numbered: bool,
    pub reuse: TupleReuse,
    /// None for TIME-WAIT and orphaned sockets.
    pub inode: Option<u32>,
    /// Milliseconds until TIME-WAIT ends; None: not in TIME-WAIT, or unknown.
    pub expires_ms: Option<u32>,
}

impl Clients {
    pub fn add(&mut self, port: &PortState, socket: &Socket, connection: &Connection) {
        self.rows.push(ClientPort {
            pair: connection.pair,
            port: port.number,
            is_low: port.is_low,
            is_alone: port.sockets == 1,
            is_numbered: port.is_numbered,
            reuse: connection.reuse,
            inode: socket.inode,
            expires_ms: socket.expires_ms.filter(|_| socket.state == State::TimeWait),
        });
    }

    /// Returns the clients to judge: each is alone on its port, which is not in
    /// `Analysis::numbered`.
    fn alone(&self) -> impl Iterator<Item = &ClientPort> {
        self.rows.iter().filter(|client| client.is_alone && !client.is_numbered)
    }
}

/// The input of [`Suspicion::judge`].
pub(super) struct Suspicion<'a> {
    pub clients: &'a Clients,
    pub owners: &'a OwnerTable<'a>,
    pub range: &'a RangeUse,
}

/// Sockets that are judged together: those of an owner to one destination, or to all destinations
/// to which the owner has few sockets.
#[derive(Clone, Default)]
struct SocketGroup {
    owner_key: u32,
    low: u32,
    other: u32,
    /// At least a quarter of the low parity is left, so connect() does not take the high parity
    /// yet.
    has_low_left: bool,
    /// At most an eighth of the destination's used ports is in TIME-WAIT. Most ports are therefore
    /// in use for the first time, and their order is the order in which the kernel chose them.
    is_fresh: bool,
}

/// The verdict on a group, or on all sockets of an owner.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum OrderVerdict {
    #[default]
    None,
    /// Only the ports of the high parity were bound before connect().
    Other,
    /// All ports were bound before connect().
    All,
}

/// A socket and its place in the order of creation.
#[derive(Clone, Copy)]
pub(super) struct CreatedSocket {
    pub group: u32,
    /// Whether the socket has an inode.
    pub is_live: bool,
    /// The inode, or another number that is larger for newer sockets.
    pub inode: u32,
    pub port: u16,
    pub is_low: bool,
}

const NO_GROUP: u32 = u32::MAX;

impl Suspicion<'_> {
    /// Returns the suspected ports, and subtracts them from the reusable ports of their
    /// destinations.
    pub fn judge(&self, destinations: &mut Destinations) -> PortSet {
        let (groups, group_of) = self.group(destinations);
        let verdicts = self.verdicts(&groups, &group_of);
        let mut of_owners = vec![OrderVerdict::None; self.owners.len()];
        for (group, &verdict) in groups.iter().zip(&verdicts) {
            let of_owner = &mut of_owners[group.owner_key as usize];
            *of_owner = verdict.max(*of_owner);
        }
        let mut suspected = PortSet::default();
        for client in self.clients.alone() {
            let pair = client.pair as usize;
            let verdict = if client.inode.is_some() {
                verdicts.get(group_of[pair] as usize)
            } else {
                // The socket was closed by its process: the verdict on the owner decides.
                of_owners.get(destinations.pairs[pair].owner_key as usize)
            };
            if verdict.copied().unwrap_or_default().includes(client) {
                suspected.insert(client.port);
                if client.reuse != TupleReuse::No {
                    destinations.row_of(client.pair).usage.reusable -= 1;
                }
            }
        }
        suspected
    }

    /// Returns the groups, and for each pair the index of its group or `NO_GROUP`.
    fn group(&self, destinations: &Destinations) -> (Vec<SocketGroup>, Vec<u32>) {
        let pairs = &destinations.pairs;
        let mut counts = vec![(0, 0); pairs.len()];
        for client in self.clients.alone().filter(|client| client.inode.is_some()) {
            let (low, other) = &mut counts[client.pair as usize];
            *if client.is_low { low } else { other } += 1;
        }
        let mut groups: Vec<SocketGroup> = Vec::new();
        let mut group_of_few = vec![NO_GROUP; self.owners.len()];
        let group_indexes = (0..).zip(pairs).zip(counts).map(|((index, pair), (low, other))| {
            let group = SocketGroup::of(pair.owner_key, (low, other), destinations.usage_of(index));
            let owner_key = self.owners.owner_key(pair.owner_key);
            let is_one_holder =
                matches!(owner_key, OwnerKey::Process(_) | OwnerKey::Hidden(Some(_)));
            let can_be_judged = group.has_low_left || group.can_be_judged_by_order();
            if !is_one_holder || !can_be_judged {
                return NO_GROUP;
            }
            let group_of_few = &mut group_of_few[pair.owner_key as usize];
            let is_few = group.has_low_left && group.other <= MAX_INSIGNIFICANT;
            if let Some(all) = groups.get_mut(*group_of_few as usize).filter(|_| is_few) {
                (all.low, all.other) = (all.low + low, all.other + other);
                return *group_of_few;
            }
            groups.push(group);
            let index = groups.len() as u32 - 1;
            if is_few {
                *group_of_few = index;
            }
            index
        });
        let group_indexes = group_indexes.collect();
        (groups, group_indexes)
    }

    fn verdicts(&self, groups: &[SocketGroup], group_of: &[u32]) -> Vec<OrderVerdict> {
        let mut verdicts: Vec<OrderVerdict> =
            groups.iter().map(|group| self.by_parity(group)).collect();
        let is_open = |index: u32| {
            let group = groups.get(index as usize)?;
            let is_open =
                verdicts[index as usize] != OrderVerdict::None || group.can_be_judged_by_order();
            is_open.then_some(index)
        };
        let created = self.clients.alone().filter_map(|client| {
            let group = is_open(group_of[client.pair as usize])?;
            let ClientPort { port, is_low, .. } = *client;
            Some(CreatedSocket { group, is_live: true, inode: client.inode?, port, is_low })
        });
        let mut created: Vec<CreatedSocket> = created.collect();
        created.sort_unstable_by_key(|created| {
            u64::from(created.group) << 32 | u64::from(created.inode)
        });
        for created in created.chunk_by(|a, b| a.group == b.group) {
            let verdict = &mut verdicts[created[0].group as usize];
            let others =
                created.iter().filter(|created| !created.is_low).map(|created| created.port);
            if is_ascending(others, self.range.range) {
                *verdict = OrderVerdict::None;
            } else if *verdict == OrderVerdict::None && is_other_first(created) {
                *verdict = OrderVerdict::All;
            }
        }
        verdicts
    }

    /// Judges by parity: connect() does not take more ports of the high parity than of the low
    /// parity before the low parity is used up.
    fn by_parity(&self, group: &SocketGroup) -> OrderVerdict {
        let (low, other) = (f64::from(group.low), f64::from(group.other));
        let excess = (other - low) / (other + low).sqrt();
        // `excess` is NaN if the group has no ports.
        if !group.has_low_left || excess.is_nan() || excess <= SIGNIFICANT_DEVIATIONS {
            return OrderVerdict::None;
        }
        // bind(0) takes the low parity only if it finds no free port of the high parity.
        let size = self.range.size - self.range.low_parity_size;
        let occupied = self.range.occupied - self.range.low_parity_occupied;
        if occupied * 4 >= size * 3 { OrderVerdict::All } else { OrderVerdict::Other }
    }
}

/// Returns whether the ports ascend as with connect(): more than three quarters of the steps from
/// one port to the next are at most a quarter of the range. With random ports, a quarter of the
/// steps are that short, or half of them in a small range that is nearly full.
pub(super) fn is_ascending(mut ports: impl Iterator<Item = u16>, range: PortRange) -> bool {
    let length = range.len();
    let Some(mut before) = ports.next().map(u32::from) else { return false };
    let (mut steps, mut short) = (0, 0);
    for port in ports.map(u32::from) {
        let step = (port + length - before) % length;
        (steps, short, before) = (steps + 1, short + u32::from(step * 4 <= length), port);
    }
    short * 4 > steps * 3
}

impl SocketGroup {
    fn of(owner_key: u32, (low, other): (u32, u32), usage: &DestinationUse) -> Self {
        let has_low_left = usage.low_parity_available() * 4 >= usage.low_parity_capacity;
        let is_fresh = usage.time_wait * 8 <= usage.used;
        Self { owner_key, low, other, has_low_left, is_fresh }
    }

    /// Returns whether the group can be judged by the order of its ports: enough ports of both
    /// parities are in use, and few ports of the destination are in TIME-WAIT.
    fn can_be_judged_by_order(&self) -> bool {
        self.other >= MIN_PER_PARITY && self.low >= MIN_PER_PARITY && self.is_fresh
    }
}

impl OrderVerdict {
    fn includes(self, client: &ClientPort) -> bool {
        match self {
            Self::None => false,
            Self::Other => !client.is_low,
            Self::All => true,
        }
    }
}

/// Returns whether the ports of the high parity are older, over all sockets or within each batch. A
/// connecting process that moved to another CPU is not misjudged: the caller excludes ports that
/// ascend.
fn is_other_first(created: &[CreatedSocket]) -> bool {
    let whole = RankSum::of(created);
    whole.inversions == 0.0 || whole.is_other_first() || RankSum::by_batch(created).is_other_first()
}

/// Splits sockets that are sorted by inode into the batches of inodes.
fn batches(created: &[CreatedSocket]) -> impl Iterator<Item = &[CreatedSocket]> {
    created.chunk_by(|a, b| inode_batch(a.inode) == inode_batch(b.inode))
}

/// Rank-sum test (Mann-Whitney) of whether the ports of one parity are older. The sums of several
/// batches are added (van Elteren).
#[derive(Clone, Copy, Default)]
pub(super) struct RankSum {
    /// Number of pairs of a low-parity and a high-parity port.
    pairs: f64,
    /// Number of pairs in which the low-parity port is older.
    inversions: f64,
    /// Variance of `inversions` if the order is random.
    variance: f64,
}

impl RankSum {
    pub fn of<'a>(created: impl IntoIterator<Item = &'a CreatedSocket>) -> Self {
        let (mut low, mut other, mut inversions) = (0u64, 0u64, 0u64);
        for created in created {
            if created.is_low {
                low += 1;
            } else {
                (other, inversions) = (other + 1, inversions + low);
            }
        }
        let (low, other) = (low as f64, other as f64);
        let pairs = low * other;
        let variance = pairs * (low + other + 1.0) / 12.0;
        Self { pairs, inversions: inversions as f64, variance }
    }

    /// Ranks within each batch. `created` must be sorted by inode. A process that moved to another
    /// CPU may get inodes of an older batch, so only the sockets of one batch are in order.
    fn by_batch(created: &[CreatedSocket]) -> Self {
        let mut sum = Self::default();
        for ranks in batches(created).map(Self::of) {
            sum.pairs += ranks.pairs;
            sum.inversions += ranks.inversions;
            sum.variance += ranks.variance;
        }
        sum
    }

    /// Ranks by inode: within each batch, or over all sockets if there are many batches.
    pub fn by_inode(created: &[CreatedSocket]) -> Self {
        if batches(created).count() < MIN_BATCHES {
            Self::by_batch(created)
        } else {
            Self::of(created)
        }
    }

    /// Returns whether the ports of the low parity are older, as after connect().
    pub fn is_low_first(self) -> bool {
        Self { inversions: self.pairs - self.inversions, ..self }.is_other_first()
    }

    fn is_other_first(self) -> bool {
        let excess = self.pairs / 2.0 - self.inversions;
        excess > SIGNIFICANT_DEVIATIONS * self.variance.sqrt()
            && self.inversions <= (1.0 - MIN_OLDER_SHARE) * self.pairs
    }
}
