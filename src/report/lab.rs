//! Results of a lab or a race: conditions, strategies, stolen ports. Runs nothing.

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
    /// Name of the distribution, such as "uniform". It is "live" for the machine's own occupancy.
    pub occupancy: &'static str,
    /// Whether the run is simulated in memory; otherwise it uses real sockets.
    pub is_simulated: bool,
    /// Share of the candidates that are occupied, 0 to 1. It is the requested fill in a simulation,
    /// and the measured one on the machine.
    pub fill: f64,
    pub seed: u64,
    pub range: PortRange,
    /// Ports of the range that may be drawn.
    pub candidates: u32,
    /// Candidates that are occupied.
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
    pub runs: u64,
    pub results: Vec<StrategyResult<'a>>,
}

/// A strategy and its results.
pub struct StrategyResult<'a> {
    pub row: &'static AllocatorRow,
    pub figures: &'a StrategyFigures,
}

/// Results of a race against a competitor that binds ports: of closing a port and binding it again,
/// and of keeping its socket.
pub struct RaceSummary {
    pub place: RaceTarget,
    /// Requested time between close and rebind. `competitor_per_second` is the requested number of
    /// ports that the competitor binds per second.
    pub window: Duration,
    pub competitor_per_second: f64,
    pub rebound: RaceRounds,
    pub handed_over: RaceRounds,
    /// Why the race ended before its last round.
    pub failure: Option<Text>,
}

/// Where a race was run.
pub enum RaceTarget {
    /// With two processes in a network namespace of their own.
    Namespace,
    /// In memory. `because` is the reason.
    Simulated { because: Text },
}

/// Results of the rounds of one kind.
pub struct RaceRounds {
    pub count: u32,
    /// Rounds in which another process had the port at the end.
    pub stolen: u32,
    /// Rounds in which the competitor tried this port and was refused. Only counted if the socket
    /// is kept.
    pub refused: u32,
    /// Expected number of stolen ports; `deviation` is its standard deviation. If the socket is
    /// kept, both are for a socket that is closed.
    pub expected: f64,
    pub deviation: f64,
    /// Measured values begin here: the time between close and rebind.
    pub window: Duration,
    pub competitor_per_second: f64,
    /// Mean number of free ports.
    pub free: f64,
}

impl StrategyResult<'_> {
    /// Returns the name of the model behind the expected figures.
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
