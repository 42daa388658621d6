//! Draws the cells of a grid at each resolution: half blocks, glyphs, dots, letters, numbers.

use ratatui::{
    buffer::Cell,
    layout::Position,
    style::{Color, Modifier, Style},
};
use unicode_width::UnicodeWidthStr;

use crate::{
    app::{GridBlock, Resolution, RowsPerLine},
    domain::PortRange,
    view::{
        Role, Theme,
        heatmap::{GlyphMeaning, Heatmap, Paint, Pane},
        surface::Surface,
        words,
    },
};

/// The braille character for each set of used ports among eight. Bit p % 8 of the index sets the
/// dot of port p; index 0 is a blank. The left column of dots has the even ports, the right one the
/// odd ports. In the order of the bits, the dots are 1 4 2 5 3 6 7 8 (Unicode, "Braille Patterns").
const DOTS: [char; 256] = {
    let lights = [0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80];
    let mut signs = [' '; 256];
    let mut taken = 1;
    while taken < 256 {
        let (mut port, mut filled_dots) = (0, 0);
        while port < 8 {
            if taken >> port & 1 == 1 {
                filled_dots |= lights[port];
            }
            port += 1;
        }
        signs[taken] =
            char::from_u32(0x2800 + filled_dots).expect("braille is a block of 256 characters");
        taken += 1;
    }
    signs
};

pub fn render(map: &Heatmap<'_>, pane: &Pane, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    match map.grid.resolution() {
        Resolution::Blocks => blocks(map, pane, surface),
        Resolution::Dots => {
            let mut last = None;
            each(map, pane, |block, at| {
                dots(map, theme, block, &mut last, &mut surface.buffer[at]);
            });
        }
        Resolution::Letters => each(map, pane, |block, at| {
            let (glyph, style) = glyph((map.paint)(block), GlyphMeaning::Letters, theme);
            surface.buffer[at].set_char(glyph).set_style(marked(map, block, style, theme));
        }),
        Resolution::Numbers(_) => each(map, pane, |block, at| {
            let (text, style) = numbered(map, theme, block);
            surface.within(pane.cells).put(at.x, at.y, &text, style);
        }),
    }
}

/// Calls `draw` with each block and the first column of its cell.
fn each(map: &Heatmap<'_>, pane: &Pane, mut draw: impl FnMut(PortRange, Position)) {
    let width = map.grid.cell_width();
    for line in 0..pane.cells.height {
        for column in 0..pane.cells.width / width {
            if let Some(block) = map.grid.block(GridBlock { column, row: line }) {
                draw(block, Position::new(pane.cells.x + column * width, pane.cells.y + line));
            }
        }
    }
}

fn blocks(map: &Heatmap<'_>, pane: &Pane, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    for position in pane.cells.positions() {
        let (column, line) = (position.x - pane.cells.x, position.y - pane.cells.y);
        let block = |row| map.grid.block(GridBlock { column, row });
        let cell = &mut surface.buffer[position];
        match map.grid.rows_per_line() {
            RowsPerLine::One => {
                if let Some(ports) = block(line) {
                    let (glyph, style) = glyph((map.paint)(ports), map.glyphs, theme);
                    cell.set_char(glyph).set_style(marked(map, ports, style, theme));
                }
            }
            RowsPerLine::Two => {
                let color = |row| block(row).map(|ports| half(map, ports, theme));
                let (glyph, style) = halves(color(line * 2), color(line * 2 + 1));
                cell.set_symbol(glyph).set_style(style);
            }
        }
    }
}

/// Returns the colour of a half block. A block under the pointer, and a selected block without
/// ports in use, have a colour of their own.
fn half(map: &Heatmap<'_>, ports: PortRange, theme: &Theme) -> Color {
    let paint = (map.paint)(ports);
    if map.pointed.hover == Some(ports) {
        return theme.color(Role::Accent);
    }
    let is_measured = map.pointed.span.is_some_and(|span| span.intersection(ports).is_some());
    if is_measured && paint.taken.is_none() {
        return theme.color(Role::Selected);
    }
    blend(paint, theme)
}

/// Marks a block that is under the pointer or selected, in a cell that shows only this block.
fn marked(map: &Heatmap<'_>, block: PortRange, style: Style, theme: &Theme) -> Style {
    if map.pointed.hover == Some(block) {
        return style.add_modifier(Modifier::UNDERLINED | Modifier::BOLD);
    }
    if map.pointed.span.is_none_or(|span| span.intersection(block).is_none()) {
        return style;
    }
    if theme.has_color() {
        style.bg(theme.color(Role::Selected))
    } else {
        style.add_modifier(Modifier::REVERSED)
    }
}

