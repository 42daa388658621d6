//! Strategy `linux-connect`: the search of Linux's connect() for a local port
//! (`__inet_hash_connect`, 5.19 and later). This is a model: it tries each candidate with bind(),
//! which fails for some ports that connect() could use.
//!
//! offset = F(destination, key) + table\[slot\]. From this offset, the search visits the ports of
//! low parity, that of the range's first port, in steps of 2, and then those of high parity. When a
//! port is bound, the slot's counter grows by 2, plus the distance searched or a random even number
//! from 0 to 14, whichever is larger. If no port is in use, an observer sees steps of 2 to 16,
//! which leave 3 bits to guess. The kernel's F also depends on the time, and changes every 10
//! seconds (`EPHEMERAL_PORT_SHUFFLE_PERIOD`); here, without a clock, F never changes.
//!
//! If the range has an odd number of ports, the search skips one of them. It skips the last port of
//! the range if it starts at the first port, and the first port otherwise.

use rand::{Rng, RngExt};

use crate::allocator::{Candidates, Strategy, hash::keyed, strategy::StrategyContext};

/// Number of slots, `INET_TABLE_PERTURB_SIZE`.
const SLOTS: usize = 1 << 16;

/// Distance between consecutive ports of one parity.
const STEP: u32 = 2;

#[derive(Default)]
pub struct LinuxConnect {
    /// Key of F, drawn once at random; `None` before the first allocation.
    key: Option<u64>,
    /// `table_perturb`, filled at random as in the kernel; empty before the first allocation.
    table: Vec<u32>,
    slot: usize,
    /// Start of the search within the current parity, as a distance from the range's first port.
    offset: u32,
    /// Distance from `offset` to the next port to try.
    walked: u32,
    /// Whether the search has reached the ports of high parity.
    on_second_parity: bool,
    /// Minimum growth of the counter, without the `STEP` that is always added.
    noise: u32,
}

/// Returns the number of candidates that a search tries: all or, if the range has an odd number of
/// ports and its first port is a candidate, all but this port. A search that starts at the first
/// port skips the last port of the range instead.
pub fn attempt_limit(candidates: &Candidates) -> u32 {
    let range = candidates.range();
    let is_left_out = range.len() > 1 && range.len() % 2 == 1;
    candidates.len() - u32::from(is_left_out && candidates.contains(range.first()))
}

impl LinuxConnect {
    /// Returns the number of ports after which the search wraps around. It is even, or 1 if the
    /// range has one port.
    fn span(context: &StrategyContext<'_>) -> u32 {
        let length = context.candidates.range().len();
        if length > 1 { length & !1 } else { length }
    }
}

impl Strategy for LinuxConnect {
    fn begin(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) {
        if self.table.is_empty() {
            self.table = (0..SLOTS).map(|_| random.random()).collect();
        }
        let hashed = keyed(*self.key.get_or_insert_with(|| random.random()), context.destination);
        self.slot = hashed as usize % SLOTS;
        let start = self.table[self.slot].wrapping_add((hashed >> 32) as u32);
        self.offset = (start % Self::span(context)) & !1;
        (self.walked, self.on_second_parity) = (0, false);
        self.noise = random.random_range(0..8) * STEP;
    }

    fn next(&mut self, context: &StrategyContext<'_>, _: &mut dyn Rng) -> Option<u16> {
        let (span, range) = (Self::span(context), context.candidates.range());
        loop {
            if self.walked >= span {
                if self.on_second_parity || span == 1 {
                    return None;
                }
                (self.on_second_parity, self.walked) = (true, 0);
                self.offset += 1;
            }
            let distance = self.offset + self.walked;
            let round = if distance < range.len() { 0 } else { span };
            let port = range.first() + (distance - round) as u16;
            self.walked += STEP;
            if context.candidates.contains(port) {
                return Some(port);
            }
        }
    }

    fn bound(&mut self, _: u16) {
        let walked = self.walked.saturating_sub(STEP);
        let counter = &mut self.table[self.slot];
        *counter = counter.wrapping_add(walked.max(self.noise) + STEP);
    }
}
