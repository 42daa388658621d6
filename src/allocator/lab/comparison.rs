//! What a comparison of strategies is to do, and what it reports. Runs nothing.

use std::sync::Arc;

use crate::{
    allocator::{Attempt, FreePorts, Pattern, StrategyFigures, Tuning, attempt::Finished},
    domain::{LocalAddress, PortRange, Protocols},
};

/// Where the strategies of a lab run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LabTarget {
    /// Real bind() on the host.
    Machine,
    /// In memory, with a new occupancy for each run, in which a share (0 to 1) of the candidates is
    /// occupied. All strategies share the occupancy, except with `Built`, where each strategy
    /// builds its own.
    Simulated { pattern: Pattern, share: f64 },
}

/// Parameters of a lab. The seed makes the choices of the strategies and the simulated occupancies
/// reproducible.
#[derive(Clone, Debug, PartialEq)]
pub struct LabSetup {
    pub target: LabTarget,
    /// Indexes into `ALLOCATORS`.
    pub strategies: Vec<usize>,
    pub protocols: Protocols,
    pub range: PortRange,
    /// Ports that are not candidates, ascending.
    pub reserved: Vec<PortRange>,
    /// Address to bind; `None`: all addresses of IPv4 and IPv6.
    pub address: Option<LocalAddress>,
    /// Maximum number of attempts per allocation; 0 counts as 1.
    pub max_attempts: u32,
    pub seed: u64,
    /// Number of destinations, at least 1; the runs use them in turn.
    pub destinations: u32,
    pub tuning: Tuning,
}

/// State of a lab. Each report is complete, so that older reports may be dropped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabReport {
    /// Number of the `Prepare` request that this report belongs to, counted from 1.
    pub number: u64,
    pub candidates: u32,
    /// Number of occupied candidates: in a simulation, in each run; on the host, in the last
    /// snapshot.
    pub occupied: u32,
    /// In the order of `LabSetup::strategies`.
    pub strategy_reports: Vec<StrategyReport>,
    /// Measured mean attempts by occupancy, ascending by share. Empty on the real host.
    pub curve: Vec<CurvePoint>,
    pub is_running: bool,
    /// How the host limits the binds, for example "IPv4 only"; `None`: it does not.
    pub limitation: Option<&'static str>,
}

/// State of one strategy in a lab.
#[derive(Clone, Debug, PartialEq)]
pub struct StrategyReport {
    /// Index into `ALLOCATORS`.
    pub strategy: usize,
    pub figures: StrategyFigures,
    /// Current occupancy of the strategy.
    pub ports: Arc<FreePorts>,
    /// Attempts of the current or last allocation, oldest first, at most the last 64.
    pub last_attempts: Vec<Attempt>,
    /// Result of the last allocation; `None` if none has ended.
    pub last: Option<Finished>,
}

/// Measurement at one occupancy.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePoint {
    /// Share of occupied candidates, 0 to 1.
    pub share: f64,
    /// Mean attempts by strategy, in the order of `LabSetup::strategies`; `None` if not measured.
    pub means: Vec<Option<f64>>,
}
