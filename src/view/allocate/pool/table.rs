//! Draws the table of leases by port, then of ports in quarantine by port. Does not select rows.

use std::time::Duration;

use ratatui::{layout::Rect, text::Span};
use unicode_width::UnicodeWidthStr;

use crate::{
    app::pool::{Lease, PoolReport, Priority, QuarantineEntry},
    domain::notation,
    view::{
        Role,
        allocate::pool::{PoolContext, facts::in_quarantine, letter, role},
        surface::{Surface, first_fitting},
    },
};

/// A row: a lease, or a port in quarantine.
enum LeaseTableRow<'a> {
    Lease(&'a Lease),
    QuarantineEntry(&'a QuarantineEntry),
}

/// The drawn rows: where they are, and the position of the first one in the list, counted from 0.
pub struct TableRows {
    pub area: Rect,
    pub first: usize,
}

pub fn section(pool_context: PoolContext<'_>, column: &mut Surface<'_>) -> Option<TableRows> {
    let report = pool_context.pool_screen.report()?;
    let leases = report.leases.iter().filter(|lease| lease.is_held).count();
    let held = leases + report.quarantined.iter().filter(|quarantined| quarantined.is_held).count();
    let title = heading(report);
    let limit = held_ports(held as u64, report.hold_limit, column.width(), &title);
    column.rule(&title, &limit);
    if report.leases.is_empty() && report.quarantined.is_empty() {
        let words = [
            "no leases: i takes one, I ten, F all; v sets the class".to_owned(),
            "no leases: i takes one, I ten, F all".to_owned(),
        ];
        column.text(&first_fitting(&words, column.width(), column.theme), Role::Dim);
        return None;
    }
    let owner_width = column.width().saturating_sub(43);
    let labels =
        format!("  {:>5}  {:<8} {:>6}  {:<8} {:>6}  holder", "port", "class", "age", "", "lease");
    column.text(&labels, Role::Dim);
    let (rows, entries) = visible(pool_context, report, column.rest());
    for (is_selected, entry) in entries {
        let cells = match entry {
            LeaseTableRow::Lease(lease) => {
                let age = notation::duration(age(pool_context, lease.since));
                let kind = if lease.is_held { "held" } else { "not held" };
                let owner = owners(pool_context, lease.holder.pid);
                let owner = first_fitting(&owner, owner_width, column.theme);
                let rest = format!("{age:>6}  {kind:<8} {:>6}  {owner}", lease.number);
                (lease.port, Some(lease.class), lease.class.name().to_owned(), rest)
            }
            LeaseTableRow::QuarantineEntry(quarantined) => {
                let left = left(pool_context, quarantined);
                let kind = if quarantined.is_held { "bound" } else { "closed" };
                let datagrams = late_datagrams(quarantined, owner_width, column);
                let rest = format!("{left:>6}  {:<15}  {datagrams}", "in quarantine");
                (quarantined.port, None, kind.to_owned(), rest)
            }
        };
        row(is_selected, cells, column);
    }
    Some(rows)
}

pub fn narrow(pool_context: PoolContext<'_>, column: &mut Surface<'_>) -> Option<TableRows> {
    let Some(report) = pool_context.pool_screen.report() else {
        column.text("opening ...", Role::Dim);
        return None;
    };
    column.rule("Leases", &notation::grouped(report.leases.len() as u64));
    let (rows, entries) = visible(pool_context, report, column.rest());
    for (is_selected, entry) in entries {
        let cells = match entry {
            LeaseTableRow::Lease(lease) => {
                let rest = format!("{:>6}", notation::duration(age(pool_context, lease.since)));
                (lease.port, Some(lease.class), String::new(), rest)
            }
            LeaseTableRow::QuarantineEntry(quarantined) => {
                let rest = format!("{:>6}", left(pool_context, quarantined));
                (quarantined.port, None, String::new(), rest)
            }
        };
        row(is_selected, cells, column);
    }
    Some(rows)
}

/// Formats the number of datagrams that arrived at a port in quarantine. Empty: there are none.
fn late_datagrams(quarantined: &QuarantineEntry, width: usize, column: &Surface<'_>) -> String {
    if quarantined.late_datagrams == 0 {
        return String::new();
    }
    let words = [
        notation::counted(quarantined.late_datagrams, "late datagram"),
        format!("{} late", notation::grouped(quarantined.late_datagrams)),
    ];
    first_fitting(&words, width, column.theme)
}

/// Formats the holder of the next lease.
pub fn holder(pool_context: PoolContext<'_>) -> String {
    match pool_context.pool_screen.options().holder {
        None => "portscope".to_owned(),
        Some(pid) => pool_context.processes.named(pid).to_string(),
    }
}

fn heading(report: &PoolReport) -> String {
    let leases = report.leases.len() as u64;
    match report.quarantined.len() {
        0 => format!("Leases {}", notation::grouped(leases)),
        _ => format!("Leases {} · {}", notation::grouped(leases), in_quarantine(report)),
    }
}

/// Formats the number of ports that the pool keeps bound, and the limit of this number, as far as
/// they fit beside the title.
fn held_ports(held: u64, limit: u32, width: usize, title: &str) -> String {
    let limit = format!("limit {}", notation::grouped(limit));
    let wordings = [
        format!("{} held ({limit})", notation::counted(held, "port")),
        format!("{} held ({limit})", notation::grouped(held)),
        limit,
    ];
    let room = width.saturating_sub(title.width() + 3);
    wordings.into_iter().find(|words| words.width() <= room).unwrap_or_default()
}

/// Returns the rows that fit into the area, among them the selected one, which is marked with true.
fn visible<'a>(
    pool_context: PoolContext<'a>,
    report: &'a PoolReport,
    area: Rect,
) -> (TableRows, impl Iterator<Item = (bool, LeaseTableRow<'a>)>) {
    let room = usize::from(area.height);
    let selected = pool_context.pool_screen.selected();
    let all = report.leases.len() + report.quarantined.len();
    let first = selected.saturating_sub(room / 2).min(all.saturating_sub(room));
    let leases = report.leases.iter().map(LeaseTableRow::Lease);
    let entries =
        leases.chain(report.quarantined.iter().map(LeaseTableRow::QuarantineEntry)).enumerate();
    let height = room.min(all - first) as u16;
    let entries =
        entries.skip(first).take(room).map(move |(index, entry)| (index == selected, entry));
    (TableRows { area: Rect { height, ..area }, first }, entries)
}

fn row(
    is_selected: bool,
    (port, class, name, rest): (u16, Option<Priority>, String, String),
    column: &mut Surface<'_>,
) {
    let theme = column.theme;
    let base = theme.style(if is_selected { Role::Selected } else { Role::Text });
    let pointer = if is_selected { theme.glyph("❯ ", "> ") } else { "  " };
    let (mark, mark_style) = match class {
        Some(class) => (letter(class), theme.badge(role(class))),
        None => (theme.glyph("○", "z"), theme.style(Role::Warn)),
    };
    let name = if name.is_empty() { String::new() } else { format!("{name:<6}") };
    let room = column.width().saturating_sub(10);
    column.line([
        Span::styled(format!("{pointer}{port:>5}  "), base),
        Span::styled(mark, mark_style),
        Span::styled(format!("{:<room$}", format!(" {name} {rest}")), base),
    ]);
}

fn age(pool_context: PoolContext<'_>, since: Duration) -> Duration {
    pool_context.pool_screen.clock(pool_context.allocate_context.now).saturating_sub(since)
}

fn left(pool_context: PoolContext<'_>, quarantined: &QuarantineEntry) -> String {
    let now = pool_context.pool_screen.clock(pool_context.allocate_context.now);
    let left = quarantined.until.saturating_sub(now);
    notation::duration(Duration::from_secs(left.as_secs_f64().ceil() as u64))
}

/// Returns the wordings for a process, longest first.
fn owners(pool_context: PoolContext<'_>, pid: u32) -> [String; 3] {
    [pool_context.processes.named(pid).to_string(), format!("pid {pid}"), pid.to_string()]
}
