//! Writes the report of `free` as text.

use std::io::{self, Write as _};

use crate::{
    domain::action::{ActionChoice, FreePlan, Frees, PortAction},
    report::{
        Page,
        explain::text::{BULLET, holders_in_words, write_groups},
        free::{FreeOutcome, FreeReport, FreeSide},
        paragraph,
    },
};

/// Indent of lines that belong to a bullet.
const INDENT: &str = "    ";

pub fn write(report: &FreeReport<'_>, out: &mut Page<'_>) -> io::Result<()> {
    let mut sides: Vec<&FreeSide<'_>> =
        report.sides.iter().filter(|side| side.plan.is_some() || side.may_be_unlisted).collect();
    if sides.is_empty() {
        sides = report.sides.iter().collect();
    }
    for (number, side) in sides.into_iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        write_side(report, side, out)?;
    }
    Ok(())
}

fn write_side(report: &FreeReport<'_>, side: &FreeSide<'_>, out: &mut Page<'_>) -> io::Result<()> {
    let name = side.name(report.port);
    let sockets = report.scan.snapshot.on_port(side.protocol, report.port);
    let Some(plan) = side.plan else {
        if side.may_be_unlisted {
            return paragraph::write("", &nothing_listed(&name), out);
        }
        return writeln!(out, "{name} is not in use: nothing to do.");
    };
    if let Some(outcome) = &side.outcome {
        let held = holders_in_words(report.scan, side.protocol, report.port);
        paragraph::write("", &format!("{name} was held by {held}."), out)?;
        return write_outcome(outcome, &name, out);
    }
    write_groups(report.scan, sockets, &name, out)?;
    for choice in side.choices {
        write_choice(choice, out)?;
    }
    paragraph::write("", &conclusion(plan, &name), out)
}

/// Writes the effect of an action, and its command on a line of its own.
fn write_choice(choice: &ActionChoice, out: &mut Page<'_>) -> io::Result<()> {
    let title = choice.action.title();
    let words = format!("{title}: {}. {}", choice.verdict(), choice.sentences());
    paragraph::write(BULLET, &words, out)?;
    writeln!(out, "{INDENT}$ {}", choice.forecast.command)
}

/// Says what --yes does, or why nothing frees the port.
fn conclusion(plan: &FreePlan, name: &str) -> String {
    let Some(action) = &plan.action else {
        let why = plan.refusal.as_deref().unwrap_or("no process that can be ended uses it");
        return format!("Nothing was changed. No action frees {name} now: {why}.");
    };
    let mut does = match action {
        PortAction::End { signal, .. } => {
            format!("sends SIG{} to the processes named in the first command", signal.name())
        }
        PortAction::Drain { .. } => "ends the closed connections".to_owned(),
        _ => "closes the socket".to_owned(),
    };
    if let PortAction::End { processes, signal, .. } = action
        && processes.len() == 1
    {
        does = format!("sends SIG{} to pid {}", signal.name(), processes[0].pid);
    }
    let then =
        if plan.then_drain { ", and then ends the closed connections that remain" } else { "" };
    let effect = match plan.frees {
        Frees::Yes => "is free then",
        _ => "may be free then",
    };
    format!("Nothing was changed. --yes {does}{then}; {name} {effect}.")
}

fn write_outcome(outcome: &FreeOutcome, name: &str, out: &mut Page<'_>) -> io::Result<()> {
    for step in &outcome.steps {
        paragraph::write(BULLET, &format!("{}.", step.words), out)?;
    }
    let result = match (outcome.is_free, outcome.remaining.as_str(), &outcome.error) {
        (Some(true), _, _) => format!("{name} is free."),
        (Some(false), remaining, _) => format!("{name} is still in use: {remaining}."),
        (None, _, Some(error)) => format!("It is unknown whether {name} is free: {error}."),
        (None, _, None) => nothing_listed(name),
    };
    paragraph::write("", &result, out)
}

fn nothing_listed(name: &str) -> String {
    format!("No socket is listed on {name}, but an unlisted one may use it.")
}
