//! The report of `portscope lab`: the conditions, and the results of the strategies or of the race.
//! Runs nothing.

pub mod json;
pub mod text;

use std::time::Duration;

use crate::{
    allocator::{AllocatorRow, Habit, Model, StrategyFigures},
    domain::{PortRange, Protocols, Text},
};

/// The whole report.
pub struct LabSummary<'a> {
    pub conditions: LabConditions,
    pub outcome: LabOutcome<'a>,
}

/// The conditions of the run.
pub struct LabConditions {
    /// Name of the distribution, such as "uniform"; "live" for the occupancy of the machine itself.
    pub occupancy: &'static str,
    /// Whether the run is simulated in memory; otherwise it uses real sockets.
    pub is_simulated: bool,
    /// Occupied share of the candidates, 0 to 1: the requested one in a simulation or a race, the
    /// measured one on the machine.
    pub fill: f64,
    pub seed: u64,
    pub range: PortRange,
    /// Number of ports of the range that may be tried.
    pub candidates: u32,
    /// Number of occupied candidates.
    pub occupied: u32,
    pub protocols: Protocols,
}

pub enum LabOutcome<'a> {
    Comparison(LabComparison<'a>),
    Race(RaceSummary),
}

/// Strategies side by side.
pub struct LabComparison<'a> {
    pub max_attempts: u32,
    /// Number of destinations, used in turn by the runs.
    pub destinations: u32,
    /// Number of allocations of each strategy.
    pub runs: u64,
    pub results: Vec<StrategyResult<'a>>,
}

/// A strategy and its results.
pub struct StrategyResult<'a> {
    pub row: &'static AllocatorRow,
    pub figures: &'a StrategyFigures,
}

/// Results of a race against a competitor that binds ports. In the rounds of `rebound`, the port is
/// closed and bound again; in those of `handed_over`, its socket is kept.
pub struct RaceSummary {
    pub place: RaceTarget,
    /// Requested time between close and rebind. `competitor_per_second` is the requested number of
    /// ports that the competitor binds per second.
    pub window: Duration,
    pub competitor_per_second: f64,
    pub rebound: RaceRounds,
    pub handed_over: RaceRounds,
    /// Why the race ended before its last round. None: it did not.
    pub failure: Option<Text>,
}

/// Where a race was run.
pub enum RaceTarget {
    /// By two processes in a network namespace of their own.
    Namespace,
    /// In memory. `because` says why the race is not a real one.
    Simulated { because: Text },
}

/// Results of the rounds of one kind.
pub struct RaceRounds {
    pub count: u32,
    /// Rounds in which another process held the port at the end.
    pub stolen: u32,
    /// Rounds in which the competitor tried this port and was refused. Counted only if the socket
    /// is kept.
    pub refused: u32,
    /// Expected number of rounds in which the competitor tries this port: it takes a closed port,
    /// and is refused if the socket is kept. `deviation` is the standard deviation of this number.
    pub expected: f64,
    pub deviation: f64,
    /// Measured mean time between close and rebind.
    pub window: Duration,
    /// Measured number of ports that the competitor bound per second.
    pub competitor_per_second: f64,
    /// Measured mean number of free ports.
    pub free: f64,
}

impl StrategyResult<'_> {
    /// Returns the model behind the expected figures in words, for K of N candidates occupied and
    /// at most M attempts. None: no model is known.
    fn model(&self) -> Option<&'static str> {
        self.figures.expected?;
        Some(match self.figures.model.as_ref()? {
            Model::Replacement { .. } => {
                "with replacement: each attempt fails with K/N, all M with (K/N)^M"
            }
            Model::Unique { .. } => "no port twice: all M attempts fail with C(K,M)/C(N,M)",
            Model::Scan { .. } => {
                "a uniform start, then consecutive ports: 1 + (sum of L(L+1)/2 over runs of L \
                 occupied ports) / N"
            }
            Model::OnlyFree => "only free ports are tried: one attempt",
        })
    }
}

/// Returns the name of a habit for JSON; None: too few ports were allocated.
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
