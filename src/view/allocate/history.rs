//! Draws the last allocations, one bar each. The height of a bar shows the number of attempts.

use ratatui::{buffer::Buffer, layout::Rect};
use unicode_width::UnicodeWidthStr;

use crate::{
    app::allocation::Allocation,
    view::{
        Role, Theme,
        allocate::{
            column::{TextColumn, fitted},
            heat::DensityScale,
            histogram, page,
        },
        heatmap::put,
    },
};

pub fn render(allocation: &Allocation, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let mut column = TextColumn::new(theme, area, buffer);
    let sample = if allocation.is_sampled() { "sample" } else { "" };
    column.rule("Attempts of the last allocations", sample);
    let room = usize::from(area.width);
    let ends: Vec<_> = allocation.last_allocations().collect();
    let finished = allocation.figures().finished();
    let count = if allocation.is_sampled() { room } else { page::shown(finished, room) };
    let ends = &ends[ends.len().saturating_sub(count)..];
    let most = ends.iter().map(|end| end.attempts).max().unwrap_or(1);
    let scale = DensityScale::covering(f64::from(most).max(5.0));
    let bars = Rect { height: column.left().saturating_sub(1), ..column.rest() };
    for (x, end) in (bars.x..).zip(ends) {
        let role = if end.port.is_some() { Role::Collision } else { Role::Critical };
        let share = f64::from(end.attempts) / scale.most();
        for line in 0..bars.height {
            let glyph = histogram::bar(share, bars.height, bars.height - 1 - line, theme.ascii);
            put(column.buffer, bars, x, bars.y + line, glyph, theme.style(role));
        }
        if end.port.is_none() {
            let style = theme.badge(Role::Critical);
            put(column.buffer, bars, x, bars.y, theme.glyph("✗", "x"), style);
        }
    }
    for _ in 0..bars.height {
        column.blank();
    }
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
