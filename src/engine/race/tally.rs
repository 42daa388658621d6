//! Counts the rounds of a race, and computes the expected number of stolen ports. Runs no race.

use std::time::Duration;

use crate::{
    allocator::theory,
    domain::Text,
    engine::message::{RaceBackend, RaceReport, Rounds},
    host::race_line::RoundReport,
};

#[derive(Debug, Default)]
pub struct RaceTally {
    backend: RaceBackend,
    /// Window and number of free ports of each round.
    rounds: Vec<(Duration, f64)>,
    stolen: u32,
    /// Rounds in which the kept socket was lost.
    lost: u32,
    refused: u32,
    bound: u64,
    /// Sum of all windows.
    open: Duration,
    pub failure: Option<Text>,
}

impl RaceTally {
    pub fn at(backend: RaceBackend) -> Self {
        Self { backend, ..Self::default() }
    }

    pub fn add(&mut self, round: &RoundReport) {
        self.rounds.push((round.window, round.free));
        self.stolen += u32::from(round.is_stolen);
        self.lost += u32::from(!round.is_kept);
        self.refused += u32::from(round.refused > 0);
        self.bound += u64::from(round.bound);
        self.open += round.window;
    }

    pub fn report(&self, is_over: bool) -> RaceReport {
        let rebound = Rounds { stolen: self.stolen, ..self.both() };
        RaceReport {
            // Set by the caller, which counts the races.
            number: 0,
            backend: self.backend.clone(),
            rebound,
            handed_over: Rounds { stolen: self.lost, refused: self.refused, ..rebound },
            failure: self.failure.clone(),
            is_over,
        }
    }

    /// Returns the statistics that are the same for closed and for kept ports.
    fn both(&self) -> Rounds {
        let count = self.rounds.len() as u32;
        if count == 0 {
            return Rounds::default();
        }
        let per_second = self.bound as f64 / self.open.as_secs_f64();
        let (mut expected, mut variance, mut free_sum) = (0.0, 0.0, 0.0);
        for &(window, free) in &self.rounds {
            let probability = theory::stolen_probability(per_second, window, free);
            expected += probability;
            variance += probability * (1.0 - probability);
            free_sum += free;
        }
        Rounds {
            count,
            expected,
            deviation: variance.sqrt(),
            window: self.open / count,
            competitor_per_second: per_second,
            free: free_sum / f64::from(count),
            ..Rounds::default()
        }
    }
}
