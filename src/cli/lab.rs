//! `portscope lab`: compares strategies, or runs the race, without a screen.

use crate::{
    allocator::{ALLOCATORS, Candidates},
    cli::{
        args::PlainFormat,
        exit::{self, CommandEnd},
        namespaces, search, seed,
        settings::{
            BadInput, LabSettings,
            lab::{ComparisonSettings, Experiment, RaceSettings},
        },
    },
    domain::{PortRange, Protocols},
    engine::{
        self,
        message::{LabReport, LabSetup, LabTarget, RaceBackend, RaceReport, RaceSetup, Rounds},
        race::MIN_FREE,
    },
    host::Host,
    report::{
        self, NoPort,
        lab::{
            LabComparison, LabConditions, LabOutcome, LabSummary, RaceSummary, RaceTarget,
            StrategyResult,
        },
    },
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
    let result = engine::lab::complete(host, &setup, u64::from(asked.runs.get()));
    let report = result.map_err(anyhow::Error::msg)?;
    write(settings, &comparison(&setup, asked, &report))?;
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

fn comparison<'a>(
    setup: &LabSetup,
    asked: &ComparisonSettings,
    report: &'a LabReport,
) -> LabSummary<'a> {
    let LabReport { candidates, occupied, strategy_reports, .. } = report;
    let (occupancy, fill) = match setup.target {
        LabTarget::Machine => ("live", f64::from(*occupied) / f64::from(*candidates)),
        LabTarget::Simulated { pattern, share } => (pattern.name(), share),
    };
    let results = strategy_reports.iter().map(|strategy_report| StrategyResult {
        row: &ALLOCATORS[strategy_report.strategy],
        figures: &strategy_report.figures,
    });
    LabSummary {
        conditions: LabConditions {
            occupancy,
            is_simulated: setup.target != LabTarget::Machine,
            fill,
            seed: setup.seed,
            range: setup.range,
            candidates: *candidates,
            occupied: *occupied,
            protocols: setup.protocols,
        },
        outcome: LabOutcome::Comparison(LabComparison {
            max_attempts: setup.max_attempts,
            destinations: setup.destinations,
            runs: u64::from(asked.runs.get()),
            results: results.collect(),
        }),
    }
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
    check_free(range, asked.share)?;
    let setup = RaceSetup {
        program: std::env::current_exe().ok(),
        rounds: asked.rounds.get(),
        window: asked.window,
        competitor_binds_per_second: asked.competitor_binds_per_second,
        range,
        share: asked.share,
        seed,
    };
    let report = engine::race::run(host, &setup, &mut |_| true);
    if let (RaceBackend::Unknown, Some(why)) = (&report.backend, &report.failure) {
        return Err(BadInput(why.to_string()).into());
    }
    write(settings, &raced(&setup, &report))?;
    if let Some(why) = &report.failure {
        exit::print_stderr(format_args!("portscope: partial: the race ended early: {why}"));
    }
    Ok(CommandEnd::Done)
}

/// Checks that the range has enough free ports for a race.
fn check_free(range: PortRange, share: f64) -> Result<(), BadInput> {
    let free = range.len() - others(range, share);
    if free >= MIN_FREE {
        return Ok(());
    }
    Err(BadInput(format!(
        "--race needs {MIN_FREE} free ports, range {range} has {free}: lower --fill or widen \
         --range"
    )))
}

fn raced(setup: &RaceSetup, report: &RaceReport) -> LabSummary<'static> {
    let place = match &report.backend {
        RaceBackend::Simulated { because } => RaceTarget::Simulated { because: because.clone() },
        RaceBackend::Unknown | RaceBackend::Namespace => RaceTarget::Namespace,
    };
    LabSummary {
        conditions: LabConditions {
            occupancy: "uniform",
            is_simulated: matches!(place, RaceTarget::Simulated { .. }),
            fill: setup.share,
            seed: setup.seed,
            range: setup.range,
            candidates: setup.range.len(),
            occupied: others(setup.range, setup.share),
            protocols: Protocols::Udp,
        },
        outcome: LabOutcome::Race(RaceSummary {
            place,
            window: setup.window,
            competitor_per_second: setup.competitor_binds_per_second,
            rebound: rounds(&report.rebound),
            handed_over: rounds(&report.handed_over),
            failure: report.failure.clone(),
        }),
    }
}

fn others(range: PortRange, share: f64) -> u32 {
    (f64::from(range.len()) * share).round() as u32
}

fn rounds(rounds: &Rounds) -> report::lab::RaceRounds {
    report::lab::RaceRounds {
        count: rounds.count,
        stolen: rounds.stolen,
        refused: rounds.refused,
        expected: rounds.expected,
        deviation: rounds.deviation,
        window: rounds.window,
        competitor_per_second: rounds.competitor_per_second,
        free: rounds.free,
    }
}

fn write(settings: &LabSettings, lab: &LabSummary<'_>) -> anyhow::Result<()> {
    Ok(settings.destination.write(|out| match settings.format {
        PlainFormat::Text => report::lab::text::write(lab, out),
        PlainFormat::Json => report::lab::json::write(lab, out),
    })?)
}
