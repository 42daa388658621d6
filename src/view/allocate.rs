//! Draws the Allocate screen: arranges its parts and calls the modules that draw them. Does not
//! change state.

mod areas;
mod figures;
mod heat;
mod histogram;
mod history;
mod log;
mod map;
mod outcome;
mod page;
mod pool;
mod setup;
mod tiny;
mod title;

use std::time::Duration;

use ratatui::layout::{Position, Rect};

use crate::{
    app::{
        App, Grid,
        allocation::{ActivePanel, Allocation, AllocatorTarget, LastScan},
    },
    domain::ProcessTable,
    view::{Role, dialog, size_class::SizeClass, surface::Surface},
};
use areas::AllocateAreas;
use map::AttemptMap;
use pool::PoolContext;
pub(super) use title::target_wordings;

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

impl<'a> AllocateContext<'a> {
    fn of(app: &'a App) -> Self {
        let allocation = app.allocation();
        Self {
            allocation,
            scan: allocation.scan(app.last_scan()),
            processes: allocation.processes(app.processes()),
            now: app.now(),
        }
    }
}

/// Draws the pool if it is open, else the runs.
pub fn render_app(app: &App, surface: &mut Surface<'_>) {
    if app.pool().is_open() {
        pool::render(PoolContext::of(app), surface);
    } else {
        render(AllocateContext::of(app), surface);
    }
}

/// Returns the row of the open settings or of the pool's table at this position. None: no row is
/// there.
pub fn row_at(app: &App, area: Rect, at: Position) -> Option<usize> {
    let fields = match (app.pool().is_open(), app.pool().panel(), app.allocation().panel()) {
        (true, Some(panel), _) => panel.rows().count(),
        (true, None, _) => return pool::row_at(app, area, at),
        (false, _, Some(ActivePanel::Settings(panel))) => panel.rows().count(),
        (false, ..) => return None,
    };
    dialog::row_at(fields, area, at)
}

/// Draws the runs between header and footer.
pub fn render(context: AllocateContext<'_>, surface: &mut Surface<'_>) {
    let (mut areas, grid) = areas(context.allocation, surface);
    if areas.class == SizeClass::Small && context.allocation.is_sampled() {
        // The colours of a sampled run have no meaning without their scale, so the legend takes a
        // line of the outcome.
        areas.put_legend_above_outcome();
    }
    title::render(context, &mut surface.within(areas.title));
    setup::line(context.allocation, &mut surface.within(areas.setup));
    if let (Some(grid), Some(scan)) = (&grid, context.scan) {
        let map = AttemptMap::at(context.now, context.allocation, grid);
        map.render(scan, &mut surface.within(areas.map));
        map.legend(&mut surface.within(areas.legend));
        history::render(context.allocation, &mut surface.within(areas.history));
    } else if context.scan.is_none() && areas.class > SizeClass::Tiny {
        let words = match context.allocation.target() {
            AllocatorTarget::Machine => "no scan yet",
            AllocatorTarget::Simulated { .. } => "nothing simulated yet",
        };
        surface.within(areas.map).text(words, Role::Dim);
    }
    facts(context, &areas, surface);
    outcome::render(context, &mut surface.within(areas.outcome));
    match context.allocation.panel() {
        None => {}
        Some(ActivePanel::ConfirmSpeed(speed)) => dialog::confirm(*speed, surface),
        Some(ActivePanel::Settings(panel)) => {
            let note = "Changing a setting starts a new run and releases held ports";
            dialog::settings("Settings", 11, panel, note, surface);
        }
    }
}

/// Divides the surface and returns the grid of the map. None: there is no room for a map.
fn areas(allocation: &Allocation, surface: &Surface<'_>) -> (AllocateAreas, Option<Grid>) {
    AllocateAreas::within(surface.area, allocation.options().range, surface.rows_per_line())
}

fn facts(context: AllocateContext<'_>, areas: &AllocateAreas, surface: &mut Surface<'_>) {
    let column = &mut surface.within(areas.facts);
    match areas.class {
        SizeClass::Tiny => tiny::render(context, column),
        SizeClass::Small => {
            setup::narrow_occupancy(context.allocation, column);
            if areas.spare.is_empty() {
                let rows = column.left().saturating_sub(figures::narrow_rows(context.allocation));
                log::narrow(context, column, if rows < 2 { 0 } else { rows });
                figures::narrow(context, column);
            } else {
                figures::narrow(context, column);
                histogram::section(context.allocation, column);
                let column = &mut surface.within(areas.spare);
                log::section(context, column, areas.spare.height.min(MAX_LOG_LINES));
            }
        }
        SizeClass::Medium | SizeClass::Large | SizeClass::Huge => {
            sections(context, column);
        }
    }
}

fn sections(context: AllocateContext<'_>, column: &mut Surface<'_>) {
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
