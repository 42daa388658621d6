//! Draws bars: vertical ones in eighths of a cell with the axis of a histogram, and horizontal ones
//! on a track.

use ratatui::{layout::Rect, style::Style, text::Span};

use crate::{
    app::allocation::Model,
    domain::notation,
    view::{Role, Theme, heatmap, surface::Surface},
};

/// The glyphs of a cell that is filled from below by 0 to 8 eighths.
pub const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws a bar in the column `x` that fills `share` (0 to 1) of the surface's height. It is empty
/// only if the share is 0. `mark` fills whole cells; None: the bar ends at an eighth of a cell.
pub fn vertical(share: f64, x: u16, mark: Option<char>, style: Style, surface: &mut Surface<'_>) {
    let least = if share > 0.0 { 1.0 } else { 0.0 };
    let eighths = (share * f64::from(surface.area.height) * 8.0).round().max(least);
    for line in 0..surface.area.height {
        let here = (eighths - f64::from(line) * 8.0).clamp(0.0, 8.0) as usize;
        if here == 0 {
            break;
        }
        let glyph = mark.unwrap_or(EIGHTHS[here]);
        let y = surface.area.bottom() - 1 - line;
        surface.put(x, y, glyph.encode_utf8(&mut [0; 4]), style);
    }
}

/// Returns what fills the cells of a bar if the terminal has no blocks.
pub fn ascii_mark(theme: &Theme) -> Option<char> {
    theme.ascii.then_some('#')
}

/// Returns the line of the mark at the top of a bar that fills `share` (0 to 1) of the area's
/// height. None: the share is too small for a mark.
pub fn mark_line(share: f64, area: Rect) -> Option<u16> {
    let height = share * f64::from(area.height);
    (height >= 0.1).then(|| area.bottom() - (height.ceil() as u16).clamp(1, area.height))
}

/// Returns a horizontal bar of `width` columns that fills `share` (0 to 1) of its track.
pub fn track(share: f32, width: u16, role: Role, theme: &Theme) -> [Span<'static>; 2] {
    let filled = heatmap::bar(share, width, theme);
    let rest = usize::from(width).saturating_sub(filled.chars().count());
    let background = theme.color(Role::Available);
    let empty = if theme.needs_whole_cells() { theme.glyph("·", ".") } else { " " };
    [
        Span::styled(filled, theme.style(role).bg(background)),
        Span::styled(empty.repeat(rest), theme.style(Role::Dim).bg(background)),
    ]
}

/// Returns the share of all allocations that the model expects in each bin of `width` attempts. An
/// allocation has at most `limit` attempts.
pub fn expected_shares(model: &Model, bins: u32, width: u32, limit: u32) -> Vec<f64> {
    let left = |bin: u32| model.survival(bin.saturating_mul(width).min(limit));
    let lefts: Vec<f64> = (0..=bins).map(left).collect();
    lefts.windows(2).map(|pair| (pair[0] - pair[1]).max(0.0)).collect()
}

/// Formats the axis of a histogram: `1 ── attempts, 4 per bar ── 100`. If the words do not fit,
/// formats only the first and the last number of attempts.
pub fn axis_line(last: u32, per_bar: u32, width: usize, theme: &Theme) -> String {
    let last = notation::grouped(last);
    let each = match per_bar {
        1 => String::new(),
        count => format!(", {} per bar", notation::grouped(count)),
    };
    let room = width.saturating_sub("1 ".len() + " ".len() + last.len());
    let names = [format!(" attempts{each} "), " attempts ".to_owned()];
    let Some(name) = names.iter().find(|name| name.len() + 2 <= room) else {
        return format!("1 {} {last}", " ".repeat(room));
    };
    let dash = theme.glyph("─", "-");
    let dashes = room - name.len();
    let [before, after] = [dashes / 2, dashes - dashes / 2].map(|count| dash.repeat(count));
    format!("1 {before}{name}{after} {last}")
}
