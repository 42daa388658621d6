//! Draws the ports around the inspected port, one letter each.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::InspectorContext;
use crate::{
    app::Lens,
    domain::{PortRange, port},
    view::{Role, heatmap::free_glyph, lens, theme::letter},
};

/// Ports per row. The first port of a row is a multiple of this number.
const ROW: u16 = 16;
const ROWS: u16 = 6;
/// Number of rows before the row with the port.
const BEFORE: u16 = 2;
/// Width of `49152 `.
const LABEL_WIDTH: usize = 6;

/// Returns a title and six rows around the port, or nothing if a row is wider than the area.
pub fn lines(context: &InspectorContext<'_>) -> Vec<Line<'static>> {
    let room = context.width.saturating_sub(LABEL_WIDTH);
    let cell = (room / usize::from(ROW)).min(2);
    if cell == 0 {
        return Vec::new();
    }
    let mut lines = vec![context.title("Neighbours", "1 letter/port")];
    lines.extend(rows(context.port).map(|row| line(context, row, cell)));
    lines
}

/// Returns the rows to show. The port is in the third one, except near port 0 or 65535.
fn rows(port: u16) -> impl Iterator<Item = PortRange> {
    let last = port::ALL.last() / ROW - (ROWS - 1);
    let first = (port / ROW).saturating_sub(BEFORE).min(last);
    (first..first + ROWS).filter_map(|row| PortRange::new(row * ROW, row * ROW + (ROW - 1)).ok())
}

fn line(context: &InspectorContext<'_>, row: PortRange, cell: usize) -> Line<'static> {
    let is_here = row.contains(context.port);
    let label = context.theme.style(if is_here { Role::Text } else { Role::Dim });
    let mut spans = vec![Span::styled(format!("{:>5} ", row.first()), label)];
    spans.extend(row.ports().map(|port| {
        let (letter, style) = letter_of(context, port);
        Span::styled(format!("{letter:<cell$}"), style)
    }));
    Line::from(spans)
}

/// Returns the letter of a port's state class, or the glyph of a free port, and its style. State
/// classes have their colours only under the state lens.
fn letter_of(context: &InspectorContext<'_>, port: u16) -> (char, Style) {
    let theme = context.theme;
    let class = context.scan.occupancy.port(port).shown_class(context.app.map().protocols);
    let free = lens::free_port(context.scan, port);
    let letter = class.map_or_else(|| free_glyph(free, theme), letter);
    let has_colors = theme.has_color() && context.app.map().lens == Lens::State;
    let style = match class {
        _ if port == context.port => theme.badge(Role::Cursor),
        Some(class) if has_colors => theme.badge(Role::Class(class)),
        Some(_) => Style::reset(),
        None => Style::new().fg(theme.color(Role::Dim)).bg(theme.color(free)),
    };
    (letter, style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_begin_at_multiples_of_sixteen_and_hold_the_port() {
        for at in port::ALL.ports() {
            let rows: Vec<PortRange> = rows(at).collect();
            assert_eq!(rows.len(), usize::from(ROWS));
            assert!(rows.iter().all(|row| row.first() % ROW == 0 && row.len() == 16));
            assert!(rows.iter().any(|row| row.contains(at)), "{at}");
        }
        assert_eq!(rows(49_152).next(), PortRange::new(49_120, 49_135).ok());
    }
}
