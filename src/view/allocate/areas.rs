//! Computes the areas of the Allocate screen's parts. Does not draw.

use ratatui::layout::Rect;

use crate::{
    app::{Grid, RowsPerLine},
    domain::PortRange,
    view::{
        heatmap::{AXIS, GUTTER},
        size_class::SizeClass,
        surface::{self, lines_of},
    },
};

/// Minimum sizes (columns, lines) of the body, without header and footer, for: a map with facts
/// beside it; also sections of the facts and a legend; also lines below the map that are kept for the
/// history; wider facts.
const LIMITS: [(u16, u16); 4] = [(56, 12), (110, 28), (150, 44), (190, 44)];
/// Minimum widths of the facts beside the map, by size class.
const NARROW_FACTS: u16 = 22;
const MEDIUM_FACTS: u16 = 55;
/// Leaves 100 blocks for the map at 160 columns.
const LARGE_FACTS: u16 = 50;
const HUGE_FACTS: u16 = 60;
/// Minimum height below the map for the history: a rule, bars and their label.
const MIN_HISTORY_LINES: u16 = 4;
/// Lines below the legend that are kept free for the history from size class `Large` on.
const RESERVED_HISTORY: u16 = 9;
const MAX_HISTORY_LINES: u16 = 22;
/// Size class `Small`: minimum size (columns, lines) of the space below the map for the log. With
/// fewer columns the log would cut names, with fewer lines it would show less than beside the map.
const MIN_SPARE: (u16, u16) = (56, 5);

/// Returns the minimum width of the facts beside the map.
fn facts_width(class: SizeClass) -> u16 {
    match class {
        SizeClass::Tiny => 0,
        SizeClass::Small => NARROW_FACTS,
        SizeClass::Medium => MEDIUM_FACTS,
        SizeClass::Large => LARGE_FACTS,
        SizeClass::Huge => HUGE_FACTS,
    }
}

/// Areas of the parts; empty where there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocateAreas {
    pub class: SizeClass,
    pub title: Rect,
    /// The setup as one line; empty if it is a section of the facts.
    pub setup: Rect,
    pub map: Rect,
    pub legend: Rect,
    /// The last allocations.
    pub history: Rect,
    /// Size class `Small`: for the log, or the settings of the pool, in full.
    pub spare: Rect,
    pub facts: Rect,
    pub outcome: Rect,
}

impl AllocateAreas {
    /// Divides the area into parts and returns the grid of the map. None: there is no room for a
    /// map.
    pub fn within(area: Rect, range: PortRange, rows: RowsPerLine) -> (Self, Option<Grid>) {
        let class = SizeClass::of(area, LIMITS);
        let line = |y: u16, height: u16| lines_of(area, y, height);
        let (above, below) = match class {
            SizeClass::Tiny => (1, 0),
            SizeClass::Small => (2, 2),
            _ => (1, 1 + u16::from(area.width < 120)),
        };
        let body = line(above, area.height.saturating_sub(above + below));
        // The map has no row bars, because they would be brighter than the attempts.
        let margin = GUTTER + if class > SizeClass::Small { 3 } else { 1 };
        let legend = u16::from(class > SizeClass::Small);
        let reserved = if class >= SizeClass::Large { RESERVED_HISTORY } else { 0 };
        let columns = body.width.saturating_sub(margin + facts_width(class));
        let lines = body.height.saturating_sub(AXIS + legend + reserved);
        let grid = Grid::fit(range, columns, lines, rows).filter(|_| class > SizeClass::Tiny);
        let size = grid.as_ref().map(|grid| (GUTTER + grid.columns(), AXIS + grid.lines()));
        let (width, height) = size.unwrap_or((0, 0));
        let taken = if grid.is_some() { width - GUTTER + margin } else { 0 };
        let map = Rect { width, height, ..body };
        let legend = Rect { y: map.bottom(), height: legend, width: taken, ..body };
        let history = Rect { y: legend.bottom() + 1, width, ..body };
        let spare = body.bottom().saturating_sub(history.y).min(MAX_HISTORY_LINES);
        let history_height =
            if class >= SizeClass::Medium && spare >= MIN_HISTORY_LINES { spare } else { 0 };
        let areas = Self {
            class,
            title: line(0, 1),
            setup: line(1, above - 1),
            map,
            legend: legend.intersection(body),
            history: Rect { height: history_height, ..history }.intersection(body),
            spare: below_map(class, Rect { width: taken, ..surface::below(body, height) }),
            facts: Rect { x: body.x + taken, width: body.width - taken, ..body },
            outcome: line(area.height.saturating_sub(below), below),
        };
        (areas, grid)
    }