/// Draws eight ports as dots. All dots have the colour of the block; the background has that of its
/// free ports. `last` is the style of the previous cell.
fn dots(
    map: &Heatmap<'_>,
    theme: &Theme,
    block: PortRange,
    last: &mut Option<CellColors>,
    cell: &mut Cell,
) {
    let paint = (map.paint)(block);
    let taken = if paint.taken.is_some() { (map.taken)(block) } else { 0 };
    let glyph = match (taken, paint.free) {
        (0, Role::Reserved) if !theme.has_color() => 'x',
        _ => DOTS[usize::from(taken)],
    };
    let meaning = (paint.taken.map(|taken| taken.role), paint.free);
    let style = match last {
        Some((known, style)) if *known == meaning => *style,
        _ => {
            let color = meaning.0.map_or(Color::Reset, |role| theme.color(role));
            let style = Style::new().fg(color).bg(theme.color(meaning.1));
            last.insert((meaning, style)).1
        }
    };
    cell.set_char(glyph).set_style(marked(map, block, style, theme));
}

/// Roles and style of a cell, reused because the next cell usually has the same roles.
type CellColors = ((Option<Role>, Role), Style);

/// Returns `E 49152 nginx`, or `E 52 payments` if a long name leaves no room for the whole number,
/// cut to the width of the cell, and its style. The label of the row has the other digits.
fn numbered(map: &Heatmap<'_>, theme: &Theme, block: PortRange) -> (String, Style) {
    let width = usize::from(map.grid.cell_width() - 1);
    let port = block.first();
    let (letter, style) = glyph((map.paint)(block), GlyphMeaning::Letters, theme);
    let owner = (map.owner)(port);
    let mut text = format!("{letter} {port:>5}");
    if !owner.is_empty() && width > text.width() {
        if text.width() + 1 + owner.width() > width {
            text = format!("{letter} {:02}", port % 100);
        }
        let room = width.saturating_sub(text.width() + 1);
        text = format!("{text} {}", shorter_name(&owner, room));
    }
    let padding = width.saturating_sub(text.width());
    (format!("{text}{}", " ".repeat(padding)), marked(map, block, style, theme))
}

/// Cuts a name at the end of one of its words if at least `LEAST_NAME` columns are left, else
/// anywhere.
fn shorter_name(name: &str, width: usize) -> String {
    const LEAST_NAME: usize = 4;
    let ends = name.match_indices(['-', '_', '.', '@', ':']).map(|(end, _)| end);
    let heads = ends.filter_map(|end| name.get(..end));
    let fits = |head: &&str| (LEAST_NAME..=width).contains(&head.width());
    match heads.rev().find(fits) {
        Some(head) if name.width() > width => head.to_owned(),
        _ => words::shorten(name, width),
    }
}

fn glyph(paint: Paint, glyphs: GlyphMeaning, theme: &Theme) -> (char, Style) {
    let glyph = match (paint.taken, glyphs) {
        (None, _) => free_glyph(paint.free, theme),
        (Some(taken), GlyphMeaning::Letters) => taken.letter,
        (Some(taken), GlyphMeaning::Density) => density_glyph(taken.share, paint.free, theme),
    };
    let style = match (theme.has_color(), paint.taken) {
        (false, _) => Style::new(),
        (true, None) => theme.style(Role::Dim).bg(theme.color(paint.free)),
        (true, Some(_)) => theme.style(Role::Ink).bg(blend(paint, theme)),
    };
    (glyph, style)
}

fn blend(paint: Paint, theme: &Theme) -> Color {
    match paint.taken {
        None => theme.color(paint.free),
        Some(taken) => theme.mixed(taken.role, paint.free, taken.share),
    }
}

fn halves(upper: Option<Color>, lower: Option<Color>) -> (&'static str, Style) {
    match (upper, lower) {
        (Some(upper), lower) => ("▀", Style::new().fg(upper).bg(lower.unwrap_or(Color::Reset))),
        (None, Some(lower)) => ("▄", Style::new().fg(lower).bg(Color::Reset)),
        (None, None) => (" ", Style::new()),
    }
}

/// Changes the colour of the upper or the lower half block of a cell.
pub fn recolor_half(cell: &mut Cell, is_upper: bool, color: impl FnOnce(Color) -> Color) {
    let (upper, lower) = half_colors(cell.symbol(), cell.fg, cell.bg);
    let half = if is_upper { upper } else { lower };
    let changed = Some(color(half.unwrap_or(Color::Reset)));
    let (glyph, style) = if is_upper { halves(changed, lower) } else { halves(upper, changed) };
    cell.set_symbol(glyph).set_style(style);
}

pub fn half_colors(symbol: &str, fg: Color, bg: Color) -> (Option<Color>, Option<Color>) {
    let below = (bg != Color::Reset).then_some(bg);
    match symbol {
        "▀" => (Some(fg), below),
        "▄" => (None, Some(fg)),
        _ => (below, below),
    }
}

pub fn free_glyph(free: Role, theme: &Theme) -> char {
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
