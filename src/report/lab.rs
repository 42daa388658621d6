//! What a lab, or a race, came to: terms, strategies, thefts. Runs nothing.

pub mod json;
pub mod text;

use std::time::Duration;

use crate::{
    allocator::{AllocatorRow, Figures, Habit, Law},
    domain::{PortRange, Protocols, Text},
};

/// All of it.
pub struct Lab<'a> {
    pub terms: Terms,
    pub outcome: Outcome<'a>,
}

/// What it was run on.
pub struct Terms {
    /// "uniform" and the like; "live" for the machine's own.
    pub occupancy: &'static str,
    /// In memory; else by real sockets.
    pub is_simulated: bool,
    /// Of the candidates, 0 to 1, that are occupied: as asked for, or as found.
    pub fill: f64,
    pub seed: u64,
    pub range: PortRange,
    /// Ports of the range that may be drawn.
    pub candidates: u32,
    /// Candidates that are occupied.
    pub occupied: u32,
    pub protocols: Protocols,
}

pub enum Outcome<'a> {
    Comparison(Comparison<'a>),
    Race(Race),
}

/// Strategies side by side.
pub struct Comparison<'a> {
    pub max_attempts: u32,
    /// The runs went to so many, in turn.
    pub destinations: u32,
    pub runs: u64,
    pub rivals: Vec<Rival<'a>>,
}

/// One strategy.
pub struct Rival<'a> {
    pub row: &'static AllocatorRow,
    pub figures: &'a Figures,
}

/// Close-then-rebind against a thief, and the same with the socket kept.
pub struct Race {
    pub place: Place,
    /// As asked for: between close and rebind, and ports that the thief binds a second.
    pub window: Duration,
    pub thief_per_second: f64,
    pub rebound: Rounds,
    pub handed_over: Rounds,
    /// Why it ended before its last round.
    pub trouble: Option<Text>,
}

/// Where a race was run.
pub enum Place {
    /// By two processes in a network namespace of their own.
    Namespace,
    /// In memory, because of that.
    Simulated { because: Text },
}

/// Rounds of one kind.
pub struct Rounds {
    pub count: u32,
    /// The port was somebody else's in the end.
    pub thefts: u32,
    /// Of sockets that were kept: rounds in which the thief tried that very port, in vain.
    pub refused: u32,
    /// Thefts by the law, and their standard deviation; of sockets that were kept: as if they had
    /// been closed.
    pub predicted: f64,
    pub deviation: f64,
    /// As measured.
    pub window: Duration,
    pub thief_per_second: f64,
    /// Ports that were free in the mean.
    pub free: f64,
}

impl Rival<'_> {
    /// The law that the runs were held against, in words.
    fn law(&self) -> Option<&'static str> {
        self.figures.predicted?;
        Some(match self.figures.law.as_ref()? {
            Law::Replacement { .. } => {
                "with replacement: each attempt misses with K/N, all M with (K/N)^M"
            }
            Law::Unique { .. } => "no port twice: all M attempts miss with C(K,M)/C(N,M)",
            Law::Scan { .. } => {
                "a uniform start, then one after the other: 1 + sum of L(L+1)/2 over runs of L occupied ports, by N"
            }
            Law::OnlyFree => "only free ports are tried: one attempt",
        })
    }
}

/// Of a habit, as JSON names it; None: too few ports were given.
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
