//! Runs a strategy alone on an occupancy that the test defines. Uses no allocator and no binder.

#![allow(dead_code, reason = "each test binary uses a part of this file")]

use std::collections::BTreeSet;

use portscope::{
    allocator::{AllocatorRow, Candidates, FreePorts, Strategy, Tuning, strategy::StrategyContext},
    domain::PortRange,
};
use rand::{SeedableRng, rngs::ChaCha8Rng};

/// Attempts after which an allocation gives up.
pub const TIMEOUT: usize = 5_000;

pub struct StrategyHarness {
    strategy: Box<dyn Strategy>,
    random: ChaCha8Rng,
    pub candidates: Candidates,
    pub destination: u32,
    /// Ports in use that a snapshot shows.
    pub occupied: BTreeSet<u16>,
    /// Ports in use that a snapshot does not show.
    pub unlisted: BTreeSet<u16>,
}

/// The `count` ports from 50000 on.
pub fn every(count: u16) -> PortRange {
    PortRange::new(50_000, 49_999 + count).unwrap()
}

pub fn all(candidates: &Candidates) -> Vec<u16> {
    candidates.ports().collect()
}

impl StrategyHarness {
    pub fn new(name: &str, count: u16, seed: u64) -> Self {
        Self::tuned(name, count, seed, Tuning::default())
    }

    pub fn of(name: &str, candidates: Candidates, seed: u64) -> Self {
        Self { candidates, ..Self::new(name, 1, seed) }
    }

    pub fn tuned(name: &str, count: u16, seed: u64, tuning: Tuning) -> Self {
        Self {
            strategy: (AllocatorRow::named(name).unwrap().make)(tuning),
            random: ChaCha8Rng::seed_from_u64(seed),
            candidates: Candidates::new(every(count), &[]),
            destination: 0,
            occupied: BTreeSet::new(),
            unlisted: BTreeSet::new(),
        }
    }

    /// Returns the ports that an allocation tries if none is free, at most `most`.
    pub fn attempts(&mut self, most: usize) -> Vec<u16> {
        self.search(most, |_| false).0
    }

    /// Returns the ports that were tried, and the port that was allocated; None: the allocation
    /// gave up.
    pub fn allocate(&mut self) -> (Vec<u16>, Option<u16>) {
        let taken: BTreeSet<u16> = self.occupied.union(&self.unlisted).copied().collect();
        self.search(TIMEOUT, |port| port > 0 && !taken.contains(&port))
    }

    fn search(&mut self, most: usize, is_free: impl Fn(u16) -> bool) -> (Vec<u16>, Option<u16>) {
        let Self { strategy, random, candidates, destination, occupied, .. } = self;
        let port_view = FreePorts::without(occupied.iter().copied());
        let context =
            StrategyContext { candidates, port_view: &port_view, destination: *destination };
        strategy.begin(&context, random);
        let mut tried = Vec::new();
        while tried.len() < most
            && let Some(port) = strategy.next(&context, random)
        {
            tried.push(port);
            if is_free(port) {
                strategy.bound(port);
                return (tried, Some(port));
            }
        }
        (tried, None)
    }
}
