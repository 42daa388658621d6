//! What the strategies of a lab stand on: occupancies in memory, or the machine. No thread.

use std::time::Duration;

use crate::{
    allocator::{
        Candidates,
        lab::{Column, Contest, Terms},
    },
    domain::Text,
    engine::{
        LabSetup, LabSite,
        lab::machine::MachineContest,
        message::{Contender, Finished, LabReport},
    },
    host::Host,
};

/// Attempts in memory, and real ones, that pass without a look at the requests.
const BATCH: u32 = 1 << 14;
const REAL_BATCH: u32 = 1 << 8;

pub enum Ground {
    Simulated(Contest, u32),
    Machine(Box<MachineContest>),
}

impl Ground {
    /// Errors, in words: no strategy was named, no port may be tried, no socket could be made or
    /// listed.
    pub fn prepare(host: &dyn Host, setup: &LabSetup) -> Result<Self, Text> {
        let terms = terms(setup);
        let count = terms.candidates.len();
        if terms.strategies.is_empty() {
            return Err(Text::scrub("no strategy takes part"));
        }
        if count == 0 {
            return Err(Text::scrub(format!("every port of {} is reserved", setup.range)));
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

    /// Attempts that pass quickly enough for those who ask for something meanwhile.
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

    /// About so many attempts, until that many runs have ended in all.
    ///
    /// Errors, in words: the machine could not be looked at any more.
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

    /// Makes ready for a `step`; false: there is more to do.
    pub fn prepare_step(&mut self) -> bool {
        match self {
            Self::Simulated(contest, _) => contest.prepare(BATCH),
            Self::Machine(_) => true,
        }
    }

    /// One attempt of each strategy whose allocation goes on.
    pub fn step(&mut self) -> Result<(), Text> {
        match self {
            Self::Simulated(contest, _) => contest.step(),
            Self::Machine(contest) => contest.step()?,
        }
        Ok(())
    }

    /// How it stands; number, curve and whether it runs are the caller's to fill in.
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

pub fn terms(setup: &LabSetup) -> Terms {
    Terms {
        strategies: setup.strategies.clone(),
        candidates: Candidates::new(setup.range, &setup.reserved),
        protocols: setup.protocols,
        max_attempts: setup.max_attempts.max(1),
        seed: setup.seed,
        destinations: setup.destinations.max(1),
        tuning: setup.tuning,
    }
}

/// So many of the candidates make that share.
pub fn occupied(share: f64, candidates: u32) -> u32 {
    (share.clamp(0.0, 1.0) * f64::from(candidates)).round() as u32
}

fn contender(column: Column) -> Contender {
    let Column { strategy, figures, ports, trail, last } = column;
    let number = figures.runs;
    let last = last.map(|end| Finished { number, attempts: end.attempts, port: end.port });
    Contender { strategy, figures, ports, trail, last }
}
