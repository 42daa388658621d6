//! The parties with most sockets, stored inline. A heap-allocated list for each of 30,000
//! destinations took longer than counting their sockets.

use std::{cmp::Reverse, ops::Deref};

use crate::domain::Party;

/// Number of parties that are kept.
pub const MOST_OWNERS: usize = 4;

/// Parties and their numbers of sockets, sorted by that number in descending order, then by party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foremost {
    rows: [(Party, u32); MOST_OWNERS],
    length: u8,
}

impl Foremost {
    /// Inserts a party with all its sockets. A party must be inserted only once.
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
