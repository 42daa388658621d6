//! Computes the areas of the Lab screen's parts. Does not draw.

use ratatui::layout::Rect;

use crate::view::surface::{below, lines_of};

/// Minimum size (columns, lines) of the body for a table and one strategy's map.
const MIN_BODY: (u16, u16) = (60, 16);
/// Minimum size of a strategy's column with map, figures and histogram on top of each other.
pub const MIN_NARROW_COLUMN: (u16, u16) = (38, 23);
/// Minimum size of a strategy's column with the map beside figures and histogram.
pub const MIN_WIDE_COLUMN: (u16, u16) = (58, 14);
/// Heights of a column above which further lines are given to the curve: with the map above the
/// figures (`ROOMY_NARROW_HEIGHT`), and beside them (`ROOMY_WIDE_HEIGHT`).
const ROOMY_NARROW_HEIGHT: u16 = 33;
const ROOMY_WIDE_HEIGHT: u16 = 24;
/// Minimum and maximum height of the curve, including its rule and axis.
const MIN_CURVE_LINES: u16 = 9;
const MAX_CURVE_LINES: u16 = 22;

/// Size class of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabSize {
    /// A few words.
    Tiny,
    /// A table of all strategies, and a panel of the selected one.
    Small,
    /// All strategies drawn in columns, N per row.
    Columns(u16),
}

/// Areas of the parts; empty where there is no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabAreas {
    pub class: LabSize,
    pub title: Rect,
    pub setup: Rect,
    pub table: Rect,
    /// Index and area of each panel. All panels have the same size.
    pub panels: Vec<(usize, Rect)>,
    pub curve: Rect,
}

impl LabAreas {
    /// Divides the area for `count` strategies, which must be at least one.
    pub fn within(area: Rect, count: usize, selected: usize) -> Self {
        let class = class(area, count as u16);
        let body = lines_of(area, 2, area.height.saturating_sub(2));
        let mut areas = Self {
            class,
            title: lines_of(area, 0, 1),
            setup: lines_of(area, 1, 1),
            table: Rect { height: 0, ..body },
            panels: Vec::new(),
            curve: Rect { height: 0, ..body },
        };
        match class {
            LabSize::Tiny => areas.title = area,
            LabSize::Small => areas.stack(body, count as u16, selected),
            LabSize::Columns(across) => areas.spread(body, count, across),
        }
        areas
    }

    /// Puts the panel of the selected strategy below a table, and the curve at the bottom if there
    /// is room.
    fn stack(&mut self, body: Rect, count: u16, selected: usize) {
        self.table.height = (count + 1).min(body.height);
        let rest = below(body, self.table.height);
        let curve = curve_lines(rest.height, MIN_WIDE_COLUMN.1, ROOMY_WIDE_HEIGHT);
        let panel = Rect { height: rest.height - curve, ..rest };
        self.panels = vec![(selected, panel)];
        self.curve = below(rest, panel.height);
    }

    /// Puts the columns in rows of `across`, and the curve below them if there is room.
    fn spread(&mut self, body: Rect, count: usize, across: u16) {
        let rows = (count as u16).div_ceil(across);
        let width = (body.width - (across - 1)) / across;
        let (least, roomy) = if width >= MIN_WIDE_COLUMN.0 {
            (MIN_WIDE_COLUMN.1, ROOMY_WIDE_HEIGHT)
        } else {
            (MIN_NARROW_COLUMN.1, ROOMY_NARROW_HEIGHT)
        };
        let curve = curve_lines(body.height, rows * least, rows * roomy);
        let height = (body.height - curve) / rows;
        let panel = |column: usize| {
            let (x, y) = (column as u16 % across, column as u16 / across);
            let x = body.x + x * (width + 1);
            (column, Rect { x, y: body.y + y * height, width, height })
        };
        self.panels = (0..count).map(panel).collect();
        self.curve = Rect { y: body.bottom() - curve, height: curve, ..body };
    }
}

fn class(area: Rect, count: u16) -> LabSize {
    let body = area.height.saturating_sub(2);
    let width = |across: u16| (area.width + 1) / across - 1;
    let fits = |across: u16, (least_width, least_height): (u16, u16)| {
        width(across) >= least_width && body / count.div_ceil(across) >= least_height
    };
    match () {
        () if area.width < MIN_BODY.0 || area.height < MIN_BODY.1 => LabSize::Tiny,
        () if count == 1 && fits(1, MIN_WIDE_COLUMN) => LabSize::Columns(1),
        () if fits(count, MIN_NARROW_COLUMN) || fits(count, MIN_WIDE_COLUMN) => {
            LabSize::Columns(count)
        }
        () if count > 2 && fits(2, MIN_WIDE_COLUMN) => LabSize::Columns(2),
        () => LabSize::Small,
    }
}

/// Returns the height of the curve; 0 if there is no room. Of `height` lines, the columns need at
/// least `least`, and more than `roomy` lines are of little use to them.
fn curve_lines(height: u16, least: u16, roomy: u16) -> u16 {
    let spare = height.saturating_sub(least);
    if spare < MIN_CURVE_LINES {
        return 0;
    }
    let usual = (height / 4).max(MIN_CURVE_LINES);
    let beyond = height.saturating_sub(roomy);
    usual.max(beyond).min(spare).min(MAX_CURVE_LINES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(columns: u16, rows: u16, count: usize) -> (LabSize, u16, u16) {
        let areas = LabAreas::within(Rect::new(0, 1, columns, rows - 2), count, 0);
        (areas.class, areas.panels.first().map_or(0, |p| p.1.height), areas.curve.height)
    }

    #[test]
    fn four_columns_are_side_by_side_on_large_and_two_by_two_on_medium_terminals() {
        assert_eq!(shape(80, 24, 4), (LabSize::Small, 15, 0));
        assert_eq!(shape(120, 40, 4), (LabSize::Columns(2), 18, 0));
        assert_eq!(shape(120, 40, 3), (LabSize::Columns(3), 27, 9));
        assert_eq!(shape(160, 48, 4), (LabSize::Columns(4), 33, 11));
        assert_eq!(shape(200, 60, 4), (LabSize::Columns(4), 34, 22));
        assert_eq!(shape(40, 10, 4), (LabSize::Tiny, 0, 0));
    }

    #[test]
    fn areas_stay_on_the_screen_and_do_not_overlap() {
        for (columns, rows) in (0..220).flat_map(|c| (0..70).map(move |r| (c, r))) {
            for count in 1..=4 {
                let body = Rect::new(0, 1, columns, rows);
                let areas = LabAreas::within(body, count, count - 1);
                let panels = areas.panels.iter().map(|panel| panel.1);
                let mut parts: Vec<Rect> = panels.collect();
                parts.extend([areas.title, areas.setup, areas.table, areas.curve]);
                if areas.class == LabSize::Tiny {
                    parts = vec![areas.title];
                }
                for (index, part) in parts.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
                    assert_eq!(part.intersection(body), *part, "{columns}x{rows} {count} {index}");
                    for other in &parts[index + 1..] {
                        assert!(!part.intersects(*other), "{columns}x{rows}: {part} {other}");
                    }
                }
            }
        }
    }
}
