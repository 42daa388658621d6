//! Draws the mean attempts by occupancy on a log scale: measured values as shapes, expected values
//! as dots. Does not measure.

use ratatui::{
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
};

use crate::{
    app::{LabScreen, lab::StrategyFigures},
    domain::notation,
    view::{Depth, Role, Theme, lab::LabColumn, surface::Surface},
};

/// Width of `100,000` and a gap.
const LABELS: u16 = 8;
const MIN_SIZE: (u16, u16) = (40, 5);
/// Maximum number of columns by which a point is moved sideways so that it does not cover another
/// one.
const MAX_LABEL_OFFSET: u16 = 3;

/// Converts values to positions in the plot.
struct PlotScale {
    plot: Rect,
    /// Height of the plot in powers of ten.
    decades: f64,
}

impl PlotScale {
    fn column(&self, share: f64) -> u16 {
        let span = f64::from(self.plot.width.saturating_sub(1));
        self.plot.x + (share.clamp(0.0, 1.0) * span).round() as u16
    }

    /// Returns the height of a mean in lines, from 0 to the height of the plot less one.
    fn height(&self, mean: f64) -> f64 {
        let part = mean.max(1.0).log10() / self.decades;
        part.min(1.0) * f64::from(self.plot.height.saturating_sub(1))
    }

    fn line(&self, mean: f64) -> u16 {
        self.plot.bottom() - 1 - self.height(mean).round() as u16
    }
}

