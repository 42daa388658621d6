//! How many lines the parts of the Sockets screen have. Does not draw.

use crate::app::Size;

/// Lines of header, filter, titles of the table, and footer.
const FIXED: u16 = 4;
/// Minimum height of the terminal for an inspector of several lines.
const TALL: u16 = 20;
/// Minimum height of the terminal for the line with the command.
const WITH_COMMAND: u16 = 12;
/// Number of rows that stay visible above an inspector that was opened.
const KEPT_ROWS: u16 = 3;
/// Minimum height of the inspector, with its title.
const LEAST: u16 = 6;

/// The heights, in lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketsPlan {
    /// Of the table without its titles.
    pub rows: u16,
    /// With its title; 1: no title; 0: there is none.
    pub inspector: u16,
    /// Of the line with the command.
    pub command: u16,
}

impl SocketsPlan {
    /// Returns the plan for a terminal. `is_open`: the inspector has all lines but a few.
    pub fn of(size: Size, is_open: bool) -> Self {
        let command = u16::from(size.rows >= WITH_COMMAND);
        let free = size.rows.saturating_sub(FIXED + command);
        let inspector = match size.rows {
            _ if is_open => free.saturating_sub(KEPT_ROWS),
            TALL.. => LEAST.max(free / 3 + 1),
            WITH_COMMAND.. => 1,
            _ => 0,
        };
        Self { rows: free.saturating_sub(inspector), inspector, command }
    }

    /// Gives the lines that a list with this number of rows does not need to the inspector, unless
    /// the inspector has one line or none.
    #[must_use]
    pub fn for_rows(self, rows: usize) -> Self {
        let needed = self.rows.min(u16::try_from(rows.max(1)).unwrap_or(u16::MAX));
        if self.inspector <= 1 || rows == 0 {
            return self;
        }
        Self { rows: needed, inspector: self.inspector + self.rows - needed, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_fill_the_terminal() {
        for rows in 0..100 {
            for is_open in [false, true] {
                let plan = SocketsPlan::of(Size { columns: 80, rows }, is_open);
                let sum = FIXED + plan.rows + plan.inspector + plan.command;
                assert_eq!(sum, rows.max(FIXED), "{rows} {plan:?}");
                for listed in [0, 1, 5, 1000] {
                    let placed = plan.for_rows(listed);
                    let both = placed.rows + placed.inspector;
                    assert_eq!(both, plan.rows + plan.inspector, "{rows} {placed:?}");
                    assert!(usize::from(placed.rows) >= listed.min(usize::from(plan.rows)));
                }
                assert!(plan.rows > 0 || rows <= FIXED + u16::from(is_open) * KEPT_ROWS, "{rows}");
            }
        }
    }
}
