//! The fields of the pool's settings, and the text that each accepts. Opens no pool.

use std::time::Duration;

use crate::{
    allocator::Quarantine,
    app::{
        pool::PoolOptions,
        settings::{self, EditableSettings},
    },
    domain::PortRange,
};

pub type PoolSettingsPanel = settings::SettingsPanel<PoolOptions>;

/// A row of the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolField {
    /// Number of ports of the band of this class.
    High,
    Normal,
    Quarantine,
    /// Length of the quarantine, in seconds.
    QuarantineTime,
    /// Rate at which a search may fail although a port is free, above 0 and below 1.
    FailureRate,
    Attempts,
    LeaseHolder,
}

impl PoolField {
    pub const EACH: [Self; 7] = [
        Self::High,
        Self::Normal,
        Self::Quarantine,
        Self::QuarantineTime,
        Self::FailureRate,
        Self::Attempts,
        Self::LeaseHolder,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::High => "reserved for high",
            Self::Normal => "reserved for normal",
            Self::Quarantine => "quarantine by",
            Self::QuarantineTime => "seconds",
            Self::FailureRate => "failure rate",
            Self::Attempts => "attempts",
            Self::LeaseHolder => "holder",
        }
    }
}

/// The numbers of ports, of seconds and of attempts that Left and Right select.
const BANDS: [u32; 10] = [0, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
const QUARANTINE_SECONDS: [u32; 9] = [0, 1, 2, 5, 10, 30, 60, 120, 240];
const ATTEMPTS: [u32; 6] = [10, 100, 1000, 10_000, 20_000, 65_536];
/// The lowest failure rate that is shown without an exponent.
const LEAST_DECIMAL: f64 = 1e-9;
/// The failure rates that Left and Right select, as powers of ten.
const RATES: std::ops::RangeInclusive<i32> = -9..=-1;

/// The name by which this process is shown as lease holder.
const OURS: &str = "portscope";

impl EditableSettings for PoolOptions {
    type Field = PoolField;

    const FIELDS: &'static [PoolField] = &PoolField::EACH;

    fn value(&self, field: PoolField) -> String {
        match field {
            PoolField::High => self.bands.high.to_string(),
            PoolField::Normal => self.bands.normal.to_string(),
            PoolField::Quarantine => match self.quarantine {
                Quarantine::Time(_) => "time".to_owned(),
                Quarantine::Drain(_) => "drain".to_owned(),
            },
            PoolField::QuarantineTime => self.quarantine_time().as_secs_f64().to_string(),
            // A smaller rate would have too many zeros.
            PoolField::FailureRate if self.failure_rate < LEAST_DECIMAL => {
                format!("{:e}", self.failure_rate)
            }
            PoolField::FailureRate => self.failure_rate.to_string(),
            PoolField::Attempts => self.max_attempts.to_string(),
            PoolField::LeaseHolder => {
                self.holder.map_or_else(|| OURS.to_owned(), |p| p.to_string())
            }
        }
    }

    fn accepts_character(field: PoolField, _: &str, character: char) -> bool {
        match field {
            PoolField::Quarantine => false,
            PoolField::High | PoolField::Normal | PoolField::Attempts | PoolField::LeaseHolder => {
                character.is_ascii_digit()
            }
            PoolField::QuarantineTime => character.is_ascii_digit() || character == '.',
            PoolField::FailureRate => character.is_ascii_digit() || "e.-".contains(character),
        }
    }

    fn read(&mut self, field: PoolField, typed: &str) -> Result<(), String> {
        match field {
            PoolField::Quarantine => {}
            PoolField::High => self.bands.high = read_band(typed)?,
            PoolField::Normal => self.bands.normal = read_band(typed)?,
            PoolField::QuarantineTime => self.set_quarantine_time(parse_quarantine_time(typed)?),
            PoolField::FailureRate => self.failure_rate = read_rate(typed)?,
            PoolField::Attempts => self.max_attempts = settings::read_attempts(typed)?,
            PoolField::LeaseHolder => self.holder = read_holder(typed)?,
        }
        Ok(())
    }

    fn cycle(&mut self, field: PoolField, by: isize, _ephemeral: Option<PortRange>) {
        let Self { bands, max_attempts, .. } = self;
        match field {
            PoolField::High => bands.high = settings::next_of(&BANDS, bands.high, by),
            PoolField::Normal => bands.normal = settings::next_of(&BANDS, bands.normal, by),
            PoolField::Attempts => *max_attempts = settings::next_of(&ATTEMPTS, *max_attempts, by),
            PoolField::Quarantine => {
                self.quarantine = match self.quarantine {
                    Quarantine::Time(time) => Quarantine::Drain(time),
                    Quarantine::Drain(time) => Quarantine::Time(time),
                };
            }
            PoolField::QuarantineTime => {
                let seconds = settings::next_of(
                    &QUARANTINE_SECONDS,
                    self.quarantine_time().as_secs() as u32,
                    by,
                );
                self.set_quarantine_time(Duration::from_secs(seconds.into()));
            }
            PoolField::FailureRate => {
                let power = self.failure_rate.log10().round() as i32 + by.signum() as i32;
                self.failure_rate = 10f64.powi(power.clamp(*RATES.start(), *RATES.end()));
            }
            PoolField::LeaseHolder => {}
        }
    }
}

impl PoolOptions {
    /// The length of the quarantine.
    pub fn quarantine_time(&self) -> Duration {
        match self.quarantine {
            Quarantine::Time(time) | Quarantine::Drain(time) => time,
        }
    }

    fn set_quarantine_time(&mut self, wanted: Duration) {
        match &mut self.quarantine {
            Quarantine::Time(time) | Quarantine::Drain(time) => *time = wanted,
        }
    }
}

fn read_band(typed: &str) -> Result<u32, String> {
    let count = typed.parse().ok().filter(|&count| count <= 65_535);
    count.ok_or_else(|| format!("invalid number of ports '{typed}': expected 0 to 65535"))
}

/// Parses the length of a quarantine: 0 to 86,400 seconds (a day).
fn parse_quarantine_time(typed: &str) -> Result<Duration, String> {
    let seconds = typed.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    let wrong = || format!("invalid seconds '{typed}': expected 0 to 86400, such as 0.5");
    seconds.map(Duration::from_secs_f64).ok_or_else(wrong)
}

fn read_rate(typed: &str) -> Result<f64, String> {
    let rate = typed.parse().ok().filter(|&rate| rate > 0.0 && rate < 1.0);
    rate.ok_or_else(|| format!("invalid failure rate '{typed}': expected above 0 and below 1"))
}

/// Parses the pid of the lease holder; empty: this process. The engine checks whether the process
/// exists.
fn read_holder(typed: &str) -> Result<Option<u32>, String> {
    if typed.is_empty() {
        return Ok(None);
    }
    let pid = typed.parse().ok().filter(|&pid| pid > 0);
    let wrong = || format!("invalid pid '{typed}': expected such as 4711; empty: portscope");
    pid.map(Some).ok_or_else(wrong)
}
