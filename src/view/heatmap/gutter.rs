//! Draws what surrounds the cells: row numbers, range brackets, axis, row bars.

use ratatui::style::Style;

use crate::{
    app::Grid,
    domain::{
        PortRange, notation,
        port::{self, IANA_DYNAMIC},
    },
    view::{
        Role, Theme,
        heatmap::{BAR, Heatmap, Pane},
        surface::Surface,
    },
};

/// Width at the right of a bar for a gap and a number of up to five digits.
const COUNT_WIDTH: u16 = 7;

pub fn render(map: &Heatmap<'_>, pane: &Pane, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    let cursor_line = map.cursor.and_then(|port| map.grid.block_position(port));
    let cursor_line = cursor_line.map(|block_position| map.grid.line_of(block_position.row));
    for line in 0..pane.gutter.height {
        let Some(ports) = map.grid.line(line) else { continue };
        let (x, y) = (pane.gutter.x, pane.gutter.y + line);
        let (label, style) = match map.cursor {
            Some(cursor) if cursor_line == Some(line) => {
                (u32::from(cursor), theme.badge(Role::Cursor))
            }
            _ => row_label(map, line, ports, theme),
        };
        let is_measured = map.pointed.span.is_some_and(|span| span.intersection(ports).is_some());
        let style = if is_measured { style.patch(theme.style(Role::Selected)) } else { style };
        surface.within(pane.gutter).put(x, y, &format!("{label:>5}"), style);
        let heavy = theme.glyph(["┏", "┃", "┗", "┣"], ["+", "|", "+", "+"]);
        if let Some(glyph) = bracket_glyph(ports, map.bracket, heavy) {
            surface.within(pane.gutter).put(x + 5, y, glyph, theme.style(Role::Accent));
        }
        let thin = theme.glyph(["┌", "│", "└", "├"], [".", ":", ".", ":"]);
        if map.bracket != IANA_DYNAMIC
            && let Some(glyph) = bracket_glyph(ports, IANA_DYNAMIC, thin)
        {
            surface.within(pane.gutter).put(x + 6, y, glyph, theme.style(Role::Dim));
        }
    }
}

/// Returns the label of a line and its style. The label is the first port of the line, to which the
/// offsets of the axis are added. If the map cuts the line off at an end of the bracketed range or
/// at port 65535, the label is that port instead.
fn row_label(map: &Heatmap<'_>, line: u16, ports: PortRange, theme: &Theme) -> (u32, Style) {
    let rows = map.grid.rows_per_line().count();
    let first = map.grid.row_start(line * rows);
    let last = first + map.grid.row_length() * u32::from(rows) - 1;
    let is_cut_at = |port: u16| {
        let number = u32::from(port);
        (port == ports.first() && number > first) || (port == ports.last() && number < last)
    };
    let ends = [map.bracket.first(), map.bracket.last()];
    match ends.into_iter().find(|&end| is_cut_at(end)) {
        Some(end) => (u32::from(end), theme.style(Role::Accent)),
        None if is_cut_at(port::ALL.last()) => (port::ALL.last().into(), theme.style(Role::Text)),
        None => (first, theme.style(Role::Dim)),
    }
}

/// Draws the offsets of the columns from the first port of a row, and that of the cursor.
pub fn axis(map: &Heatmap<'_>, pane: &Pane, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    let tick = theme.glyph("╷", "|");
    let cursor = map.cursor.and_then(|port| Some((port, map.grid.block_position(port)?.column)));
    let cell_width = map.grid.cell_width();
    let badge = cursor.map(|(port, column)| {
        let column = column * cell_width;
        let offset = (u32::from(port) % map.grid.row_length()).to_string();
        let width = offset.len() as u16 + 1;
        let fits = column + width <= pane.axis.width;
        let start = if fits { column } else { (column + 1).saturating_sub(width) };
        (start, width, if fits { format!("{tick}{offset}") } else { format!("{offset}{tick}") })
    });
    let step = tick_step(map.grid);
    for offset in (0..map.grid.row_length()).step_by(step as usize) {
        let start = (offset / map.grid.per_block()) as u16 * cell_width;
        let text = format!("{tick}{offset}");
        let end = start + text.len() as u16;
        let hidden = badge.as_ref().is_some_and(|&(b, width, _)| start < b + width && b < end);
        if !hidden && end <= pane.axis.width + 2 {
            let x = pane.axis.x + start;
            surface.within(pane.axis).put(x, pane.axis.y, &text, theme.style(Role::Dim));
        }
    }
    if let Some((start, _, text)) = badge {
        let x = pane.axis.x + start;
        surface.within(pane.axis).put(x, pane.axis.y, &text, theme.badge(Role::Cursor));
    }
}

/// Draws the used share of each line, and the number of used ports if there is room.
pub fn bars(map: &Heatmap<'_>, pane: &Pane, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    let width = BAR - 1;
    for line in 0..pane.bars.height {
        let Some(ports) = map.grid.line(line) else { continue };
        let share = (map.share)(ports);
        let role = level(share);
        let (x, y) = (pane.bars.x, pane.bars.y + line);
        surface.within(pane.bars).put(x, y, &bar(share, width, theme), theme.style(role));
        if pane.bars.width >= width + COUNT_WIDTH {
            let taken = notation::grouped((share * ports.len() as f32).round() as u32);
            let (taken, style) = (format!("{taken:>6}"), theme.style(Role::Dim));
            surface.within(pane.bars).put(x + width, y, &taken, style);
        }
    }
}

/// Returns the role of a used share (0 to 1): `Critical` from 0.85 on, `Warn` from 0.70 on, else
/// `Dim`.
pub fn level(share: f32) -> Role {
    match share {
        share if share >= 0.85 => Role::Critical,
        share if share >= 0.70 => Role::Warn,
        _ => Role::Dim,
    }
}

/// Returns a horizontal bar that fills `share` (0 to 1) of `width` columns, in eighths of a cell,
/// or in whole cells with ASCII glyphs. The bar is empty only if the share or the width is 0.
pub fn bar(share: f32, width: u16, theme: &Theme) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = share.clamp(0.0, 1.0);
    if theme.ascii {
        return "#".repeat((share * f32::from(width)).ceil() as usize);
    }
    let least = u32::from(share > 0.0 && width > 0);
    let eighths = ((share * f32::from(width) * 8.0).round() as u32).max(least);
    let (full, rest) = (eighths / 8, eighths % 8);
    format!("{}{}", "█".repeat(full as usize), EIGHTHS[rest as usize])
}

/// Returns one of `[first, middle, last, both]`, depending on which ends of the range are in the
/// line. None: the line has no port of the range.
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

/// Returns the number of ports between two labels of the axis: a round number, with enough columns
/// for a label.
fn tick_step(grid: &Grid) -> u32 {
    let room = grid.row_length().to_string().len() as u32 + 2;
    let columns = |step: u32| step / grid.per_block() * u32::from(grid.cell_width());
    [1, 2, 5, 10, 20, 50, 100, 200, 400, 500, 1000, 2000, 5000]
        .into_iter()
        .find(|step| step % grid.per_block() == 0 && columns(*step) >= room)
        .unwrap_or(grid.row_length())
}
