//! Where each port of a range stands on the map, in blocks. Not what is drawn there.

use crate::domain::PortRange;

/// Row lengths that keep the axes decimal (screens.md, "Fit").
const ROW_LENGTHS: [u32; 12] = [100, 200, 250, 400, 500, 800, 1000, 2000, 2500, 4000, 5000, 10_000];
const PORTS_PER_BLOCK: [u32; 11] = [1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100];

/// Columns left of the blocks: row labels of five digits, the range's bracket, IANA's bracket.
pub const GUTTER: u16 = 7;
/// Columns right of the blocks: a gap and a bar of four cells.
pub const BAR: u16 = 5;
/// Lines above the blocks.
pub const AXIS: u16 = 1;

/// How many rows of ports a line of the terminal shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowsPerLine {
    /// A glyph for a block: ASCII, or no colour.
    One,
    /// Half blocks: the upper half is one row, the lower half the next.
    #[default]
    Two,
}

impl RowsPerLine {
    pub fn count(self) -> u16 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

/// A range laid out row by row; rows start at multiples of their length, so that a port can be
/// found by reading the axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    range: PortRange,
    row_length: u32,
    per_block: u32,
    rows_per_line: RowsPerLine,
}

/// A block of the grid: column from the left, row of ports (not of the terminal) from the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub column: u16,
    pub row: u16,
}

impl Grid {
    /// The finest grid that fits, and of these the one with most blocks. None: too small an area.
    pub fn fit(
        range: PortRange,
        columns: u16,
        lines: u16,
        rows_per_line: RowsPerLine,
    ) -> Option<Self> {
        PORTS_PER_BLOCK.into_iter().find_map(|per_block| {
            ROW_LENGTHS
                .into_iter()
                .filter(|row_length| row_length % per_block == 0)
                .map(|row_length| Self { range, row_length, per_block, rows_per_line })
                .filter(|grid| grid.columns() <= columns && grid.lines() <= lines)
                .max_by_key(|grid| u32::from(grid.columns()) * u32::from(grid.rows()))
        })
    }

    pub fn range(&self) -> PortRange {
        self.range
    }

    /// Ports a row.
    pub fn row_length(&self) -> u32 {
        self.row_length
    }

    pub fn per_block(&self) -> u32 {
        self.per_block
    }

    pub fn rows_per_line(&self) -> RowsPerLine {
        self.rows_per_line
    }

    /// Blocks a row.
    pub fn columns(&self) -> u16 {
        (self.row_length / self.per_block) as u16
    }

    /// Rows of ports.
    pub fn rows(&self) -> u16 {
        let row_of = |port: u16| u32::from(port) / self.row_length;
        (row_of(self.range.last()) - row_of(self.range.first()) + 1) as u16
    }

    /// Lines of the terminal.
    pub fn lines(&self) -> u16 {
        self.rows().div_ceil(self.rows_per_line.count())
    }

    /// The block that holds `port`; None outside of the range.
    pub fn place(&self, port: u16) -> Option<Place> {
        if !self.range.contains(port) {
            return None;
        }
        let row = u32::from(port) / self.row_length - self.first_row();
        let column = u32::from(port) % self.row_length / self.per_block;
        Some(Place { column: column as u16, row: row as u16 })
    }

    /// The ports of a block, as far as they are in the range.
    pub fn block(&self, place: Place) -> Option<PortRange> {
        if place.column >= self.columns() {
            return None;
        }
        let first = self.row_start(place.row) + u32::from(place.column) * self.per_block;
        self.clip(first, self.per_block)
    }

    /// The ports of a row, as far as they are in the range.
    pub fn row(&self, row: u16) -> Option<PortRange> {
        self.clip(self.row_start(row), self.row_length)
    }

    /// The ports of a line of the terminal, as far as they are in the range.
    pub fn line(&self, line: u16) -> Option<PortRange> {
        let rows = self.rows_per_line.count();
        self.clip(self.row_start(line * rows), self.row_length * u32::from(rows))
    }

    /// The number that names a row: its first port, in the range or not.
    pub fn row_start(&self, row: u16) -> u32 {
        (self.first_row() + u32::from(row)) * self.row_length
    }

