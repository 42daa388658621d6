//! `portscope lab`: compares strategies, or runs the race, without a screen.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    allocator::{
        ALLOCATORS, AllocatorRow, Candidates, Pattern, Tuning,
        lab::{LabSetup, LabTarget},
        race::{RaceBackend, RaceSetup},
    },
    cli::{
        args::{LabArguments, OccupancyName, PlainFormat, ReportArguments},
        exit::{self, CommandEnd},
        namespaces, output, search,
        settings::BadInput,
        value,
    },
    engine::{self, race::MIN_FREE},
    host::Host,
    report::{self, NoPort, lab::LabOutcome},
};

/// Default fill of a simulated occupancy, 0 to 1.
const FILL: f64 = 0.9;
/// Default number of runs.
const RUNS: u32 = 10_000;
/// Default number of runs with `built`, where a strategy allocates thousands of ports before each
/// run.
const RUNS_BUILT: u32 = 100;
/// Defaults of a race: number of rounds, time between close and rebind, and the competitor's binds
/// per second.
const ROUNDS: u32 = 1_000;
const WINDOW: Duration = Duration::from_millis(10);
const COMPETITOR: f64 = 1_000.0;

impl LabArguments {
    fn target(&self) -> LabTarget {
        let pattern = match self.occupancy {
            OccupancyName::Uniform => Pattern::Uniform,
            OccupancyName::Clustered => Pattern::Clustered,
            OccupancyName::Built => Pattern::Built,
            OccupancyName::Live => return LabTarget::Machine,
        };
        LabTarget::Simulated { pattern, share: self.share() }
    }

    fn share(&self) -> f64 {
        self.fill.unwrap_or(FILL)
    }

    /// Returns the indices of the named strategies in `ALLOCATORS`; all if none is named.
    fn strategies(&self) -> Vec<usize> {
        if self.strategy.is_empty() {
            return (0..ALLOCATORS.len()).collect();
        }
        let index =
            |named: &&AllocatorRow| ALLOCATORS.iter().position(|row| row.name == named.name);
        self.strategy.iter().filter_map(index).collect()
    }

    fn runs_or(&self, default: u32) -> u32 {
        self.runs.map_or(default, NonZeroU32::get)
    }

    fn write(&self, lab: LabOutcome<'_>) -> anyhow::Result<()> {
        let ReportArguments { format, output, .. } = &self.report;
        Ok(output::write_page(output.as_deref(), self.color.when, |out| match format {
            PlainFormat::Text => report::lab::text::write(lab, out),
            PlainFormat::Json => report::lab::json::write(lab, out),
        })?)
    }
}

pub fn run(settings: &LabArguments) -> anyhow::Result<CommandEnd> {
    let seed = value::seed_or_drawn(settings.search.seed)?;
    let experiment = if settings.race { race } else { compare };
    namespaces::run_in(settings.search.namespace.choice(), |host| experiment(host, settings, seed))?
}

fn compare(host: &dyn Host, settings: &LabArguments, seed: u64) -> anyhow::Result<CommandEnd> {
    let setup = setup(host, settings, seed)?;
    let is_built = settings.occupancy == OccupancyName::Built;
    let runs = u64::from(settings.runs_or(if is_built { RUNS_BUILT } else { RUNS }));
    let report = engine::lab::complete(host, &setup, runs).map_err(anyhow::Error::msg)?;
    settings.write(LabOutcome::Comparison { setup: &setup, runs, report: &report })?;
    exit::report_partial(report.limitation);
    Ok(CommandEnd::Done)
}

fn setup(host: &dyn Host, settings: &LabArguments, seed: u64) -> anyhow::Result<LabSetup> {
    let policy = search::policy(host)?;
    let (range, reserved) = settings.search.ports(&policy);
    let candidates = Candidates::new(range, reserved);
    if candidates.len() == 0 {
        return Err(BadInput(NoPort::RangeReserved { range }.to_string()).into());
    }
    let most = candidates.len() - 1;
    if let Some(band) = settings.band.filter(|&band| band > most) {
        let words = format!("invalid value '{band}' for --band: expected 0 to {most}");
        return Err(BadInput(words).into());
    }
    Ok(LabSetup {
        target: settings.target(),
        strategies: settings.strategies(),
        protocols: settings.search.protocol,
        range,
        reserved: reserved.to_vec(),
        address: settings.search.address,
        max_attempts: settings.search.max_attempts.get(),
        seed,
        destinations: settings.destinations.get(),
        tuning: Tuning { band: settings.band },
    })
}

fn race(host: &dyn Host, settings: &LabArguments, seed: u64) -> anyhow::Result<CommandEnd> {
    let policy = search::policy(host)?;
    let range = settings.search.range.resolve(&policy);
    let setup = RaceSetup {
        program: std::env::current_exe().ok(),
        rounds: settings.runs_or(ROUNDS),
        window: settings.window.unwrap_or(WINDOW),
        competitor_binds_per_second: settings.competitor.unwrap_or(COMPETITOR),
        range,
        share: settings.share(),
        seed,
    };
    check_free(&setup)?;
    let report = engine::race::run(host, &setup, &mut |_| true);
    if let (RaceBackend::Unknown, Some(why)) = (&report.backend, &report.failure) {
        return Err(BadInput(why.to_string()).into());
    }
    settings.write(LabOutcome::Race { setup: &setup, report: &report })?;
    let failure = report.failure.as_ref();
    exit::report_partial(failure.map(|why| format!("the race ended early: {why}")));
    Ok(CommandEnd::Done)
}

/// Checks that the range has enough free ports for a race.
fn check_free(setup: &RaceSetup) -> Result<(), BadInput> {
    let (range, free) = (setup.range, setup.free());
    if free >= MIN_FREE {
        return Ok(());
    }
    Err(BadInput(format!(
        "--race needs {MIN_FREE} free ports, range {range} has {free}: lower --fill or widen \
         --range"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Command, parsed};

    #[test]
    fn default_is_all_strategies() {
        let named = |typed| match parsed(typed) {
            Command::Lab(settings) => settings.strategies(),
            other => panic!("{other:?}"),
        };
        assert_eq!(named("lab").len(), ALLOCATORS.len());
        assert_eq!(named("lab --strategy random-unique --strategy random"), [1, 0]);
    }
}
