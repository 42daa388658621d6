//! Backend of a lab: occupancies in memory, or the host. Starts no thread.

use std::time::Duration;

use crate::{
    allocator::{
        Candidates,
        lab::{LabConfig, SimulatedLab, StrategyColumn},
    },
    domain::Text,
    engine::{
        LabSetup, LabTarget,
        lab::machine::MachineLab,
        message::{Finished, LabReport, StrategyReport},
    },
    host::Host,
};

/// Number of simulated attempts between two checks of the requests.
const BATCH: u32 = 1 << 14;
/// Number of real attempts between two checks of the requests.
const REAL_BATCH: u32 = 1 << 8;

pub enum LabBackend {
    Simulated(SimulatedLab, u32),
    Machine(Box<MachineLab>),
}

impl LabBackend {
    /// Prepares a lab.
    ///
    /// Errors, as text: no strategy was given, no port may be tried, or sockets could not be
    /// created or listed.
    pub fn prepare(host: &dyn Host, setup: &LabSetup) -> Result<Self, Text> {
        let config = config(setup);
        let count = config.candidates.len();
        if config.strategies.is_empty() {
            return Err(Text::scrub("no strategy is selected"));
        }
        if count == 0 {
            return Err(Text::scrub(format!("all ports of {} are reserved", setup.range)));
        }
        Ok(match setup.target {
            LabTarget::Simulated { pattern, share } => {
                let mut simulated_lab = SimulatedLab::new(&config, pattern, occupied(share, count));
                simulated_lab.prepare(0);
                Self::Simulated(simulated_lab, count)
            }
            LabTarget::Machine => {
                Self::Machine(Box::new(MachineLab::new(host, config, setup.address)?))
            }
        })
    }

    /// Returns a number of attempts that is small enough for requests to be handled soon.
    pub fn batch(&self) -> u32 {
        match self {
            Self::Simulated(..) => BATCH,
            Self::Machine(_) => REAL_BATCH,
        }
    }

    pub fn runs(&self) -> u64 {
        match self {
            Self::Simulated(simulated_lab, _) => simulated_lab.runs(),
            Self::Machine(simulated_lab) => simulated_lab.runs(),
        }
    }

    /// Makes about `budget` attempts. Stops earlier if `until` runs in total are complete.
    ///
    /// Errors, as text: the sockets of the host could no longer be listed.
    pub fn advance(
        &mut self,
        budget: u32,
        until: u64,
        clock: &dyn Fn() -> Duration,
    ) -> Result<(), Text> {
        match self {
            Self::Simulated(simulated_lab, _) => simulated_lab.advance(budget, until, clock),
            Self::Machine(simulated_lab) => simulated_lab.advance(budget, until, clock)?,
        }
        Ok(())
    }

    /// Prepares a `step`; returns false if there is more to prepare.
    pub fn prepare_step(&mut self) -> bool {
        match self {
            Self::Simulated(simulated_lab, _) => simulated_lab.prepare(BATCH),
            Self::Machine(_) => true,
        }
    }

    /// Makes one attempt for each strategy whose allocation is in progress.
    pub fn step(&mut self) -> Result<(), Text> {
        match self {
            Self::Simulated(simulated_lab, _) => simulated_lab.step(),
            Self::Machine(simulated_lab) => simulated_lab.step()?,
        }
        Ok(())
    }

    /// Returns the state of the lab. The caller sets `number`, `curve` and `is_running`.
    pub fn report(&self) -> LabReport {
        let (candidates, occupied, columns, limitation) = match self {
            Self::Simulated(simulated_lab, candidates) => {
                (*candidates, simulated_lab.occupied(), simulated_lab.columns(), None)
            }
            Self::Machine(simulated_lab) => {
                let (candidates, occupied) = simulated_lab.occupancy();
                (candidates, occupied, simulated_lab.columns(), simulated_lab.limitation())
            }
        };
        LabReport {
            candidates,
            occupied,
            strategy_reports: columns.into_iter().map(strategy_report).collect(),
            limitation,
            ..LabReport::default()
        }
    }
}

pub fn config(setup: &LabSetup) -> LabConfig {
    LabConfig {
        strategies: setup.strategies.clone(),
        candidates: Candidates::new(setup.range, &setup.reserved),
        protocols: setup.protocols,
        max_attempts: setup.max_attempts.max(1),
        seed: setup.seed,
        destinations: setup.destinations.max(1),
        tuning: setup.tuning,
    }
}

/// Returns the number of candidates that corresponds to this share.
pub fn occupied(share: f64, candidates: u32) -> u32 {
    (share.clamp(0.0, 1.0) * f64::from(candidates)).round() as u32
}

fn strategy_report(column: StrategyColumn) -> StrategyReport {
    let StrategyColumn { strategy, figures, ports, last_attempts, last } = column;
    let number = figures.runs;
    let last = last.map(|end| Finished { number, attempts: end.attempts, port: end.port });
    StrategyReport { strategy, figures, ports, last_attempts, last }
}
