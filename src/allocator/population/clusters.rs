//! Draws alternating runs of occupied and free candidates, which may wrap around the end of the
//! range. Uses the candidates' numbers, not their ports.

use std::sync::Arc;

use rand::{Rng, RngExt};

use crate::allocator::{population::CLUSTER, theory::OccupiedRun};

/// Minimum mean number of free ports between two runs. If too few ports are free, there are fewer
/// and longer runs.
const GAP: u32 = 4;

/// Set of occupied numbers, out of the numbers from 0 to `numbers` - 1.
pub struct Clusters {
    numbers: u32,
    /// One bit per number.
    taken: Vec<u64>,
    runs: Arc<[OccupiedRun]>,
    /// Ends of the runs and of the gaps of the last draw, kept to reuse the buffers.
    cuts: [Vec<u32>; 2],
}

impl Clusters {
    /// Creates a set with all numbers free.
    pub fn new(numbers: u32) -> Self {
        let words = numbers.div_ceil(64) as usize;
        Self { numbers, taken: vec![0; words], runs: Arc::default(), cuts: Default::default() }
    }

    /// Returns whether this number is occupied.
    pub fn contains(&self, number: u32) -> bool {
        self.taken[number as usize / 64] >> (number % 64) & 1 == 1
    }

    /// Returns (length, 1) for each run.
    pub fn runs(&self) -> Arc<[OccupiedRun]> {
        Arc::clone(&self.runs)
    }

    /// Draws exactly `occupied` numbers, in runs with a mean length of about `CLUSTER`, or longer
    /// if `GAP` requires it. All combinations of lengths of runs and gaps with these totals are
    /// equally likely. All starts of the first run are equally likely too.
    pub fn draw(&mut self, occupied: u32, random: &mut impl Rng) {
        let free = self.numbers - occupied;
        self.taken.fill(0);
        if free == 0 || occupied == 0 {
            let all = if occupied > 0 { !0 } else { 0 };
            self.taken.fill(all);
            self.runs = if occupied > 0 { [(occupied, 1)].into() } else { Arc::default() };
            return;
        }
        let count = (occupied as f64 / f64::from(CLUSTER)).round() as u32;
        let count = count.min(free / GAP).max(1);
        let [lengths, gaps] = &mut self.cuts;
        compose(occupied, count, lengths, random);
        compose(free, count, gaps, random);
        let rotation = random.random_range(0..self.numbers);
        if self.runs.len() != count as usize {
            self.runs = vec![(0, 1); count as usize].into();
        }
        let (mut start, mut before) = (rotation, (0, 0));
        let runs = Arc::make_mut(&mut self.runs).iter_mut();
        for ((run, &end), &gap_end) in runs.zip(&self.cuts[0]).zip(&self.cuts[1]) {
            let (length, gap) = (end - before.0, gap_end - before.1);
            before = (end, gap_end);
            *run = (length, 1);
            fill(&mut self.taken, start, (start + length).min(self.numbers));
            fill(&mut self.taken, 0, (start + length).saturating_sub(self.numbers));
            start = (start + length + gap) % self.numbers;
        }
    }
}

/// Splits `total` at random into `parts` parts, none of them empty, and stores the end of each part
/// in `ends`. All such splits are equally likely.
fn compose(total: u32, parts: u32, ends: &mut Vec<u32>, random: &mut impl Rng) {
    ends.clear();
    let wanted = parts as usize - 1;
    while ends.len() < wanted {
        while ends.len() < wanted {
            ends.push(random.random_range(1..total));
        }
        // Removes duplicates; the outer loop draws them again.
        ends.sort_unstable();
        ends.dedup();
    }
    ends.push(total);
}

/// Sets the bits from `start` up to, but not including, `end`.
fn fill(taken: &mut [u64], start: u32, end: u32) {
    let mut at = start;
    while at < end {
        let (word, bit) = (at as usize / 64, at % 64);
        let count = (64 - bit).min(end - at);
        taken[word] |= (!0 >> (64 - count)) << bit;
        at += count;
    }
}
