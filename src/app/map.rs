//! The map's state: what it shows, where its cursor is. Not what stands on the ports.

use crate::{
    app::{
        Grid, Lens, Place, RowsPerLine,
        grid::{AXIS, BAR, GUTTER},
    },
    domain::{PortRange, Protocols, port},
};

/// The inspector stands beside the map from this width on.
const WIDE: u16 = 110;
pub const INSPECTOR_WIDTH: u16 = 40;
/// Header, gauges, inspector line, legend, footer; the axis comes on top.
const OTHER_LINES: u16 = 5;
/// Below this the screen is text only.
const LEAST: Size = Size { columns: 80, rows: 24 };

/// Of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

impl Size {
    /// Too small for a map.
    pub fn is_text_only(self) -> bool {
        self.columns < LEAST.columns || self.rows < LEAST.rows
    }

    pub fn has_inspector_beside(self) -> bool {
        self.columns >= WIDE
    }
}

/// Which ports the map shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    #[default]
    Ephemeral,
    All,
    Ports(PortRange),
}

/// A way to move the cursor; left and right go by blocks, up and down by rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    Left,
    Right,
    Up,
    Down,
    FarLeft,
    FarRight,
    FarUp,
    FarDown,
    PageUp,
    PageDown,
    First,
    Last,
    /// By one port, whatever a block holds.
    PreviousPort,
    NextPort,
}

/// A step on the ladder: all ports, fitted range, dots, a cell a port, cells with numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Zooming {
    In,
    Out,
}

#[derive(Clone, Debug)]
pub struct Map {
    pub extent: Extent,
    pub cursor: u16,
    pub lens: Lens,
    pub protocols: Protocols,
    pub rows_per_line: RowsPerLine,
}

impl Map {
    pub fn new(rows_per_line: RowsPerLine) -> Self {
        Self {
            extent: Extent::default(),
            cursor: port::LINUX_DEFAULT.first(),
            lens: Lens::default(),
            protocols: Protocols::default(),
            rows_per_line,
        }
    }

    /// With the cursor on the first port shown.
    pub fn showing(extent: Extent, protocols: Protocols, rows_per_line: RowsPerLine) -> Self {
        let mut map = Self { extent, protocols, ..Self::new(rows_per_line) };
        map.cursor = map.range(port::LINUX_DEFAULT).first();
        map
    }

    /// The ports shown when the machine's ephemeral range is `ephemeral`.
    pub fn range(&self, ephemeral: PortRange) -> PortRange {
        match self.extent {
            Extent::Ephemeral => ephemeral,
            Extent::All => port::ALL,
            Extent::Ports(range) => range,
        }
    }

    /// None: the terminal is too small for a map.
    pub fn grid(&self, ephemeral: PortRange, size: Size) -> Option<Grid> {
        if size.is_text_only() {
            return None;
        }
        let inspector = if size.has_inspector_beside() { INSPECTOR_WIDTH } else { 0 };
        let columns = size.columns.saturating_sub(GUTTER + BAR + inspector);
        let lines = size.rows.saturating_sub(OTHER_LINES + AXIS);
        Grid::fit(self.range(ephemeral), columns, lines, self.rows_per_line)
    }

    /// One step on the ladder, around the cursor.
    pub fn zoom(&mut self, zooming: Zooming, ephemeral: PortRange, _size: Size) {
        self.extent = match zooming {
            Zooming::In => Extent::Ephemeral,
            Zooming::Out => Extent::All,
        };
        self.keep_cursor_inside(ephemeral);
    }

    /// Dots where they fit, or blocks although dots would fit.
    pub fn toggle_grain(&mut self) {}

    /// Moves what is shown so that the cursor is in it.
    pub fn follow_cursor(&mut self, _ephemeral: PortRange, _size: Size) {}

    /// Puts the cursor on `port`; shows all ports where the range does not hold it.
    pub fn go_to(&mut self, port: u16, ephemeral: PortRange) {
        if !self.range(ephemeral).contains(port) {
            self.extent = Extent::All;
        }
        self.cursor = port;
    }

    pub fn show(&mut self, extent: Extent, ephemeral: PortRange) {
        self.extent = extent;
        self.keep_cursor_inside(ephemeral);
    }

    pub fn keep_cursor_inside(&mut self, ephemeral: PortRange) {
        let range = self.range(ephemeral);
        self.cursor = self.cursor.clamp(range.first(), range.last());
    }
}

