//! Draws the Lab screen: strategies side by side, and their mean attempts at each occupancy. Does
//! not change state.

mod areas;
mod curve;
mod figures;
mod histogram;
mod map;
mod panel;
mod race;
mod settings;
mod table;
mod tiny;
mod title;

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

use crate::{
    app::{
        App, LabScreen, RowsPerLine,
        lab::{AllocatorRow, LabPanel, StrategyReport},
    },
    view::{Role, Theme, allocate::column::TextColumn},
};
use areas::{LabAreas, LabSize};
use histogram::HistogramScale;
use panel::StrategyPanel;

/// Data from which a column is drawn.
#[derive(Clone, Copy)]
struct LabColumn<'a> {
    /// Index from the left, counted from 0. It selects shape and colour.
    column: usize,
    row: &'static AllocatorRow,
    /// None: nothing was measured yet.
    strategy_report: Option<&'a StrategyReport>,
    is_selected: bool,
}

impl LabColumn<'_> {
    fn shape(&self, theme: &Theme) -> &'static str {
        shape(self.column, theme)
    }

    fn role(&self) -> Role {
        role(self.column)
    }
}

/// Returns the shape of a strategy, which identifies it on terminals without colours, too.
fn shape(column: usize, theme: &Theme) -> &'static str {
    theme.glyph(["●", "▲", "■", "◆"], ["@", "^", "&", "%"])[column % 4]
}

fn role(column: usize) -> Role {
    // Blue, amber, teal, violet: the category colours that are furthest apart.
    Role::Category(column as u8 % 4)
}

/// Draws the screen between header and footer.
pub fn render(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    let lab = app.lab();
    let entries = entries(lab);
    let areas = LabAreas::within(area, entries.len(), lab.selected());
    if areas.class == LabSize::Tiny {
        tiny::render(lab, &entries, &mut TextColumn::new(theme, area, buffer));
    } else {
        title::render(app, theme, areas.title, buffer);
        title::setup(lab, theme, areas.setup, buffer);
        table::render(lab, &entries, &mut TextColumn::new(theme, areas.table, buffer));
        panels(lab, &entries, &areas, theme, buffer);
        curve::render(lab, &entries, theme, areas.curve, buffer);
        title::notice(lab, theme, area, buffer);
    }
    if lab.panel().is_some() {
        theme.dim_area(area, buffer);
    }
    match lab.panel() {
        None => {}
        Some(LabPanel::Race) => race::render(lab, theme, area, buffer),
        Some(LabPanel::Settings(panel)) => settings::render(panel, theme, area, buffer),
        Some(LabPanel::ConfirmSpeed(speed)) => settings::confirm(*speed, theme, area, buffer),
    }
}

/// Returns the column, counted from 0, of the strategy whose panel or table row is at this
/// position. None: there is none.
pub fn column_at(lab: &LabScreen, area: Rect, at: Position) -> Option<usize> {
    let areas = LabAreas::within(area, lab.picked().len(), lab.selected());
    if areas.table.contains(at) {
        // The first line has the names of the figures.
        return usize::from(at.y - areas.table.y).checked_sub(1);
    }
    areas.panels.iter().find(|(_, panel)| panel.contains(at)).map(|&(column, _)| column)
}

fn entries(lab: &LabScreen) -> Vec<LabColumn<'_>> {
    let picked = lab.picked().enumerate();
    let entry = |(column, row): (usize, &'static AllocatorRow)| LabColumn {
        column,
        row,
        strategy_report: lab.strategy_report(column),
        is_selected: column == lab.selected(),
    };
    picked.map(entry).collect()
}

/// Draws the panels that have an area, all on one scale.
fn panels(
    lab: &LabScreen,
    entries: &[LabColumn<'_>],
    areas: &LabAreas,
    theme: &Theme,
    buffer: &mut Buffer,
) {
    let Some((_, first)) = areas.panels.first() else { return };
    let rows = if theme.needs_whole_cells() { RowsPerLine::One } else { RowsPerLine::Two };
    let panel = StrategyPanel::plan(lab, *first, rows, areas.class == LabSize::Small);
    let scale = HistogramScale::over(lab, entries, panel.histogram_width());
    for &(column, area) in &areas.panels {
        if let Some(entry) = entries.get(column) {
            panel.render(lab, entry, &scale, theme, area, buffer);
        }
    }
}
