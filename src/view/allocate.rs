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
        allocation::{Allocation, AllocatorTarget, LastScan},
    },
    domain::ProcessTable,
    view::{Role, Theme},
};
use areas::{AllocateAreas, AllocateSize};
use column::TextColumn;
use map::AttemptMap;

/// Maximum number of lines of the log. Redrawing more lines would send too much over ssh.
const MAX_LOG_LINES: u16 = 16;

/// Data from which the screen is drawn.
#[derive(Clone, Copy)]
pub struct AllocateContext<'a> {
    pub allocation: &'a Allocation,
    /// The occupancy in which the allocator runs: that of the host, or a simulated one. None: there
    /// is none yet.
    pub scan: Option<LastScan<'a>>,
    /// The processes that own the sockets of `scan`.
    pub processes: &'a ProcessTable,
    /// Time since the program's start, for fading marks.
    pub now: Duration,
}

/// Draws the screen between header and footer.
pub fn render(context: AllocateContext<'_>, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    let rows = if theme.needs_whole_cells() { RowsPerLine::One } else { RowsPerLine::Two };
    let (mut areas, grid) = AllocateAreas::within(area, context.allocation.options().range, rows);
    if areas.class == AllocateSize::Small && context.allocation.is_sampled() {
        // The colours of a sampled run have no meaning without their scale, so the legend takes a
        // line of the outcome.
        areas.legend = Rect { height: 1, ..areas.outcome }.intersection(areas.outcome);
        areas.outcome.y += areas.legend.height;
        areas.outcome.height -= areas.legend.height;
    }
    title::render(context, theme, areas.title, buffer);
    setup::line(context.allocation, theme, areas.setup, buffer);
    if let (Some(grid), Some(scan)) = (&grid, context.scan) {
        let map = AttemptMap::at(context.now, context.allocation, grid);
        map.render(scan, theme, areas.map, buffer);
        map.legend(theme, areas.legend, buffer);
        history::render(context.allocation, theme, areas.history, buffer);
    } else if context.scan.is_none() && areas.class > AllocateSize::Tiny {
        let words = match context.allocation.target() {
            AllocatorTarget::Machine => "no scan yet",
            AllocatorTarget::Simulated { .. } => "nothing simulated yet",
        };
        TextColumn::new(theme, areas.map, buffer).text(words, Role::Dim);
    }
    facts(context, areas.class, &mut TextColumn::new(theme, areas.facts, buffer));
    outcome::render(context, theme, areas.outcome, buffer);
    if let Some(panel) = context.allocation.panel() {
        panel::render(panel, theme, area, buffer);
    }
}

fn facts(context: AllocateContext<'_>, class: AllocateSize, column: &mut TextColumn<'_>) {
    match class {
        AllocateSize::Tiny => tiny::render(context, column),
        AllocateSize::Small => {
            setup::narrow_occupancy(context.allocation, column);
            let log_rows = column.left().saturating_sub(figures::narrow_rows(context.allocation));
            log::narrow(context, column, if log_rows < 2 { 0 } else { log_rows });
            figures::narrow(context, column);
        }
        AllocateSize::Medium | AllocateSize::Large | AllocateSize::Huge => {
            sections(context, column);
        }
    }
}

fn sections(context: AllocateContext<'_>, column: &mut TextColumn<'_>) {
    setup::section(context, column);
    column.blank();
    // The 2 are the blank lines before and after the figures.
    let rest = column.left().saturating_sub(figures::ROOMY_ROWS + 2);
    let histogram = if rest >= 24 { rest * 2 / 5 } else { rest.saturating_sub(9).min(10) };
    log::section(context, column, (rest - histogram).min(MAX_LOG_LINES));
    column.blank();
    figures::section(context, column);
    column.blank();
    histogram::section(context.allocation, column);
}
