//! Where the parts of the Lab screen lie. Draws nothing.

use ratatui::layout::Rect;

use crate::view::heatmap::{AXIS, GUTTER};

/// The smallest body with a map (80x24 less header and footer).
const LEAST: (u16, u16) = (70, 18);
/// From here on two columns, two rows of strategies.
const MEDIUM: (u16, u16) = (110, 32);
/// From here on all strategies stand side by side.
const LARGE: (u16, u16) = (150, 40);
/// The curve of the largest terminals needs no more.
const MOST_CURVE: u16 = 18;
const LEAST_CURVE: u16 = 10;
/// Lines of the figures of a strategy.
pub const FIGURES: u16 = 10;
/// What figures beside a map need.
const FIGURES_WIDTH: u16 = 31;
/// Between strategies.
const GAP: u16 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A name and a number.
    Tiny,
    /// A table of all, and the selected strategy.
    Small,
    /// Two by two.
    Medium,
    /// Side by side.
    Large,
}

/// The parts of one strategy; what has no room is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pane {
    pub heading: Rect,
    pub map: Rect,
    pub figures: Rect,
    pub histogram: Rect,
}

#[derive(Clone, Debug)]
pub struct Areas {
    pub class: Class,
    pub title: Rect,
    /// Of all strategies, where only one of them is drawn.
    pub table: Rect,
    /// Each with its column's number.
    pub panes: Vec<(usize, Pane)>,
    pub curve: Rect,
}

impl Areas {
    pub fn within(area: Rect, columns: usize, selected: usize) -> Self {
        let class = class_of(area);
        let line = |y: u16, height: u16| {
            Rect { y: area.y.saturating_add(y), height, ..area }.intersection(area)
        };
        let title = line(0, 2);
        let mut areas =
            Self { class, title, table: Rect::ZERO, panes: Vec::new(), curve: Rect::ZERO };
        match class {
            Class::Tiny => {}
            Class::Small => {
                let rows = columns as u16 + 1;
                areas.table = line(2, rows);
                let pane = line(rows + 3, area.height.saturating_sub(rows + 3));
                areas.panes.push((selected, wide(pane)));
            }
            Class::Medium => {
                let rows = columns.div_ceil(2).max(1) as u16;
                let curve = if rows == 1 { (area.height / 3).min(MOST_CURVE) } else { 0 };
                let body = line(2, area.height.saturating_sub(2 + curve));
                areas.curve = line(area.height - curve, curve);
                areas.panes = two_by_two(body, columns, rows);
            }
            Class::Large => {
                let curve = (area.height / 3).clamp(LEAST_CURVE, MOST_CURVE);
                let body = line(2, area.height.saturating_sub(2 + curve));
                areas.curve = line(area.height - curve, curve);
                let count = columns.max(1) as u16;
                let width = (area.width + GAP) / count - GAP;
                let at = |column: usize| {
                    let x = area.x + column as u16 * (width + GAP);
                    (column, tall(Rect { x, width, ..body }))
                };
                areas.panes = (0..columns).map(at).collect();
            }
        }
        areas
    }

    /// Columns of the narrowest histogram, so that all have the same bins.
    pub fn histogram_columns(&self) -> u16 {
        self.panes.iter().map(|(_, pane)| pane.histogram.width).min().unwrap_or_default()
    }
}

fn class_of(area: Rect) -> Class {
    let has = |(width, height)| area.width >= width && area.height >= height;
    match () {
        () if !has(LEAST) => Class::Tiny,
        () if !has(MEDIUM) => Class::Small,
        () if !has(LARGE) => Class::Medium,
        () => Class::Large,
    }
}

fn two_by_two(body: Rect, columns: usize, rows: u16) -> Vec<(usize, Pane)> {
    let width = (body.width - GAP) / 2;
    let height = body.height / rows;
    let at = |column: usize| {
        let (across, down) = (column as u16 % 2, column as u16 / 2);
        let x = body.x + across * (width + GAP);
        let y = body.y + down * height;
        // A blank line between the rows.
        let height = if down + 1 < rows { height - 1 } else { height };
        (column, wide(Rect { x, y, width, height }))
    };
    (0..columns).map(at).collect()
}

/// Map at the left, figures and histogram at the right.
fn wide(area: Rect) -> Pane {
    let heading = Rect { height: area.height.min(1), ..area };
    let body = Rect { y: area.y + heading.height, height: area.height - heading.height, ..area };
    let aside = FIGURES_WIDTH.min(body.width / 2);
    let map = Rect { width: body.width - aside - 1, ..body };
    let x = map.right() + 1;
    let figures = Rect { x, width: aside, height: FIGURES.min(body.height), ..body };
    let rest = body.bottom().saturating_sub(figures.bottom() + 1);
    let rest = Rect { y: figures.bottom() + 1, height: rest, ..figures };
    let histogram = if rest.height >= 3 { rest } else { Rect::ZERO };
    Pane { heading, map, figures, histogram }
}

/// Map above, then figures, then histogram.
fn tall(area: Rect) -> Pane {
    let part = |y: u16, height: u16| {
        Rect { y: area.y.saturating_add(y), height, ..area }.intersection(area)
    };
    // A third for the histogram, at least what it needs to be read.
    let rest = area.height.saturating_sub(1 + FIGURES + 2);
    let histogram = (rest * 2 / 5).max(4);
    let map = rest.saturating_sub(histogram).max(GUTTER.min(AXIS + 1));
    Pane {
        heading: part(0, 1),
        map: part(1, map),
        figures: part(map + 2, FIGURES),
        histogram: part(map + FIGURES + 3, area.height.saturating_sub(map + FIGURES + 3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(columns: u16, rows: u16, count: usize) -> Areas {
        Areas::within(Rect::new(0, 1, columns, rows.saturating_sub(2)), count, 0)
    }

    #[test]
    fn the_sizes_have_the_shapes_of_the_design() {
        assert_eq!(within(40, 10, 4).class, Class::Tiny);
        let small = within(80, 24, 4);
        assert_eq!((small.class, small.table.height, small.panes.len()), (Class::Small, 5, 1));
        let medium = within(120, 40, 4);
        assert_eq!((medium.class, medium.panes.len()), (Class::Medium, 4));
        assert_eq!(medium.panes[3].1.map.x, medium.panes[1].1.map.x);
        let large = within(160, 48, 4);
        assert_eq!((large.class, large.panes.len()), (Class::Large, 4));
        assert!(large.curve.height >= LEAST_CURVE);
    }

    #[test]
    fn parts_never_leave_the_screen_nor_lie_over_each_other() {
        for (columns, rows) in (0..220).step_by(3).flat_map(|c| (0..70).map(move |r| (c, r))) {
            for count in 1..=4 {
                let body = Rect::new(0, 1, columns, rows);
                let areas = Areas::within(body, count, 0);
                let mut parts = vec![areas.title, areas.table, areas.curve];
                for (_, Pane { heading, map, figures, histogram }) in &areas.panes {
                    parts.extend([*heading, *map, *figures, *histogram]);
                }
                if areas.class == Class::Tiny {
                    continue;
                }
                let parts: Vec<Rect> = parts.into_iter().filter(|part| !part.is_empty()).collect();
                for (index, part) in parts.iter().enumerate() {
                    assert_eq!(part.intersection(body), *part, "{columns}x{rows} {count}: {index}");
                    for other in &parts[index + 1..] {
                        assert!(!part.intersects(*other), "{columns}x{rows}: {part} {other}");
                    }
                }
            }
        }
    }
}
