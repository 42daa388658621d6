//! Draws the histogram of attempts per allocation, measured and expected. Computes only the bins.

use ratatui::text::Span;

use crate::{
    app::allocation::Allocation,
    domain::notation,
    view::{
        Role, Theme,
        allocate::{column::TextColumn, map::whole_parts},
        heatmap::put,
    },
};

/// Maximum width of the histogram, in columns. A wider one would show nothing more.
const MAX_WIDTH: usize = 60;
/// Minimum width of the axis, for `1 ── attempts ── 5`.
const LEAST_AXIS: usize = 18;
const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

const TITLE: &str = "Attempts per allocation";
const NO_MODEL: &str = "no model for this strategy";

/// Shares of all allocations, by bins of attempts.
struct Bins {
    /// Attempts per bin.
    width: u32,
    measured: Vec<f64>,
    /// Expected shares; 0 if there is no model.
    model: Vec<f64>,
}

pub fn section(allocation: &Allocation, column: &mut TextColumn<'_>) {
    if column.left() < 5 {
        return;
    }
    let room = column.width().saturating_sub(TITLE.len() + 3);
    column.rule_with(TITLE, legend(allocation, column.theme, room));
    let count = (column.width().min(MAX_WIDTH) / 2).saturating_sub(1);
    let bins = bins(allocation, count);
    let highest = bins.measured.iter().chain(&bins.model).copied().fold(0.0, f64::max);
    let area = column.rest();
    let height = area.height - 1;
    for (index, (&measured, &model)) in bins.measured.iter().zip(&bins.model).enumerate() {
        let x = area.x + 2 * index as u16;
        let role = if index == 0 && bins.width == 1 { Role::Ok } else { Role::Collision };
        let style = column.theme.style(role);
        for line in 0..height {
            let glyph = bar(measured / highest, height, height - 1 - line, column.theme.ascii);
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

/// Returns what bars and diamonds mean, as far as it fits into `room` columns.
fn legend(allocation: &Allocation, theme: &Theme, room: usize) -> Vec<Span<'static>> {
    let note = |text: &'static str| Span::styled(text, theme.style(Role::Dim));
    let bar = Span::styled(theme.glyph("█", "#"), theme.style(Role::Text));
    let mut parts = vec![vec![bar, note(" measured")]];
    match allocation.model() {
        None if allocation.occupancy_counts().is_none() => {}
        None if room < NO_MODEL.len() + 12 => parts.push(vec![note("no model")]),
        None => parts.push(vec![note(NO_MODEL)]),
        Some(_) => {
            let diamond = Span::styled(theme.glyph("◇", "o"), theme.style(Role::Text));
            parts.push(vec![diamond, note(" expected")]);
        }
    }
    whole_parts(parts, room)
}

fn bins(allocation: &Allocation, count: usize) -> Bins {
    let (figures, limit) = (allocation.figures(), allocation.attempt_limit());
    let model = allocation.model();
    let expected = match &model {
        Some(model) => model.attempts_for(0.002).unwrap_or(limit),
        None if figures.finished() == 0 => limit,
        None => 1,
    };
    let longest = expected.max(figures.quantile_or(0.998, limit)).min(limit);
    let width = longest.div_ceil(count.max(1) as u32).max(1);
    let total = figures.finished().max(1) as f64;
    let ports =
        |bin: usize| bin as u32 * width + 1..=(bin as u32 + 1).saturating_mul(width).min(limit);
    let measured =
        |bin| figures.histogram.range(ports(bin)).map(|(_, n)| *n as f64).sum::<f64>() / total;
    let model = |bin: usize| {
        model.as_ref().map_or(0.0, |model| {
            let ports = ports(bin);
            (model.survival(ports.start() - 1) - model.survival(*ports.end())).max(0.0)
        })
    };
    let used = (longest.div_ceil(width) as usize).min(count);
    Bins {
        width,
        measured: (0..used).map(measured).collect(),
        model: (0..used).map(model).collect(),
    }
}

/// Returns the glyph of one cell of a bar that fills `share` (0 to 1) of `height` lines.
/// `line_from_below` is the line of the cell, counted from 0.
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
    let last = (bins.measured.len() as u32).saturating_mul(bins.width);
    let width = (2 * bins.measured.len()).max(LEAST_AXIS).min(2 * count.max(1) + 2);
    let line = axis_line(last, bins.width, width, column.theme);
    column.text(&line, Role::Dim);
}

/// Formats the axis of a histogram: `1 ── attempts, 4 per bar ── 100`. If the words do not fit,
/// formats only the first and the last number of attempts.
pub fn axis_line(last: u32, per_bar: u32, width: usize, theme: &Theme) -> String {
    let last = notation::grouped(last);
    let each = match per_bar {
        1 => String::new(),
        count => format!(", {} per bar", notation::grouped(count)),
    };
    let room = width.saturating_sub("1 ".len() + " ".len() + last.len());
    let names = [format!(" attempts{each} "), " attempts ".to_owned()];
    let Some(name) = names.iter().find(|name| name.len() + 2 <= room) else {
        return format!("1 {} {last}", " ".repeat(room));
    };
    let dash = theme.glyph("─", "-");
    let dashes = room - name.len();
    let [before, after] = [dashes / 2, dashes - dashes / 2].map(|count| dash.repeat(count));
    format!("1 {before}{name}{after} {last}")
}
