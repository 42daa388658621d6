//! Draws a grid of ports: cells, gutter, axis, range brackets, row bars, cursor. The caller decides
//! what a block means.

mod cells;
mod cursor;
mod gutter;

use ratatui::layout::{Position, Rect};

use crate::{
    app::{Grid, GridBlock},
    domain::{Occupancy, PortRange, Protocols},
    view::{Role, surface::Surface},
};

pub use crate::app::grid::{AXIS, BAR, GUTTER};
pub use cells::{free_glyph, recolor_half};
pub use gutter::{bar, level};

/// How a block is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paint {
    /// Role of the block's free ports: `Outside`, `System`, `Available` or `Reserved`; on the
    /// Allocate screen also a step of the attempt density or a band of the lease pool.
    pub free: Role,
    /// None: nothing of the block is drawn as in use.
    pub taken: Option<TakenPorts>,
}

/// The ports of a block that are drawn as in use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TakenPorts {
    pub role: Role,
    /// Share of the block that is drawn as in use: above 0, at most 1.
    pub share: f32,
    /// Shows the role in cells that are drawn as letters.
    pub letter: char,
}

/// What the glyph of a block means if the map draws one glyph per block instead of two coloured
/// half cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlyphMeaning {
    /// The share of the block that is in use.
    Density,
    /// The role of the ports in use, as `TakenPorts::letter`.
    Letters,
}

/// A grid and how to draw it.
pub struct Heatmap<'a> {
    pub grid: &'a Grid,
    /// The range that a bracket in the gutter marks.
    pub bracket: PortRange,
    /// The port under the cursor. None: the map has no cursor.
    pub cursor: Option<u16>,
    pub glyphs: GlyphMeaning,
    pub paint: &'a dyn Fn(PortRange) -> Paint,
    /// The share of a line's ports that are drawn as in use, 0 to 1.
    pub share: &'a dyn Fn(PortRange) -> f32,
    /// Which ports of a block of eight are drawn as in use, for dots, as bits: port p is bit p % 8.
    pub taken: &'a dyn Fn(PortRange) -> u8,
    /// The name of a port's owner, for the widest cells; empty if there is none or it is unknown.
    pub owner: &'a dyn Fn(u16) -> String,
    pub pointed: Pointed,
}

/// Returns which ports of a block of eight are occupied, as bits like [`Heatmap::taken`].
pub fn occupied(occupancy: &Occupancy, protocols: Protocols, block: PortRange) -> u8 {
    occupancy.ports(block).fold(0, |taken, (port, port_use)| {
        taken | u8::from(port_use.is_occupied(protocols)) << (port % 8)
    })
}

/// What the mouse points at and has selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pointed {
    /// The block under the mouse pointer.
    pub hover: Option<PortRange>,
    /// The span of ports selected by dragging.
    pub span: Option<PortRange>,
}

/// Areas of the parts of a heat map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pane {
    pub axis: Rect,
    pub gutter: Rect,
    pub cells: Rect,
    pub bars: Rect,
}

impl Pane {
    /// Places the parts at the top left corner of `area`; cuts what does not fit.
    pub fn within(area: Rect, grid: &Grid) -> Self {
        let below = Rect { y: area.y.saturating_add(AXIS), ..area }.intersection(area);
        let x = area.x.saturating_add(GUTTER);
        let axis = Rect { x, width: grid.width(), height: AXIS, ..area };
        Self { axis: axis.intersection(area), ..Self::without_axis(below, grid) }
    }

    /// Places the parts without an axis: the first line of the grid is the first line of `area`.
    pub fn without_axis(area: Rect, grid: &Grid) -> Self {
        let part = |x, width| Rect { x, width, height: grid.lines(), y: area.y }.intersection(area);
        let cells = part(area.x.saturating_add(GUTTER), grid.width());
        let bars_start = cells.right() + 1;
        Self {
            axis: Rect::ZERO,
            gutter: part(area.x, GUTTER),
            cells,
            bars: part(bars_start, area.right().saturating_sub(bars_start)),
        }
    }

    /// Returns the position of the first column of the cell that shows `port`. With half blocks,
    /// the same cell also shows a block of another row. None: the map does not show the port.
    pub fn position(&self, grid: &Grid, port: u16) -> Option<Position> {
        let block_position = grid.block_position(port)?;
        let x = self.cells.x + block_position.column * grid.cell_width();
        let position = Position::new(x, self.cells.y + grid.line_of(block_position.row));
        self.cells.contains(position).then_some(position)
    }

