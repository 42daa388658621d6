//! Draws a grid of ports: blocks, gutter, axis, range brackets, row bars, cursor. Not what a block
//! means: its caller says that.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    style::{Color, Style},
};

use crate::{
    app::{Grid, Place, RowsPerLine},
    domain::{PortRange, port::IANA_DYNAMIC},
    view::{Role, Theme},
};

pub use crate::app::grid::{AXIS, BAR, GUTTER};

/// What a block shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paint {
    /// What its free ports are: outside, system, available, reserved.
    pub free: Role,
    pub taken: Option<Taken>,
}

/// The taken ports of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    pub role: Role,
    /// How much of the block, above 0 up to 1.
    pub share: f32,
    /// Stands for the role where colour cannot.
    pub letter: char,
}

/// What a glyph tells where half blocks cannot be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyphs {
    /// How much of a block is taken.
    Density,
    /// `Taken::letter`.
    Letters,
}

/// A grid and what to draw on it.
pub struct Heatmap<'a> {
    pub grid: &'a Grid,
    /// Bracketed in the gutter.
    pub bracket: PortRange,
    pub cursor: Option<u16>,
    pub glyphs: Glyphs,
    pub paint: &'a dyn Fn(PortRange) -> Paint,
    /// The taken share of a line's ports, 0 to 1.
    pub share: &'a dyn Fn(PortRange) -> f32,
}

/// Where the parts of a heat map lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pane {
    pub axis: Rect,
    pub gutter: Rect,
    pub cells: Rect,
    pub bars: Rect,
}

impl Pane {
    /// From the top left corner of `area`, no larger than it.
    pub fn within(area: Rect, grid: &Grid) -> Self {
        let part = |x, y, width, height| Rect { x, y, width, height }.intersection(area);
        let (x, y) = (area.x.saturating_add(GUTTER), area.y.saturating_add(AXIS));
        let cells = part(x, y, grid.columns(), grid.lines());
        Self {
            axis: part(x, area.y, grid.columns(), AXIS),
            gutter: part(area.x, y, GUTTER, grid.lines()),
            cells,
            bars: part(cells.right() + 1, y, BAR - 1, grid.lines()),
        }
    }

    /// The cell that shows `port`; with half blocks it shows a port of another row, too.
    pub fn position(&self, grid: &Grid, port: u16) -> Option<Position> {
        let place = grid.place(port)?;
        let x = self.cells.x + place.column;
        let position = Position::new(x, self.cells.y + grid.line_of(place.row));
        self.cells.contains(position).then_some(position)
    }

    /// The block at a cell; of two half blocks the upper one.
    pub fn block_at(&self, grid: &Grid, at: Position) -> Option<PortRange> {
        if !self.cells.contains(at) {
            return None;
        }
        let rows = grid.rows_per_line().count();
        let top = (at.y - self.cells.y) * rows;
        let block = |row| grid.block(Place { column: at.x - self.cells.x, row });
        (top..top + rows).find_map(block)
    }
}

