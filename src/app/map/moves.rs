//! Finds the target of a cursor move on a grid. Does not move the cursor.

use crate::{
    app::{Grid, GridBlock},
    domain::PortRange,
};

/// A move of the cursor. Left and right move by blocks, up and down by rows; far moves by ten of
/// them, page moves by half the rows shown.
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
    /// Moves by one port, whatever the size of a block.
    PreviousPort,
    NextPort,
}

/// The target of a move: a port, or a block in which the caller selects a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveTarget {
    Port(u16),
    Block(PortRange),
}

/// Returns the target of a move from `cursor`. Steps are those of `shown`, the grid on screen; the
/// target may be a port of `range` that the grid does not show. None: the cursor cannot move in
/// that direction.
pub fn destination(
    shown: &Grid,
    range: PortRange,
    cursor: u16,
    movement: Move,
) -> Option<MoveTarget> {
    let half_page = i32::from(shown.rows() / 2);
    let grid = &shown.over(range);
    let from = grid.block_position(cursor)?;
    let block = match movement {
        Move::First => return Some(MoveTarget::Port(range.first())),
        Move::Last => return Some(MoveTarget::Port(range.last())),
        Move::PreviousPort => return port_in(range, cursor.checked_sub(1)),
        Move::NextPort => return port_in(range, cursor.checked_add(1)),
        Move::Left => move_by_blocks(grid, from, -1),
        Move::Right => move_by_blocks(grid, from, 1),
        Move::FarLeft => move_by_blocks(grid, from, -10),
        Move::FarRight => move_by_blocks(grid, from, 10),
        Move::Up => across(grid, from, -1),
        Move::Down => across(grid, from, 1),
        Move::FarUp => across(grid, from, -10),
        Move::FarDown => across(grid, from, 10),
        Move::PageUp => across(grid, from, -half_page),
        Move::PageDown => across(grid, from, half_page),
    };
    block.map(MoveTarget::Block)
}

fn port_in(range: PortRange, port: Option<u16>) -> Option<MoveTarget> {
    port.filter(|&p| range.contains(p)).map(MoveTarget::Port)
}

/// Moves along the rows: the last block of a row is followed by the first block of the next row.
/// None: the cursor is already at the end.
fn move_by_blocks(grid: &Grid, from: GridBlock, blocks: i32) -> Option<PortRange> {
    let columns = i32::from(grid.columns());
    let index = |block_position: GridBlock| {
        i32::from(block_position.row) * columns + i32::from(block_position.column)
    };
    let ends = [grid.range().first(), grid.range().last()]
        .map(|port| grid.block_position(port).map(index));
    let [Some(first), Some(last)] = ends else { return None };
    let to = (index(from) + blocks).clamp(first, last);
    let block_position = GridBlock { column: (to % columns) as u16, row: (to / columns) as u16 };
    (block_position != from).then(|| grid.block(block_position))?
}

/// Moves by `rows` rows, or as far as the column goes if it has fewer. None: the cursor is already
/// in its first or last row.
fn across(grid: &Grid, from: GridBlock, rows: i32) -> Option<PortRange> {
    let step = rows.signum();
    (1..=rows.abs())
        .map_while(|distance| {
            let row = u16::try_from(i32::from(from.row) + distance * step).ok()?;
            grid.block(GridBlock { column: from.column, row })
        })
        .last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{app::RowsPerLine, domain::port};

    fn grid() -> Grid {
        Grid::fit(port::LINUX_DEFAULT, 68, 18, RowsPerLine::Two).unwrap()
    }

    fn moved(cursor: u16, movement: Move) -> Option<u16> {
        destination(&grid(), port::LINUX_DEFAULT, cursor, movement).map(|to| match to {
            MoveTarget::Port(port) => port,
            MoveTarget::Block(block) => block.first(),
        })
    }

    #[test]
    fn left_and_right_move_by_blocks_and_up_and_down_by_rows() {
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
}
