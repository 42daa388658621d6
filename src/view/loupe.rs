//! Draws the loupe: the map's rows around the cursor, enlarged to one port per block. Does not draw
//! the map.

use ratatui::{
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
};

use crate::{
    app::{App, Grid, Plan, Resolution},
    domain::PortRange,
    view::{
        Role,
        heatmap::{GlyphMeaning, Heatmap, Pane},
        surface::{Surface, below},
    },
};

/// Returns the grid of the loupe: as many of the map's rows around the cursor as fit into `lines`.
/// None: each cell or block of the map already shows one port, the map does not show the cursor, or
/// there is no room.
pub fn grid(app: &App, plan: &Plan, lines: u16) -> Option<Grid> {
    let map = &plan.grid;
    if matches!(map.resolution(), Resolution::Letters | Resolution::Numbers(_))
        || map.per_block() == 1
    {
        return None;
    }
    let rows_per_line = app.map().rows_per_line();
    let cursor_row = map.block_position(app.map().cursor)?.row;
    let row = map.row(cursor_row)?;
    let grid = Grid::loupe(row, map.row_length(), map.width(), rows_per_line)?;
    let rows_each = map.row_length() / grid.row_length();
    let fitting = u32::from(lines) * u32::from(rows_per_line.count()) / rows_each.max(1);
    let count = (fitting as u16).min(map.rows());
    let first = cursor_row.saturating_sub(count.saturating_sub(1) / 2).min(map.rows() - count);
    let last = map.row(first + count.checked_sub(1)?)?;
    let ports = PortRange::new(map.row(first)?.first(), last.last()).ok()?;
    Some(grid.over(ports))
}

/// Returns the port at a position. None: the loupe shows none there.
pub fn port_at(app: &App, plan: &Plan, area: Rect, at: Position) -> Option<PortRange> {
    let grid = grid(app, plan, area.height.checked_sub(1)?)?;
    Pane::without_axis(below(area, 1), &grid).block_at(&grid, at)
}

/// Draws the loupe like the map, but with its own grid and always with letters.
pub fn render(app: &App, plan: &Plan, map: &Heatmap<'_>, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    let Some(lines) = area.height.checked_sub(1) else { return };
    let Some(grid) = grid(app, plan, lines) else { return };
    let title = format!(" Loupe {} ", grid.range());
    let what = "· 1 port/block ";
    let used = title.len() + what.chars().count() + 1;
    let rule = theme.glyph("─", "-").repeat(usize::from(area.width).saturating_sub(used + 1));
    let line = Line::from(vec![
        Span::styled(title, Style::reset().bold()),
        Span::styled(what, theme.style(Role::Dim)),
        Span::styled(rule, theme.style(Role::Border)),
    ]);
    surface.lines([&line]);
    let loupe = Heatmap { grid: &grid, glyphs: GlyphMeaning::Letters, ..*map };
    loupe.render_rows(&mut surface.within(below(area, 1)));
}