impl Heatmap<'_> {
    pub fn render(&self, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let pane = Pane::within(area.intersection(buffer.area), self.grid);
        self.render_cells(theme, &pane, buffer);
        self.render_gutter(theme, &pane, buffer);
        self.render_axis(theme, &pane, buffer);
        self.render_bars(theme, &pane, buffer);
        self.render_cursor(theme, &pane, buffer);
    }

    fn render_cells(&self, theme: &Theme, pane: &Pane, buffer: &mut Buffer) {
        for position in pane.cells.positions() {
            let (column, line) = (position.x - pane.cells.x, position.y - pane.cells.y);
            let block = |row| self.grid.block(Place { column, row });
            let cell = &mut buffer[position];
            match self.grid.rows_per_line() {
                RowsPerLine::One => {
                    if let Some(paint) = block(line).map(self.paint) {
                        let (glyph, style) = self.glyph(paint, theme);
                        cell.set_char(glyph).set_style(style);
                    }
                }
                RowsPerLine::Two => {
                    let color = |row| block(row).map(|ports| blend((self.paint)(ports), theme));
                    let (glyph, style) = halves(color(line * 2), color(line * 2 + 1));
                    cell.set_symbol(glyph).set_style(style);
                }
            }
        }
    }

    fn glyph(&self, paint: Paint, theme: &Theme) -> (char, Style) {
        let glyph = match (paint.taken, self.glyphs) {
            (None, _) => free_glyph(paint.free, theme),
            (Some(taken), Glyphs::Letters) => taken.letter,
            (Some(taken), Glyphs::Density) => density_glyph(taken.share, paint.free, theme),
        };
        let style = match (theme.has_color(), paint.taken) {
            (false, _) => Style::new(),
            (true, None) => theme.style(Role::Dim).bg(theme.color(paint.free)),
            (true, Some(_)) => theme.style(Role::Ink).bg(blend(paint, theme)),
        };
        (glyph, style)
    }

    fn render_gutter(&self, theme: &Theme, pane: &Pane, buffer: &mut Buffer) {
        let cursor_line = self.cursor.and_then(|port| self.grid.place(port));
        let cursor_line = cursor_line.map(|place| self.grid.line_of(place.row));
        for line in 0..pane.gutter.height {
            let Some(ports) = self.grid.line(line) else { continue };
            let (x, y) = (pane.gutter.x, pane.gutter.y + line);
            let (label, style) = match self.cursor {
                Some(cursor) if cursor_line == Some(line) => {
                    (u32::from(cursor), theme.badge(Role::Cursor))
                }
                _ => self.row_label(line, ports, theme),
            };
            put(buffer, pane.gutter, x, y, &format!("{label:>5}"), style);
            let heavy = theme.glyph(["┏", "┃", "┗", "┣"], ["+", "|", "+", "+"]);
            if let Some(glyph) = bracket_glyph(ports, self.bracket, heavy) {
                put(buffer, pane.gutter, x + 5, y, glyph, theme.style(Role::Accent));
            }
            let thin = theme.glyph(["┌", "│", "└", "├"], [".", ":", ".", ":"]);
            if self.bracket != IANA_DYNAMIC
                && let Some(glyph) = bracket_glyph(ports, IANA_DYNAMIC, thin)
            {
                put(buffer, pane.gutter, x + 6, y, glyph, theme.style(Role::Dim));
            }
        }
    }

    /// Both ends of the range stand in place of the row's number.
    fn row_label(&self, line: u16, ports: PortRange, theme: &Theme) -> (u32, Style) {
        let ends = [self.bracket.first(), self.bracket.last()];
        let row = line * self.grid.rows_per_line().count();
        ends.into_iter().find(|&end| ports.contains(end)).map_or_else(
            || (self.grid.row_start(row), theme.style(Role::Dim)),
            |end| (u32::from(end), theme.style(Role::Accent)),
        )
    }

    /// What is to be added to a row's number; the cursor's own where it stands.
    fn render_axis(&self, theme: &Theme, pane: &Pane, buffer: &mut Buffer) {
        let tick = theme.glyph("╷", "|");
        let cursor = self.cursor.and_then(|port| Some((port, self.grid.place(port)?.column)));
        let badge = cursor.map(|(port, column)| {
            let offset = (u32::from(port) % self.grid.row_length()).to_string();
            let width = offset.len() as u16 + 1;
            let fits = column + width <= pane.axis.width;
            let start = if fits { column } else { (column + 1).saturating_sub(width) };
            (start, width, if fits { format!("{tick}{offset}") } else { format!("{offset}{tick}") })
        });
        let step = tick_step(self.grid);
        for offset in (0..self.grid.row_length()).step_by(step as usize) {
            let start = (offset / self.grid.per_block()) as u16;
            let text = format!("{tick}{offset}");
            let end = start + text.len() as u16;
            let hidden = badge.as_ref().is_some_and(|&(b, width, _)| start < b + width && b < end);
            if !hidden && end <= pane.axis.width + 2 {
                let x = pane.axis.x + start;
                put(buffer, pane.axis, x, pane.axis.y, &text, theme.style(Role::Dim));
            }
        }
        if let Some((start, _, text)) = badge {
            let x = pane.axis.x + start;
            put(buffer, pane.axis, x, pane.axis.y, &text, theme.badge(Role::Cursor));
        }
    }

    fn render_bars(&self, theme: &Theme, pane: &Pane, buffer: &mut Buffer) {
        for line in 0..pane.bars.height {
            let Some(ports) = self.grid.line(line) else { continue };
            let share = (self.share)(ports);
            let role = level(share);
            let text = bar(share, BAR - 1, theme);
            put(buffer, pane.bars, pane.bars.x, pane.bars.y + line, &text, theme.style(role));
        }
    }

    fn render_cursor(&self, theme: &Theme, pane: &Pane, buffer: &mut Buffer) {
        let Some(cursor) = self.cursor else { return };
        let Some(place) = self.grid.place(cursor) else { return };
        let Some(at) = pane.position(self.grid, cursor) else { return };
        let white = theme.color(Role::Cursor);
        let is_upper = place.row % 2 == 0;
        let cell = &mut buffer[at];
        match self.grid.rows_per_line() {
            RowsPerLine::One => {
                cell.set_style(theme.badge(Role::Cursor));
            }
            RowsPerLine::Two => {
                let (upper, lower) = half_colors(cell.symbol(), cell.fg, cell.bg);
                let (glyph, style) =
                    if is_upper { halves(Some(white), lower) } else { halves(upper, Some(white)) };
                cell.set_symbol(glyph).set_style(style);
            }
        }
        let arrows = theme.glyph(["❯", "❮"], [">", "<"]);
        for (x, glyph) in [(at.x.wrapping_sub(1), arrows[0]), (at.x + 1, arrows[1])] {
            let Some(cell) = buffer.cell_mut((x, at.y)) else { continue };
            let beside = if pane.cells.contains(Position::new(x, at.y)) {
                let (upper, lower) = half_colors(cell.symbol(), cell.fg, cell.bg);
                if is_upper { upper } else { lower }
            } else {
                None
            };
            let style = theme.style(Role::Cursor).bg(beside.unwrap_or(Color::Reset));
            cell.set_symbol(glyph).set_style(style);
        }
    }
}

