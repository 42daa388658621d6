//! Writes the selected thing as plain text, to be copied into a ticket: a row of the Overview, or
//! the port that the inspector describes. Does not copy it.

use crate::{
    app::{
        App, LatestScan, Overlay, Screen,
        overview::{
            OverviewRow, Selected,
            finding_page::{self, FindingLine, LongCommand},
        },
    },
    domain::{
        Destination, DestinationUse, Finding, OwnerKey, OwnerUse, Subject,
        diagnosis::SubjectStatus, notation,
    },
    view::{Theme, inspector, overview, sockets, words},
};

/// A piece of text, and what it is about.
pub struct CopiedText {
    /// What is copied, for the message: `destination 10.0.3.17:443`.
    pub title: String,
    pub text: String,
}

/// Returns the text of the selected thing. None: nothing is selected, or the screen has nothing
/// to copy.
pub fn text(app: &App, theme: &Theme) -> Option<CopiedText> {
    let scan = app.scan()?;
    if let Some(dialog) = app.free_dialog() {
        let text = format!("{}\n", dialog.choice()?.forecast.command);
        return Some(CopiedText { title: "the command".to_owned(), text });
    }
    let (title, lines) = match app.screen() {
        _ if matches!(app.overlay(), Overlay::Finding(_)) => {
            finding(app, scan.diagnosis.findings.get(app.shown_finding()?)?)
        }
        Screen::Overview => row(app, scan, app.overview().selected(scan)?)?,
        Screen::Map => {
            let port = app.inspected();
            (format!("port {port}"), inspector::text(app, scan, theme))
        }
        Screen::Sockets => sockets::copied(app)?,
        Screen::Allocate | Screen::Lab => return None,
    };
    // A command is pasted into a shell, so nothing is written before it.
    let machine = match app.screen() {
        Screen::Sockets => String::new(),
        _ => format!("{}: ", scan.snapshot.machine.name),
    };
    let mut text = format!("{machine}{}", lines.join("\n"));
    text.push('\n');
    if theme.ascii {
        text = words::ascii(&text);
    }
    Some(CopiedText { title, text })
}

/// Returns the marked rows of the Sockets screen; without marks, all rows. None: there are none.
pub fn rows(app: &App, theme: &Theme) -> Option<CopiedText> {
    let (title, lines) = sockets::copied_rows(app)?;
    let mut text = lines.join("\n");
    text.push('\n');
    if theme.ascii {
        text = words::ascii(&text);
    }
    Some(CopiedText { title, text })
}

fn row(app: &App, scan: &LatestScan, selected: Selected) -> Option<(String, Vec<String>)> {
    let Selected { row, index, .. } = selected;
    Some(match row {
        OverviewRow::Destination(wanted) => {
            let row = scan.analysis.destinations.get(index)?;
            (format!("destination {}", wanted.remote), destination(app, row))
        }
        OverviewRow::Listener(wanted) => {
            let row = scan.listeners.get(index)?;
            let [port, address, queue, owner] = overview::listener(app, row);
            let command = command(app, wanted.owner_key);
            let mut lines = vec![format!("{port} on {address}: {owner}{command}")];
            lines.extend((!queue.is_empty()).then(|| format!("accept queue {queue}")));
            (format!("listener {port}"), lines)
        }
        OverviewRow::Owner(wanted) => {
            let row = scan.analysis.owners.get(index)?;
            (format!("owner {}", words::owner_key(app, wanted)), owner(app, row))
        }
        OverviewRow::Finding(..) => finding(app, scan.diagnosis.findings.get(index)?),
    })
}

fn destination(app: &App, row: &DestinationUse) -> Vec<String> {
    let Destination { source, remote, .. } = row.destination;
    let status = SubjectStatus::of_destination(row, app.trends(), app.thresholds());
    let least = if row.left().is_exact() { "" } else { "at least " };
    let mut lines = vec![
        format!("{} {source} → {remote}", status.level.name()),
        format!(
            "{} of {} usable ports in use ({}), {least}{} left",
            notation::grouped(row.used),
            notation::grouped(row.capacity),
            notation::percent_of(row.used, row.capacity),
            notation::grouped(row.available()),
        ),
        format!("{} in TIME-WAIT", notation::grouped(row.time_wait)),
    ];
    if let Some(trend) = app.trends().of(Subject::Destination(row.destination)) {
        let opened = notation::frequency(trend.opened_per_second);
        lines.push(format!("opened {opened}, ports in use {}", notation::rate(trend.per_second)));
    }
    for &(owner_key, sockets) in row.owners.iter() {
        let sockets = notation::counted(sockets, "socket");
        lines.push(format!(
            "owner {}: {sockets}{}",
            words::owner_key(app, owner_key),
            command(app, owner_key)
        ));
    }
    lines
}

fn owner(app: &App, row: &OwnerUse) -> Vec<String> {
    let name = words::owner_key(app, row.owner_key);
    let figure =
        |count: u32, noun| (count > 0).then(|| format!("{} {noun}", notation::grouped(count)));
    let ports = notation::counted(row.ports, "ephemeral port");
    let mut lines = vec![
        format!("{name}{}", command(app, row.owner_key)),
        format!("{ports}, {} on any port", notation::counted(row.sockets, "socket")),
    ];
    lines.extend(figure(row.close_wait, "in CLOSE-WAIT"));
    lines.extend(figure(row.bound, "bound, neither listening nor connected"));
    lines
}

/// Formats the command line of a process after its name; empty if it is not known.
fn command(app: &App, owner_key: OwnerKey) -> String {
    let OwnerKey::Process(pid) = owner_key else { return String::new() };
    let command = app.processes().get(pid).and_then(|process| process.command.as_ref());
    let command = command.filter(|command| !command.is_empty());
    command.map_or_else(String::new, |command| format!(", command {command}"))
}

/// Returns the title of a finding, and the finding as its page shows it, a line for each part and for
/// each command.
fn finding(app: &App, finding: &Finding) -> (String, Vec<String>) {
    let severity = finding.severity.name().to_uppercase();
    let line = |line: FindingLine| match line.label {
        "" => line.text,
        label => format!("{label}: {}", line.text),
    };
    let age = app.finding_age(finding);
    let body = finding_page::body(finding, age, usize::MAX, LongCommand::Wrapped);
    let summary = format!("{severity} {}", finding.summary);
    let lines = std::iter::once(summary).chain(body.into_iter().map(line)).collect();
    (format!("finding {}", finding.rule), lines)
}
