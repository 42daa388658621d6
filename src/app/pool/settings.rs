//! The fields of the pool's settings, and the text that each accepts. Opens no pool.

use std::time::Duration;

use crate::{
    allocator::Quarantine,
    app::{
        pool::PoolOptions,
        settings::{self, EditableSettings, SettingField},
    },
    domain::owner::PIDS,
};

pub type PoolSettingsPanel = settings::SettingsPanel<PoolOptions>;

/// The sizes of a band that Left and Right select, in ports.
const BANDS: [u32; 10] = [0, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
/// The quarantine times that Left and Right select.
const QUARANTINE_SECONDS: [u32; 9] = [0, 1, 2, 5, 10, 30, 60, 120, 240];
/// The attempt limits that Left and Right select.
const ATTEMPTS: [u32; 6] = [10, 100, 1000, 10_000, 20_000, 65_536];
/// The lowest failure rate that is shown without an exponent.
const LEAST_DECIMAL: f64 = 1e-9;
/// The failure rates that Left and Right select, as powers of ten.
const RATES: std::ops::RangeInclusive<i32> = -9..=-1;

/// The name by which this process is shown as lease holder.
const OURS: &str = "portscope";

impl EditableSettings for PoolOptions {
    const FIELDS: &'static [SettingField<Self>] = &[
        SettingField {
            name: "reserved for high",
            value: |options| options.bands.high.to_string(),
            accepts: settings::accepts_digits,
            read: |options, typed| read_band(typed, &mut options.bands.high),
            turn: |options, by, _| settings::step(&BANDS, &mut options.bands.high, by),
        },
        SettingField {
            name: "reserved for normal",
            value: |options| options.bands.normal.to_string(),
            accepts: settings::accepts_digits,
            read: |options, typed| read_band(typed, &mut options.bands.normal),
            turn: |options, by, _| settings::step(&BANDS, &mut options.bands.normal, by),
        },
        SettingField {
            name: "quarantine by",
            value: |options| options.quarantine_kind().to_owned(),
            accepts: settings::accepts_nothing,
            read: |_, _| Ok(()),
            turn: |options, _, _| options.switch_quarantine(),
        },
        SettingField {
            name: "seconds",
            value: |options| options.quarantine_time().as_secs_f64().to_string(),
            accepts: |_, character| character.is_ascii_digit() || character == '.',
            read: |options, typed| read_seconds(typed).map(|time| *options.quarantine_mut() = time),
            turn: |options, by, _| options.turn_quarantine_time(by),
        },
        SettingField {
            name: "failure rate",
            value: |options| failure_rate(options.failure_rate),
            accepts: |_, character| character.is_ascii_digit() || "e.-".contains(character),
            read: |options, typed| read_rate(typed).map(|value| options.failure_rate = value),
            turn: |options, by, _| options.failure_rate = next_rate(options.failure_rate, by),
        },
        settings::attempts_field!(ATTEMPTS),
        SettingField {
            name: "holder",
            value: |options| options.holder.map_or_else(|| OURS.to_owned(), |pid| pid.to_string()),
            accepts: settings::accepts_digits,
            read: |options, typed| read_holder(typed).map(|value| options.holder = value),
            turn: |_, _, _| {},
        },
    ];
}

impl PoolOptions {
    /// The length of the quarantine.
    fn quarantine_time(&self) -> Duration {
        match self.quarantine {
            Quarantine::Time(time) | Quarantine::Drain(time) => time,
        }
    }

    fn quarantine_kind(&self) -> &'static str {
        match self.quarantine {
            Quarantine::Time(_) => "time",
            Quarantine::Drain(_) => "drain",
        }
    }

    fn switch_quarantine(&mut self) {
        self.quarantine = match self.quarantine {
            Quarantine::Time(time) => Quarantine::Drain(time),
            Quarantine::Drain(time) => Quarantine::Time(time),
        };
    }

    fn turn_quarantine_time(&mut self, by: isize) {
        let mut seconds = self.quarantine_time().as_secs() as u32;
        settings::step(&QUARANTINE_SECONDS, &mut seconds, by);
        *self.quarantine_mut() = Duration::from_secs(seconds.into());
    }

    fn quarantine_mut(&mut self) -> &mut Duration {
        match &mut self.quarantine {
            Quarantine::Time(time) | Quarantine::Drain(time) => time,
        }
    }
}

fn read_band(typed: &str, ports: &mut u32) -> Result<(), String> {
    let count = typed.parse().ok().filter(|&count| count <= 65_535);
    let wrong = || format!("invalid number of ports '{typed}': expected 0 to 65535");
    count.map(|count| *ports = count).ok_or_else(wrong)
}

/// Parses the length of a quarantine: 0 to 86,400 seconds (a day).
fn read_seconds(typed: &str) -> Result<Duration, String> {
    let seconds = typed.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    let wrong = || format!("invalid seconds '{typed}': expected 0 to 86400, such as 0.5");
    seconds.map(Duration::from_secs_f64).ok_or_else(wrong)
}

fn failure_rate(rate: f64) -> String {
    // A smaller rate would have too many zeros.
    if rate < LEAST_DECIMAL { format!("{rate:e}") } else { rate.to_string() }
}

fn next_rate(rate: f64, by: isize) -> f64 {
    let power = rate.log10().round() as i32 + by.signum() as i32;
    10f64.powi(power.clamp(*RATES.start(), *RATES.end()))
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
    let pid = typed.parse().ok().filter(|pid| PIDS.contains(pid));
    let wrong = || format!("invalid holder '{typed}': expected a pid; empty: portscope");
    pid.map(Some).ok_or_else(wrong)
}
