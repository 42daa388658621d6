//! Strategy `double-hash`: RFC 6056, section 3.3.4, algorithm 4, which Linux 5.12 adopted.
//!
//! offset = F(destination, key 1); slot = G(destination, key 2) % 256; port = min + (offset +
//! table\[slot\]) % N, where N is the number of candidates. Each attempt increments the slot's
//! counter, so that an allocation for one destination affects the next port of another only if they
//! share a slot.

use rand::{Rng, RngExt};

use crate::allocator::{Strategy, hash::keyed, strategy::StrategyContext};

/// Number of counters in the table, as in Linux 5.12.
const SLOTS: usize = 256;

#[derive(Default)]
pub struct DoubleHash {
    /// Keys of F and G, drawn once at random; `None` before the first allocation.
    keys: Option<[u64; 2]>,
    /// Counters by slot, initialized at random; empty before the first allocation.
    table: Vec<u32>,
    offset: u32,
    slot: usize,
}

impl Strategy for DoubleHash {
    fn begin(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) {
        let count = context.candidates.len();
        if self.table.is_empty() {
            self.table = (0..SLOTS).map(|_| random.random_range(0..count)).collect();
        }
        let [first, second] = *self.keys.get_or_insert_with(|| random.random());
        self.offset = keyed(first, context.destination) as u32 % count;
        self.slot = keyed(second, context.destination) as usize % SLOTS;
    }

    fn next(&mut self, context: &StrategyContext<'_>, _: &mut dyn Rng) -> Option<u16> {
        let count = context.candidates.len();
        let counter = &mut self.table[self.slot];
        let number = (self.offset + *counter) % count;
        *counter = (*counter + 1) % count;
        Some(context.candidates.nth(number))
    }
}
