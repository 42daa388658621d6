//! Backend of a lab: occupancies in memory, or the host. Starts no thread.

use std::time::Duration;

use crate::{
    allocator::{
        Candidates,
        lab::{Contest, LabConfig, StrategyColumn},
    },
    domain::Text,
    engine::{
        LabSetup, LabSite,
        lab::machine::MachineContest,
        message::{Contender, Finished, LabReport},
    },
    host::Host,
};

/// Number of simulated attempts between two checks of the requests.
const BATCH: u32 = 1 << 14;
/// Number of real attempts between two checks of the requests.
const REAL_BATCH: u32 = 1 << 8;

pub enum LabBackend {
    Simulated(Contest, u32),
    Machine(Box<MachineContest>),
}

impl LabBackend {
    /// Prepares a lab.
    ///
    /// Errors, as text: no strategy was given, no port may be tried, or sockets could not be
    /// created or listed.
    pub fn prepare(host: &dyn Host, setup: &LabSetup) -> Result<Self, Text> {
        let terms = terms(setup);
        let count = terms.candidates.len();
        if terms.strategies.is_empty() {
            return Err(Text::scrub("no strategy is selected"));
        }
        if count == 0 {
            return Err(Text::scrub(format!("all ports of {} are reserved", setup.range)));
        }
        Ok(match setup.site {
            LabSite::Simulated { pattern, share } => {
                let mut contest = Contest::new(&terms, pattern, occupied(share, count));
                contest.prepare(0);
                Self::Simulated(contest, count)
            }
            LabSite::Machine => {
                Self::Machine(Box::new(MachineContest::new(host, terms, setup.address)?))
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
            Self::Simulated(contest, _) => contest.runs(),
            Self::Machine(contest) => contest.runs(),
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
            Self::Simulated(contest, _) => contest.advance(budget, until, clock),
            Self::Machine(contest) => contest.advance(budget, until, clock)?,
        }
        Ok(())
    }

    /// Prepares a `step`; returns false if there is more to prepare.
    pub fn prepare_step(&mut self) -> bool {
        match self {
            Self::Simulated(contest, _) => contest.prepare(BATCH),
            Self::Machine(_) => true,
        }
    }

    /// Makes one attempt for each strategy whose allocation is in progress.
    pub fn step(&mut self) -> Result<(), Text> {
        match self {
            Self::Simulated(contest, _) => contest.step(),
            Self::Machine(contest) => contest.step()?,
        }
        Ok(())
    }

    /// Returns the state of the lab. The caller sets `number`, `curve` and `is_running`.
    pub fn report(&self) -> LabReport {
        let (candidates, occupied, columns, limitation) = match self {
            Self::Simulated(contest, candidates) => {
                (*candidates, contest.occupied(), contest.columns(), None)
            }
            Self::Machine(contest) => {
                let (candidates, occupied) = contest.occupancy();
                (candidates, occupied, contest.columns(), contest.limitation())
            }
        };
        LabReport {
            candidates,
            occupied,
            contenders: columns.into_iter().map(contender).collect(),
            limitation,
            ..LabReport::default()
        }
    }
}

pub fn terms(setup: &LabSetup) -> LabConfig {
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

fn contender(column: StrategyColumn) -> Contender {
    let StrategyColumn { strategy, figures, ports, trail, last } = column;
    let number = figures.runs;
    let last = last.map(|end| Finished { number, attempts: end.attempts, port: end.port });
    Contender { strategy, figures, ports, trail, last }
}
