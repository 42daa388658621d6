//! Draws the last allocations, one bar each. The height of a bar shows the number of attempts.

use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use crate::{
    app::allocation::Allocation,
    view::{
        Role,
        allocate::{heat::DensityScale, page},
        bars,
        surface::{Surface, fitted},
    },
};

pub fn render(allocation: &Allocation, column: &mut Surface<'_>) {
    if column.area.is_empty() {
        return;
    }
    let theme = column.theme;
    let sample = if allocation.is_sampled() { "sample" } else { "" };
    column.rule("Attempts of the last allocations", sample);
    let room = column.width();
    let ends: Vec<_> = allocation.last_allocations().collect();
    let finished = allocation.figures().finished();
    let count = if allocation.is_sampled() { room } else { page::shown(finished, room) };
    let ends = &ends[ends.len().saturating_sub(count)..];
    let most = ends.iter().map(|end| end.attempts).max().unwrap_or(1);
    let scale = DensityScale::covering(f64::from(most).max(5.0));
    let plot = Rect { height: column.left().saturating_sub(1), ..column.rest() };
    for (x, end) in (plot.x..).zip(ends) {
        let role = if end.port.is_some() { Role::Collision } else { Role::Critical };
        let share = f64::from(end.attempts) / scale.most();
        let mark = bars::ascii_mark(theme);
        bars::vertical(share, x, mark, theme.style(role), &mut column.within(plot));
        if end.port.is_none() {
            let style = theme.badge(Role::Critical);
            column.within(plot).put(x, plot.y, theme.glyph("✗", "x"), style);
        }
    }
    column.skip(plot.height);
    let has_failed = ends.iter().any(|end| end.port.is_none());
    let failed = if has_failed { theme.glyph("✗ failed", "x failed") } else { "" };
    let words = fitted(&[&meaning(scale, column.width()), failed], column.width());
    column.text(&words, Role::Dim);
}

/// Describes what a bar and its height mean, in a long or a short wording.
fn meaning(scale: DensityScale, width: usize) -> String {
    let height = format!("full height: {} attempts", scale.name());
    let long = format!("one bar per allocation, oldest first; {height}");
    if long.width() <= width { long } else { format!("one bar per allocation; {height}") }
}
