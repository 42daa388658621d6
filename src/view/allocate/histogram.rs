//! Draws the histogram of attempts per allocation, measured and expected. Computes only the bins.

use ratatui::text::Span;

use crate::{
    app::allocation::Allocation,
    domain::notation,
    view::{Role, allocate::column::TextColumn, heatmap::put},
};

/// Maximum width of the histogram. A wider one would show nothing more.
const WIDEST: usize = 60;
const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

const TITLE: &str = "Attempts per allocation";

/// Shares of all allocations, by bins of attempts.
struct Bins {
    /// Attempts per bin.
    width: u32,
    seen: Vec<f64>,
    model: Vec<f64>,
}

pub fn section(allocation: &Allocation, column: &mut TextColumn<'_>) {
    if column.left() < 5 {
        return;
    }
    let models: &[&str] = match allocation.model() {
        None if allocation.ground().is_none() => &["measured █"],
        None => &["measured █  no model for this strategy", "measured █  no model", "measured █"],
        Some(_) => &["measured █  ◇ expected", "measured █"],
    };
    let fits = |model: &&str| model.chars().count() + TITLE.len() + 3 <= column.width();
    let model = models.iter().copied().find(fits).unwrap_or_default();
    let model = if column.theme.ascii {
        model.replace('█', "#").replace('◇', "o")
    } else {
        model.into()
    };
    column.rule(TITLE, &model);
    let count = (column.width().min(WIDEST) / 2).saturating_sub(1);
    let bins = bins(allocation, count);
    let highest = bins.seen.iter().chain(&bins.model).copied().fold(0.0, f64::max);
    let area = column.rest();
    let height = area.height - 1;
    for (index, (&seen, &model)) in bins.seen.iter().zip(&bins.model).enumerate() {
        let x = area.x + 2 * index as u16;
        let role = if index == 0 && bins.width == 1 { Role::Ok } else { Role::Collision };
        let style = column.theme.style(role);
        for line in 0..height {
            let glyph = bar(seen / highest, height, height - 1 - line, column.theme.ascii);
            put(column.buffer, area, x, area.y + line, glyph, style);
        }
        if model / highest * f64::from(height) >= 0.1 {
            let up = ((model / highest * f64::from(height)).ceil() as u16).clamp(1, height);
            let style = column.theme.style(Role::Text);
            let glyph = column.theme.glyph("◇", "o");
            put(column.buffer, area, x + 1, area.y + height - up, glyph, style);
        }
    }
    for _ in 0..height {
        column.blank();
    }
    axis(&bins, count, column);
}

fn bins(allocation: &Allocation, count: usize) -> Bins {
    let (figures, limit) = (allocation.figures(), allocation.most_attempts());
    let model = allocation.model();
    let lawful = match &model {
        Some(model) => model.attempts_for(0.002).unwrap_or(limit),
        None if figures.finished() == 0 => limit,
        None => 1,
    };
    let longest = lawful.max(figures.quantile_or(0.998, limit)).min(limit);
    let width = longest.div_ceil(count.max(1) as u32).max(1);
    let total = figures.finished().max(1) as f64;
    let ports =
        |bin: usize| bin as u32 * width + 1..=(bin as u32 + 1).saturating_mul(width).min(limit);
    let seen =
        |bin| figures.histogram.range(ports(bin)).map(|(_, n)| *n as f64).sum::<f64>() / total;
    let model = |bin: usize| {
        model.as_ref().map_or(0.0, |model| {
            let ports = ports(bin);
            (model.survival(ports.start() - 1) - model.survival(*ports.end())).max(0.0)
        })
    };
    let used = (longest.div_ceil(width) as usize).min(count);
    Bins { width, seen: (0..used).map(seen).collect(), model: (0..used).map(model).collect() }
}

/// Returns the glyph of one cell of a bar. `line_from_below` is the line of the cell, from 0.
pub fn bar(share: f64, height: u16, line_from_below: u16, ascii: bool) -> &'static str {
    let eighths =
        (share * f64::from(height) * 8.0).round().max(if share > 0.0 { 1.0 } else { 0.0 });
    let here = (eighths - f64::from(line_from_below) * 8.0).clamp(0.0, 8.0) as usize;
    match (ascii, here) {
        (false, here) => EIGHTHS[here],
        (true, 0) => " ",
        (true, _) => "#",
    }
}

fn axis(bins: &Bins, count: usize, column: &mut TextColumn<'_>) {
    let last = notation::grouped((bins.seen.len() as u32).saturating_mul(bins.width));
    let each = if bins.width == 1 { String::new() } else { format!(", {} per bar", bins.width) };
    let middle = format!("attempts{each}");
    let width = (2 * bins.seen.len()).clamp(middle.len() + last.len() + 4, 2 * count.max(1) + 2);
    let room = width.saturating_sub(1 + last.len());
    let style = column.theme.style(Role::Dim);
    column.line([Span::styled(format!("1{middle:^room$}{last}"), style)]);
}