    /// Returns the block of the cell `at`; of two half blocks, the upper one. None: there is none.
    pub fn block_at(&self, grid: &Grid, at: Position) -> Option<PortRange> {
        if !self.cells.contains(at) {
            return None;
        }
        let rows = grid.rows_per_line().count();
        let top = (at.y - self.cells.y) * rows;
        let column = (at.x - self.cells.x) / grid.cell_width();
        (top..top + rows).find_map(|row| grid.block(GridBlock { column, row }))
    }
}

impl Heatmap<'_> {
    pub fn render(&self, surface: &mut Surface<'_>) -> Pane {
        let pane = Pane::within(surface.area, self.grid);
        cells::render(self, &pane, surface);
        gutter::render(self, &pane, surface);
        gutter::axis(self, &pane, surface);
        gutter::bars(self, &pane, surface);
        cursor::render(self, &pane, surface);
        pane
    }

    /// Draws the map without axis and row bars.
    pub fn render_rows(&self, surface: &mut Surface<'_>) -> Pane {
        let pane = Pane::without_axis(surface.area, self.grid);
        cells::render(self, &pane, surface);
        gutter::render(self, &pane, surface);
        cursor::render(self, &pane, surface);
        pane
    }
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;

    use super::*;
    use crate::{
        app::RowsPerLine,
        domain::{StateClass, port::LINUX_DEFAULT},
        view::{Background, Depth, Theme},
    };

    fn drawn(theme: &Theme, rows_per_line: RowsPerLine, cursor: u16) -> (Pane, Buffer, Grid) {
        let grid = Grid::fit(LINUX_DEFAULT, 68, 18, rows_per_line).unwrap();
        let area = Rect::new(0, 0, 80, 19);
        let mut buffer = Buffer::empty(area);
        let paint = |block: PortRange| Paint {
            free: Role::Available,
            taken: (block.first() % 1000 == 200).then_some(TakenPorts {
                role: Role::Class(StateClass::TimeWait),
                share: 0.5,
                letter: 'T',
            }),
        };
        let heatmap = Heatmap {
            grid: &grid,
            bracket: LINUX_DEFAULT,
            cursor: Some(cursor),
            glyphs: if theme.has_color() { GlyphMeaning::Letters } else { GlyphMeaning::Density },
            paint: &paint,
            share: &|_| 0.8,
            taken: &|_| 0,
            owner: &|_| String::new(),
            pointed: Pointed::default(),
        };
        let pane = heatmap.render(&mut Surface::new(theme, area, &mut buffer));
        (pane, buffer, grid)
    }

    #[test]
    fn both_halves_of_a_cell_are_painted_and_the_cursor_covers_one() {
        let theme = Theme::new(Depth::True, Background::Dark, false);
        let (pane, buffer, grid) = drawn(&theme, RowsPerLine::Two, 49_152);
        let cell = &buffer[pane.position(&grid, 49_152).unwrap()];
        assert_eq!((cell.symbol(), cell.bg), ("▀", theme.color(Role::Cursor)));
        assert_eq!(cell.fg, theme.color(Role::Available));
    }

    #[test]
    fn the_range_is_bracketed_and_the_cursor_named_in_the_gutters() {
        let theme = Theme::new(Depth::True, Background::Dark, false);
        let (pane, buffer, _) = drawn(&theme, RowsPerLine::Two, 49_152);
        let line = |y: u16| (0..80).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        assert!(line(0).contains("╷152"), "{}", line(0));
        assert!(line(1).starts_with("32768┏"), "{}", line(1));
        assert!(line(9).starts_with("49152┃┌"), "{}", line(9));
        assert!(line(15).starts_with("60999┗│"), "{}", line(15));
        assert_eq!(pane.cells, Rect::new(7, 1, 50, 15));
    }

    #[test]
    fn without_colour_blocks_show_the_occupied_share() {
        let (pane, buffer, grid) = drawn(&Theme::MONOCHROME, RowsPerLine::One, 49_152);
        assert_eq!(buffer[pane.position(&grid, 40_500).unwrap()].symbol(), "·");
        assert_eq!(buffer[pane.position(&grid, 40_200).unwrap()].symbol(), "▒");
    }

    #[test]
    fn a_click_on_a_block_names_its_first_port() {
        let theme = Theme::new(Depth::True, Background::Dark, true);
        let (pane, _, grid) = drawn(&theme, RowsPerLine::One, 40_000);
        let at = pane.position(&grid, 40_239).unwrap();
        assert_eq!(pane.block_at(&grid, at).map(PortRange::first), Some(40_200));
        assert_eq!(pane.block_at(&grid, Position::new(0, 0)), None);
    }
}
