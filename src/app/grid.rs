//! The grid of the map: the position of each port of a range, at every resolution. Does not draw.

use crate::domain::PortRange;

/// Row lengths of blocks, in ports. With them the labels of both axes are round numbers.
const ROW_LENGTHS: [u32; 13] =
    [100, 200, 250, 400, 500, 800, 1000, HALF_ROUND, 2000, 2500, 4000, 5000, 10_000];
/// A row length that is round only if a line has two rows.
const HALF_ROUND: u32 = 1250;
const PORTS_PER_BLOCK: [u32; 11] = [1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100];

/// Row lengths of dots, in ports: multiples of eight, so that a cell of eight ports never spans two
/// rows.
const DOT_ROWS: [u32; 6] = [200, 400, 800, 1000, 1600, 2000];
/// Row lengths of letters, in ports.
const LETTER_ROWS: [u32; 7] = [10, 20, 25, 40, 50, 100, 200];
/// Row lengths of the loupe, in ports: even, so that even and odd ports form vertical stripes.
const LOUPE_ROWS: [u32; 7] = [20, 40, 50, 100, 200, 250, 500];
/// Row lengths of numbered cells, in ports.
const NUMBER_ROWS: [u32; 4] = [5, 10, 20, 40];
const PORTS_PER_DOTS: u32 = 8;
/// Minimum width of a numbered cell, in columns: `E 49152` and a gap.
const NUMBER_WIDTH: u16 = 8;
/// Maximum width of a numbered cell, in columns. A wider cell would show more of the owner's name,
/// which is not needed.
const MAX_NUMBER_WIDTH: u16 = 18;

/// Columns left of the blocks: five for the row label, one for the bracket of a range, and one for
/// the bracket of IANA's dynamic ports.
pub const GUTTER: u16 = 7;
/// Columns right of the blocks: a gap and a bar of four cells.
pub const BAR: u16 = 5;
/// Lines above the blocks, for the axis.
pub const AXIS: u16 = 1;

/// Number of rows of ports that a line of the terminal shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowsPerLine {
    /// One glyph per block, for ASCII or for output without colour.
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

/// What a cell of the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// Two blocks of ports, or one block if a line shows one row.
    Blocks,
    /// Eight ports, one braille dot each.
    Dots,
    /// One port, shown by its letter.
    Letters,
    /// One port, shown by letter, number and owner, in a cell of this many columns.
    Numbers(u16),
}

/// The columns and lines of the terminal that are available to a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub columns: u16,
    pub lines: u16,
}

/// A range of ports laid out in rows. Each row starts at a multiple of the row length, so that a
/// port can be found by reading the axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    range: PortRange,
    row_length: u32,
    per_block: u32,
    rows_per_line: RowsPerLine,
    resolution: Resolution,
}

/// Whether each line begins with a round number.
fn is_round(row_length: u32, rows_per_line: RowsPerLine) -> bool {
    row_length != HALF_ROUND || rows_per_line == RowsPerLine::Two
}

/// Position of a block: column from the left, row of ports (not of the terminal) from the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GridBlock {
    pub column: u16,
    pub row: u16,
}

