//! The owners with most sockets, stored inline. A heap-allocated list for each of 30,000
//! destinations took longer than counting their sockets.

use std::{cmp::Reverse, ops::Deref};

use crate::domain::OwnerKey;

/// Number of owners that are kept.
pub const MAX_OWNERS: usize = 4;

/// Owners and their numbers of sockets, sorted by that number in descending order, then by owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopOwners {
    rows: [(OwnerKey, u32); MAX_OWNERS],
    length: u8,
}

impl TopOwners {
    /// Inserts an owner with all its sockets. An owner must be inserted only once.
    pub fn insert(&mut self, owner_key: OwnerKey, sockets: u32) {
        let rank = |&(owner_key, sockets): &(OwnerKey, u32)| (Reverse(sockets), owner_key);
        let new = (owner_key, sockets);
        let index = self.partition_point(|row| rank(row) < rank(&new));
        if index < MAX_OWNERS {
            self.rows[index..].rotate_right(1);
            self.rows[index] = new;
            self.length = (self.length + 1).min(MAX_OWNERS as u8);
        }
    }
}

impl Deref for TopOwners {
    type Target = [(OwnerKey, u32)];

    fn deref(&self) -> &Self::Target {
        &self.rows[..usize::from(self.length)]
    }
}
