//! `portscope free`: shows what frees a port, and does it with --yes.

use std::collections::BTreeSet;

use crate::{
    cli::{
        args::{FreeArguments, PlainFormat, ReportArguments},
        exit::{self, CommandEnd},
        output::OpenOutput,
    },
    domain::{
        ProcessTable, Protocol, Snapshot, Source,
        action::{EndSignal, PortAction, ProcessIdentity},
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
    let ReportArguments { format, output, .. } = &settings.report;
    // Opened before anything is done, because what was done must be reported.
    let output = OpenOutput::open(output.as_deref())?;
    let survey = FreeSurvey::take(host, settings.target.port, &protocols, signal)?;
    let mut sides = Vec::new();
    let mut signalled = BTreeSet::new();
    for side in &survey.sides {
        let plan = side.plan.as_ref();
        let action = plan.filter(|_| settings.yes).and_then(|plan| plan.action.as_ref());
        let outcome = action.zip(plan).map(|(action, plan)| {
            let action = not_yet_signalled(action, &mut signalled);
            free(host, settings, &survey, (side.protocol, &action, plan.then_drain))
        });
        let may_be_unlisted = side.may_be_unlisted;
        let (protocol, choices) = (side.protocol, side.choices.as_slice());
        sides.push(FreeSide { protocol, choices, plan, may_be_unlisted, outcome });
    }
    let scan = Scan { snapshot: &survey.snapshot, processes: &survey.processes };
    let report = FreeReport { scan, port: survey.port, sides };
    output.write_page(settings.color.when, |out| match format {
        PlainFormat::Text => report::free::text::write(&report, out),
        PlainFormat::Json => report::free::json::write(&report, out),
    })?;
    exit::report_partial(&survey.snapshot.gaps);
    let is_freed = report.sides.iter().all(FreeSide::is_freed);
    Ok(if is_freed { CommandEnd::Done } else { CommandEnd::No })
}

/// Returns the action without the processes that received a signal for the other protocol, and adds
/// those that it ends. A second SIGTERM makes some programs end at once.
fn not_yet_signalled(action: &PortAction, signalled: &mut BTreeSet<ProcessIdentity>) -> PortAction {
    let mut action = action.clone();
    if let PortAction::End { processes, .. } = &mut action {
        processes.retain(|process| signalled.insert(*process));
    }
    action
}

/// Performs the action, and looks whether the port is free. An error is a part of the outcome, so
/// that it does not hide what was done, also on the other protocol.
fn free(
    host: &dyn Host,
    settings: &FreeArguments,
    survey: &FreeSurvey,
    (protocol, action, then_drain): (Protocol, &PortAction, bool),
) -> FreeOutcome {
    let timeout = settings.waiting.timeout.unwrap_or(END_TIMEOUT);
    let ports = [(protocol, survey.port)];
    let steps = match freeing::free_ports(host, &ports, action, then_drain, timeout) {
        Ok(results) => {
            results.iter().map(|result| step(result, &survey.processes, settings.hard)).collect()
        }
        Err(error) => return FreeOutcome::unseen(Vec::new(), &error),
    };
    match look_again(host, survey.port, protocol) {
        Ok((is_free, remaining)) => FreeOutcome { steps, is_free, remaining, error: None },
        Err(error) => FreeOutcome::unseen(steps, &error),
    }
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

fn step(result: &StepResult, processes: &ProcessTable, is_hard: bool) -> ActedStep {
    let hint = match result {
        StepResult::Signalled { after: None, .. } if !is_hard => "; --hard ends it",
        _ => "",
    };
    ActedStep { words: format!("{}{hint}", result.words(processes)), is_done: result.is_done() }
}
