//! `portscope free`: shows what frees a port, and does it with --yes.

use crate::{
    cli::{
        args::{FreeArguments, PlainFormat, ReportArguments},
        exit::{self, CommandEnd},
        output,
    },
    domain::{
        ProcessTable, Protocol, Snapshot, Source,
        action::{EndSignal, FreePlan},
        availability,
    },
    engine::{
        freeing::{self, END_TIMEOUT, FreeSurvey, StepResult},
        sample,
    },
    host::{Host, HostError},
    report::{
        self, Scan,
        free::{ActedStep, FreeOutcome, FreeReport, FreeSide},
    },
};

pub fn run(host: &dyn Host, settings: &FreeArguments) -> anyhow::Result<CommandEnd> {
    let signal = if settings.hard { EndSignal::Kill } else { EndSignal::Term };
    let protocols: Vec<Protocol> = Protocol::EACH
        .into_iter()
        .filter(|&protocol| settings.target.protocols.includes(protocol))
        .collect();
    let survey = FreeSurvey::take(host, settings.target.port, &protocols, signal)?;
    let mut sides = Vec::new();
    for side in &survey.sides {
        let plan = side.plan.as_ref();
        let planned = plan.filter(|plan| settings.yes && plan.action.is_some());
        let outcome = match planned {
            Some(plan) => Some(free(host, settings, &survey, (side.protocol, plan))?),
            None => None,
        };
        sides.push(FreeSide { protocol: side.protocol, choices: &side.choices, plan, outcome });
    }
    let scan = Scan { snapshot: &survey.snapshot, processes: &survey.processes };
    let report = FreeReport { scan, port: survey.port, sides };
    let ReportArguments { format, output, .. } = &settings.report;
    output::write_page(output.as_deref(), settings.color.when, |out| match format {
        PlainFormat::Text => report::free::text::write(&report, out),
        PlainFormat::Json => report::free::json::write(&report, out),
    })?;
    exit::report_partial(&survey.snapshot.gaps);
    let is_freed = report.sides.iter().all(FreeSide::is_freed);
    Ok(if is_freed { CommandEnd::Done } else { CommandEnd::No })
}

/// Performs the plan, and looks whether the port is free.
fn free(
    host: &dyn Host,
    settings: &FreeArguments,
    survey: &FreeSurvey,
    (protocol, plan): (Protocol, &FreePlan),
) -> Result<FreeOutcome, HostError> {
    let Some(action) = &plan.action else { return Ok(unchanged()) };
    let timeout = settings.waiting.timeout.unwrap_or(END_TIMEOUT);
    let ports = [(protocol, survey.port)];
    let results = freeing::free_ports(host, &ports, action, plan.then_drain, timeout)?;
    let steps = results.iter().map(|result| step(result, &survey.processes)).collect();
    let (is_free, remaining) = look_again(host, survey.port, protocol)?;
    Ok(FreeOutcome { steps, is_free, remaining })
}

fn unchanged() -> FreeOutcome {
    FreeOutcome { steps: Vec::new(), is_free: Some(false), remaining: String::new() }
}

/// Scans the port with its owners. Returns whether it is free (None: unknown) and what still uses
/// it.
fn look_again(
    host: &dyn Host,
    port: u16,
    protocol: Protocol,
) -> Result<(Option<bool>, String), HostError> {
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    host.scanner()?.scan_port(port, &mut snapshot)?;
    let processes = sample::describe(host, &snapshot);
    if snapshot.on_port(protocol, port).is_empty() {
        let is_hidden = availability::may_be_unlisted(&snapshot, protocol, port);
        return Ok(((!is_hidden).then_some(true), String::new()));
    }
    let scan = Scan { snapshot: &snapshot, processes: &processes };
    Ok((Some(false), report::explain::text::holders_in_words(scan, protocol, port)))
}

fn step(result: &StepResult, processes: &ProcessTable) -> ActedStep {
    let hint = match result {
        StepResult::Signalled { after: None, .. } => "; --hard ends it",
        _ => "",
    };
    ActedStep { words: format!("{}{hint}", result.words(processes)), is_done: result.is_done() }
}
