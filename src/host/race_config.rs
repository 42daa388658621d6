//! The configuration of a race, and its form as arguments of the race's processes. Runs nothing.

use std::time::Duration;

use crate::domain::PortRange;

/// A race: the holder closes a port and binds it again after the window, while the competitor binds
/// ports at random all the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RaceConfig {
    /// The ports of the race; port 0 is not among them.
    pub range: PortRange,
    /// Number of these ports that other sockets hold from the beginning to the end.
    pub others: u32,
    /// Time from close() to the bind() of the same port.
    pub window: Duration,
    /// How long the competitor keeps a port: longer than the window, so that no theft is missed.
    pub hold: Duration,
    /// Maximum number of ports that the competitor holds at once. While it holds that many, it
    /// binds no other.
    pub most: u32,
    /// Binds per second that the competitor aims for, above 0. The binds that it really makes are
    /// counted.
    pub per_second: f64,
    pub rounds: u32,
    pub seed: u64,
}

impl RaceConfig {
    /// Returns the configuration as arguments, which `parse` reads.
    pub fn words(&self) -> Vec<String> {
        vec![
            self.range.first().to_string(),
            self.range.last().to_string(),
            self.others.to_string(),
            self.window.as_nanos().to_string(),
            self.hold.as_nanos().to_string(),
            self.most.to_string(),
            self.per_second.to_string(),
            self.rounds.to_string(),
            self.seed.to_string(),
        ]
    }

    /// Parses the output of `words`. None: `words` does not describe a valid race.
    pub fn parse(words: &[String]) -> Option<Self> {
        let [first, last, others, window, hold, most, per_second, rounds, seed] = words else {
            return None;
        };
        let per_second: f64 = per_second.parse().ok()?;
        Some(Self {
            range: PortRange::new(first.parse().ok()?, last.parse().ok()?)
                .ok()
                .filter(|range| range.first() > 0)?,
            others: others.parse().ok()?,
            window: Duration::from_nanos(window.parse().ok()?),
            hold: Duration::from_nanos(hold.parse().ok()?),
            most: most.parse().ok()?,
            per_second: (per_second.is_finite() && per_second > 0.0).then_some(per_second)?,
            rounds: rounds.parse().ok()?,
            seed: seed.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn race_config_survives_a_round_trip_through_arguments() {
        let config = RaceConfig {
            range: PortRange::new(49_152, 50_175).unwrap(),
            others: 922,
            window: Duration::from_micros(10_001),
            hold: Duration::from_millis(20),
            most: 51,
            per_second: 1000.1,
            rounds: 1000,
            seed: (1 << 53) - 1,
        };
        assert_eq!(RaceConfig::parse(&config.words()), Some(config));
        for bad in ["", "-1", "x", "NaN", "0x1"] {
            for place in 0..9 {
                let mut words = config.words();
                words[place] = bad.to_owned();
                assert_eq!(RaceConfig::parse(&words), None, "{place}: {bad}");
            }
        }
    }
}