/// Dim up to 70 %, amber up to 85 %, then red.
pub fn level(share: f32) -> Role {
    match share {
        share if share > 0.85 => Role::Critical,
        share if share > 0.70 => Role::Warn,
        _ => Role::Dim,
    }
}

/// A horizontal bar in eighths of a cell; what is not nothing shows at least one.
pub fn bar(share: f32, width: u16, theme: &Theme) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = share.clamp(0.0, 1.0);
    if theme.ascii {
        return "#".repeat((share * f32::from(width)).ceil() as usize);
    }
    let least = u32::from(share > 0.0);
    let eighths = ((share * f32::from(width) * 8.0).round() as u32).max(least);
    let (full, rest) = (eighths / 8, eighths % 8);
    format!("{}{}", "█".repeat(full as usize), EIGHTHS[rest as usize])
}

fn blend(paint: Paint, theme: &Theme) -> Color {
    match paint.taken {
        None => theme.color(paint.free),
        Some(taken) => theme.mixed(taken.role, paint.free, taken.share),
    }
}

/// Two halves of a cell; None leaves the terminal's own background.
fn halves(upper: Option<Color>, lower: Option<Color>) -> (&'static str, Style) {
    match (upper, lower) {
        (Some(upper), lower) => ("▀", Style::new().fg(upper).bg(lower.unwrap_or(Color::Reset))),
        (None, Some(lower)) => ("▄", Style::new().fg(lower).bg(Color::Reset)),
        (None, None) => (" ", Style::new()),
    }
}

fn half_colors(symbol: &str, fg: Color, bg: Color) -> (Option<Color>, Option<Color>) {
    let below = (bg != Color::Reset).then_some(bg);
    match symbol {
        "▀" => (Some(fg), below),
        "▄" => (None, Some(fg)),
        _ => (below, below),
    }
}

fn free_glyph(free: Role, theme: &Theme) -> char {
    match free {
        Role::Available => theme.glyph('·', '.'),
        Role::Reserved => 'x',
        _ => ' ',
    }
}

fn density_glyph(share: f32, free: Role, theme: &Theme) -> char {
    if theme.ascii {
        let step = (share * 7.0).ceil().clamp(1.0, 7.0) as usize;
        return [':', '-', '=', '+', '*', '#', '@'][step - 1];
    }
    match share {
        _ if share < 0.12 && matches!(free, Role::Outside | Role::System) => 'o',
        share if share < 0.12 => ':',
        share if share < 0.40 => '░',
        share if share < 0.65 => '▒',
        share if share < 0.90 => '▓',
        _ => '█',
    }
}

