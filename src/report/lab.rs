//! The report of `portscope lab`: the conditions, and the results of the strategies or of the race.
//! Runs nothing.

pub mod json;
pub mod text;

use serde::Serialize;

use crate::{
    allocator::{
        Habit, Model, StrategyFigures,
        lab::{LabReport, LabSetup, LabTarget},
        race::{RaceBackend, RaceReport, RaceSetup},
    },
    domain::{PortRange, Protocols},
};

/// What `portscope lab` did, and the results.
#[derive(Clone, Copy)]
pub enum LabOutcome<'a> {
    /// Strategies side by side, with `runs` allocations of each.
    Comparison {
        setup: &'a LabSetup,
        runs: u64,
        report: &'a LabReport,
    },
    Race {
        setup: &'a RaceSetup,
        report: &'a RaceReport,
    },
}

/// The conditions of the run, as at the beginning of the JSON document.
#[derive(Serialize)]
struct LabConditions {
    /// Occupied share of the candidates, 0 to 1: the requested one in a simulation or a race, the
    /// measured one on the machine.
    fill: f64,
    seed: u64,
    /// Whether the run is simulated in memory; otherwise it uses real sockets.
    #[serde(rename = "simulated")]
    is_simulated: bool,
    /// Name of the distribution, such as "uniform"; "live" for the occupancy of the machine itself.
    occupancy: &'static str,
    #[serde(rename = "protocol")]
    protocols: Protocols,
    range: PortRange,
    /// Number of ports of the range that may be tried.
    candidates: u32,
    /// Number of occupied candidates.
    occupied: u32,
}

impl LabOutcome<'_> {
    fn conditions(self) -> LabConditions {
        match self {
            Self::Comparison { setup, report, .. } => {
                let LabReport { candidates, occupied, .. } = *report;
                let (occupancy, fill) = match setup.target {
                    LabTarget::Machine => ("live", f64::from(occupied) / f64::from(candidates)),
                    LabTarget::Simulated { pattern, share } => (pattern.name(), share),
                };
                LabConditions {
                    occupancy,
                    is_simulated: setup.target != LabTarget::Machine,
                    fill,
                    seed: setup.seed,
                    range: setup.range,
                    candidates,
                    occupied,
                    protocols: setup.protocols,
                }
            }
            Self::Race { setup, report } => LabConditions {
                occupancy: "uniform",
                is_simulated: matches!(report.backend, RaceBackend::Simulated { .. }),
                fill: setup.share,
                seed: setup.seed,
                range: setup.range,
                candidates: setup.range.len(),
                occupied: setup.occupied(),
                protocols: Protocols::Udp,
            },
        }
    }
}

/// Describes in words the model behind the expected figures, for K of N candidates occupied and at
/// most M attempts. None: no model is known.
fn model(figures: &StrategyFigures) -> Option<&'static str> {
    figures.expected?;
    Some(match figures.model.as_ref()? {
        Model::Replacement { .. } => {
            "with replacement: an attempt fails with probability K/N, all M with (K/N)^M (K of \
                 N candidates occupied)"
        }
        Model::Unique { .. } => {
            "without replacement: all M attempts fail with probability C(K,M)/C(N,M) (K of N \
                 candidates occupied)"
        }
        Model::Scan { .. } => {
            "a uniform start, then consecutive ports: the mean number of attempts is 1 + (sum of \
             L(L+1)/2 over runs of L occupied ports) / N, without a limit (N candidates)"
        }
        Model::OnlyFree => "only free ports are tried: one attempt",
    })
}

/// Returns the name, in JSON, of a pattern of allocated ports. None: too few ports were allocated.
fn habit_name(habit: Habit) -> Option<&'static str> {
    Some(match habit {
        Habit::Unseen => return None,
        Habit::Stuck => "stuck",
        Habit::Favourite { .. } => "favourite",
        Habit::Counter { .. } => "counter",
        Habit::EvenSteps => "even-steps",
        Habit::SmallSteps { .. } => "small-steps",
        Habit::Narrow { .. } => "narrow",
        Habit::OneParity => "one-parity",
        Habit::Uniform => "uniform",
    })
}
