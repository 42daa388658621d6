//! The few parties that have most of something, kept in place: thirty thousand destinations with a
//! list each on the heap cost more than to count them.

use std::{cmp::Reverse, ops::Deref};

use crate::domain::Party;

/// How many are kept.
pub const MOST_OWNERS: usize = 4;

/// Parties and their sockets, most first, of equals the lower party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foremost {
    rows: [(Party, u32); MOST_OWNERS],
    length: u8,
}

impl Foremost {
    /// A party is inserted once, with all its sockets.
    pub fn insert(&mut self, party: Party, sockets: u32) {
        let rank = |&(party, sockets): &(Party, u32)| (Reverse(sockets), party);
        let new = (party, sockets);
        let place = self.partition_point(|row| rank(row) < rank(&new));
        if place < MOST_OWNERS {
            self.rows[place..].rotate_right(1);
            self.rows[place] = new;
            self.length = (self.length + 1).min(MOST_OWNERS as u8);
        }
    }
}

impl Default for Foremost {
    fn default() -> Self {
        Self { rows: [(Party::NotAsked, 0); MOST_OWNERS], length: 0 }
    }
}

impl Deref for Foremost {
    type Target = [(Party, u32)];

    fn deref(&self) -> &Self::Target {
        &self.rows[..usize::from(self.length)]
    }
}

impl FromIterator<(Party, u32)> for Foremost {
    fn from_iter<I: IntoIterator<Item = (Party, u32)>>(parties: I) -> Self {
        let mut foremost = Self::default();
        parties.into_iter().for_each(|(party, sockets)| foremost.insert(party, sockets));
        foremost
    }
}
