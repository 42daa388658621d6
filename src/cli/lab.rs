//! `portscope lab`: compares strategies, or runs the race, without a screen.

use crate::{
    allocator::{
        Candidates,
        lab::LabSetup,
        race::{RaceBackend, RaceSetup},
    },
    cli::{
        args::PlainFormat,
        exit::{self, CommandEnd},
        namespaces, search, seed,
        settings::{
            BadInput, LabSettings,
            lab::{ComparisonSettings, Experiment, RaceSettings},
        },
    },
    engine::{self, race::MIN_FREE},
    host::Host,
    report::{self, NoPort, lab::LabOutcome},
};

pub fn run(settings: &LabSettings) -> anyhow::Result<CommandEnd> {
    let seed = seed::or_drawn(settings.seed)?;
    namespaces::run_in(&settings.namespace, |host| match &settings.experiment {
        Experiment::Comparison(asked) => compare(host, settings, asked, seed),
        Experiment::Race(asked) => race(host, settings, asked, seed),
    })?
}

fn compare(
    host: &dyn Host,
    settings: &LabSettings,
    asked: &ComparisonSettings,
    seed: u64,
) -> anyhow::Result<CommandEnd> {
    let setup = setup(host, settings, asked, seed)?;
    let runs = u64::from(asked.runs.get());
    let report = engine::lab::complete(host, &setup, runs).map_err(anyhow::Error::msg)?;
    write(settings, LabOutcome::Comparison { setup: &setup, runs, report: &report })?;
    if let Some(limitation) = report.limitation {
        exit::print_stderr(format_args!("portscope: partial: {limitation}"));
    }
    Ok(CommandEnd::Done)
}

fn setup(
    host: &dyn Host,
    settings: &LabSettings,
    asked: &ComparisonSettings,
    seed: u64,
) -> anyhow::Result<LabSetup> {
    let (policy, gaps) = host.policy()?;
    search::report_assumptions(&gaps);
    let range = settings.range.resolve(&policy);
    let reserved = if settings.ignore_reserved { &[] } else { policy.reserved() };
    let candidates = Candidates::new(range, reserved);
    if candidates.len() == 0 {
        return Err(BadInput(NoPort::RangeReserved { range }.to_string()).into());
    }
    asked.tuning.check(&candidates).map_err(|error| {
        let most = error.candidates.saturating_sub(1);
        BadInput(format!("invalid value '{}' for --band: expected 0 to {most}", error.band))
    })?;
    Ok(LabSetup {
        target: asked.target,
        strategies: asked.strategies.clone(),
        protocols: asked.protocols,
        range,
        reserved: reserved.to_vec(),
        address: asked.address,
        max_attempts: asked.max_attempts.get(),
        seed,
        destinations: asked.destinations.get(),
        tuning: asked.tuning,
    })
}

fn race(
    host: &dyn Host,
    settings: &LabSettings,
    asked: &RaceSettings,
    seed: u64,
) -> anyhow::Result<CommandEnd> {
    let (policy, gaps) = host.policy()?;
    search::report_assumptions(&gaps);
    let range = settings.range.resolve(&policy);
    let setup = RaceSetup {
        program: std::env::current_exe().ok(),
        rounds: asked.rounds.get(),
        window: asked.window,
        competitor_binds_per_second: asked.competitor_binds_per_second,
        range,
        share: asked.share,
        seed,
    };
    check_free(&setup)?;
    let report = engine::race::run(&setup, &mut |_| true);
    if let (RaceBackend::Unknown, Some(why)) = (&report.backend, &report.failure) {
        return Err(BadInput(why.to_string()).into());
    }
    write(settings, LabOutcome::Race { setup: &setup, report: &report })?;
    if let Some(why) = &report.failure {
        exit::print_stderr(format_args!("portscope: partial: the race ended early: {why}"));
    }
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

fn write(settings: &LabSettings, lab: LabOutcome<'_>) -> anyhow::Result<()> {
    Ok(settings.destination.write(|out| match settings.format {
        PlainFormat::Text => report::lab::text::write(lab, out),
        PlainFormat::Json => report::lab::json::write(lab, out),
    })?)
}
