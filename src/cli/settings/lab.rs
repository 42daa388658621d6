//! Checks and interprets the arguments of `lab`. Does not read the machine.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    allocator::{ALLOCATORS, Pattern, Tuning},
    cli::{
        args::{LabArguments, OccupancyName, PlainFormat},
        namespaces::NamespaceChoice,
        output::OutputTarget,
        settings::{
            BadInput, RangeChoice, address, destination, diagnose::decimal, is_number, number,
            seed, strategy,
        },
    },
    domain::{LocalAddress, Protocols, Text},
    engine::message::LabTarget,
};

/// Default fill of a simulated occupancy, 0 to 1.
const FILL: f64 = 0.9;
/// Default number of runs.
const RUNS: NonZeroU32 = NonZeroU32::new(10_000).expect("10,000 is not zero");
/// Default number of runs with `built`, where a strategy allocates thousands of ports before each
/// run.
const RUNS_BUILT: NonZeroU32 = NonZeroU32::new(100).expect("100 is not zero");
/// Defaults of a race: number of rounds, time between close and rebind, and the competitor's binds
/// per second.
const ROUNDS: NonZeroU32 = NonZeroU32::new(1_000).expect("1,000 is not zero");
const WINDOW: Duration = Duration::from_millis(10);
const COMPETITOR: f64 = 1_000.0;

pub struct LabSettings {
    pub range: RangeChoice,
    pub namespace: NamespaceChoice,
    pub seed: Option<u64>,
    pub ignore_reserved: bool,
    pub experiment: Experiment,
    pub format: PlainFormat,
    pub destination: OutputTarget,
}

pub enum Experiment {
    Comparison(ComparisonSettings),
    Race(RaceSettings),
}

pub struct ComparisonSettings {
    pub target: LabTarget,
    /// Indices into `ALLOCATORS`.
    pub strategies: Vec<usize>,
    pub protocols: Protocols,
    pub runs: NonZeroU32,
    pub max_attempts: NonZeroU32,
    pub destinations: NonZeroU32,
    pub tuning: Tuning,
    pub address: Option<LocalAddress>,
}

pub struct RaceSettings {
    pub rounds: NonZeroU32,
    /// Time between close and rebind.
    pub window: Duration,
    pub competitor_binds_per_second: f64,
    /// Share of the ports that other processes hold, 0 to 1.
    pub share: f64,
}

impl TryFrom<LabArguments> for LabSettings {
    type Error = BadInput;

    fn try_from(typed: LabArguments) -> Result<Self, BadInput> {
        let experiment = if typed.race {
            Experiment::Race(race(&typed)?)
        } else {
            Experiment::Comparison(comparison(&typed)?)
        };
        Ok(Self {
            range: RangeChoice::for_choosing(&typed.range)?,
            namespace: typed.netns.try_into()?,
            seed: typed.seed.as_deref().map(seed).transpose()?,
            ignore_reserved: typed.ignore_reserved,
            experiment,
            format: typed.format,
            destination: destination(typed.output)?,
        })
    }
}

fn comparison(typed: &LabArguments) -> Result<ComparisonSettings, BadInput> {
    for (option, given) in [("--window", &typed.window), ("--competitor", &typed.competitor)] {
        if given.is_some() {
            return Err(BadInput(format!("{option} requires --race")));
        }
    }
    let strategies = strategies(&typed.strategy)?;
    let band = typed.band.as_deref().map(band).transpose()?;
    if band.is_some() && !strategies.iter().any(|&number| ALLOCATORS[number].has_band) {
        return Err(BadInput("--band requires --strategy banded".into()));
    }
    let target = target(typed.occupancy, typed.fill.as_deref())?;
    if typed.address.is_some() && target != LabTarget::Machine {
        return Err(BadInput("--address requires --occupancy live".into()));
    }
    let is_built = matches!(target, LabTarget::Simulated { pattern: Pattern::Built, .. });
    Ok(ComparisonSettings {
        target,
        strategies,
        protocols: typed.protocol.into(),
        runs: runs(typed, if is_built { RUNS_BUILT } else { RUNS })?,
        max_attempts: number("--max-attempts", &typed.max_attempts)?,
        destinations: number("--destinations", &typed.destinations)?,
        tuning: Tuning { band },
        address: typed.address.as_deref().map(address).transpose()?,
    })
}

