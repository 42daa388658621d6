//! Draws the Allocate screen: arranges its parts and calls the modules that draw them. Does not
//! change state.

mod areas;
pub(super) mod column;
pub(super) mod figures;
mod heat;
pub(super) mod histogram;
mod history;
mod log;
mod map;
mod outcome;
mod page;
pub(super) mod panel;
pub mod pool;
mod setup;
mod tiny;
mod title;

use std::time::Duration;

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    app::{
        RowsPerLine,
        allocation::{Allocation, LastScan, Site},
    },
    domain::ProcessTable,
    view::{Role, Theme},
};
use areas::{AllocateAreas, AllocateSize};
use column::TextColumn;
use map::AttemptMap;

/// Maximum number of lines of the log. Redrawing more lines would send too much over ssh.
const MOST_LOG: u16 = 16;

/// Data from which the screen is drawn.
#[derive(Clone, Copy)]
pub struct AllocateContext<'a> {
    pub allocation: &'a Allocation,
    /// The occupancy in which the allocator runs: that of the host, or a simulated one.
    pub scan: Option<LastScan<'a>>,
    pub processes: &'a ProcessTable,
    /// Time since the program's start, for fading marks.
    pub now: Duration,
}

/// Draws the screen between header and footer.
pub fn render(sight: AllocateContext<'_>, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    let rows = if theme.needs_whole_cells() { RowsPerLine::One } else { RowsPerLine::Two };
    let (mut areas, grid) = AllocateAreas::within(area, sight.allocation.options().range, rows);
    if areas.class == AllocateSize::Small && sight.allocation.is_sampled() {
        // The colours of a sampled run have no meaning without their scale.
        areas.legend = Rect { height: 1, ..areas.outcome }.intersection(areas.outcome);
        areas.outcome.y += areas.legend.height;
        areas.outcome.height -= areas.legend.height;
    }
    title::render(sight, theme, areas.title, buffer);
    setup::line(sight.allocation, theme, areas.setup, buffer);
    if let (Some(grid), Some(scan)) = (&grid, sight.scan) {
        let map = AttemptMap::at(sight.now, sight.allocation, grid);
        map.render(scan, theme, areas.map, buffer);
        map.legend(theme, areas.legend, buffer);
        history::render(sight.allocation, theme, areas.history, buffer);
    } else if sight.scan.is_none() && areas.class > AllocateSize::Tiny {
        let words = match sight.allocation.site() {
            Site::Machine => "no scan yet",
            Site::Simulated { .. } => "nothing simulated yet",
        };
        TextColumn::new(theme, areas.map, buffer).text(words, Role::Dim);
    }
    facts(sight, areas.class, &mut TextColumn::new(theme, areas.facts, buffer));
    outcome::render(sight, theme, areas.outcome, buffer);
    if let Some(panel) = sight.allocation.panel() {
        panel::render(panel, theme, area, buffer);
    }
}

fn facts(sight: AllocateContext<'_>, class: AllocateSize, column: &mut TextColumn<'_>) {
    match class {
        AllocateSize::Tiny => tiny::render(sight, column),
        AllocateSize::Small => {
            setup::narrow_occupancy(sight.allocation, column);
            let log_rows = column.left().saturating_sub(figures::narrow_rows(sight.allocation));
            log::narrow(sight, column, if log_rows < 2 { 0 } else { log_rows });
            figures::narrow(sight, column);
        }
        AllocateSize::Medium | AllocateSize::Large | AllocateSize::Huge => sections(sight, column),
    }
}

fn sections(sight: AllocateContext<'_>, column: &mut TextColumn<'_>) {
    setup::section(sight, column);
    column.blank();
    // One blank line between the sections.
    let rest = column.left().saturating_sub(figures::ROOMY_ROWS + 2);
    let histogram = if rest >= 24 { rest * 2 / 5 } else { rest.saturating_sub(9).min(10) };
    log::section(sight, column, (rest - histogram).min(MOST_LOG));
    column.blank();
    figures::section(sight, column);
    column.blank();
    histogram::section(sight.allocation, column);
}
