//! Builds the rows that explain the marks and figures of the lab. Does not measure.

use ratatui::{style::Style, text::Span};

use super::{
    mark_table::MarkRow,
    states::{free, occupied},
};
use crate::view::{Role, Theme};

/// Returns the marks on maps, histograms and the curve.
pub fn marks(theme: &Theme) -> Vec<MarkRow> {
    let badge = |text: &str, role| Span::styled(format!(" {text} "), theme.badge(role));
    let plain = |rich: &str, ascii: &str| Span::raw(format!(" {} ", theme.glyph(rich, ascii)));
    let shape = Span::styled(
        format!(" {} ", theme.glyph("●", "o")),
        Style::reset().patch(theme.style(Role::Category(0))),
    );
    vec![
        MarkRow::new("refused", "attempt n of a run met a port in use; + from the 10th on")
            .marked(badge("1", Role::Collision)),
        MarkRow::new("allocated", "the run ended here, with this port")
            .marked(badge(theme.glyph("◆", "*"), Role::Allocated)),
        MarkRow::new("in use", "in this run; in the next run, other ports are in use")
            .marked(occupied(theme)),
        MarkRow::new("free", "a strategy may get it").marked(free(theme)),
        MarkRow::new("measured", "each strategy has a shape and a colour").marked(shape),
        MarkRow::new("expected", "value of the model, if there is one; dots on the curve")
            .marked(plain("◇", "o")),
        MarkRow::new("now", "current occupancy, on the curve").marked(plain("│", "|")),
    ]
}

/// Returns the figures beside the maps, then the distributions of occupied ports.
pub fn figures() -> Vec<MarkRow> {
    [
        ("mean", "attempts/run; a failed run counts with all its attempts"),
        ("p50 p99", "50, 99 of 100 runs got a port within this many attempts"),
        ("failed", "runs without a port; amber: > 4 std. errors off expected"),
        ("next", "pattern of the last ports; bits of the next one still unknown"),
        ("predictable", "share of the next port's bits that the pattern predicts"),
        ("time", "time of the runs per allocated port"),
        ("occupied", "longest run of occupied ports; an ordered search tries each"),
        ("uniform", "every set of ports is equally likely (key d)"),
        ("clustered", "occupied ports in runs of 64 on average (key d)"),
        ("built", "filled by the strategy, from an empty range (key d)"),
    ]
    .map(|(name, sentence)| MarkRow::new(name, sentence))
    .into()
}
