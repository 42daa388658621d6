//! Draws one strategy: its name, map, figures and histogram. The map is above or beside the
//! figures.

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use crate::{
    app::{Grid, LabScreen, RowsPerLine, grid::GUTTER, lab::Speed},
    view::{
        Role,
        lab::{
            LabColumn, areas::MIN_WIDE_COLUMN, figures, histogram, histogram::HistogramScale, map,
        },
        surface::{Surface, below},
        words,
    },
};

/// Width of figures and histogram beside a map.
const WIDTH_BESIDE: u16 = 38;
/// Width of figures and histogram in a narrower panel.
const MIN_WIDTH_BESIDE: u16 = 30;
const MIN_MAP_LINES: u16 = 5;
const MAX_MAP_LINES: u16 = 17;
/// Maximum height of the histogram, including its axis.
const MAX_HISTOGRAM_LINES: u16 = 12;
/// Minimum height for a description of the strategy if the map is above the figures.
const WORDY: u16 = 29;

/// Common layout of all strategies' panels.
pub struct StrategyPanel {
    /// None: there is no room for a map.
    grid: Option<Grid>,
    width: u16,
    is_wide: bool,
    /// Lines of the description below the name.
    words: u16,
    /// Leaves out the figures that a table shows.
    is_brief: bool,
}

impl StrategyPanel {
    pub fn plan(lab: &LabScreen, area: Rect, rows: RowsPerLine, is_brief: bool) -> Self {
        let is_wide = area.width >= MIN_WIDE_COLUMN.0;
        let words = match (is_wide, area.height >= WORDY) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 0,
        };
        let (columns, lines) = if is_wide {
            let aside =
                if area.width >= MIN_WIDE_COLUMN.0 + 20 { WIDTH_BESIDE } else { MIN_WIDTH_BESIDE };
            (area.width.saturating_sub(aside + 1), area.height.saturating_sub(1 + words))
        } else {
            // The three lines are the name, and the blank lines before figures and histogram.
            let rest = area.height.saturating_sub(3 + words + figures::LINES);
            (area.width, (rest * 2 / 3).clamp(MIN_MAP_LINES, MAX_MAP_LINES))
        };
        let columns = columns.saturating_sub(GUTTER);
        let grid = Grid::fit(lab.options().range, columns, lines, rows);
        Self { grid, width: area.width, is_wide, words, is_brief }
    }

    fn map_width(&self) -> u16 {
        self.grid.as_ref().map_or(0, |grid| GUTTER + grid.columns())
    }

    pub fn histogram_width(&self) -> u16 {
        if self.is_wide { self.width.saturating_sub(self.map_width() + 3) } else { self.width - 1 }
    }

    pub fn render(
        &self,
        lab: &LabScreen,
        entry: &LabColumn<'_>,
        scale: &HistogramScale,
        surface: &mut Surface<'_>,
    ) {
        let area = surface.area;
        name(entry, &mut surface.within(Rect { height: 1, ..area }.intersection(area)));
        let body = below(area, 1);
        self.summary(entry, &mut surface.within(body));
        let body = below(body, self.words);
        let lines = self.grid.as_ref().map_or(0, Grid::lines);
        let reads = lab.speed() <= Speed::Four;
        if let (Some(grid), Some(strategy_report)) = (&self.grid, entry.strategy_report) {
            map::render(strategy_report, grid, reads, &mut surface.within(body));
        }
        let facts = if self.is_wide {
            let x = self.map_width() + 2;
            Rect { x: body.x + x, width: body.width.saturating_sub(x + 1), ..body }
        } else {
            let body = below(body, lines + 1);
            Rect { width: body.width.saturating_sub(1), ..body }
        };
        let mut column = surface.within(facts);
        figures::section(lab, entry, self.is_brief, &mut column);
        if column.left() >= 6 {
            column.blank();
        }
        let plot = Rect { height: column.left().min(MAX_HISTOGRAM_LINES), ..column.rest() };
        histogram::render(entry, scale, &mut column.within(plot));
    }

    /// Describes the strategy in whole words. If there is no room, drops the remark in brackets,
    /// then parts from the end.
    fn summary(&self, entry: &LabColumn<'_>, surface: &mut Surface<'_>) {
        let area = surface.area;
        let mut column = surface.within(Rect { width: area.width.saturating_sub(1), ..area });
        let whole = entry.row.summary;
        let plain = whole.split_once(" (").map_or(whole, |(plain, _)| plain);
        let parts = plain.match_indices([',', ':']).rev().map(|(at, _)| plain.split_at(at).0);
        let fitting = [whole, plain].into_iter().chain(parts).find_map(|text| {
            let lines = words::wrapped(text, column.width());
            (lines.len() <= usize::from(self.words)).then_some(lines)
        });
        fitting.unwrap_or_default().iter().for_each(|line| column.text(line, Role::Dim));
    }
}

/// Draws the shape and the name of a strategy on a rule. Marks the selected strategy.
fn name(entry: &LabColumn<'_>, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    if area.is_empty() {
        return;
    }
    let mut line = Line::default();
    let background = if entry.is_selected { theme.style(Role::Selected) } else { Style::new() };
    let pointer = if entry.is_selected { theme.glyph("❯ ", "> ") } else { "" };
    line.push_span(Span::styled(pointer, theme.style(Role::Accent)));
    line.push_span(Span::styled(entry.shape(theme), theme.style(entry.role()).patch(background)));
    line.push_span(Span::styled(
        format!(" {} ", entry.row.name),
        Style::new().bold().patch(background),
    ));
    let left = usize::from(area.width).saturating_sub(line.width() + 1);
    line.push_span(Span::styled(
        theme.glyph("─", "-").repeat(left),
        theme.style(if entry.is_selected { Role::Accent } else { Role::Border }),
    ));
    surface.lines([&line]);
}
