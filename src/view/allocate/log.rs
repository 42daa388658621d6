//! Draws the last attempts: number, port, result, errno, holder, duration. Does not look up the
//! holders.

use ratatui::{style::Style, text::Span};
use unicode_width::UnicodeWidthStr;

use crate::{
    app::allocation::{AllocatorTarget, HolderOwner, HolderSeen, LogEntry},
    domain::{Outcome, ProcessTable, notation},
    view::{
        Role, Theme,
        allocate::{AllocateContext, page},
        surface::{Surface, first_fitting},
    },
};

/// Maximum width of the holder, in columns. With a wider one, the duration would be too far to the
/// right.
const HOLDER_WIDTH: usize = 44;
/// Minimum width of the holder for the state of its socket, such as `UNCONNECTED postgres[1402]`.
const WITH_STATE: usize = 26;
/// Minimum width of a name that is cut.
const LEAST_NAME: usize = 3;

/// Draws the last attempts with all that is known of them, one per line. `rows` is the number of
/// lines, including the rule and the header.
pub fn section(context: AllocateContext<'_>, column: &mut Surface<'_>, rows: u16) {
    let (title, right) = heading(context);
    column.rule(&title, &right);
    let rows = usize::from(rows).saturating_sub(2);
    let entries = last(context, rows);
    let results: Vec<String> = entries.iter().map(|e| result(e, column.theme)).collect();
    let result_width = results.iter().map(|r| r.width()).max().unwrap_or(0).max(11);
    let holder_width = column.width().saturating_sub(4 + 1 + 5 + 2 + result_width + 2 + 1 + 7);
    let holder_width = holder_width.min(HOLDER_WIDTH);
    let header = format!(
        "{:>4} {:>5}  {:result_width$}  {:holder_width$} {:>7}",
        "#", "port", "result", "holder", "took"
    );
    column.text(&header, Role::Dim);
    for (entry, result) in entries.iter().zip(&results) {
        let holder = holder(context, entry, holder_width, column.theme);
        let took = time(context, entry);
        let [plain, colored] = styles(context, entry, column.theme);
        let secondary = column.theme.style(Role::Dim);
        column.line([
            Span::styled(format!("{:>4} {:>5}  ", entry.attempt.number, entry.attempt.port), plain),
            Span::styled(format!("{}  ", padded(result, result_width)), colored),
            Span::styled(format!("{} {took:>7}", padded(&holder, holder_width)), secondary),
        ]);
    }
    column.skip(rows.saturating_sub(entries.len()) as u16);
}

/// Draws the last attempts with number, port and holder, one per line. `rows` is the number of
/// lines, including the rule. [`detail`] formats the newest attempt in full.
pub fn narrow(context: AllocateContext<'_>, column: &mut Surface<'_>, rows: u16) {
    if rows == 0 {
        return;
    }
    column.rule(&heading(context).0, "");
    let rows = usize::from(rows) - 1;
    let entries = last(context, rows);
    for entry in &entries {
        let room = column.width().saturating_sub(11);
        let words = match entry.attempt.refusal {
            None => "allocated".to_owned(),
            Some(refusal) if entry.attempt.outcome() != Outcome::InUse => {
                let words = [refusal.errno.to_string(), format!("errno {}", refusal.errno.0)];
                first_fitting(&words, room, column.theme)
            }
            Some(_) => holder(context, entry, room, column.theme),
        };
        let [plain, colored] = styles(context, entry, column.theme);
        let sign = sign(entry, column.theme);
        column.line([
            Span::styled(format!("{:>2} {:>5} ", entry.attempt.number, entry.attempt.port), plain),
            Span::styled(format!("{sign} {words}"), colored),
        ]);
    }
    column.skip(rows.saturating_sub(entries.len()) as u16);
}

/// Formats all that is known of one attempt on one line.
pub fn detail(
    context: AllocateContext<'_>,
    entry: &LogEntry,
    theme: &Theme,
    width: usize,
) -> String {
    let port = match entry.attempt.port {
        0 => "port 0".to_owned(),
        port => port.to_string(),
    };
    let number = notation::grouped(entry.attempt.number);
    let start = format!("attempt {number} · {port} {}", result(entry, theme));
    let took = time(context, entry);
    let room = width.saturating_sub(start.width() + took.width() + 6);
    let holder = holder(context, entry, room, theme);
    let parts = [start, holder, took].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(" · ")
}

fn heading(context: AllocateContext<'_>) -> (String, String) {
    let allocation = context.allocation;
    let newest = allocation.log().entries().next_back();
    let number = newest.map_or(1, |entry| entry.allocation);
    if allocation.is_sampled() {
        return ("Log · sample".to_owned(), format!("allocation {}", notation::grouped(number)));
    }
    let limit = notation::counted(allocation.options().max_attempts, "attempt");
    (format!("Allocation {}", notation::grouped(number)), format!("at most {limit}"))
}

