//! Draws the line with the speeds of a run. Does not change the speed.

use ratatui::text::Span;

use crate::{
    app::allocation::Speed,
    view::{Role, Theme, surface::Surface},
};

/// Returns the names of all speeds, the chosen one marked.
pub fn names(chosen: Speed, theme: &Theme) -> impl Iterator<Item = Span<'static>> {
    let style = move |speed| {
        if speed == chosen { theme.badge(Role::Accent) } else { theme.style(Role::Dim) }
    };
    Speed::EACH
        .into_iter()
        .map(move |speed| Span::styled(format!(" {} ", speed.name()), style(speed)))
}

/// Draws the speeds, then what `rest` returns for the columns that are left.
pub fn line(chosen: Speed, rest: impl FnOnce(usize) -> String, column: &mut Surface<'_>) {
    let mut spans: Vec<Span<'_>> = names(chosen, column.theme).collect();
    let used: usize = spans.iter().map(Span::width).sum();
    let rest = rest(column.width().saturating_sub(used + 3));
    spans.push(Span::raw(if rest.is_empty() { "" } else { " · " }));
    spans.push(Span::raw(rest));
    column.line(spans);
}