    /// The line that shows a row.
    pub fn line_of(&self, row: u16) -> u16 {
        row / self.rows_per_line.count()
    }

    fn first_row(&self) -> u32 {
        u32::from(self.range.first()) / self.row_length
    }

    fn clip(&self, first: u32, length: u32) -> Option<PortRange> {
        let last = (first + length - 1).min(u32::from(u16::MAX)) as u16;
        let first = u16::try_from(first).ok()?;
        PortRange::new(first, last).ok()?.intersection(self.range)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::port::{ALL, IANA_DYNAMIC, LINUX_DEFAULT};

    fn shape(range: PortRange, columns: u16, lines: u16) -> (u32, u32, u16, u16) {
        let grid = Grid::fit(range, columns, lines, RowsPerLine::Two).unwrap();
        (grid.row_length, grid.per_block, grid.columns(), grid.lines())
    }

    #[test]
    fn blocks_fit_the_usual_terminals_as_screens_md_lists_them() {
        // Columns and lines of the map: terminal less 12 for gutter and bar, 40 more for the
        // inspector; rows less 6.
        assert_eq!(shape(LINUX_DEFAULT, 80 - 12, 24 - 6), (1000, 20, 50, 15));
        assert_eq!(shape(IANA_DYNAMIC, 80 - 12, 24 - 6), (500, 10, 50, 17));
        assert_eq!(shape(LINUX_DEFAULT, 100 - 12, 30 - 6), (800, 10, 80, 19));
        assert_eq!(shape(LINUX_DEFAULT, 100 - 52, 30 - 6), (800, 20, 40, 19));
        assert_eq!(shape(IANA_DYNAMIC, 100 - 12, 30 - 6), (400, 5, 80, 21));
        assert_eq!(shape(IANA_DYNAMIC, 100 - 52, 30 - 6), (400, 10, 40, 21));
        assert_eq!(shape(LINUX_DEFAULT, 120 - 12, 40 - 6), (500, 5, 100, 29));
        assert_eq!(shape(LINUX_DEFAULT, 120 - 52, 40 - 6), (500, 10, 50, 29));
        assert_eq!(shape(IANA_DYNAMIC, 120 - 52, 40 - 6), (250, 5, 50, 34));
        assert_eq!(shape(ALL, 80 - 12, 24 - 6), (2000, 40, 50, 17));
    }

    #[test]
    fn a_tiny_area_has_no_grid() {
        assert_eq!(Grid::fit(LINUX_DEFAULT, 10, 3, RowsPerLine::Two), None);
        assert_eq!(Grid::fit(ALL, 0, 0, RowsPerLine::One), None);
    }

    fn ranges() -> impl Strategy<Value = PortRange> {
        any::<(u16, u16)>().prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap())
    }

    proptest! {
        #[test]
        fn every_port_of_the_range_has_one_place_and_comes_back_from_it(
            range in ranges(), columns in 20_u16..400, lines in 10_u16..120, one in any::<bool>()
        ) {
            let rows = if one { RowsPerLine::One } else { RowsPerLine::Two };
            let Some(grid) = Grid::fit(range, columns, lines, rows) else { return Ok(()) };
            prop_assert!(grid.columns() <= columns && grid.lines() <= lines);
            let mut next = u32::from(range.first());
            for row in 0..grid.rows() {
                for column in 0..grid.columns() {
                    let place = Place { column, row };
                    let Some(block) = grid.block(place) else { continue };
                    prop_assert_eq!(u32::from(block.first()), next);
                    prop_assert_eq!(grid.place(block.first()), Some(place));
                    prop_assert_eq!(grid.place(block.last()), Some(place));
                    next = u32::from(block.last()) + 1;
                }
            }
            prop_assert_eq!(next, u32::from(range.last()) + 1);
        }

        #[test]
        fn a_port_outside_of_the_range_has_no_place(range in ranges(), port in any::<u16>()) {
            let Some(grid) = Grid::fit(range, 100, 40, RowsPerLine::Two) else { return Ok(()) };
            prop_assert_eq!(grid.place(port).is_some(), range.contains(port));
        }
    }
}
