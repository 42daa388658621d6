//! Draws the cursor. On blocks and dots, it has an arrow at each side; on letters and numbers, it
//! has none, because arrows would hide the neighbouring ports.

use ratatui::{
    layout::{Position, Rect},
    style::Color,
};

use crate::{
    app::{Resolution, RowsPerLine},
    view::{
        Role,
        heatmap::{
            Heatmap, Pane,
            cells::{half_colors, recolor_half},
        },
        surface::Surface,
    },
};

pub fn render(map: &Heatmap<'_>, pane: &Pane, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    let Some(cursor) = map.cursor else { return };
    let Some(block_position) = map.grid.block_position(cursor) else { return };
    let Some(at) = pane.position(map.grid, cursor) else { return };
    let is_upper = block_position.row % 2 == 0;
    match (map.grid.rows_per_line(), map.grid.resolution()) {
        (RowsPerLine::Two, _) => {
            recolor_half(&mut surface.buffer[at], is_upper, |_| theme.color(Role::Cursor));
            arrows(at, Some(is_upper), pane, surface);
        }
        (RowsPerLine::One, Resolution::Blocks | Resolution::Dots) => {
            surface.buffer[at].set_style(theme.badge(Role::Cursor));
            arrows(at, None, pane, surface);
        }
        (RowsPerLine::One, Resolution::Letters | Resolution::Numbers(_)) => {
            let width = map.grid.cell_width().saturating_sub(1).max(1);
            let cell = Rect { x: at.x, y: at.y, width, height: 1 };
            surface.buffer.set_style(cell.intersection(pane.cells), theme.badge(Role::Cursor));
        }
    }
}

/// Draws an arrow at each side of the cursor, on the background of the neighbouring half block. If
/// `is_upper` is None, uses that of the whole cell.
fn arrows(at: Position, is_upper: Option<bool>, pane: &Pane, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    let arrows = theme.glyph(["❯", "❮"], [">", "<"]);
    for (x, glyph) in [(at.x.wrapping_sub(1), arrows[0]), (at.x + 1, arrows[1])] {
        let Some(cell) = surface.buffer.cell_mut((x, at.y)) else { continue };
        let background = match is_upper {
            _ if !pane.cells.contains(Position::new(x, at.y)) => Color::Reset,
            None => cell.bg,
            Some(is_upper) => {
                let (upper, lower) = half_colors(cell.symbol(), cell.fg, cell.bg);
                if is_upper { upper } else { lower }.unwrap_or(Color::Reset)
            }
        };
        cell.set_symbol(glyph).set_style(theme.style(Role::Cursor).bg(background));
    }
}
