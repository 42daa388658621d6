//! Explains the figures of the Overview. Does not count.

use ratatui::text::Span;

use super::sheet::MarkRow;
use crate::view::{Role, Theme};

pub fn figures(theme: &Theme) -> Vec<MarkRow> {
    let tick = Span::styled(format!(" {} ", theme.glyph('╎', '|')), theme.style(Role::Dim));
    vec![
        MarkRow::new("used", "local ports in use to this destination, of those usable"),
        MarkRow::new("left", "ports that a new connection to it can still get"),
        MarkRow::new("rate", "change of the ports in use per second"),
        MarkRow::new("full in", "forecast at this rate, only while the use grows"),
        MarkRow::new("even, odd", "the half that connect() tries first; it is slow when full"),
        MarkRow::new("70 %, 85 %", "of the ports in use: warning and critical").marked(tick),
        MarkRow::new("peak", "most TIME-WAIT ports freed in one second of the next 60"),
    ]
}
