//! Builds the rows that explain the marks of the pool of leases. Does not lease.

use ratatui::text::Span;

use super::{
    mark_table::MarkRow,
    states::{free, occupied},
};
use crate::view::{Role, Theme};

/// Returns the marks on the map and in the tables of the pool.
pub fn marks(theme: &Theme) -> Vec<MarkRow> {
    let badge = |text: &str, role| Span::styled(format!(" {text} "), theme.badge(role));
    let closed = Span::styled(format!(" {} ", theme.glyph("○", "z")), theme.style(Role::Warn));
    let mut rows = vec![
        MarkRow::new("high", "a lease of class high, in any band")
            .marked(badge("H", Role::Category(1))),
        MarkRow::new("normal", "a lease of class normal, in the normal or low band")
            .marked(badge("N", Role::Category(0))),
        MarkRow::new("low", "a lease of class low, in the low band")
            .marked(badge("L", Role::Category(2))),
        MarkRow::new("quarantine", "released; not leased again until its time is over")
            .marked(closed),
        MarkRow::new("stray", "in quarantine; datagrams have arrived")
            .marked(badge("!", Role::Warn)),
        MarkRow::new("refused", "attempt n met a port in use; + from the 10th on")
            .marked(badge("1", Role::Collision)),
        MarkRow::new("in use", "by others").marked(occupied(theme)),
        MarkRow::new("free", "a lease may get it").marked(free(theme)),
    ];
    if !theme.needs_whole_cells() {
        let block = Span::styled("██", theme.style(Role::Scale(2)));
        let sentence = "free ports reserved for classes high and normal";
        rows.push(MarkRow::new("kept", sentence).marked(block));
    }
    rows
}