impl Grid {
    /// Returns the grid with the fewest ports per block that fits; of several, the one with the
    /// most blocks. None: the area is too small.
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
                .filter(|row_length| is_round(*row_length, rows_per_line))
                .map(|row_length| Self {
                    range,
                    row_length,
                    per_block,
                    rows_per_line,
                    resolution: Resolution::Blocks,
                })
                .filter(|grid| grid.columns() <= columns && grid.lines() <= lines)
                .max_by_key(|grid| u32::from(grid.columns()) * u32::from(grid.rows()))
        })
    }

    /// Returns a grid with one dot per port, in the longest rows that fit. None: the range does not
    /// fit.
    pub fn fit_dots(range: PortRange, room: Room) -> Option<Self> {
        Self::each_dots(range).find(|grid| grid.fits(room))
    }

    /// Returns a grid with one cell per port: numbered cells if they fit, else letters. None:
    /// neither fits.
    pub fn fit_ports(range: PortRange, room: Room) -> Option<Self> {
        let letters = Self::each_letters(range);
        Self::each_numbers(range, room).chain(letters).find(|grid| grid.fits(room))
    }

    /// Returns a grid of as many rows of `range` as fit, in cells of `resolution`. The first row
    /// contains the port `top`, or is an earlier row if the grid would otherwise extend beyond the
    /// last row of `range`. None: no row fits, or `resolution` is `Blocks`.
    pub fn window(range: PortRange, top: u16, resolution: Resolution, room: Room) -> Option<Self> {
        let is_narrow = |grid: &Self| grid.width() <= room.columns;
        let full_grid = match resolution {
            Resolution::Blocks => None,
            Resolution::Dots => Self::each_dots(range).find(is_narrow),
            Resolution::Letters => Self::each_letters(range).find(is_narrow),
            Resolution::Numbers(_) => Self::each_numbers(range, room).find(is_narrow),
        }?;
        if room.lines == 0 {
            return None;
        }
        let rows = full_grid.rows().min(room.lines);
        let wanted =
            u32::from(top.max(range.first())) / full_grid.row_length - full_grid.first_row();
        let first = (wanted as u16).min(full_grid.rows() - rows);
        let shown = full_grid
            .intersect(full_grid.row_start(first), full_grid.row_length * u32::from(rows))?;
        Some(Self { range: shown, ..full_grid })
    }

    /// Returns the grid of the loupe: one block per port, in rows whose length divides the map's
    /// `row_length` evenly. None: no such row fits.
    pub fn loupe(
        range: PortRange,
        row_length: u32,
        columns: u16,
        rows: RowsPerLine,
    ) -> Option<Self> {
        let lengths = LOUPE_ROWS.into_iter().rev();
        let fitting =
            |&length: &u32| length <= u32::from(columns) && row_length.is_multiple_of(length);
        let row_length = lengths.into_iter().find(fitting)?;
        let resolution = Resolution::Blocks;
        Some(Self { range, row_length, per_block: 1, rows_per_line: rows, resolution })
    }

    /// The grids of dots over a range, the longest rows first. So are the next two.
    fn each_dots(range: PortRange) -> impl Iterator<Item = Self> {
        let dots = move |length| Self {
            per_block: PORTS_PER_DOTS,
            ..Self::ports(range, length, Resolution::Dots)
        };
        DOT_ROWS.into_iter().rev().map(dots)
    }

    fn each_letters(range: PortRange) -> impl Iterator<Item = Self> {
        let letters = move |length| Self::ports(range, length, Resolution::Letters);
        LETTER_ROWS.into_iter().rev().map(letters)
    }

    fn each_numbers(range: PortRange, room: Room) -> impl Iterator<Item = Self> {
        let numbered = move |length: u32| {
            let width = (room.columns / length as u16).min(MAX_NUMBER_WIDTH);
            Self::ports(range, length, Resolution::Numbers(width))
        };
        let is_wide = |grid: &Self| grid.cell_width() >= NUMBER_WIDTH;
        NUMBER_ROWS.into_iter().rev().map(numbered).filter(is_wide)
    }

    fn ports(range: PortRange, row_length: u32, resolution: Resolution) -> Self {
        Self { range, row_length, per_block: 1, rows_per_line: RowsPerLine::One, resolution }
    }

    fn fits(&self, room: Room) -> bool {
        self.width() <= room.columns && self.lines() <= room.lines
    }

    /// Returns a grid with the same rows over a range that contains this grid's range.
    #[must_use]
    pub fn over(&self, range: PortRange) -> Self {
        Self { range, ..*self }
    }

    pub fn range(&self) -> PortRange {
        self.range
    }

    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// Width of a block, in columns of the terminal.
    pub fn cell_width(&self) -> u16 {
        match self.resolution {
            Resolution::Numbers(width) => width,
            _ => 1,
        }
    }

    /// Width of the grid, in columns of the terminal.
    pub fn width(&self) -> u16 {
        self.columns().saturating_mul(self.cell_width())
    }

    pub fn row_length(&self) -> u32 {
        self.row_length
    }

    pub fn per_block(&self) -> u32 {
        self.per_block
    }

    pub fn rows_per_line(&self) -> RowsPerLine {
        self.rows_per_line
    }

    /// Number of blocks per row.
    pub fn columns(&self) -> u16 {
        (self.row_length / self.per_block) as u16
    }

    /// Number of rows of ports.
    pub fn rows(&self) -> u16 {
        let row_of = |port: u16| u32::from(port) / self.row_length;
        (row_of(self.range.last()) - row_of(self.range.first()) + 1) as u16
    }

    /// Height of the grid, in lines of the terminal.
    pub fn lines(&self) -> u16 {
        self.rows().div_ceil(self.rows_per_line.count())
    }

    /// Returns the block that contains `port`. None: the port is outside of the range.
    pub fn block_position(&self, port: u16) -> Option<GridBlock> {
        if !self.range.contains(port) {
            return None;
        }
        let row = u32::from(port) / self.row_length - self.first_row();
        let column = u32::from(port) % self.row_length / self.per_block;
        Some(GridBlock { column: column as u16, row: row as u16 })
    }

    /// The ports of a block that are in the range; None: none are.
    pub fn block(&self, block_position: GridBlock) -> Option<PortRange> {
        if block_position.column >= self.columns() {
            return None;
        }
        let first =
            self.row_start(block_position.row) + u32::from(block_position.column) * self.per_block;
        self.intersect(first, self.per_block)
    }

    /// The ports of a row that are in the range; None: none are.
    pub fn row(&self, row: u16) -> Option<PortRange> {
        self.intersect(self.row_start(row), self.row_length)
    }

    /// The ports of a line of the terminal that are in the range; None: none are.
    pub fn line(&self, line: u16) -> Option<PortRange> {
        let rows = self.rows_per_line.count();
        self.intersect(self.row_start(line * rows), self.row_length * u32::from(rows))
    }

    /// The first port of a row, which is its label, even if the port is outside of the range.
    pub fn row_start(&self, row: u16) -> u32 {
        (self.first_row() + u32::from(row)) * self.row_length
    }

    /// The line of the grid that shows a row, counted from 0.
    pub fn line_of(&self, row: u16) -> u16 {
        row / self.rows_per_line.count()
    }

    fn first_row(&self) -> u32 {
        u32::from(self.range.first()) / self.row_length
    }

    fn intersect(&self, first: u32, length: u32) -> Option<PortRange> {
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
    fn blocks_fit_the_usual_terminal_sizes() {
        // Size of the map: terminal columns minus 12 for gutter and bar, and minus 40 for an
        // inspector beside it; terminal rows minus 6.
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
    fn a_small_range_shows_one_cell_per_port_and_numbers_if_they_fit() {
        let range = PortRange::new(49_100, 49_299).unwrap();
        let shape = |columns, lines| {
            let grid = Grid::fit_ports(range, Room { columns, lines })?;
            Some((grid.resolution(), grid.row_length(), grid.lines()))
        };
        assert_eq!(shape(108, 34), Some((Resolution::Numbers(10), 10, 20)));
        assert_eq!(shape(68, 34), Some((Resolution::Letters, 50, 4)));
        assert_eq!(shape(68, 3), None);
    }

    #[test]
    fn a_window_shows_whole_rows_around_its_top() {
        let room = Room { columns: 100, lines: 20 };
        let grid = Grid::window(LINUX_DEFAULT, 49_152, Resolution::Letters, room).unwrap();
        assert_eq!((grid.range().first(), grid.range().last()), (49_100, 51_099));
        let last = Grid::window(LINUX_DEFAULT, 60_999, Resolution::Letters, room).unwrap();
        assert_eq!((last.range().last(), last.rows()), (60_999, 20));
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
        fn port_to_block_and_block_to_ports_are_inverse(
            range in ranges(), columns in 20_u16..400, lines in 10_u16..120, one in any::<bool>()
        ) {
            let rows = if one { RowsPerLine::One } else { RowsPerLine::Two };
            let Some(grid) = Grid::fit(range, columns, lines, rows) else { return Ok(()) };
            prop_assert!(grid.columns() <= columns && grid.lines() <= lines);
            let mut next = u32::from(range.first());
            for row in 0..grid.rows() {
                for column in 0..grid.columns() {
                    let block_position = GridBlock { column, row };
                    let Some(block) = grid.block(block_position) else { continue };
                    prop_assert_eq!(u32::from(block.first()), next);
                    prop_assert_eq!(grid.block_position(block.first()), Some(block_position));
                    prop_assert_eq!(grid.block_position(block.last()), Some(block_position));
                    next = u32::from(block.last()) + 1;
                }
            }
            prop_assert_eq!(next, u32::from(range.last()) + 1);
        }

        #[test]
        fn a_port_outside_the_range_has_no_block(range in ranges(), port in any::<u16>()) {
            let Some(grid) = Grid::fit(range, 100, 40, RowsPerLine::Two) else { return Ok(()) };
            prop_assert_eq!(grid.block_position(port).is_some(), range.contains(port));
        }
    }
}
