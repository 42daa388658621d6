//! Mean attempts over occupancy: as measured, and as the law says. Measures nothing.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::Sight;
use crate::{
    app::lab::Lab,
    view::{Role, Theme, heatmap::put, words::thousands},
};

/// Columns of the numbers at the left.
const LABELS: u16 = 7;

/// From shares and means to cells; the axis of means is logarithmic.
struct Plot {
    area: Rect,
    /// Of the top line: a power of ten.
    most: f64,
}

impl Plot {
    fn x(&self, share: f64) -> u16 {
        let last = f64::from(self.area.width.saturating_sub(1));
        self.area.x + (share.clamp(0.0, 1.0) * last).round() as u16
    }

    fn y(&self, mean: f64) -> u16 {
        let last = f64::from(self.area.height.saturating_sub(1));
        let up = (mean.max(1.0).ln() / self.most.ln()).clamp(0.0, 1.0);
        self.area.bottom() - 1 - (up * last).round() as u16
    }

    /// The share that a column stands for.
    fn share(&self, column: u16) -> f64 {
        f64::from(column) / f64::from(self.area.width.saturating_sub(1).max(1))
    }
}

pub fn render(lab: &Lab, picked: &[Sight<'_>], theme: &Theme, area: Rect, buffer: &mut Buffer) {
    rule(lab, theme, area, buffer);
    let inner = Rect {
        x: area.x + LABELS,
        y: area.y + 1,
        width: area.width.saturating_sub(LABELS + 1),
        height: area.height.saturating_sub(2),
    };
    if inner.height < 3 || inner.width < 20 {
        return;
    }
    let plot = Plot { area: inner, most: top(lab) };
    grid(&plot, theme, buffer);
    if let Some(share) = lab.share() {
        for y in inner.top()..inner.bottom() {
            put(buffer, inner, plot.x(share), y, theme.glyph("│", "|"), theme.style(Role::Dim));
        }
    }
    for sight in picked {
        predicted(sight, &plot, buffer);
    }
    for sight in picked.iter().rev() {
        measured(sight, &plot, buffer);
    }
}

fn rule(lab: &Lab, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let line = theme.glyph("─", "-").repeat(usize::from(area.width));
    put(buffer, area, area.x, area.y, &line, theme.style(Role::Border));
    let title = "Mean attempts over occupancy ";
    put(buffer, area, area.x, area.y, title, Style::new().bold());
    let here = lab.share().map(|share| format!(", you are at {:.1} %", share * 100.0));
    let shapes = theme.glyph("●▲■◆ measured  · predicted", "o^#* measured  . predicted");
    let words = format!(" {shapes}, log scale{}", here.unwrap_or_default());
    let width = words.chars().count() as u16;
    if width + (title.len() as u16) < area.width {
        put(buffer, area, area.right() - width, area.y, &words, theme.style(Role::Dim));
    }
}

/// The power of ten above all means.
fn top(lab: &Lab) -> f64 {
    let curve = lab.report().map(|report| report.curve.as_slice()).unwrap_or_default();
    let means = curve.iter().flat_map(|point| point.means.iter().flatten());
    let most = means.copied().fold(1.0, f64::max);
    [10.0, 100.0, 1_000.0, 10_000.0, 100_000.0].into_iter().find(|&top| top >= most).unwrap_or(1e6)
}

fn grid(plot: &Plot, theme: &Theme, buffer: &mut Buffer) {
    let (dim, faint) = (theme.style(Role::Dim), theme.style(Role::Border));
    let Plot { area, most } = plot;
    let outer = Rect { x: area.x - LABELS, width: area.width + LABELS, ..*area };
    let mut value = 1.0;
    while value <= *most {
        let y = plot.y(value);
        let label = format!("{:>6}", thousands(value as u64));
        put(buffer, outer, outer.x, y, &label, dim);
        let line = theme.glyph("─", "-").repeat(usize::from(area.width));
        put(buffer, *area, area.x, y, &line, faint);
        value *= 10.0;
    }
    let below = Rect { y: area.bottom(), height: 1, width: area.width + 1, ..*area };
    for percent in [0, 25, 50, 75, 100_u16] {
        let label = format!("{percent} %");
        let middle = plot.x(f64::from(percent) / 100.0);
        let x = middle.saturating_sub(label.len() as u16 / 2).max(area.x);
        let x = x.min(below.right().saturating_sub(label.len() as u16));
        put(buffer, below, x, below.y, &label, dim);
    }
}

fn predicted(sight: &Sight<'_>, plot: &Plot, buffer: &mut Buffer) {
    let dot = sight.theme.glyph("·", ".");
    for column in 0..plot.area.width {
        let share = plot.share(column);
        if let Some(mean) = sight.lab.predicted_mean(sight.row, share) {
            let at = (plot.area.x + column, plot.y(mean));
            put(buffer, plot.area, at.0, at.1, dot, sight.style());
        }
    }
}

fn measured(sight: &Sight<'_>, plot: &Plot, buffer: &mut Buffer) {
    let points = sight.lab.report().map(|report| report.curve.as_slice()).unwrap_or_default();
    for point in points {
        if let Some(Some(mean)) = point.means.get(sight.place) {
            let (x, y) = (plot.x(point.share), plot.y(*mean));
            put(buffer, plot.area, x, y, sight.shape(), sight.style());
        }
    }
}
