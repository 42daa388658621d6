//! Strategy `hash`: RFC 6056, section 3.3.3, algorithm 3 (simple hash-based selection).
//!
//! offset = F(destination, key); port = min + (next + offset) % N, where N is the number of
//! candidates. `next` is one counter for all destinations; each attempt increments it. The ports of
//! one destination ascend, but they do not reveal the offsets of other destinations.

use rand::{Rng, RngExt};

use crate::allocator::{Strategy, strategy::StrategyContext};

#[derive(Default)]
pub struct Hash {
    /// Drawn once at random; `None` before the first allocation.
    key: Option<u64>,
    next: u32,
    offset: u32,
}

impl Strategy for Hash {
    fn begin(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) {
        let key = *self.key.get_or_insert_with(|| random.random());
        self.offset = keyed(key, context.destination) as u32 % context.candidates.len();
    }

    fn next(&mut self, context: &StrategyContext<'_>, _: &mut dyn Rng) -> Option<u16> {
        let count = context.candidates.len();
        let number = (self.next + self.offset) % count;
        self.next = (self.next + 1) % count;
        Some(context.candidates.nth(number))
    }
}

/// Returns a keyed hash of a destination: the finalizer of SplitMix64 (Steele, Lea, Flood 2014). It
/// is good enough for the lab. A real system needs a cryptographic hash, which resists attacks.
pub fn keyed(key: u64, destination: u32) -> u64 {
    let mut mixed = key ^ u64::from(destination).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
