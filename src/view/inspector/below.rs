//! Draws the inspector on a few lines below the map: the owners of the port and their sockets, then
//! the port itself.

use ratatui::text::{Line, Span};

use unicode_width::UnicodeWidthStr;

use super::{InspectorContext, port, port_history, range, release};
use crate::{
    app::inspected_port::{PortOwner, StateSockets},
    domain::PortRange,
    view::{Role, words},
};

/// Columns left of the lines below the first one.
const INDENT: usize = 2;
const SEPARATOR: &str = " · ";

/// Returns the lines, and how many of them must not be left out: all but those of the port itself
/// and of its history. Commands have as many rows as fit into `height`, at least one.
pub fn lines(context: &InspectorContext<'_>, height: usize) -> (Vec<Line<'static>>, usize) {
    let released = context.socket.map(|socket| release::lines(context, socket));
    let released = released.unwrap_or_default();
    let of_rows = |rows| lines_of(context, rows, &released);
    let mut longer = (2..=port::MAX_COMMAND_LINES).rev().map(of_rows);
    longer.find(|(lines, _)| lines.len() <= height).unwrap_or_else(|| of_rows(1))
}

/// `released`: what a selected socket blocks, and what frees its port.
fn lines_of(
    context: &InspectorContext<'_>,
    command_rows: usize,
    released: &[Line<'static>],
) -> (Vec<Line<'static>>, usize) {
    let mut lines: Vec<_> =
        context.app.span().map(|ports| span(context, ports)).into_iter().collect();
    let owners = port::owners(context);
    if owners.is_empty() {
        lines.extend(after_number(context, &port::unused(context)));
    }
    // Of several owners, each has its sockets on its row, and the processes are described below.
    let is_alone = owners.len() == 1;
    for (index, owner) in owners.iter().enumerate() {
        lines.extend(owner_lines(context, owner, index == 0, is_alone));
    }
    let parts: Vec<Vec<String>> =
        owners.iter().map(|owner| process_parts(context, owner, is_alone, command_rows)).collect();
    let (last, others) =
        parts.split_last().map_or((&[][..], &[][..]), |(last, others)| (&last[..], others));
    for parts in others {
        lines.extend(detail_rows(context, parts));
    }
    let needed;
    if context.socket.is_some() {
        lines.extend(detail_rows(context, last));
        lines.extend_from_slice(released);
        needed = lines.len();
        lines.extend(detail_rows(context, &port::facts(context)));
    } else {
        needed = lines.len() + detail_rows(context, last).count();
        lines.extend(detail_rows(context, &[last, &port::facts(context)].concat()));
    }
    let history_lines = port_history::lines(&InspectorContext {
        width: context.width.saturating_sub(INDENT),
        ..*context
    });
    if history_lines.len() > 1 {
        lines.push(context.dim("  changes on this port, as the scans saw them"));
        lines.extend(history_lines.into_iter().skip(1).map(indented));
    }
    (lines, needed)
}

/// Formats the selected span: ` 40000-40199  200 ports, 57 in use, 143 free`.
fn span(context: &InspectorContext<'_>, ports: PortRange) -> Line<'static> {
    let name = format!(" {ports} ");
    let room = context.width.saturating_sub(name.len() + 2);
    let counts = words::fitted(&range::span_parts(context), ", ", room);
    let badge = context.theme.badge(Role::Cursor);
    Line::from(vec![Span::raw(" "), Span::styled(name, badge), Span::raw(format!(" {counts}"))])
}

fn number(context: &InspectorContext<'_>) -> Line<'static> {
    let badge = context.theme.badge(Role::Cursor);
    let number = Span::styled(format!(" {} ", context.port), badge);
    let pointer = if context.app.hover().is_some() { " under the pointer:" } else { "" };
    Line::from(vec![Span::raw(" "), number, Span::raw(format!("{pointer} "))])
}

/// Puts the parts behind the number of the port, on as many lines as needed.
fn after_number(context: &InspectorContext<'_>, parts: &[String]) -> Vec<Line<'static>> {
    let mut first = number(context);
    let indent = first.width();
    let mut rows = fitting_rows(parts, context.width.saturating_sub(indent));
    first.push_span(rows.next().unwrap_or_default());
    let rest = rows.map(|row| context.dim(format!("{:indent$}{row}", "")));
    std::iter::once(first).chain(rest).collect()
}

/// Returns the rows of the parts. Splits a part only if it is longer than a row.
fn fitting_rows(parts: &[String], width: usize) -> impl Iterator<Item = String> {
    let width = width.max(1);
    words::rows(parts, SEPARATOR, width)
        .into_iter()
        .flat_map(move |row| words::wrapped(&row, width))
}

/// Returns the owner, then its sockets. If the owner is not alone or is no process, or if a socket
/// is selected, the sockets come first, and both share a row if they fit.
fn owner_lines(
    context: &InspectorContext<'_>,
    owner: &PortOwner,
    is_first: bool,
    is_alone: bool,
) -> Vec<Line<'static>> {
    let names = port::owner_words(context, owner);
    let width = context.width.saturating_sub(INDENT);
    if is_alone && !owner.pids.is_empty() && context.socket.is_none() {
        let rows = state_rows(context, owner, width).into_iter().map(indented);
        return after_number(context, &[names.join(", ")]).into_iter().chain(rows).collect();
    }
    let start = if is_first { number(context) } else { indented(Line::default()) };
    let room = context.width.saturating_sub(start.width());
    let mut rows = state_rows(context, owner, room);
    // A process is recognized by its pid, the other owners by this label.
    let first = owner.first().map(|socket| context.scan.snapshot.owner(socket));
    let label = if first.is_some_and(port::is_held) { "" } else { "owner " };
    let names = format!("  {label}{}", names.join(", "));
    match rows.last_mut() {
        Some(last) if last.width() + names.width() <= room => last.push_span(names),
        _ => rows.extend(words::wrapped(names.trim_start(), width).into_iter().map(Line::raw)),
    }
    let mut rows = rows.into_iter();
    let mut first = start;
    first.extend(rows.next().into_iter().flat_map(|line| line.spans));
    std::iter::once(first).chain(rows.map(indented)).collect()
}

/// Returns the sockets by state; several states share a row if they fit.
fn state_rows(
    context: &InspectorContext<'_>,
    owner: &PortOwner,
    width: usize,
) -> Vec<Line<'static>> {
    let mut rows: Vec<Line<'static>> = Vec::new();
    for all in &owner.states {
        let state = state(context, all, width);
        match rows.last_mut() {
            Some(row) if row.width() + INDENT + state.width() <= width => {
                row.push_span(" ".repeat(INDENT));
                row.extend(state.spans);
            }
            _ => rows.push(state),
        }
    }
    rows
}

/// Returns a badge with the state, and as many words about its sockets as fit.
fn state(context: &InspectorContext<'_>, all: &StateSockets, width: usize) -> Line<'static> {
    let badge = port::badge(context, all);
    let room = width.saturating_sub(badge.width() + 1);
    let parts = port::state_words(context, all);
    let text = words::shorten(&words::fitted(&parts, ", ", room), room);
    Line::from(vec![badge, Span::raw(format!(" {text}"))])
}

/// Returns what is known of the process of the owner. Cuts the command to `command_rows` rows. If the
/// owner is not alone, the command begins with the pid.
fn process_parts(
    context: &InspectorContext<'_>,
    owner: &PortOwner,
    is_alone: bool,
    command_rows: usize,
) -> Vec<String> {
    let width = context.width.saturating_sub(INDENT) * command_rows;
    let command = port::command(context, owner, is_alone && owner.pids.len() == 1);
    let command = command.map(|command| words::shorten(&command, width));
    let details = port::details(context, owner);
    let details = details.iter().map(|(label, value)| format!("{label} {value}"));
    command.into_iter().chain(details).collect()
}

/// Returns the rows of the parts; none if there are no parts.
fn detail_rows(
    context: &InspectorContext<'_>,
    parts: &[String],
) -> impl Iterator<Item = Line<'static>> {
    let rows = fitting_rows(parts, context.width.saturating_sub(INDENT));
    let rows: Vec<_> = rows.filter(|row| !row.is_empty()).map(|row| context.dim(row)).collect();
    rows.into_iter().map(indented)
}

fn indented(mut line: Line<'static>) -> Line<'static> {
    line.spans.insert(0, Span::raw(" ".repeat(INDENT)));
    line
}
