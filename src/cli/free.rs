//! `portscope free`: shows what frees a port, and does it with --yes.

use std::time::Duration;

use crate::{
    cli::{
        args::{FreeArguments, PlainFormat, ReportArguments},
        exit::{self, CommandEnd},
        output,
    },
    domain::{
        ProcessTable, Protocol, Snapshot, Socket, Source,
        action::{EndSignal, FreePlan, PortAction},
        availability, notation,
    },
    engine::{
        freeing::{self, FreeSurvey, PortWatch, StepResult},
        sample,
    },
    host::{Host, HostError},
    report::{
        self, Scan,
        free::{ActedStep, FreeOutcome, FreeReport, FreeSide},
    },
};

/// Default time for processes to end after SIGTERM.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for connections to end after the action, for example for the answer of a peer.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);

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
    let mut actions = host.actions()?;
    let Some(action) = &plan.action else { return Ok(unchanged()) };
    let timeout = settings.waiting.timeout.unwrap_or(END_TIMEOUT);
    let mut results = freeing::perform(&mut *actions, action, timeout);
    let mut watch = PortWatch::new(host)?;
    loop {
        let sockets = watch.look(survey.port)?.on_port(protocol, survey.port).to_vec();
        let is_closed = sockets.iter().all(Socket::is_closed_by_process);
        if plan.then_drain && is_closed && !sockets.is_empty() {
            let drain = PortAction::Drain { sockets: sockets.clone(), destination: None };
            results.extend(freeing::perform(&mut *actions, &drain, timeout));
        }
        if sockets.is_empty() || !watch.pause(Some(SETTLE_TIMEOUT)) {
            break;
        }
    }
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
    match result {
        StepResult::Signalled { pid, after: Some(after) } => ActedStep {
            words: format!("{} ended after {}", processes.named(*pid), notation::elapsed(*after)),
            is_done: true,
        },
        StepResult::Signalled { pid, after: None } => ActedStep {
            words: format!(
                "{} received the signal and has not ended; --hard ends it",
                processes.named(*pid)
            ),
            is_done: false,
        },
        StepResult::Closed { sockets } => ActedStep {
            words: format!("closed {}", notation::counted(*sockets, "socket")),
            is_done: true,
        },
        StepResult::Refused { what, error } => {
            ActedStep { words: format!("could not {what}: {error}"), is_done: false }
        }
    }
}
