//! Draws the histogram of attempts per allocation, measured and expected. Computes only the bins.

use ratatui::{layout::Rect, style::Style};

use crate::{
    app::{LabScreen, lab::StrategyFigures},
    view::{Role, bars, lab::LabColumn, surface::Surface},
};

/// Maximum number of bars; further bars add nothing.
const MAX_BARS: u16 = 60;
/// Minimum width of the axis, for `1 ─ attempts, 4 per bar ─ 100`.
const LEAST_AXIS: usize = 29;
/// Minimum height of the histogram: the bars, and the line with the axis.
const MIN_HEIGHT: u16 = 3;
/// Share (0 to 1) of the successful runs that the axis covers. The remaining ones would be too few
/// to see.
const SHOWN: f64 = 0.99;

/// Common scale of all strategies, so that their bars are comparable.
pub struct HistogramScale {
    /// Attempts per bin.
    width: u32,
    bins: u16,
    /// The share of all runs that the highest bar represents.
    highest: f64,
    /// Maximum number of attempts of a run.
    limit: u32,
}

impl HistogramScale {
    /// Computes the scale of all `entries` for histograms of at most `columns` terminal columns.
    pub fn over(lab: &LabScreen, entries: &[LabColumn<'_>], columns: u16) -> Self {
        let limit = lab.options().max_attempts.max(1);
        let columns = columns.clamp(1, MAX_BARS);
        let figures = || entries.iter().filter_map(LabColumn::figures);
        let longest = figures().map(|figures| longest(figures, limit)).max().unwrap_or(1);
        let width = longest.div_ceil(u32::from(columns)).max(1);
        let bins = longest.div_ceil(width).clamp(1, u32::from(columns)) as u16;
        let mut scale = Self { width, bins, highest: 0.0, limit };
        let shares = figures().flat_map(|figures| {
            let model = scale.model(figures).unwrap_or_default();
            scale.measured(figures).into_iter().chain(model).collect::<Vec<_>>()
        });
        scale.highest = shares.fold(0.0, f64::max);
        scale
    }

    /// Returns each bin's share of all runs.
    fn measured(&self, figures: &StrategyFigures) -> Vec<f64> {
        let mut bins = vec![0.0; usize::from(self.bins)];
        let runs = figures.runs.max(1) as f64;
        for &(attempts, count) in &figures.histogram {
            let bin = (attempts.saturating_sub(1) / self.width) as usize;
            if let Some(bin) = bins.get_mut(bin) {
                *bin += count as f64 / runs;
            }
        }
        bins
    }

    /// Returns each bin's expected share of all runs. None: no model is known.
    fn model(&self, figures: &StrategyFigures) -> Option<Vec<f64>> {
        let model = figures.model.as_ref()?;
        Some(bars::expected_shares(model, self.bins.into(), self.width, self.limit))
    }
}

/// Returns the number of attempts that is enough for `SHOWN` of the successful runs: the larger of
/// the measured and the expected number.
fn longest(figures: &StrategyFigures, limit: u32) -> u32 {
    let share = SHOWN * (1.0 - figures.failure_rate().unwrap_or_default());
    let measured = figures.quantile(share).or(figures.most()).unwrap_or(1);
    let expected_length = figures.model.as_ref().map_or(1, |model| {
        let beyond = model.failure(limit);
        model.attempts_for(beyond + (1.0 - beyond) * (1.0 - SHOWN)).unwrap_or(limit)
    });
    measured.max(expected_length).min(limit)
}

pub fn render(entry: &LabColumn<'_>, scale: &HistogramScale, surface: &mut Surface<'_>) {
    let Some(figures) = entry.figures() else { return };
    let (theme, area) = (surface.theme, surface.area);
    if area.height < MIN_HEIGHT || scale.highest <= 0.0 {
        return;
    }
    let plot = Rect { height: area.height - 1, width: scale.bins.min(area.width), ..area };
    let style = theme.style(entry.role());
    for (x, share) in (plot.x..).zip(scale.measured(figures)) {
        let mark = bars::ascii_mark(theme);
        bars::vertical(share / scale.highest, x, mark, style, &mut surface.within(plot));
    }
    if let Some(model) = scale.model(figures) {
        diamonds(&model, scale, &mut surface.within(plot));
    }
    let width = usize::from(plot.width).max(LEAST_AXIS).min(usize::from(area.width));
    let last = u32::from(scale.bins) * scale.width;
    let axis = bars::axis_line(last, scale.width, width, theme);
    surface.put(area.x, plot.bottom(), &axis, theme.style(Role::Dim));
    legend(figures, surface);
}

/// Draws the expected height on every second bar, so that the bars between them stay visible.
fn diamonds(model: &[f64], scale: &HistogramScale, surface: &mut Surface<'_>) {
    let (theme, plot) = (surface.theme, surface.area);
    for (x, share) in (plot.x..plot.right()).zip(model).step_by(2) {
        let Some(y) = bars::mark_line(share / scale.highest, plot) else { continue };
        let Some(cell) = surface.buffer.cell_mut((x, y)) else { continue };
        let style = if cell.symbol() == "█" && theme.has_color() {
            Style::new().fg(theme.color(Role::Ink)).bg(cell.fg)
        } else {
            Style::reset().patch(theme.style(Role::Text))
        };
        cell.set_symbol(theme.glyph("◇", "o")).set_style(style);
    }
}

/// Draws the legend in the top right corner, if the bars leave it empty.
fn legend(figures: &StrategyFigures, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    let words = match (&figures.model, theme.ascii) {
        (Some(_), false) => "◇ expected",
        (Some(_), true) => "o expected",
        (None, _) => "no model",
    };
    let width = words.chars().count() as u16;
    let x = area.right().saturating_sub(width);
    let is_free =
        |x: u16| surface.buffer.cell((x, area.y)).is_some_and(|cell| cell.symbol() == " ");
    if x > area.x && (x.saturating_sub(1)..x + width).all(is_free) {
        surface.put(x, area.y, words, theme.style(Role::Dim));
    }
}