    /// Gives the legend a line of the outcome.
    pub fn put_legend_above_outcome(&mut self) {
        self.legend = Rect { height: 1, ..self.outcome }.intersection(self.outcome);
        self.outcome.y += self.legend.height;
        self.outcome.height -= self.legend.height;
    }
}

/// Returns the usable area below a map; `left` is the place from the map's bottom on. The last
/// two columns stay free, as a gap to the facts.
fn below_map(class: SizeClass, left: Rect) -> Rect {
    let (columns, lines) = MIN_SPARE;
    let spare = Rect { width: left.width.saturating_sub(2), ..left };
    let has_room = spare.width >= columns && spare.height >= lines;
    if class == SizeClass::Small && has_room { spare } else { Rect::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::port::{IANA_DYNAMIC, LINUX_DEFAULT};

    fn shape(columns: u16, rows: u16) -> (SizeClass, u16, u16, u16) {
        let body = Rect::new(0, 1, columns, rows - 2);
        let (areas, grid) = AllocateAreas::within(body, IANA_DYNAMIC, RowsPerLine::Two);
        let grid = grid.expect("room for a map");
        (areas.class, grid.columns(), grid.lines(), areas.history.height)
    }

    #[test]
    fn large_terminals_show_100_blocks_per_line_and_the_last_allocations() {
        assert_eq!(shape(80, 24), (SizeClass::Small, 50, 17, 0));
        assert_eq!(shape(120, 40), (SizeClass::Medium, 50, 34, 0));
        assert_eq!(shape(120, 36), (SizeClass::Medium, 50, 21, 8));
        assert_eq!(shape(160, 48), (SizeClass::Large, 100, 21, 20));
        assert_eq!(shape(200, 60), (SizeClass::Huge, 125, 34, 19));
    }

    #[test]
    fn a_small_terminal_uses_the_place_below_a_map_that_leaves_room() {
        let spare = |rows: u16, range, lines| {
            let body = Rect::new(0, 1, 80, rows - 2);
            let (areas, _) = AllocateAreas::within(body, range, lines);
            (areas.spare.width, areas.spare.height)
        };
        assert_eq!(spare(23, IANA_DYNAMIC, RowsPerLine::Two), (56, 7));
        assert_eq!(spare(24, IANA_DYNAMIC, RowsPerLine::Two), (0, 0), "the map has more blocks");
        assert_eq!(spare(23, IANA_DYNAMIC, RowsPerLine::One), (56, 7));
        assert_eq!(spare(23, LINUX_DEFAULT, RowsPerLine::Two), (0, 0));
    }

    #[test]
    fn areas_stay_on_the_screen_and_do_not_overlap() {
        for range in [IANA_DYNAMIC, LINUX_DEFAULT] {
            for (columns, rows) in (0..220).step_by(7).flat_map(|c| (0..70).map(move |r| (c, r))) {
                let body = Rect::new(0, 1, columns, rows);
                let (areas, _) = AllocateAreas::within(body, range, RowsPerLine::Two);
                let AllocateAreas { title, setup, map, legend, history, .. } = areas;
                let AllocateAreas { spare, facts, outcome, .. } = areas;
                let parts = [title, setup, map, legend, history, spare, facts, outcome];
                for (index, part) in parts.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
                    assert_eq!(part.intersection(body), *part, "{columns}x{rows} part {index}");
                    for other in &parts[index + 1..] {
                        assert!(!part.intersects(*other), "{columns}x{rows}: {part} {other}");
                    }
                }
            }
        }
    }
}
