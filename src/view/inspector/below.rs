//! Draws the inspector on a few lines below the map: the port, then one line per socket. Cuts only
//! the names of owners.

use ratatui::text::{Line, Span};

use unicode_width::UnicodeWidthStr;

use super::{InspectorContext, port, port_history, range};
use crate::{
    domain::{PortRange, Socket, notation},
    view::{Role, words},
};

pub fn lines(context: &InspectorContext<'_>, room: usize) -> Vec<Line<'static>> {
    let sockets: Vec<&Socket> = context.app.sockets_on(context.port).collect();
    let mut lines: Vec<_> =
        context.app.span().map(|ports| span(context, ports)).into_iter().collect();
    if room == 1 && !lines.is_empty() {
        return lines;
    }
    let all = room;
    let room = room.saturating_sub(lines.len() + 1);
    match sockets.first() {
        Some(first) if room == 0 => lines.push(only(context, first, sockets.len() - 1)),
        _ => lines.extend(facts(context, sockets.len(), 1 + room.saturating_sub(sockets.len()))),
    }
    let shown = if sockets.len() > room { room.saturating_sub(1) } else { sockets.len() };
    lines.extend(sockets[..shown].iter().map(|socket| {
        let mut line = Line::from("  ");
        line.extend(socket_spans(context, socket, context.width.saturating_sub(1)));
        line
    }));
    if room > 0 && shown < sockets.len() {
        let more = notation::counted((sockets.len() - shown) as u64, "more socket");
        lines.push(context.dim(format!("  +{more}")));
    }
    let width = context.width.saturating_sub(2);
    let history_lines = port_history::lines(&InspectorContext { width, ..*context });
    if all >= lines.len() + 2 && history_lines.len() > 1 {
        lines.push(context.dim("  history of this port, in snapshots"));
        lines.extend(history_lines.into_iter().skip(1).map(|mut line| {
            line.spans.insert(0, Span::raw("  "));
            line
        }));
    }
    lines
}

/// Formats the selected span: ` 40000-40199  200 ports, 57 in use, 143 free`.
fn span(context: &InspectorContext<'_>, ports: PortRange) -> Line<'static> {
    let name = format!(" {ports} ");
    let room = context.width.saturating_sub(name.len() + 2);
    let counts = words::fitted(&range::span_parts(context), ", ", room);
    let badge = context.theme.badge(Role::Cursor);
    Line::from(vec![Span::raw(" "), Span::styled(name, badge), Span::raw(format!(" {counts}"))])
}

fn number(context: &InspectorContext<'_>) -> Vec<Span<'static>> {
    let badge = context.theme.badge(Role::Cursor);
    let number = Span::styled(format!(" {} ", context.port), badge);
    vec![Span::raw(" "), number, Span::raw(" ")]
}

/// Describes the port itself on at most `room` lines: its use, registered service, block, parity
/// and ranges.
fn facts(context: &InspectorContext<'_>, sockets: usize, room: usize) -> Vec<Line<'static>> {
    let mut first = Line::from(number(context));
    let what = match sockets {
        0 => port::what(context).to_owned(),
        _ => notation::counted(sockets as u64, "socket"),
    };
    let pointer = context.app.hover().map(|_| "under the pointer".to_owned());
    let mut parts = vec![what];
    parts.extend(pointer.into_iter().chain(port::registered(context)).chain(context.block_words()));
    parts.extend(port::nature(context));
    let indent = first.width();
    let width = context.width.saturating_sub(indent);
    let rows = words::rows(&parts, " · ", width);
    if rows.len() > room {
        first.push_span(whole_parts(&parts, width));
        return vec![first];
    }
    let mut rows = rows.into_iter();
    first.push_span(rows.next().unwrap_or_default());
    let rest = rows.map(|row| context.dim(format!("{:indent$}{row}", "")));
    std::iter::once(first).chain(rest).collect()
}

/// Describes the port and its first socket, for a single line.
fn only(context: &InspectorContext<'_>, socket: &Socket, others: usize) -> Line<'static> {
    let mut line = Line::from(number(context));
    let more = if others > 0 { format!(" +{others} more") } else { String::new() };
    let room = context.width.saturating_sub(line.width() + more.len());
    line.extend(socket_spans(context, socket, room));
    line.push_span(more);
    if let Some(block) = context.block_words() {
        let block = format!(" · {block}");
        if line.width() + block.width() <= context.width {
            line.push_span(Span::styled(block, context.theme.style(Role::Dim)));
        }
    }
    line
}

/// Joins the parts that fit into `room` columns and skips those that do not.
fn whole_parts(parts: &[String], room: usize) -> String {
    let mut text = String::new();
    for part in parts {
        let separator = if text.is_empty() { "" } else { " · " };
        if text.width() + separator.width() + part.width() <= room {
            text.push_str(separator);
            text.push_str(part);
        }
    }
    text
}

/// Describes a socket on one line: as many of state, owner, endpoints and times as fit.
fn socket_spans(
    context: &InspectorContext<'_>,
    socket: &Socket,
    room: usize,
) -> Vec<Span<'static>> {
    let badge = port::badge(context, socket);
    let owner = words::owner_line(context.app, &context.scan.snapshot, socket);
    let mut left = room.saturating_sub(badge.width());
    let owner = words::shorten(&format!(" {owner}"), left);
    left -= owner.width().min(left);
    let mut spans = vec![badge, Span::raw(owner)];
    let arrow = context.theme.glyph("→", "->");
    let remote = socket.remote.map(|remote| format!(" {arrow} {remote}")).unwrap_or_default();
    let protocol = socket.protocol.name().to_uppercase();
    let local = context.scan.snapshot.interfaces.local(socket);
    let times = [vec![String::new()], port::times(context, socket)].concat().join(", ");
    let wordings = [
        format!(" {protocol} {local}{remote}{times}"),
        format!(" {protocol}{remote}{times}"),
        format!(" {protocol}{times}"),
        format!(" {protocol}{remote}"),
        format!(" {protocol}"),
    ];
    let fitting = wordings.into_iter().find(|text| text.width() <= left);
    let dim = context.theme.style(Role::Dim);
    spans.extend(fitting.map(|text| Span::styled(text, dim)));
    spans
}