fn race(typed: &LabArguments) -> Result<RaceSettings, BadInput> {
    Ok(RaceSettings {
        rounds: runs(typed, ROUNDS)?,
        window: typed.window.as_deref().map(window).transpose()?.unwrap_or(WINDOW),
        competitor_binds_per_second: typed
            .competitor
            .as_deref()
            .map(competitor)
            .transpose()?
            .unwrap_or(COMPETITOR),
        share: typed.fill.as_deref().map(fill).transpose()?.unwrap_or(FILL),
    })
}

fn runs(typed: &LabArguments, default: NonZeroU32) -> Result<NonZeroU32, BadInput> {
    typed.runs.as_deref().map_or(Ok(default), |typed| number("--runs", typed))
}

fn target(occupancy: OccupancyName, typed: Option<&str>) -> Result<LabTarget, BadInput> {
    let pattern = match occupancy {
        OccupancyName::Uniform => Pattern::Uniform,
        OccupancyName::Clustered => Pattern::Clustered,
        OccupancyName::Built => Pattern::Built,
        OccupancyName::Live if typed.is_none() => return Ok(LabTarget::Machine),
        OccupancyName::Live => {
            return Err(BadInput("--fill cannot be used with --occupancy live".into()));
        }
    };
    Ok(LabTarget::Simulated { pattern, share: typed.map_or(Ok(FILL), fill)? })
}

/// Returns the indices of the named strategies in `ALLOCATORS`; all if none is named.
fn strategies(names: &[String]) -> Result<Vec<usize>, BadInput> {
    if names.is_empty() {
        return Ok((0..ALLOCATORS.len()).collect());
    }
    let mut numbers = Vec::new();
    for name in names {
        let row = strategy(name)?;
        let number = ALLOCATORS.iter().position(|known| known.name == row.name);
        let number = number.expect("it is a row of ALLOCATORS");
        if numbers.contains(&number) {
            return Err(BadInput(format!("--strategy {name} is given twice: expected once")));
        }
        numbers.push(number);
    }
    Ok(numbers)
}

fn band(typed: &str) -> Result<u32, BadInput> {
    let ports = is_number(typed).then(|| typed.parse().ok()).flatten();
    ports.ok_or_else(|| {
        let shown = Text::scrub(typed);
        BadInput(format!("invalid value '{shown}' for --band: expected a whole number, 0 or more"))
    })
}

fn fill(typed: &str) -> Result<f64, BadInput> {
    decimal(typed).filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| {
        let shown = Text::scrub(typed);
        BadInput(format!("invalid value '{shown}' for --fill: expected 0 to 1"))
    })
}

fn window(typed: &str) -> Result<Duration, BadInput> {
    let seconds = decimal(typed).filter(|seconds| (0.0..=60.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| {
        let shown = Text::scrub(typed);
        BadInput(format!("invalid value '{shown}' for --window: expected 0 to 60 seconds"))
    })
}

fn competitor(typed: &str) -> Result<f64, BadInput> {
    decimal(typed).filter(|rate| (1.0..=1e6).contains(rate)).ok_or_else(|| {
        let shown = Text::scrub(typed);
        BadInput(format!(
            "invalid value '{shown}' for --competitor: expected 1 to 1000000 binds per second"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_is_a_decimal_number_from_0_to_1() {
        assert_eq!((fill("0"), fill("1"), fill("0.5")), (Ok(0.0), Ok(1.0), Ok(0.5)));
        for typed in ["1.0001", "-0", "+1", "1e-1", "inf", "NaN", "", ".", "50%", "\u{1b}[2J"] {
            let BadInput(reported) = fill(typed).unwrap_err();
            assert!(reported.contains("0 to 1") && !reported.contains('\u{1b}'), "{reported}");
        }
    }

    #[test]
    fn default_is_all_strategies_and_duplicates_are_refused() {
        let named =
            |names: &[&str]| strategies(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(named(&[]).unwrap().len(), ALLOCATORS.len());
        assert_eq!(named(&["random-unique", "random"]), Ok(vec![1, 0]));
        assert!(named(&["random", "random"]).is_err());
    }
}
