//! What a race for a port is to do, and what it reports. Runs nothing.

use std::{path::PathBuf, time::Duration};

use crate::domain::{PortRange, Text};

/// Configuration of a race.
#[derive(Clone, Debug, PartialEq)]
pub struct RaceSetup {
    /// This program, started again as holder and as competitor; `None`: the race is simulated.
    pub program: Option<PathBuf>,
    /// Number of rounds. In each round, one port is closed and bound again, and another is kept
    /// bound and handed over.
    pub rounds: u32,
    /// Time between close() and the next bind() of the port, at most 1 minute.
    pub window: Duration,
    /// Number of ports that the competitor binds per second: more than 0, at most 1,000,000.
    pub competitor_binds_per_second: f64,
    pub range: PortRange,
    /// Share of the range's ports (0 to 1) that others hold during the race.
    pub share: f64,
    pub seed: u64,
}

/// State of a race.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RaceReport {
    /// Number of the `Race` request that this report belongs to, counted from 1.
    pub number: u64,
    pub backend: RaceBackend,
    /// Statistics of the port that each round closes, and binds again after the window.
    pub rebound: Rounds,
    /// Statistics of the port whose socket each round keeps and hands over.
    pub handed_over: Rounds,
    /// Why the race ended before its last round; `None` if it did not.
    pub failure: Option<Text>,
    pub is_over: bool,
}

/// Where a race runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum RaceBackend {
    #[default]
    Unknown,
    /// Real processes in a network namespace of their own.
    Namespace,
    /// In memory. `because` says why the race is not a real one.
    Simulated { because: Text },
}

/// Statistics of one of the two ports of each round, over all rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rounds {
    pub count: u32,
    /// Rounds in which the port was lost to another process.
    pub stolen: u32,
    /// For kept sockets: rounds in which the competitor tried the port and was refused. Otherwise
    /// 0.
    pub refused: u32,
    /// Expected number of stolen ports: the sum of 1 - e^(-lambda w / F) over the rounds, from the
    /// measured rate lambda per second, window w in seconds and number of free ports F. For kept
    /// sockets, the same sum is the expected number of rounds with a refusal.
    pub expected: f64,
    /// Standard deviation of the expected number.
    pub deviation: f64,
    /// Measured mean window.
    pub window: Duration,
    /// Measured number of ports that the competitor bound per second.
    pub competitor_per_second: f64,
    /// Measured mean number of free ports.
    pub free: f64,
}

impl RaceSetup {
    /// Returns the number of ports of the range that others hold during the race.
    pub fn occupied(&self) -> u32 {
        (f64::from(self.range.len()) * self.share.clamp(0.0, 1.0)).round() as u32
    }

    /// Returns the number of the other ports.
    pub fn free(&self) -> u32 {
        self.range.len() - self.occupied()
    }
}
