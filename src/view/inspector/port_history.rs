//! Draws the history of one port, as the snapshots show it. Changes between two snapshots are
//! unknown.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use unicode_width::UnicodeWidthStr;

use super::InspectorContext;
use crate::{
    domain::{PortEvent, StateClass, notation},
    view::{Role, words},
};

/// Width of `−1m 12s `.
const TIME_WIDTH: usize = 8;
/// Maximum number of entries shown.
const MAX_EVENTS: usize = 24;

/// Returns a title and the recorded changes, newest first. Empty: no change on the port is
/// recorded.
pub fn lines(context: &InspectorContext<'_>) -> Vec<Line<'static>> {
    let port_events: Vec<PortEvent> =
        context.app.history().on_port(context.port).take(MAX_EVENTS).collect();
    let Some(first) = port_events.first() else { return Vec::new() };
    let is_mixed = port_events.iter().any(|port_event| port_event.protocol != first.protocol);
    let mut lines = vec![context.title("History of this port", "snapshots")];
    lines.extend(port_events.iter().flat_map(|port_event| line(context, port_event, is_mixed)));
    lines
}

/// Formats an entry: `−1m 12s ESTABLISHED → 10.0.3.17:443`, `−13s    free`. The remote endpoint
/// gets a line of its own if it does not fit.
fn line(
    context: &InspectorContext<'_>,
    port_event: &PortEvent,
    is_mixed: bool,
) -> Vec<Line<'static>> {
    let theme = context.theme;
    let ago = context.scan.snapshot.taken_at.saturating_sub(port_event.at);
    let ago = match ago.as_secs() {
        0 => "now ".to_owned(),
        _ => format!("{}{} ", theme.glyph('−', '-'), notation::duration(ago)),
    };
    let (what, style) = match port_event.state {
        Some(state) => (state.name(), context.class_style(StateClass::of(state))),
        None => ("free", Style::reset()),
    };
    let protocol = port_event.protocol.name();
    let what = if is_mixed { format!("{protocol} {what}") } else { what.to_owned() };
    let arrow = theme.glyph("→", "->");
    let remote = port_event.remote.map(|remote| format!(" {arrow} {remote}")).unwrap_or_default();
    let used = ago.width().max(TIME_WIDTH) + what.width();
    let mut line = Line::from(vec![
        Span::styled(format!("{ago:TIME_WIDTH$}"), theme.style(Role::Dim)),
        Span::styled(what, style),
    ]);
    if used + remote.width() <= context.width {
        line.push_span(Span::raw(remote));
        return vec![line];
    }
    let room = context.width.saturating_sub(TIME_WIDTH).max(1);
    let rest = words::pieces(remote.trim_start(), room);
    let indented = rest.into_iter().map(|piece| Line::raw(format!("{:TIME_WIDTH$}{piece}", "")));
    std::iter::once(line).chain(indented).collect()
}
