//! Builds the rows that explain the figures of the Overview. Does not compute the figures.

use ratatui::text::Span;

use super::{PageContext, mark_table::MarkRow};
use crate::view::Role;

pub fn figures(page_context: &PageContext) -> Vec<MarkRow> {
    let theme = page_context.theme;
    let tick = Span::styled(format!(" {} ", theme.glyph('╎', '|')), theme.style(Role::Dim));
    let least = theme.glyph("≥", ">=");
    let is_even = page_context.app.ephemeral().first().is_multiple_of(2);
    let parity = if is_even { "even" } else { "odd" };
    vec![
        MarkRow::new("in use", "share of usable ports connected to the destination"),
        MarkRow::new(
            "left",
            format!("ports that a new connection can still get; {least}: at least"),
        ),
        MarkRow::new("rate", "change of the ports in use per second"),
        MarkRow::new("full in", "forecast at this rate, only while the use grows"),
        MarkRow::new(
            format!("{parity} free"),
            format!("connect() tries {parity} ports first; slower when none is left"),
        ),
        MarkRow::new("70 %, 85 %", "share of ports in use: warning and critical").marked(tick),
        MarkRow::new("TIME-WAIT", "ports in TIME-WAIT (chart, map: and in no other state)"),
    ]
}
