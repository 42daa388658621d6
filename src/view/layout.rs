//! Where everything lies, computed from the terminal's size alone. Draws nothing.

use ratatui::layout::{Position, Rect};

use crate::{
    app::{
        App, Grid, Screen, Size, Target,
        grid::{AXIS, BAR, GUTTER},
        map::INSPECTOR_WIDTH,
    },
    view::{header, heatmap::Pane},
};

/// Room for `ESTABLISHED 28232` and a gap.
const FACTS_WIDTH: u16 = 18;
/// A line a lane and one blank.
const GAUGE_LINES: u16 = 5;

/// The parts of a frame; what has no room is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Areas {
    pub header: Rect,
    /// Between header and footer.
    pub body: Rect,
    pub footer: Rect,
    /// Gauges or title above the map.
    pub strip: Rect,
    /// Axis, gutter, blocks, bars.
    pub map: Rect,
    /// A few facts beside a narrow map.
    pub facts: Rect,
    /// Beside the map, or below it.
    pub inspector: Rect,
    pub has_inspector_beside: bool,
    /// Below a wide map, where there is room.
    pub gauges: Rect,
    pub legend: Rect,
}

pub fn areas(area: Rect, app: &App) -> Areas {
    let row = |y: u16, height: u16| {
        Rect { y: area.y.saturating_add(y), height, ..area }.intersection(area)
    };
    let last = area.height.saturating_sub(1);
    let mut areas = Areas {
        header: row(0, 1),
        body: row(1, area.height.saturating_sub(2)),
        footer: row(last, 1),
        ..Areas::default()
    };
    let size = Size { columns: area.width, rows: area.height };
    let Some(grid) = app.grid(size) else { return areas };
    areas.has_inspector_beside = size.has_inspector_beside();
    let aside = if areas.has_inspector_beside { INSPECTOR_WIDTH } else { 0 };
    let left = area.width - aside;
    let below = 2 + AXIS + grid.lines();
    let spare = last.saturating_sub(1).saturating_sub(below);
    areas.strip = Rect { width: left, ..row(1, 1) };
    areas.legend = Rect { width: left, ..row(last - 1, 1) };
    let map_width = GUTTER + grid.columns() + BAR;
    areas.map = Rect { width: map_width.min(left), ..row(2, AXIS + grid.lines()) };
    if areas.has_inspector_beside {
        areas.inspector = Rect { x: area.x + left, width: aside, ..areas.body };
        if spare >= GAUGE_LINES {
            areas.gauges = Rect { width: left, ..row(below + 1, GAUGE_LINES - 1) };
        }
    } else {
        areas.inspector = row(below, spare);
        if left - map_width >= FACTS_WIDTH {
            let x = area.x + map_width;
            areas.facts = Rect { x, width: left - map_width, ..areas.map };
        }
    }
    areas
}

/// What a click there means.
pub fn target_at(area: Rect, app: &App, column: u16, row: u16) -> Option<Target> {
    let at = Position::new(column, row);
    let areas = areas(area, app);
    if areas.header.contains(at) {
        let tabs = header::tabs(areas.header);
        return tabs.into_iter().find(|(_, tab)| tab.contains(at)).map(|(s, _)| Target::Screen(s));
    }
    if app.screen() != Screen::Map {
        return None;
    }
    let grid: Grid = app.grid(Size { columns: area.width, rows: area.height })?;
    Pane::within(areas.map, &grid).block_at(&grid, at).map(Target::Ports)
}
