//! Computes the areas of the screen from the terminal's size and the app's state. Does not draw.

use ratatui::layout::{Position, Rect};

use crate::{
    app::{
        App, InspectorPlace, Overlay, Plan, PointerTarget, Size,
        grid::{AXIS, BAR, GUTTER},
    },
    view::{
        dialog, footer, free_dialog, header, loupe, screen_views,
        surface::{lines_of, take},
    },
};

/// Width of `ESTABLISHED 28.2k` and a gap.
const FACTS_WIDTH: u16 = 18;
/// Number of lines of the gauges: one per protocol and family, and a blank one.
const GAUGE_LINES: u16 = 5;
/// Minimum number of spare lines for the loupe, including a blank line and its rule.
const MIN_LOUPE_LINES: u16 = 8;
const USUAL_LOUPE_LINES: u16 = 10;
const MAX_LOUPE_LINES: u16 = 17;
/// Number of lines that loupe and gauges leave to the inspector below the map: enough for a port with
/// two owners.
const MIN_INSPECTOR_LINES: u16 = 8;

/// Areas of the parts of a frame; empty where there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameAreas {
    pub header: Rect,
    /// Between header and footer.
    pub body: Rect,
    pub footer: Rect,
    /// The line above the map: an error, the gauges, or a title.
    pub strip: Rect,
    /// Axis, gutter, blocks, bars.
    pub map: Rect,
    /// Facts beside a narrow map.
    pub facts: Rect,
    /// Beside the map, or below it.
    pub inspector: Rect,
    pub has_inspector_beside: bool,
    /// Below the map if there is room: a rule, then one cell per port.
    pub loupe: Rect,
    /// Below the map if there is room: one line per protocol and family, or one line in all if the
    /// inspector is below.
    pub gauges: Rect,
    pub legend: Rect,
}

pub fn areas(area: Rect, app: &App) -> FrameAreas {
    let row = |y: u16, height: u16| lines_of(area, y, height);
    let last = area.height.saturating_sub(1);
    let mut areas = FrameAreas {
        header: row(0, 1),
        body: row(1, area.height.saturating_sub(2)),
        footer: row(last, 1),
        ..FrameAreas::default()
    };
    let size = Size { columns: area.width, rows: area.height };
    let Some(plan) = app.plan(size) else { return areas };
    let aside = match plan.inspector {
        InspectorPlace::Beside(width) => width,
        InspectorPlace::Below => 0,
    };
    areas.has_inspector_beside = aside > 0;
    let left = area.width - aside;
    areas.strip = Rect { width: left, ..row(1, 1) };
    areas.legend = Rect { width: left, ..row(last - 1, 1) };
    areas.inspector = Rect { x: area.x + left, width: aside, ..areas.body };
    let map_width = GUTTER + plan.grid.width() + BAR;
    let below = 2 + AXIS + plan.grid.lines();
    areas.map = Rect { width: left, ..row(2, AXIS + plan.grid.lines()) };
    if aside == 0 && left.saturating_sub(map_width) >= FACTS_WIDTH {
        areas.map.width = map_width;
        areas.facts = Rect { x: area.x + map_width, width: left - map_width, ..areas.map };
    }
    let spare = row(below, (last - 1).saturating_sub(below));
    place_below(&mut areas, app, &plan, size, Rect { width: left, ..spare });
    areas
}

/// Places the loupe, the gauges and the inspector in the lines below the map.
fn place_below(areas: &mut FrameAreas, app: &App, plan: &Plan, size: Size, spare: Rect) {
    let mut free = spare;
    let inspector = if areas.has_inspector_beside { 0 } else { MIN_INSPECTOR_LINES + 1 };
    let mut left = spare.height.saturating_sub(inspector);
    let has_gauges = areas.has_inspector_beside && left >= GAUGE_LINES;
    left -= if has_gauges { GAUGE_LINES } else { 0 };
    let most = if size.is_largest() { MAX_LOUPE_LINES } else { USUAL_LOUPE_LINES };
    // One blank line and one rule.
    let lines = left.min(most).saturating_sub(2);
    if left >= MIN_LOUPE_LINES && loupe::grid(app, plan, lines).is_some() {
        take(&mut free, 1);
        areas.loupe = take(&mut free, 1 + lines);
    }
    if has_gauges {
        take(&mut free, 1);
        areas.gauges = take(&mut free, GAUGE_LINES - 1);
    }
    if !areas.has_inspector_beside {
        // If there is room, the gauges take one line below the map, because the line above the map
        // has its title.
        if free.height > MIN_INSPECTOR_LINES {
            let gap = u16::from(free.height > MIN_INSPECTOR_LINES + 1);
            take(&mut free, gap);
            areas.gauges = take(&mut free, 1);
        }
        areas.inspector = free;
    }
}

/// Returns what a click at this position selects. None: nothing.
pub fn target_at(area: Rect, app: &App, column: u16, row: u16) -> Option<PointerTarget> {
    let at = Position::new(column, row);
    let areas = areas(area, app);
    if areas.header.contains(at) {
        let mut tabs = header::tabs(areas.header).into_iter();
        return tabs.find(|(_, tab)| tab.contains(at)).map(|(s, _)| PointerTarget::Screen(s));
    }
    if areas.footer.contains(at) {
        return footer::key_at(app, areas.footer, at).map(PointerTarget::Key);
    }
    if let Overlay::Names(choice) = app.overlay() {
        return dialog::row_at(choice.names.len(), areas.body, at).map(PointerTarget::Row);
    }
    if let Some(dialog) = app.free_dialog() {
        return free_dialog::row_at(app, dialog, areas.body, at).map(PointerTarget::Row);
    }
    (screen_views::view(app.screen()).hit)(app, area, &areas, at)
}
