//! Writes the short answers of `explain`: the processes on the port, what frees it, and which bind()
//! gets it. `text` writes the reasons.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use crate::{
    domain::{
        AddressRefusal, Errno, Process,
        availability::{self, Reuse, Verdict, probing::Probed},
        notation::{NamedProcess, duration},
    },
    report::{
        Explanation, Page, Scan,
        columns::{TextCell, TextColumn, TextTable},
        explain::{
            BindRow, ProtocolPort,
            text::{BULLET, MAX_REPORTED, address},
        },
        paragraph,
    },
};

/// Indent of lines that belong to a bullet.
const INDENT: &str = "    ";

/// Writes one paragraph for each process with a socket on the port: user, start, command, directory,
/// unit and parent.
pub fn write_processes(
    explanation: &Explanation<'_>,
    side: &ProtocolPort,
    out: &mut Page<'_>,
) -> io::Result<()> {
    let scan = explanation.scan;
    let pids = scan.pids(scan.snapshot.on_port(side.protocol, explanation.port));
    let known = pids.iter().filter_map(|&pid| scan.processes.get(pid));
    for process in known.take(MAX_REPORTED) {
        let named = scan.processes.named(process.pid);
        let facts = facts(scan, process).join("; ");
        paragraph::write(BULLET, &format!("{named}: {facts}."), out)?;
    }
    let more = pids.len().saturating_sub(MAX_REPORTED);
    if more > 0 {
        let started = if more == 1 { "process" } else { "processes" };
        writeln!(out, "{BULLET}{more} more {started}: --format json lists all.")?;
    }
    Ok(())
}

/// Returns what is known about a process, in the order of its use.
fn facts(scan: Scan<'_>, process: &Process) -> Vec<String> {
    let Process { command, uid, started, unit, directory, parent, .. } = process;
    let unknown = || "unknown".to_owned();
    let user = uid.map_or_else(unknown, |uid| scan.user_of(uid).to_string());
    let mut facts = vec![format!("user {user}"), since(scan, *started)];
    let command = command.as_ref().map_or_else(unknown, ToString::to_string);
    facts.push(format!("command: {command}"));
    facts.extend(directory.as_ref().map(|path| format!("directory {path}")));
    facts.extend(unit.as_ref().map(|unit| match unit.as_str() {
        name if name.contains('.') => format!("unit {name}"),
        name => format!("in {name}"),
    }));
    facts.extend(parent.as_ref().map(|parent| {
        format!("parent {}", NamedProcess { name: parent.name.as_ref(), pid: parent.pid })
    }));
    facts
}

fn since(scan: Scan<'_>, started: Option<u64>) -> String {
    let instant =
        started.and_then(|seconds| jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok());
    match (started, instant) {
        (Some(seconds), Some(instant)) => {
            let age = scan.snapshot.taken_at.saturating_sub(Duration::from_secs(seconds));
            format!("started {} ago ({instant})", duration(age))
        }
        _ => "start unknown".to_owned(),
    }
}

/// Writes what frees the port, each command on a line of its own.
pub fn write_release(
    explanation: &Explanation<'_>,
    side: &ProtocolPort,
    out: &mut Page<'_>,
) -> io::Result<()> {
    let Scan { snapshot, processes } = explanation.scan;
    let release = availability::release(snapshot, processes, side.protocol, explanation.port);
    let Some(release) = release else { return Ok(()) };
    paragraph::write(BULLET, &format!("To free it: {}", release.words), out)?;
    for command in &release.commands {
        writeln!(out, "{INDENT}$ {command}")?;
    }
    match &release.if_restarted {
        Some(command) => writeln!(out, "{INDENT}$ {command}   # if it is started again"),
        None => Ok(()),
    }
}

/// Writes which bind() gets the port: a table of addresses by reuse option, or one line if all have
/// the same answer.
pub fn write_binds(side: &ProtocolPort, out: &mut Page<'_>) -> io::Result<()> {
    let Some(first) = side.binds.first().map(cell) else { return Ok(()) };
    if side.binds.iter().all(|row| cell(row) == first) {
        return writeln!(out, "{BULLET}Can I bind it? {first}: each address, with any option.");
    }
    let rows: Vec<[TextCell; 4]> = side
        .binds
        .chunk_by(|row, next| row.probe == next.probe)
        .map(|row| {
            let [none, reuse_address, reuse_port] = Reuse::EACH
                .map(|reuse| row.iter().find(|row| row.bind.reuse == reuse).map(cell))
                .map(Option::unwrap_or_default);
            let name = row.first().map(address).unwrap_or_default();
            [format!("{INDENT}{name}"), none, reuse_address, reuse_port].map(TextCell::from)
        })
        .collect();
    let columns = ["  - Can I bind it?", "NO OPTION", "SO_REUSEADDR", "SO_REUSEPORT"];
    TextTable::new(columns.map(TextColumn::text), rows, out).write(out)
}

/// Formats the answer for one bind(), and the result of its probe.
fn cell(row: &BindRow) -> String {
    let answer = match (&row.refusal, row.answer.verdict) {
        (Some(AddressRefusal { errno, .. }), _) => format!("no: {errno}"),
        (None, Verdict::Free | Verdict::Never) => "yes".to_owned(),
        (None, Verdict::InUse) => "no".to_owned(),
        (None, Verdict::Unknown) => "unknown".to_owned(),
    };
    let is_unknown = row.refusal.is_none() && row.answer.verdict == Verdict::Unknown;
    match row.probed {
        Probed::NotAsked => answer,
        Probed::Skipped(_) => format!("{answer} (not tried)"),
        Probed::Tried(Ok(())) if is_unknown || answer == "yes" => "yes (tried)".to_owned(),
        Probed::Tried(Ok(())) => format!("{answer} (tried: yes)"),
        Probed::Tried(Err(Errno::EADDRINUSE)) if is_unknown || answer == "no" => {
            "no (tried)".to_owned()
        }
        Probed::Tried(Err(errno)) if row.refusal.is_some() && answer == format!("no: {errno}") => {
            format!("{answer} (tried)")
        }
        Probed::Tried(Err(errno)) if is_unknown => format!("no: {errno} (tried)"),
        Probed::Tried(Err(errno)) => format!("{answer} (tried: {errno})"),
    }
}
