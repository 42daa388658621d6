//! Lists of sockets: the columns by which they are sorted, and groups of sockets. Does not filter,
//! and does not know where a list is shown.

mod group_name;
mod groups;
mod owner_name;
mod ranking;

use crate::domain::{ProcessTable, Snapshot};

pub use groups::{GroupBy, GroupColumn, GroupId, GroupOrder, RowGroup};
pub use owner_name::OwnerName;
pub use ranking::{Ranking, SocketColumn, SocketOrder, SortKey};

/// What a list is computed from: sockets, and the processes that own them.
#[derive(Clone, Copy, Debug)]
pub struct ListingSource<'a> {
    pub snapshot: &'a Snapshot,
    pub processes: &'a ProcessTable,
}

impl ListingSource<'_> {
    /// Returns the indexes of all sockets of the snapshot in this order. Sockets of equal rank stay
    /// in the order of the snapshot.
    pub fn sorted(self, order: SocketOrder) -> Vec<u32> {
        let ranking = Ranking::of(order.column, self);
        let sockets = (0..).zip(&self.snapshot.sockets);
        let keys = sockets.map(|(index, socket): (u32, _)| {
            (ranking.key(self.snapshot, socket, None, u64::from(index)), index)
        });
        let mut keys: Vec<(SortKey, u32)> = keys.collect();
        keys.sort_unstable_by_key(|&(key, _)| key);
        let mut indexes: Vec<u32> = keys.into_iter().map(|(_, index)| index).collect();
        if order.is_reversed {
            indexes.reverse();
        }
        indexes
    }
}
