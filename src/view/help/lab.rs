//! Explains the lab's marks and figures. Does not measure.

use ratatui::{style::Style, text::Span};

use super::{
    sheet::MarkRow,
    states::{available, occupied},
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
        MarkRow::new(
            "refused",
            "the nth attempt of a run met an occupied port; + from the tenth on",
        )
        .marked(badge("1", Role::Collision)),
        MarkRow::new("allocated", "the run ended here, with this port")
            .marked(badge(theme.glyph("◆", "*"), Role::Allocated)),
        MarkRow::new("in use", "occupied in this run; the next run has other ports")
            .marked(occupied(theme)),
        MarkRow::new("available", "free: a strategy may get it").marked(available(theme)),
        MarkRow::new("measured", "each strategy has a shape and a colour").marked(shape),
        MarkRow::new("law", "what theory says, where a law is known; dots on the curve")
            .marked(plain("◇", "+")),
        MarkRow::new("here", "on the curve: the occupancy of the lab now").marked(plain("│", "|")),
    ]
}

/// Returns the figures beside the maps, in the order of the screen.
pub fn figures() -> Vec<MarkRow> {
    [
        ("attempts", "in the mean; a run that fails counts with all that it made"),
        ("p50 p99", "50, 99 of 100 runs got their port within so many attempts"),
        ("failed", "runs without a port; amber: over 4 standard errors off the law"),
        ("guess", "what the last ports look like, bits left to guess of the next"),
        ("time", "of the runs, for each port that was got"),
        ("occupied", "the longest run of ports that are all occupied: scans walk it"),
        ("uniform", "d: any set of ports is as likely as any other"),
        ("clustered", "d: occupied ports lie in runs of 64 in the mean"),
        ("built", "d: as the strategy itself leaves them, filling an empty range"),
    ]
    .map(|(name, sentence)| MarkRow::new(name, sentence))
    .into()
}
