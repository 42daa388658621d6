//! Draws a small map of the range, with a legend: the states of its ports; without colour, how much
//! of each block is in use. The Map screen draws the large map.

use ratatui::{layout::Rect, text::Line};

use super::{OverviewContext, rule};
use crate::{
    app::{
        Resolution,
        grid::{AXIS, BAR, GUTTER, Room},
    },
    domain::{PortRange, Protocols},
    view::{
        heatmap::{GlyphMeaning, Heatmap, Pointed, occupied},
        legend, lens, map,
        surface::{Surface, below},
    },
};

/// Returns the number of lines that the map needs in this area, with its title and legend. None:
/// the map does not fit.
pub fn height(context: &OverviewContext<'_>, area: Rect) -> Option<u16> {
    let legend = legend(context, area);
    let grid = context.app.map().minimap(context.range(), room(area, &legend))?;
    Some(1 + AXIS + grid.lines() + legend.len() as u16)
}

/// Returns the room for the blocks.
fn room(area: Rect, legend: &[Line<'_>]) -> Room {
    Room {
        columns: area.width.saturating_sub(GUTTER + BAR),
        lines: area.height.saturating_sub(1 + AXIS + legend.len() as u16),
    }
}

pub fn render(context: &OverviewContext<'_>, surface: &mut Surface<'_>) {
    let area = surface.area;
    let range = context.range();
    let legend = legend(context, area);
    let Some(grid) = context.app.map().minimap(range, room(area, &legend)) else { return };
    let theme = context.theme;
    let notes = ["2: full map".to_owned(), map::block_size(&grid)];
    rule::draw("Map of the range", &notes, surface);
    let paint = |block: PortRange| lens::by_state(context.scan, Protocols::Both, block);
    let heatmap = Heatmap {
        grid: &grid,
        bracket: range,
        cursor: None,
        glyphs: if theme.has_color() { GlyphMeaning::Letters } else { GlyphMeaning::Density },
        paint: &paint,
        share: &|ports| {
            let taken = context.scan.occupancy.occupied_in(ports, Protocols::Both);
            taken as f32 / ports.len() as f32
        },
        taken: &|block| occupied(&context.scan.occupancy, Protocols::Both, block),
        owner: &|_| String::new(),
        pointed: Pointed::default(),
    };
    let map = below(area, 1);
    heatmap.render(&mut surface.within(map));
    let legend_area = below(map, AXIS + grid.lines());
    surface.within(Rect { x: area.x + 1, width: area.width - 1, ..legend_area }).lines(&legend);
}

/// Minimum height that must remain for the map if the legend is shown.
const MIN_HEIGHT_WITH_LEGEND: u16 = 12;

/// Returns the legend: a blank line, then the states that occur, each with its number of ports; or,
/// if the map's glyphs show how much of a block is in use, these glyphs. Returns no lines if the map
/// needs the room.
fn legend(context: &OverviewContext<'_>, area: Rect) -> Vec<Line<'static>> {
    if area.height < MIN_HEIGHT_WITH_LEGEND {
        return Vec::new();
    }
    let width = usize::from(area.width.saturating_sub(1));
    let mut lines = vec![Line::default()];
    lines.extend(legend::class_lines(context.counts(), context.theme, width));
    let grid = || context.app.map().minimap(context.range(), room(area, &lines));
    if !context.theme.has_color() && grid().is_some_and(|g| g.resolution() == Resolution::Blocks) {
        let least = lines.len();
        lines.truncate(1);
        let (scan, counts) = (context.scan, context.counts());
        lines.extend(legend::density_lines(scan, counts, context.theme, width));
        // With more room, the map might have a letter for each port.
        lines.resize(lines.len().max(least), Line::default());
    }
    let is_roomy = area.height >= MIN_HEIGHT_WITH_LEGEND + lines.len() as u16;
    if is_roomy { lines } else { Vec::new() }
}
