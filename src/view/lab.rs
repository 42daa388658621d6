//! Draws the Lab screen: strategies side by side, and their mean attempts at each occupancy. Does
//! not change state.

mod areas;
mod curve;
mod figures;
mod histogram;
mod map;
mod panel;
mod race;
mod table;
mod title;

use ratatui::layout::{Position, Rect};

use crate::{
    app::{
        App, LabScreen, PointerTarget,
        lab::{AllocatorRow, LabPanel, StrategyFigures, StrategyReport},
    },
    view::{Role, Theme, dialog, surface::Surface},
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

impl<'a> LabColumn<'a> {
    fn figures(&self) -> Option<&'a StrategyFigures> {
        self.strategy_report.map(|report| &report.figures)
    }

    /// Returns the shape, which identifies the strategy on terminals without colours, too.
    fn shape(&self, theme: &Theme) -> &'static str {
        theme.glyph(["●", "▲", "■", "◆"], ["@", "^", "&", "%"])[self.column % 4]
    }

    fn role(&self) -> Role {
        // Blue, amber, teal, violet: the category colours that are furthest apart.
        Role::Category(self.column as u8 % 4)
    }
}

/// Draws the screen between header and footer.
pub fn render(app: &App, surface: &mut Surface<'_>) {
    let lab = app.lab();
    let entries = entries(lab);
    let areas = LabAreas::within(surface.area, entries.len(), lab.selected());
    if areas.class == LabSize::Tiny {
        table::tiny(lab, &entries, surface);
    } else {
        title::render(app, &mut surface.within(areas.title));
        title::setup(lab, &mut surface.within(areas.setup));
        table::render(lab, &entries, &mut surface.within(areas.table));
        panels(lab, &entries, &areas, surface);
        curve::render(lab, &entries, &mut surface.within(areas.curve));
        title::notice(lab, surface);
    }
    if lab.panel().is_some() || lab.is_race_shown() {
        surface.theme.dim_area(surface.area, surface.buffer);
    }
    match lab.panel() {
        _ if lab.is_race_shown() => race::render(lab, surface),
        None => {}
        Some(LabPanel::ConfirmSpeed(speed)) => dialog::confirm(*speed, surface),
        Some(LabPanel::Settings(panel)) => {
            let note = "Changing a setting resets the figures";
            dialog::settings("Settings of the lab", 10, panel, note, surface);
        }
    }
}

/// Returns what a click on this position selects: a row of the open settings, or the strategy whose
/// panel or table row is there. None: nothing.
pub fn hit(lab: &LabScreen, area: Rect, at: Position) -> Option<PointerTarget> {
    if let Some(LabPanel::Settings(panel)) = lab.panel() {
        return dialog::row_at(panel.rows().count(), area, at).map(PointerTarget::Row);
    }
    column_at(lab, area, at).map(PointerTarget::Column)
}

fn column_at(lab: &LabScreen, area: Rect, at: Position) -> Option<usize> {
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
fn panels(lab: &LabScreen, entries: &[LabColumn<'_>], areas: &LabAreas, surface: &mut Surface<'_>) {
    let Some((_, first)) = areas.panels.first() else { return };
    let rows = surface.rows_per_line();
    let panel = StrategyPanel::plan(lab, *first, rows, areas.class == LabSize::Small);
    let scale = HistogramScale::over(lab, entries, panel.histogram_width());
    for &(column, area) in &areas.panels {
        if let Some(entry) = entries.get(column) {
            panel.render(lab, entry, &scale, &mut surface.within(area));
        }
    }
}
