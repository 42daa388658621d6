//! Strategy `linux-connect`: how Linux's connect() searches a local port (`__inet_hash_connect`, 5.19
//! and later). A model: here each candidate is tried by a bind, which asks for more than a connect.
//!
//! offset = F(destination, key) + table\[slot\]; ports of the range's first parity from there on in
//! steps of 2, then those of the other one. The slot's counter then grows by what was searched, or by
//! a random even number of 0 to 14 if that is more, and 2: an observer sees steps of 2 to 16, which
//! leave him 3 bits. The kernel draws a new key each 10 seconds (`EPHEMERAL_PORT_SHUFFLE_PERIOD`); here,
//! where nobody reads a clock, it stays.
//!
//! A range with an odd number of ports has one port of the first parity more than steps are made:
//! the range's first port is not tried, or its last where the search begins at the first.

use rand::{Rng, RngExt};

use crate::allocator::{Strategy, hash::keyed, strategy::Surroundings};

/// `INET_TABLE_PERTURB_SIZE`.
const SLOTS: usize = 1 << 16;

/// Ports of one parity stand so far apart.
const STEP: u32 = 2;

#[derive(Default)]
pub struct LinuxConnect {
    /// Drawn once.
    key: Option<u64>,
    /// `table_perturb`; the kernel fills it by chance.
    table: Vec<u32>,
    slot: usize,
    /// Where the search of this parity begins, from the range's first port.
    offset: u32,
    /// How far it got.
    walked: u32,
    on_second_parity: bool,
    /// What the counter grows by at least, less one step.
    noise: u32,
}

impl LinuxConnect {
    /// What the search goes round: an even number of ports.
    fn span(about: &Surroundings<'_>) -> u32 {
        let length = about.candidates.range().len();
        if length > 1 { length & !1 } else { length }
    }
}

impl Strategy for LinuxConnect {
    fn begin(&mut self, about: &Surroundings<'_>, random: &mut dyn Rng) {
        if self.table.is_empty() {
            self.table = (0..SLOTS).map(|_| random.random()).collect();
        }
        let hashed = keyed(*self.key.get_or_insert_with(|| random.random()), about.destination);
        self.slot = hashed as usize % SLOTS;
        let start = self.table[self.slot].wrapping_add((hashed >> 32) as u32);
        self.offset = (start % Self::span(about)) & !1;
        (self.walked, self.on_second_parity) = (0, false);
        self.noise = random.random_range(0..8) * STEP;
    }

    fn next(&mut self, about: &Surroundings<'_>, _: &mut dyn Rng) -> Option<u16> {
        let (span, range) = (Self::span(about), about.candidates.range());
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
            if about.candidates.contains(port) {
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
