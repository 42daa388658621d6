//! Measures mean attempts by occupancy, in memory, with the same pattern as the runs. Starts no
//! thread.

use std::time::Duration;

use crate::{
    allocator::{
        Pattern,
        lab::{LabConfig, SimulatedLab},
    },
    engine::{lab::backend::occupied, message::CurvePoint},
};

/// Number of runs per occupancy in one sweep.
const RUNS: u64 = 100;
/// Number of runs per occupancy in one sweep with `Pattern::Built`.
const RUNS_BUILT: u64 = 4;
/// Number of sweeps.
const SWEEPS: u32 = 5;

/// Shares of occupied candidates that are measured: steps of 5 %, and smaller ones at the steep
/// end.
const SHARES: [f64; 23] = [
    0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8,
    0.85, 0.9, 0.95, 0.97, 0.98, 0.99,
];

/// Sweeps several times from an empty range to a nearly full one.
pub struct Curve {
    config: LabConfig,
    pattern: Pattern,
    /// By share, then by strategy: the sum of the mean attempts of all sweeps, and the number of
    /// these means.
    sums: Vec<Vec<(f64, u32)>>,
    /// Number of completed sweeps.
    sweep: u32,
    /// Index into `SHARES` of the share being measured.
    at: usize,
    simulated_lab: Option<SimulatedLab>,
}

impl Curve {
    /// Creates a curve without points. `config.seed` is that of the runs.
    pub fn new(config: LabConfig, pattern: Pattern) -> Self {
        Self { config, pattern, sums: Vec::new(), sweep: 0, at: 0, simulated_lab: None }
    }

    /// Returns whether all sweeps are complete.
    pub fn is_done(&self) -> bool {
        self.sweep == SWEEPS
    }

    /// Returns whether every occupancy was measured at least once.
    pub fn is_whole(&self) -> bool {
        self.sweep > 0
    }

    /// Makes about `budget` attempts. Returns true if there is a new or a more precise point.
    pub fn advance(&mut self, budget: u32) -> bool {
        if self.is_done() {
            return false;
        }
        let runs = if self.pattern == Pattern::Built { RUNS_BUILT } else { RUNS };
        let simulated_lab = self.simulated_lab.get_or_insert_with(|| {
            let mut config = self.config.clone();
            // The offset makes the seed differ from those of the runs and of all other points.
            let seed_offset = (u64::from(self.sweep) + 1) * SHARES.len() as u64 + self.at as u64;
            config.seed = config.seed.wrapping_add(seed_offset);
            let count = occupied(SHARES[self.at], config.candidates.len());
            SimulatedLab::new(&config, self.pattern, count)
        });
        simulated_lab.advance(budget, runs, &|| Duration::ZERO);
        if simulated_lab.runs() < runs {
            return false;
        }
        if self.sums.len() == self.at {
            self.sums.push(vec![(0.0, 0); self.config.strategies.len()]);
        }
        for (sum, mean) in self.sums[self.at].iter_mut().zip(simulated_lab.means()) {
            if let Some(mean) = mean {
                *sum = (sum.0 + mean, sum.1 + 1);
            }
        }
        self.simulated_lab = None;
        self.at = (self.at + 1) % SHARES.len();
        self.sweep += u32::from(self.at == 0);
        true
    }

    /// Returns the points measured so far, ascending by share.
    pub fn points(&self) -> Vec<CurvePoint> {
        let mean = |&(sum, count): &(f64, u32)| (count > 0).then(|| sum / f64::from(count));
        let point = |(sums, &share): (&Vec<(f64, u32)>, &f64)| CurvePoint {
            share,
            means: sums.iter().map(mean).collect(),
        };
        self.sums.iter().zip(&SHARES).map(point).collect()
    }
}
