//! The Allocate screen: where its parts lie and what its title says. The parts draw themselves.

mod column;
mod figures;
mod histogram;
mod log;
mod map;
mod outcome;
mod panel;
mod setup;

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    app::{
        Grid, RowsPerLine,
        allocation::{Allocation, LastScan},
    },
    domain::{MachineKind, ProcessTable},
    view::{
        Role, Theme,
        heatmap::{AXIS, GUTTER},
    },
};
use column::{Column, fitted};

/// What the screen is drawn from.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    pub allocation: &'a Allocation,
    pub scan: Option<LastScan<'a>>,
    pub processes: &'a ProcessTable,
}

/// From here on the facts have room for sections.
const ROOMY: u16 = 110;
/// The facts beside the map: what they need at least, on small, medium and large terminals.
const FACTS: [u16; 3] = [22, 55, 64];

/// Where the parts lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Areas {
    title: Rect,
    /// The setup as one line; empty where it is a section.
    setup: Rect,
    map: Rect,
    legend: Rect,
    facts: Rect,
    outcome: Rect,
}

/// The screen between header and footer.
pub fn render(sight: Sight<'_>, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    let rows = if theme.needs_whole_cells() { RowsPerLine::One } else { RowsPerLine::Two };
    let is_roomy = area.width >= ROOMY && area.height >= 28;
    let (areas, grid) = areas(sight.allocation, area, rows, is_roomy);
    title(sight, theme, areas.title, buffer);
    setup::line(sight.allocation, theme, areas.setup, buffer);
    match (&grid, sight.scan) {
        (Some(grid), Some(scan)) => {
            map::render(sight.allocation, scan, grid, theme, areas.map, buffer);
            map::legend(sight.allocation, theme, areas.legend, buffer);
        }
        (_, None) => Column::new(theme, areas.map, buffer).text("no scan yet", Role::Dim),
        (None, Some(_)) => {}
    }
    let mut facts = Column::new(theme, areas.facts, buffer);
    if is_roomy {
        roomy_facts(sight, &mut facts);
    } else {
        narrow_facts(sight, &mut facts);
    }
    outcome::render(sight, theme, areas.outcome, buffer);
    if let Some(panel) = sight.allocation.panel() {
        panel::render(panel, theme, area, buffer);
    }
}

fn areas(
    allocation: &Allocation,
    area: Rect,
    rows: RowsPerLine,
    is_roomy: bool,
) -> (Areas, Option<Grid>) {
    let line = |y: u16, height: u16| {
        Rect { y: area.y.saturating_add(y), height, ..area }.intersection(area)
    };
    let (above, below) = if is_roomy { (1, 1 + u16::from(area.width < 120)) } else { (2, 2) };
    let body = line(above, area.height.saturating_sub(above + below));
    let facts = match (is_roomy, area.width) {
        (false, _) => FACTS[0],
        (true, ..150) => FACTS[1],
        (true, _) => FACTS[2],
    };
    // No row bars: their colours would outshine the attempts.
    let margin = GUTTER + if is_roomy { 3 } else { 1 };
    let beside = body.height.saturating_sub(AXIS + u16::from(is_roomy));
    let grid = Grid::fit(
        allocation.options().range,
        body.width.saturating_sub(margin + facts),
        beside,
        rows,
    );
    let taken = grid.as_ref().map_or(0, |grid| grid.columns() + margin).min(body.width);
    let map_height = grid.as_ref().map_or(0, |grid| grid.lines() + AXIS);
    let map_width = grid.as_ref().map_or(body.width, |grid| grid.columns() + GUTTER);
    let map = Rect { width: map_width, height: map_height, ..body };
    let legend_height = u16::from(is_roomy).min(body.height.saturating_sub(map_height));
    let areas = Areas {
        title: line(0, 1),
        setup: line(1, above - 1),
        map,
        legend: Rect { y: body.y + map_height, height: legend_height, width: taken, ..map },
        facts: Rect { x: body.x + taken, width: body.width - taken, ..body },
        outcome: line(area.height.saturating_sub(below), below),
    };
    (areas, grid)
}

fn title(sight: Sight<'_>, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let machine = sight.scan.map(|scan| &scan.snapshot.machine);
    let place = match machine.map(|m| (m.kind, m.is_isolated)) {
        None => "",
        Some((MachineKind::Live, false)) => "real bind() on this machine",
        Some((MachineKind::Live, true)) => "real bind() in a private network namespace",
        Some((MachineKind::Simulated, _)) => "simulated",
        Some((MachineKind::Recorded, _)) => "a recording binds nothing",
    };
    let options = sight.allocation.options();
    let strategy = format!("random {} {}", options.protocols.name(), options.range);
    let address = options.address.map(|address| format!("on {address}")).unwrap_or_default();
    let digits = if sight.allocation.is_sampled() { "" } else { "digit: nth try" };
    let limitation = sight.allocation.limitation().unwrap_or_default();
    let parts = [place, &strategy, &address, limitation, digits];
    let room = usize::from(area.width).saturating_sub(10);
    let mut line = Column::new(theme, area, buffer);
    line.pair("Allocator ", Role::Accent, &fitted(&parts, room), Role::Text);
}

fn roomy_facts(sight: Sight<'_>, facts: &mut Column<'_>) {
    setup::section(sight.allocation, facts);
    facts.blank();
    let left = facts.left();
    let histogram = if left >= 34 { left / 3 } else { left.saturating_sub(16).min(10) };
    let figures = figures::ROOMY_ROWS + 1;
    let log_rows = left.saturating_sub(figures + histogram + 1);
    log::section(sight, facts, log_rows);
    facts.blank();
    figures::section(sight.allocation, facts);
    facts.blank();
    histogram::section(sight.allocation, facts);
}

fn narrow_facts(sight: Sight<'_>, facts: &mut Column<'_>) {
    setup::hold(sight.allocation, facts);
    let log_rows = facts.left().saturating_sub(figures::NARROW_ROWS);
    log::narrow(sight, facts, log_rows);
    figures::narrow(sight.allocation, facts);
}
