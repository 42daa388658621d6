//! Draws the last attempts: number, port, result, errno, holder, duration. Does not look up the
//! holders.

use std::time::Duration;

use ratatui::text::Span;
use unicode_width::UnicodeWidthStr;

use crate::{
    app::allocation::{HolderSeen, LogEntry, Who},
    domain::{Outcome, ProcessTable, notation},
    view::{
        Role, Theme,
        allocate::{
            AllocateContext,
            column::{TextColumn, first_fitting},
            page,
        },
    },
};

/// Maximum width of the holder. With a wider column the duration would be too far to the right.
const HOLDER_WIDTH: usize = 44;

/// Draws all that is known of each attempt; `rows` includes the rule and the header.
pub fn section(sight: AllocateContext<'_>, column: &mut TextColumn<'_>, rows: u16) {
    let (title, right) = heading(sight);
    column.rule(&title, &right);
    let rows = usize::from(rows).saturating_sub(2);
    let entries = last(sight, rows);
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
        let holder = first_fitting(&holder(entry, sight.processes), holder_width, column.theme);
        let took = took(entry.attempt.took, column.theme);
        let [plain, colored] = styles(sight, entry, column.theme);
        let secondary = column.theme.style(Role::Dim);
        column.line([
            Span::styled(format!("{:>4} {:>5}  ", entry.attempt.number, entry.attempt.port), plain),
            Span::styled(format!("{}  ", padded(result, result_width)), colored),
            Span::styled(format!("{} {took:>7}", padded(&holder, holder_width)), secondary),
        ]);
    }
    for _ in entries.len()..rows {
        column.blank();
    }
}

/// Draws number, port and holder; [`detail`] shows the newest attempt in full.
pub fn narrow(sight: AllocateContext<'_>, column: &mut TextColumn<'_>, rows: u16) {
    if rows == 0 {
        return;
    }
    column.rule(&heading(sight).0, "");
    let rows = usize::from(rows) - 1;
    let entries = last(sight, rows);
    for entry in &entries {
        let room = column.width().saturating_sub(11);
        let words = match entry.attempt.refusal {
            None => vec!["allocated".to_owned()],
            Some(refusal) if entry.attempt.outcome() != Outcome::InUse => {
                vec![refusal.errno.to_string(), format!("errno {}", refusal.errno.0)]
            }
            Some(_) => holder(entry, sight.processes),
        };
        let words = first_fitting(&words, room, column.theme);
        let [plain, colored] = styles(sight, entry, column.theme);
        let sign = sign(entry, column.theme);
        column.line([
            Span::styled(format!("{:>2} {:>5} ", entry.attempt.number, entry.attempt.port), plain),
            Span::styled(format!("{sign} {words}"), colored),
        ]);
    }
    for _ in entries.len()..rows {
        column.blank();
    }
}

/// Formats all that is known of one attempt on one line.
pub fn detail(entry: &LogEntry, processes: &ProcessTable, theme: &Theme, width: usize) -> String {
    let port = match entry.attempt.port {
        0 => "port 0".to_owned(),
        port => port.to_string(),
    };
    let start = format!(
        "attempt {} · {port} {}",
        notation::grouped(entry.attempt.number),
        result(entry, theme)
    );
    let took = took(entry.attempt.took, theme);
    let names = holder(entry, processes);
    if names.is_empty() {
        return format!("{start} · {took}");
    }
    let room = width.saturating_sub(start.width() + took.width() + 6);
    format!("{start} · {} · {took}", first_fitting(&names, room, theme))
}

fn heading(sight: AllocateContext<'_>) -> (String, String) {
    let allocation = sight.allocation;
    let newest = allocation.log().entries().next_back();
    let number = newest.map_or(1, |entry| entry.allocation);
    if allocation.is_sampled() {
        return ("Log · sample".to_owned(), format!("allocation {}", notation::grouped(number)));
    }
    let limit = notation::grouped(allocation.options().max_attempts);
    (format!("Allocation {}", notation::grouped(number)), format!("at most {limit}"))
}

fn last(sight: AllocateContext<'_>, rows: usize) -> Vec<LogEntry> {
    let entries = sight.allocation.log().entries();
    let shown = if sight.allocation.is_sampled() {
        rows
    } else {
        page::shown(sight.allocation.figures().attempts, rows)
    };
    let surplus = entries.len().saturating_sub(shown);
    entries.skip(surplus).copied().collect()
}

/// Returns the style of number and port, and the style of the result. For earlier allocations only
/// number and port become dim, because each change of style is sent to the terminal again.
fn styles(
    sight: AllocateContext<'_>,
    entry: &LogEntry,
    theme: &Theme,
) -> [ratatui::style::Style; 2] {
    let newest = sight.allocation.log().entries().next_back();
    let is_earlier = newest.is_some_and(|n| n.allocation != entry.allocation);
    let is_dim = is_earlier && !sight.allocation.is_sampled();
    let role = if entry.attempt.refusal.is_none() { Role::Ok } else { Role::Collision };
    [theme.style(if is_dim { Role::Dim } else { Role::Text }), theme.style(role)]
}

fn sign(entry: &LogEntry, theme: &Theme) -> &'static str {
    match entry.attempt.refusal {
        None => theme.glyph("✓", "+"),
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

/// Returns the wordings of the holder, longest first.
fn holder(entry: &LogEntry, processes: &ProcessTable) -> Vec<String> {
    let name = |pid: u32| {
        processes.get(pid).map_or_else(|| format!("pid {pid}"), |p| format!("{}[{pid}]", p.name))
    };
    let short =
        |pid: u32| processes.get(pid).map_or_else(|| format!("pid {pid}"), |p| p.name.to_string());
    let (state, who) = match entry.holder {
        HolderSeen::NoneNeeded => return Vec::new(),
        HolderSeen::NoneChosen => {
            return ["the kernel found none", "kernel found none", "none found", "none"]
                .map(str::to_owned)
                .into();
        }
        HolderSeen::Us => return vec!["held by this run".to_owned(), "held here".to_owned()],
        HolderSeen::NotSeenYet | HolderSeen::NotSeen => return vec!["not seen".to_owned()],
        HolderSeen::Socket { state, who } => (state, who),
    };
    match who {
        Who::Process { pid, others: 0 } => {
            vec![format!("{state} {}", name(pid)), name(pid), short(pid)]
        }
        Who::Process { pid, others } => vec![
            format!("{state} {} +{others}", name(pid)),
            format!("{} +{others}", name(pid)),
            format!("{} +{others}", short(pid)),
            short(pid),
        ],
        Who::Departed { pid } => {
            vec![format!("{state} kernel, was {}", name(pid)), state.to_string()]
        }
        Who::Backlog { pid } => {
            vec![
                format!("{state} backlog of {}", name(pid)),
                format!("backlog of {}", short(pid)),
                state.to_string(),
            ]
        }
        Who::Kernel => vec![format!("{state} kernel"), state.to_string()],
        Who::Hidden => {
            vec![format!("{state} owner hidden"), "owner hidden".to_owned(), "hidden".to_owned()]
        }
        Who::Nobody => vec![format!("{state} no owner"), state.to_string()],
        Who::NotAsked => vec![state.to_string()],
    }
}

/// Formats a duration in at most 6 columns.
pub fn took(took: Duration, theme: &Theme) -> String {
    notation::elapsed(took).replace('µ', theme.glyph("µ", "u"))
}

/// Pads by display width, not by characters.
fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}
