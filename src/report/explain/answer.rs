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
        owner::is_container,
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
    facts.extend(unit.as_ref().map(|unit| {
        if is_container(unit) { format!("in {unit}") } else { format!("unit {unit}") }
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
/// the same answer. If the table is too wide, its cells have only the outcome, and the difference
/// between answer and try follows in sentences; if that is too wide, too, each address is a
/// paragraph.
pub fn write_binds(side: &ProtocolPort, out: &mut Page<'_>) -> io::Result<()> {
    let Some(first) = side.binds.first().map(cell) else { return Ok(()) };
    if side.binds.iter().all(|row| cell(row) == first) {
        return writeln!(out, "{BULLET}Can I bind it? {first}: each address, with any option.");
    }
    let full = bind_table(side, cell, out);
    if !full.is_folded() {
        return full.write(out);
    }
    let short = bind_table(side, outcome, out);
    if short.is_folded() {
        return write_bind_lines(side, out);
    }
    short.write(out)?;
    write_tries(side, out)
}

const BIND_COLUMNS: [&str; 4] = ["  - Can I bind it?", "NO OPTION", "SO_REUSEADDR", "SO_REUSEPORT"];

fn bind_table(side: &ProtocolPort, cell: fn(&BindRow) -> String, out: &Page<'_>) -> TextTable<4> {
    let rows = by_address(side, cell).map(|(name, [none, reuse_address, reuse_port])| {
        [format!("{INDENT}{name}"), none, reuse_address, reuse_port].map(TextCell::from)
    });
    TextTable::new(BIND_COLUMNS.map(TextColumn::text), rows.collect(), out)
}

/// Returns each address, and its cells in the order of `Reuse::EACH`.
fn by_address(
    side: &ProtocolPort,
    cell: fn(&BindRow) -> String,
) -> impl Iterator<Item = (String, [String; 3])> {
    side.binds.chunk_by(|row, next| row.probe == next.probe).map(move |row| {
        let cells = Reuse::EACH
            .map(|reuse| row.iter().find(|row| row.bind.reuse == reuse).map(cell))
            .map(Option::unwrap_or_default);
        (row.first().map(address).unwrap_or_default(), cells)
    })
}

/// Writes one paragraph for each address.
fn write_bind_lines(side: &ProtocolPort, out: &mut Page<'_>) -> io::Result<()> {
    writeln!(out, "{BULLET}Can I bind it?")?;
    for (name, [none, reuse_address, reuse_port]) in by_address(side, cell) {
        let answers =
            format!("{none}; with SO_REUSEADDR {reuse_address}; with SO_REUSEPORT {reuse_port}.");
        paragraph::write(INDENT, &format!("{name}: {answers}"), out)?;
    }
    Ok(())
}

/// Returns the outcome alone: of the try if there was one, else the answer. An errno means "no", and
/// `*` marks a row that `write_tries` explains.
fn outcome(row: &BindRow) -> String {
    let mark = if disagreement(row).is_some() { "*" } else { "" };
    let text = match (row.probed.result(), &row.refusal) {
        (Some(Ok(())), _) => "yes".to_owned(),
        (Some(Err(Errno::EADDRINUSE)), _) => "no".to_owned(),
        (Some(Err(errno)), _) => errno.to_string(),
        (None, Some(refusal)) => refusal.errno.to_string(),
        (None, None) => answer(row),
    };
    format!("{text}{mark}")
}

/// Returns what the outcome of the try does not show: that there was none, or that the answer from
/// the tables differs. None: it shows all, or no try was asked for.
fn disagreement(row: &BindRow) -> Option<String> {
    match row.probed {
        Probed::NotAsked => None,
        Probed::Skipped(skipped) => Some(format!("not tried: {}", skipped.why())),
        Probed::Tried(_) if cell(row).ends_with("(tried)") => None,
        Probed::Tried(_) => Some(format!("tried; the tables of sockets say {}", answer(row))),
    }
}

/// Writes what the marks in the table mean, and that the other rows were tried.
fn write_tries(side: &ProtocolPort, out: &mut Page<'_>) -> io::Result<()> {
    let mut notes: Vec<(String, Vec<String>)> = Vec::new();
    for row in &side.binds {
        let Some(note) = disagreement(row) else { continue };
        let option = match row.bind.reuse {
            Reuse::None => "",
            Reuse::Address => " SO_REUSEADDR",
            Reuse::Port => " SO_REUSEPORT",
        };
        let place = format!("{}{option}", address(row));
        match notes.iter_mut().find(|(known, _)| *known == note) {
            Some((_, places)) => places.push(place),
            None => notes.push((note, vec![place])),
        }
    }
    let tried = side.binds.iter().any(|row| matches!(row.probed, Probed::Tried(_)));
    let is_single = notes.len() == 1;
    for (note, places) in &notes {
        let at = if is_single { String::new() } else { format!(" ({})", places.join(", ")) };
        paragraph::write(&format!("{INDENT}* "), &format!("{note}{at}."), out)?;
    }
    match (tried, notes.is_empty()) {
        (false, _) => Ok(()),
        (true, true) => writeln!(out, "{INDENT}Each was tried."),
        (true, false) => writeln!(out, "{INDENT}The others were tried, as the tables say."),
    }
}

/// Formats the answer that follows from the sockets and the machine, without a try.
fn answer(row: &BindRow) -> String {
    match (&row.refusal, row.answer.verdict) {
        (Some(AddressRefusal { errno, .. }), _) => format!("no: {errno}"),
        (None, Verdict::Free | Verdict::Never) => "yes".to_owned(),
        (None, Verdict::InUse) => "no".to_owned(),
        (None, Verdict::Unknown) => "unknown".to_owned(),
    }
}

/// Formats the answer for one bind(), and the result of its probe.
fn cell(row: &BindRow) -> String {
    let answer = answer(row);
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
