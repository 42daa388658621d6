//! Backend of a lab: occupancies in memory, or the host. Starts no thread.

use std::time::Duration;

use crate::{
    allocator::{
        Candidates,
        lab::{LabConfig, SimulatedLab},
    },
    domain::Text,
    engine::{LabReport, LabSetup, LabTarget, lab::machine::MachineLab, permit},
    host::Host,
};

/// Maximum number of simulated attempts between two checks of the requests.
const BATCH: u32 = 1 << 14;
/// Maximum number of real attempts between two checks of the requests.
const REAL_BATCH: u32 = 1 << 8;

pub enum LabBackend {
    /// A lab in memory, and the number of candidates.
    Simulated(SimulatedLab, u32),
    /// A lab that calls bind() on the host.
    Machine(Box<MachineLab>),
}

impl LabBackend {
    /// Prepares a lab.
    ///
    /// Errors, as text: no strategy is selected or can take part, no candidate can be bound, the
    /// host's policy could not be read, or sockets could not be created or listed.
    pub fn prepare(host: &dyn Host, setup: &LabSetup) -> Result<Self, Text> {
        let config = config(setup);
        if config.strategies.is_empty() {
            return Err(Text::scrub("no strategy is selected"));
        }
        let count = permit::candidates(setup.range, &setup.reserved)?.len();
        Ok(match setup.target {
            LabTarget::Simulated { pattern, share } => {
                let mut lab = SimulatedLab::new(&config, pattern, occupied(share, count));
                lab.prepare(0);
                Self::Simulated(lab, count)
            }
            LabTarget::Machine => {
                Self::Machine(Box::new(MachineLab::new(host, config, setup.address)?))
            }
        })
    }

    /// Returns the number of attempts to make before the next check of the requests.
    pub fn batch(&self) -> u32 {
        match self {
            Self::Simulated(..) => BATCH,
            Self::Machine(_) => REAL_BATCH,
        }
    }

    /// Returns the number of runs that all strategies have completed.
    pub fn runs(&self) -> u64 {
        match self {
            Self::Simulated(lab, _) => lab.runs(),
            Self::Machine(lab) => lab.runs(),
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
            Self::Simulated(lab, _) => lab.advance(budget, until, clock),
            Self::Machine(lab) => lab.advance(budget, until, clock)?,
        }
        Ok(())
    }

    /// Makes a part of the preparations for `step`. Returns false if more is to be prepared.
    pub fn prepare_step(&mut self) -> bool {
        match self {
            Self::Simulated(lab, _) => lab.prepare(BATCH),
            Self::Machine(_) => true,
        }
    }

    /// Makes one attempt for each strategy whose allocation is in progress.
    ///
    /// Errors, as text: as for `advance`.
    pub fn step(&mut self) -> Result<(), Text> {
        match self {
            Self::Simulated(lab, _) => lab.step(),
            Self::Machine(lab) => lab.step()?,
        }
        Ok(())
    }

    /// Returns the state of the lab. The caller sets `number`, `curve` and `is_running`.
    pub fn report(&self) -> LabReport {
        let (candidates, occupied, strategy_reports, limitation) = match self {
            Self::Simulated(lab, candidates) => (*candidates, lab.occupied(), lab.reports(), None),
            Self::Machine(lab) => {
                let (candidates, occupied) = lab.occupancy();
                (candidates, occupied, lab.reports(), lab.limitation())
            }
        };
        LabReport { candidates, occupied, strategy_reports, limitation, ..LabReport::default() }
    }
}

/// Returns the configuration of the lab, with a limit of at least one attempt and at least one
/// destination.
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

/// Returns this share (limited to 0 to 1) of the number of candidates, rounded.
pub fn occupied(share: f64, candidates: u32) -> u32 {
    (share.clamp(0.0, 1.0) * f64::from(candidates)).round() as u32
}