pub fn render(lab: &LabScreen, entries: &[LabColumn<'_>], surface: &mut Surface<'_>) {
    let area = surface.area;
    if area.width < MIN_SIZE.0 || area.height < MIN_SIZE.1 {
        return;
    }
    rule(entries, &mut surface.within(Rect { height: 1, ..area }));
    // The axis is below the plot.
    let plot = Rect {
        x: area.x + LABELS,
        y: area.y + 1,
        width: area.width - LABELS - 1,
        height: area.height - 2,
    };
    let scale = PlotScale { plot, decades: decades(lab, entries) };
    levels(&scale, surface);
    for entry in entries.iter().rev() {
        dots(lab, entry, &scale, surface);
    }
    here(lab, &scale, surface);
    points(lab, entries, &scale, surface);
    axis(&scale, surface);
}

/// Draws the title and the legend of the shapes.
fn rule(entries: &[LabColumn<'_>], surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    let border = theme.style(Role::Border);
    let dash = theme.glyph("─", "-");
    let mut line = Line::from(Span::styled(" Mean attempts by occupancy ", Style::new().bold()));
    let right = " log scale · dots: expected ";
    for entry in entries {
        let name = format!(" {}  ", entry.row.name);
        if line.width() + 1 + name.len() + right.len() + 2 > usize::from(area.width) {
            break;
        }
        line.push_span(Span::styled(entry.shape(theme), theme.style(entry.role())));
        line.push_span(name);
    }
    let left = usize::from(area.width).saturating_sub(line.width());
    let before = left.saturating_sub(right.chars().count() + 1);
    let has_room = before > 0;
    line.push_span(Span::styled(dash.repeat(if has_room { before } else { left }), border));
    if has_room {
        line.push_span(Span::styled(right, theme.style(Role::Dim)));
        line.push_span(Span::styled(dash, border));
    }
    surface.lines([&line]);
}

/// Returns the number of powers of ten that the plot needs for all measured means and for the
/// expected means at 99 % occupancy.
fn decades(lab: &LabScreen, entries: &[LabColumn<'_>]) -> f64 {
    let points = lab.report().map(|report| report.curve.as_slice()).unwrap_or_default();
    let measured = points.iter().flat_map(|point| point.means.iter().flatten().copied());
    let now = entries.iter().filter_map(|entry| entry.figures()?.mean());
    let expected = lab.picked().filter_map(|row| lab.expected_mean(row, 0.99));
    let most = measured.chain(now).chain(expected).fold(10.0, f64::max);
    // A value slightly above a power of ten, such as 100.0001, is drawn on the top line and needs
    // no further power of ten.
    (most.log10() - 0.02).ceil().max(1.0)
}

/// Draws a faint labelled line at each power of ten.
fn levels(scale: &PlotScale, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    let faint = theme.style(Role::Border);
    for power in 0..=scale.decades as u32 {
        let value = 10_u64.pow(power);
        let y = scale.line(value as f64);
        let label = format!("{:>7}", notation::grouped(value));
        surface.put(surface.area.x, y, &label, theme.style(Role::Dim));
        for x in scale.plot.left()..scale.plot.right() {
            surface.within(scale.plot).put(x, y, theme.glyph("┄", "-"), faint);
        }
    }
}

/// Draws the expected values, as two dots per cell if braille is available. Draws nothing where
/// there is no model.
fn dots(lab: &LabScreen, entry: &LabColumn<'_>, scale: &PlotScale, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    let style = faint(entry.role(), theme);
    let plot = scale.plot;
    let span = f64::from(plot.width.saturating_sub(1)).max(1.0);
    for x in plot.left()..plot.right() {
        for half in [0.0, 0.5] {
            // At 100 % each run uses all its attempts and fails, so the curve ends before 100 %.
            let share = (f64::from(x - plot.x) + half - 0.25).max(0.0) / span;
            let Some(mean) = lab.expected_mean(entry.row, share).filter(|_| share < 1.0) else {
                continue;
            };
            let height = scale.height(mean) + 0.5;
            let lines = (height.floor() as u16).min(plot.height - 1);
            let dot = ((height - f64::from(lines)) * 4.0).clamp(0.0, 3.0) as usize;
            let at = Position::new(x, plot.bottom() - 1 - lines);
            let Some(cell) = surface.buffer.cell_mut(at) else { continue };
            let sign = if theme.ascii { '.' } else { braille(cell.symbol(), half > 0.0, dot) };
            cell.set_char(sign).set_style(style);
        }
    }
}

/// Adds a dot to a braille character. `dot` is counted from the bottom, 0 to 3.
fn braille(symbol: &str, is_right: bool, dot: usize) -> char {
    // From the bottom, the left dots are 7 3 2 1, the right ones 8 6 5 4 (Unicode, "Braille
    // Patterns").
    let bit = [[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]][usize::from(is_right)][dot];
    let before = symbol.chars().next().map_or(0, u32::from);
    let before = if (0x2800..0x2900).contains(&before) { before - 0x2800 } else { 0 };
    char::from_u32(0x2800 + (before | bit)).unwrap_or('·')
}

fn faint(role: Role, theme: &Theme) -> Style {
    match theme.depth {
        Depth::True | Depth::Indexed => {
            Style::new().fg(theme.faded(role, theme.color(Role::Outside), 1))
        }
        _ => theme.style(role),
    }
}

/// Draws a vertical line at the current occupancy of the runs.
fn here(lab: &LabScreen, scale: &PlotScale, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    let Some(share) = lab.share() else { return };
    let x = scale.column(share);
    let plot = scale.plot;
    for y in plot.top()..plot.bottom() {
        surface.within(plot).put(x, y, theme.glyph("│", "|"), theme.style(Role::Text));
    }
    let words = format!(" now: {} ", notation::percent(share));
    let width = words.len() as u16;
    let start = if x >= plot.x + width { x - width } else { x + 1 };
    let style = Style::reset().patch(theme.style(Role::Text)).bold();
    surface.within(plot).put(start, plot.y, &words, style);
}

/// Draws the measured means: those of the current runs on the vertical line, those of
/// `LabReport::curve` at their occupancies.
fn points(
    lab: &LabScreen,
    entries: &[LabColumn<'_>],
    scale: &PlotScale,
    surface: &mut Surface<'_>,
) {
    let theme = surface.theme;
    let mut taken = Vec::new();
    let mut put_point = |entry: &LabColumn<'_>, share: f64, mean: f64| {
        let at = Position::new(scale.column(share), scale.line(mean));
        let beside = |by: u16| {
            let left = (at.x + by < scale.plot.right()).then(|| at.x + by);
            [left, at.x.checked_sub(by).filter(|&x| x >= scale.plot.x)]
        };
        let mut places = (0..=MAX_LABEL_OFFSET).flat_map(beside).flatten();
        let Some(x) = places.find(|&x| !taken.contains(&Position::new(x, at.y))) else { return };
        taken.push(Position::new(x, at.y));
        let style = Style::reset().patch(theme.style(entry.role()));
        surface.within(scale.plot).put(x, at.y, entry.shape(theme), style);
    };
    if let Some(share) = lab.share() {
        for entry in entries {
            if let Some(mean) = entry.figures().and_then(StrategyFigures::mean) {
                put_point(entry, share, mean);
            }
        }
    }
    let curve = lab.report().map(|report| report.curve.as_slice()).unwrap_or_default();
    for point in curve {
        for (entry, mean) in entries.iter().zip(&point.means) {
            let is_here = lab.share().is_some_and(|here| (here - point.share).abs() < 0.004);
            if let Some(mean) = mean.filter(|_| !is_here) {
                put_point(entry, point.share, mean);
            }
        }
    }
}

fn axis(scale: &PlotScale, surface: &mut Surface<'_>) {
    let area = Rect { y: scale.plot.bottom(), height: 1, ..scale.plot };
    for quarter in 0..=4_u16 {
        let label = format!("{} %", quarter * 25);
        let x = scale.column(f64::from(quarter) / 4.0);
        let back = match quarter {
            0 => 0,
            4 => label.len() as u16 - 1,
            _ => label.len() as u16 / 2,
        };
        let style = surface.theme.style(Role::Dim);
        surface.within(area).put(x.saturating_sub(back), area.y, &label, style);
    }
}