/// `[first, middle, last, both]`
fn bracket_glyph(
    line: PortRange,
    range: PortRange,
    [first, middle, last, both]: [&'static str; 4],
) -> Option<&'static str> {
    line.intersection(range)?;
    Some(match (line.contains(range.first()), line.contains(range.last())) {
        (true, true) => both,
        (true, false) => first,
        (false, true) => last,
        (false, false) => middle,
    })
}

/// Ports between two labels of the axis: round, and wide enough for the labels.
fn tick_step(grid: &Grid) -> u32 {
    let room = grid.row_length().to_string().len() as u32 + 2;
    [10, 20, 50, 100, 200, 400, 500, 1000, 2000, 5000]
        .into_iter()
        .find(|step| step % grid.per_block() == 0 && step / grid.per_block() >= room)
        .unwrap_or(grid.row_length())
}

/// Writes text that stays within `bounds`.
pub fn put(buffer: &mut Buffer, bounds: Rect, x: u16, y: u16, text: &str, style: Style) {
    let bounds = bounds.intersection(buffer.area);
    if bounds.contains(Position::new(x, y)) {
        buffer.set_stringn(x, y, text, usize::from(bounds.right() - x), style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{StateClass, port::LINUX_DEFAULT},
        view::{Depth, Ground},
    };

    fn drawn(theme: &Theme, rows_per_line: RowsPerLine, cursor: u16) -> (Pane, Buffer, Grid) {
        let grid = Grid::fit(LINUX_DEFAULT, 68, 18, rows_per_line).unwrap();
        let area = Rect::new(0, 0, 80, 19);
        let mut buffer = Buffer::empty(area);
        let paint = |block: PortRange| Paint {
            free: Role::Available,
            taken: (block.first() % 1000 == 200).then_some(Taken {
                role: Role::Class(StateClass::TimeWait),
                share: 0.5,
                letter: 'T',
            }),
        };
        let heatmap = Heatmap {
            grid: &grid,
            bracket: LINUX_DEFAULT,
            cursor: Some(cursor),
            glyphs: if theme.has_color() { Glyphs::Letters } else { Glyphs::Density },
            paint: &paint,
            share: &|_| 0.8,
        };
        heatmap.render(theme, area, &mut buffer);
        (Pane::within(area, &grid), buffer, grid)
    }

    #[test]
    fn both_halves_of_a_cell_are_painted_and_the_cursor_takes_one() {
        let theme = Theme::new(Depth::True, Ground::Dark, false);
        let (pane, buffer, grid) = drawn(&theme, RowsPerLine::Two, 49_152);
        let cell = &buffer[pane.position(&grid, 49_152).unwrap()];
        assert_eq!((cell.symbol(), cell.bg), ("▀", theme.color(Role::Cursor)));
        assert_eq!(cell.fg, theme.color(Role::Available));
    }

    #[test]
    fn the_range_is_bracketed_and_the_cursor_named_in_the_gutters() {
        let theme = Theme::new(Depth::True, Ground::Dark, false);
        let (pane, buffer, _) = drawn(&theme, RowsPerLine::Two, 49_152);
        let line = |y: u16| (0..80).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        assert!(line(0).contains("╷152"), "{}", line(0));
        assert!(line(1).starts_with("32768┏"), "{}", line(1));
        assert!(line(9).starts_with("49152┃┌"), "{}", line(9));
        assert!(line(15).starts_with("60999┗│"), "{}", line(15));
        assert_eq!(pane.cells, Rect::new(7, 1, 50, 15));
    }

    #[test]
    fn without_colour_blocks_show_how_much_is_taken() {
        let (pane, buffer, grid) = drawn(&Theme::MONOCHROME, RowsPerLine::One, 49_152);
        assert_eq!(buffer[pane.position(&grid, 40_500).unwrap()].symbol(), "·");
        assert_eq!(buffer[pane.position(&grid, 40_200).unwrap()].symbol(), "▒");
    }

    #[test]
    fn a_click_on_a_block_names_its_first_port() {
        let theme = Theme::new(Depth::True, Ground::Dark, true);
        let (pane, _, grid) = drawn(&theme, RowsPerLine::One, 40_000);
        let at = pane.position(&grid, 40_239).unwrap();
        assert_eq!(pane.block_at(&grid, at).map(PortRange::first), Some(40_200));
        assert_eq!(pane.block_at(&grid, Position::new(0, 0)), None);
    }
}
