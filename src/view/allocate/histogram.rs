//! Draws the histogram of attempts per allocation, measured and expected. Computes only the bins.

use ratatui::{layout::Rect, text::Span};

use crate::{
    app::allocation::Allocation,
    view::{
        Role, Theme, bars,
        surface::{Surface, whole_parts},
    },
};

/// Maximum width of the histogram, in columns. A wider one would show nothing more.
const MAX_WIDTH: usize = 60;
/// Minimum width of the axis, for `1 ── attempts ── 5`.
const LEAST_AXIS: usize = 18;

/// The wordings of the title, longest first.
const TITLES: [&str; 2] = ["Attempts per allocation", "Attempts"];
const MEASURED: &str = " measured";
const NO_MODEL: &str = "no model for this run";

/// Shares of all allocations, by bins of attempts.
struct Bins {
    /// Attempts per bin.
    width: u32,
    measured: Vec<f64>,
    /// Expected shares; 0 if there is no model.
    model: Vec<f64>,
}

pub fn section(allocation: &Allocation, column: &mut Surface<'_>) {
    if column.left() < 5 {
        return;
    }
    let room = |title: &str| column.width().saturating_sub(title.len() + 3);
    let [long, short] = TITLES;
    let title = if room(long) < MEASURED.len() + 2 { short } else { long };
    column.rule_with(title, legend(allocation, column.theme, room(title)));
    let count = (column.width().min(MAX_WIDTH) / 2).saturating_sub(1);
    let bins = bins(allocation, count);
    let highest = bins.measured.iter().chain(&bins.model).copied().fold(0.0, f64::max);
    let plot = Rect { height: column.left() - 1, ..column.rest() };
    let mut surface = column.within(plot);
    for (index, (&measured, &model)) in bins.measured.iter().zip(&bins.model).enumerate() {
        let x = plot.x + 2 * index as u16;
        let role = if index == 0 && bins.width == 1 { Role::Ok } else { Role::Collision };
        let style = surface.theme.style(role);
        bars::vertical(measured / highest, x, bars::ascii_mark(surface.theme), style, &mut surface);
        if let Some(y) = bars::mark_line(model / highest, plot) {
            let style = surface.theme.style(Role::Text);
            surface.put(x + 1, y, surface.theme.glyph("◇", "o"), style);
        }
    }
    column.skip(plot.height);
    axis(&bins, count, column);
}

/// Returns what bars and diamonds mean, as far as it fits into `room` columns.
fn legend(allocation: &Allocation, theme: &Theme, room: usize) -> Vec<Span<'static>> {
    let note = |text: &'static str| Span::styled(text, theme.style(Role::Dim));
    let bar = Span::styled(theme.glyph("█", "#"), theme.style(Role::Text));
    let mut parts = vec![vec![bar, note(MEASURED)]];
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
    let ports = |bin: u32| bin * width + 1..=(bin + 1).saturating_mul(width).min(limit);
    let measured =
        |bin| figures.histogram.range(ports(bin)).map(|(_, n)| *n as f64).sum::<f64>() / total;
    let used = longest.div_ceil(width).min(count as u32);
    let model = match &model {
        Some(model) => bars::expected_shares(model, used, width, limit),
        None => vec![0.0; used as usize],
    };
    Bins { width, measured: (0..used).map(measured).collect(), model }
}

fn axis(bins: &Bins, count: usize, column: &mut Surface<'_>) {
    let last = (bins.measured.len() as u32).saturating_mul(bins.width);
    let width = (2 * bins.measured.len()).max(LEAST_AXIS).min(2 * count.max(1) + 2);
    let line = bars::axis_line(last, bins.width, width, column.theme);
    column.text(&line, Role::Dim);
}