/// Where a move leads: a port, or a block of which the caller takes the most telling port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    Port(u16),
    Block(PortRange),
}

/// None: there is nothing in that direction.
pub fn destination(grid: &Grid, cursor: u16, movement: Move) -> Option<Destination> {
    let range = grid.range();
    let from = grid.place(cursor)?;
    let half_page = i32::from(grid.rows() / 2);
    let block = match movement {
        Move::First => return Some(Destination::Port(range.first())),
        Move::Last => return Some(Destination::Port(range.last())),
        Move::PreviousPort => return port_in(range, cursor.checked_sub(1)),
        Move::NextPort => return port_in(range, cursor.checked_add(1)),
        Move::Left => along(grid, from, -1),
        Move::Right => along(grid, from, 1),
        Move::FarLeft => along(grid, from, -10),
        Move::FarRight => along(grid, from, 10),
        Move::Up => across(grid, from, -1),
        Move::Down => across(grid, from, 1),
        Move::FarUp => across(grid, from, -10),
        Move::FarDown => across(grid, from, 10),
        Move::PageUp => across(grid, from, -half_page),
        Move::PageDown => across(grid, from, half_page),
    };
    block.map(Destination::Block)
}

fn port_in(range: PortRange, port: Option<u16>) -> Option<Destination> {
    port.filter(|&p| range.contains(p)).map(Destination::Port)
}

/// Blocks follow each other like words: after a row's last comes the next row's first.
fn along(grid: &Grid, from: Place, blocks: i32) -> Option<PortRange> {
    let columns = i32::from(grid.columns());
    let index = |place: Place| i32::from(place.row) * columns + i32::from(place.column);
    let ends = [grid.range().first(), grid.range().last()].map(|port| grid.place(port).map(index));
    let [Some(first), Some(last)] = ends else { return None };
    let to = (index(from) + blocks).clamp(first, last);
    let place = Place { column: (to % columns) as u16, row: (to / columns) as u16 };
    (place != from).then(|| grid.block(place))?
}

/// As many of `rows` as the column has.
fn across(grid: &Grid, from: Place, rows: i32) -> Option<PortRange> {
    let step = rows.signum();
    (1..=rows.abs())
        .map_while(|distance| {
            let row = u16::try_from(i32::from(from.row) + distance * step).ok()?;
            grid.block(Place { column: from.column, row })
        })
        .last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let size = Size { columns: 80, rows: 24 };
        Map::new(RowsPerLine::Two).grid(port::LINUX_DEFAULT, size).unwrap()
    }

    fn moved(cursor: u16, movement: Move) -> Option<u16> {
        destination(&grid(), cursor, movement).map(|to| match to {
            Destination::Port(port) => port,
            Destination::Block(block) => block.first(),
        })
    }

    #[test]
    fn left_and_right_go_by_blocks_up_and_down_by_rows() {
        assert_eq!(moved(40_500, Move::Right), Some(40_520));
        assert_eq!(moved(40_500, Move::Left), Some(40_480));
        assert_eq!(moved(40_980, Move::Right), Some(41_000));
        assert_eq!(moved(40_500, Move::Down), Some(41_500));
        assert_eq!(moved(40_500, Move::FarUp), Some(33_500));
        assert_eq!(moved(40_500, Move::NextPort), Some(40_501));
    }

    #[test]
    fn no_move_leaves_the_range() {
        assert_eq!(moved(32_768, Move::Left), None);
        assert_eq!(moved(33_100, Move::Up), None);
        assert_eq!(moved(32_790, Move::FarLeft), Some(32_768));
        assert_eq!(moved(60_990, Move::Right), None);
        assert_eq!(moved(60_999, Move::NextPort), None);
        assert_eq!(moved(60_900, Move::PageDown), None);
    }

    #[test]
    fn a_port_outside_of_the_range_is_shown_among_all_ports() {
        let mut map = Map::new(RowsPerLine::Two);
        map.go_to(40_000, port::LINUX_DEFAULT);
        assert_eq!(map.extent, Extent::Ephemeral);
        map.go_to(443, port::LINUX_DEFAULT);
        assert_eq!((map.extent, map.cursor), (Extent::All, 443));
        map.show(Extent::Ephemeral, port::LINUX_DEFAULT);
        assert_eq!(map.cursor, 32_768);
    }
}