fn last(context: AllocateContext<'_>, rows: usize) -> Vec<LogEntry> {
    let entries = context.allocation.log().entries();
    let shown = if context.allocation.is_sampled() {
        rows
    } else {
        page::shown(context.allocation.figures().attempts, rows)
    };
    let surplus = entries.len().saturating_sub(shown);
    entries.skip(surplus).copied().collect()
}

/// Returns the style of number and port, and the style of the result. For attempts of earlier
/// allocations, only number and port become dim, because text whose style changes is sent to the
/// terminal again.
fn styles(context: AllocateContext<'_>, entry: &LogEntry, theme: &Theme) -> [Style; 2] {
    let newest = context.allocation.log().entries().next_back();
    let is_earlier = newest.is_some_and(|n| n.allocation != entry.allocation);
    let is_dim = is_earlier && !context.allocation.is_sampled();
    let role = if entry.attempt.refusal.is_none() { Role::Ok } else { Role::Collision };
    [theme.style(if is_dim { Role::Dim } else { Role::Text }), theme.style(role)]
}

fn sign(entry: &LogEntry, theme: &Theme) -> &'static str {
    match entry.attempt.refusal {
        None => theme.glyph("✓", "OK"),
        Some(_) => theme.glyph("✗", "x"),
    }
}

fn result(entry: &LogEntry, theme: &Theme) -> String {
    let sign = sign(entry, theme);
    match entry.attempt.refusal {
        None => format!("{sign} allocated"),
        Some(refusal) => format!("{sign} {} {}", refusal.errno, refusal.protocol.name()),
    }
}

/// Returns the holder of the port in at most `room` columns; empty if there is none. For processes
/// and hidden owners, only `room` decides whether the state is included, so that all lines have the
/// same form.
fn holder(context: AllocateContext<'_>, entry: &LogEntry, room: usize, theme: &Theme) -> String {
    let processes = context.processes;
    let fit = |wordings: &[String]| first_fitting(wordings, room, theme);
    let (state, holder_owner) = match entry.holder {
        HolderSeen::NotApplicable => return String::new(),
        HolderSeen::NoneChosen => {
            let words = ["the kernel found none", "kernel found none", "none found", "none"];
            return fit(&words.map(str::to_owned));
        }
        HolderSeen::Us => return fit(&["held by this run", "held here"].map(str::to_owned)),
        HolderSeen::NotSeenYet | HolderSeen::NotSeen => return fit(&["not seen".to_owned()]),
        // The simulated sockets have processes and states only so that they look like a machine.
        HolderSeen::Socket { .. } if is_simulated(context) => {
            return fit(&["simulated holder", "simulated"].map(str::to_owned));
        }
        HolderSeen::Socket { state, holder_owner } => (state, holder_owner),
    };
    let before = if room < WITH_STATE { String::new() } else { format!("{state} ") };
    let name = |pid: u32| processes.named(pid).to_string();
    match holder_owner {
        HolderOwner::Process { pid, others } => {
            let after = if others == 0 { String::new() } else { format!(" +{others}") };
            let room = room.saturating_sub(before.width() + after.width());
            format!("{before}{}{after}", shortened(pid, processes, room, theme))
        }
        HolderOwner::Departed { pid } => fit(&[
            format!("{state} kernel, was {}", name(pid)),
            format!("{state} kernel"),
            state.to_string(),
        ]),
        HolderOwner::Backlog { pid } => fit(&[
            format!("{state} backlog of {}", name(pid)),
            format!("backlog of {}", name(pid)),
            "backlog".to_owned(),
        ]),
        HolderOwner::Kernel => fit(&[format!("{state} kernel"), state.to_string()]),
        HolderOwner::Hidden => fit(&[format!("{before}owner hidden"), "hidden".to_owned()]),
        HolderOwner::Nobody => fit(&[format!("{state} no owner"), state.to_string()]),
        HolderOwner::NotAsked => fit(&[state.to_string()]),
    }
}

fn is_simulated(context: AllocateContext<'_>) -> bool {
    matches!(context.allocation.target(), AllocatorTarget::Simulated { .. })
}

/// Formats how long the attempt took. Empty in a simulation, which has no bind() to measure.
fn time(context: AllocateContext<'_>, entry: &LogEntry) -> String {
    if is_simulated(context) { String::new() } else { notation::elapsed(entry.attempt.took) }
}

/// Formats a process in at most `room` columns. Cuts the name first, because the pid identifies the
/// process.
fn shortened(pid: u32, processes: &ProcessTable, room: usize, theme: &Theme) -> String {
    let process = processes.named(pid);
    let whole = process.to_string();
    let number = format!("[{pid}]");
    let left = room.saturating_sub(number.width());
    match process.name {
        Some(name) if whole.width() > room && left >= LEAST_NAME => {
            first_fitting(&[name.to_string()], left, theme) + &number
        }
        _ => first_fitting(&[whole, format!("pid {pid}")], room, theme),
    }
}

/// Pads by display width, not by characters.
fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}
