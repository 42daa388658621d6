//! Where a part of a screen is drawn: theme, area and buffer, and lines from the top of the area.
//! The callers choose the content.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use crate::{
    app::RowsPerLine,
    view::{Role, Theme, words},
};

/// An area of the screen. Lines are written from its top; those below its end are not drawn.
pub struct Surface<'a> {
    pub theme: &'a Theme,
    pub area: Rect,
    /// Where the next line is drawn.
    y: u16,
    pub buffer: &'a mut Buffer,
}

impl<'a> Surface<'a> {
    pub fn new(theme: &'a Theme, area: Rect, buffer: &'a mut Buffer) -> Self {
        let area = area.intersection(buffer.area);
        Self { theme, area, y: area.y, buffer }
    }

    /// Returns another part of the same screen.
    pub fn within(&mut self, area: Rect) -> Surface<'_> {
        Surface::new(self.theme, area, self.buffer)
    }

    pub fn width(&self) -> usize {
        usize::from(self.area.width)
    }

    /// Returns how many rows of a map's blocks a line shows.
    pub fn rows_per_line(&self) -> RowsPerLine {
        if self.theme.needs_whole_cells() { RowsPerLine::One } else { RowsPerLine::Two }
    }

    /// Returns the number of lines that still fit.
    pub fn left(&self) -> u16 {
        self.area.bottom().saturating_sub(self.y)
    }

    /// Returns the unused part of the area.
    pub fn rest(&self) -> Rect {
        Rect { y: self.y, height: self.left(), ..self.area }
    }

    /// Writes text at a position, cut at the edge of the area.
    pub fn put(&mut self, x: u16, y: u16, text: &str, style: Style) {
        if self.area.contains(Position::new(x, y)) {
            self.buffer.set_stringn(x, y, text, usize::from(self.area.right() - x), style);
        }
    }

    /// Draws finished lines from the top of the area, as they are.
    pub fn lines<'b>(&mut self, lines: impl IntoIterator<Item = &'b Line<'b>>) {
        for (line, y) in lines.into_iter().zip(self.area.top()..self.area.bottom()) {
            if self.theme.ascii {
                let spans = line.spans.iter().cloned().map(|span| ascii_only(span, true));
                let line = Line { spans: spans.collect(), ..*line };
                self.buffer.set_line(self.area.x, y, &line, self.area.width);
            } else {
                self.buffer.set_line(self.area.x, y, line, self.area.width);
            }
        }
    }

    pub fn line<'b>(&mut self, spans: impl IntoIterator<Item = Span<'b>>) {
        if self.left() > 0 {
            let ascii = self.theme.ascii;
            let line: Line = spans.into_iter().map(|span| ascii_only(span, ascii)).collect();
            self.buffer.set_line(self.area.x, self.y, &line, self.area.width);
        }
        self.y = self.y.saturating_add(1);
    }

    pub fn text(&mut self, text: &str, role: Role) {
        let style = self.theme.style(role);
        self.line([Span::styled(text, style)]);
    }

    /// Writes a dim label and its value.
    pub fn labelled(&mut self, label: &str, value: &str) {
        let [dim, plain] = [Role::Dim, Role::Text].map(|role| self.theme.style(role));
        self.line([Span::styled(label, dim), Span::styled(value, plain)]);
    }

    pub fn blank(&mut self) {
        self.skip(1);
    }

    /// Leaves lines as they are.
    pub fn skip(&mut self, lines: u16) {
        self.y = self.y.saturating_add(lines);
    }

    /// Writes a title, a rule, and a note at the right end of the line.
    pub fn rule(&mut self, title: &str, right: &str) {
        let note = Span::styled(right.to_owned(), self.theme.style(Role::Dim));
        self.rule_with(title, if right.is_empty() { Vec::new() } else { vec![note] });
    }

    /// Like [`Self::rule`], with a note in several styles.
    pub fn rule_with(&mut self, title: &str, note: Vec<Span<'_>>) {
        let border = self.theme.style(Role::Border);
        let note_width: usize = note.iter().map(Span::width).sum();
        let gap = if note.is_empty() { "" } else { " " };
        let used = title.width() + 1 + gap.len() + note_width;
        let dashes = self.theme.glyph("─", "-").repeat(self.width().saturating_sub(used));
        let mut spans = vec![
            Span::styled(title.to_owned(), Style::new().bold()),
            Span::raw(" "),
            Span::styled(dashes, border),
            Span::raw(gap),
        ];
        spans.extend(note);
        self.line(spans);
    }
}

/// Returns an area without its first and its last column.
pub fn indented(area: Rect) -> Rect {
    Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area }
}

/// Returns `height` lines of an area from line `y` on, as far as it has them.
pub fn lines_of(area: Rect, y: u16, height: u16) -> Rect {
    Rect { y: area.y.saturating_add(y), height, ..area }.intersection(area)
}

/// Returns an area without its first lines.
pub fn below(area: Rect, lines: u16) -> Rect {
    let lines = lines.min(area.height);
    Rect { y: area.y + lines, height: area.height - lines, ..area }
}

/// Removes the first `height` lines from the free area and returns them.
pub fn take(free: &mut Rect, height: u16) -> Rect {
    let part = Rect { height: height.min(free.height), ..*free };
    *free = below(*free, height);
    part
}

/// Returns a line for each text, with a dim label of `width` columns before the first one and
/// blanks before the others.
pub fn labelled_lines(
    label: &str,
    width: usize,
    texts: impl IntoIterator<Item = String>,
    theme: &Theme,
) -> Vec<Line<'static>> {
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    let line = |(label, text)| {
        let label = Span::styled(format!("{label:width$}"), theme.style(Role::Dim));
        Line::from(vec![label, Span::raw(text)])
    };
    labels.zip(texts).map(line).collect()
}

/// Replaces symbols such as `→` and `·` by ASCII if only that is available.
fn ascii_only(span: Span<'_>, ascii: bool) -> Span<'_> {
    if ascii && !span.content.is_ascii() {
        Span::styled(words::ascii(&span.content), span.style)
    } else {
        span
    }
}

/// Joins with ` · ` the first parts that fit in full into `width` columns; skips empty ones.
pub fn fitted(parts: &[&str], width: usize) -> String {
    let parts = parts.iter().filter(|part| !part.is_empty());
    let parts: Vec<String> = parts.map(|&part| part.to_owned()).collect();
    Some(words::fitted(&parts, " · ", width))
        .filter(|line| line.width() <= width)
        .unwrap_or_default()
}

/// Returns the first parts that fit into `width` columns; cuts none of them.
pub fn whole_parts(parts: Vec<Vec<Span<'_>>>, width: usize) -> Vec<Span<'_>> {
    let mut line = Vec::new();
    let mut used = 0;
    for part in parts {
        let gap = if line.is_empty() { "" } else { "  " };
        used += gap.len() + part.iter().map(Span::width).sum::<usize>();
        if used > width {
            break;
        }
        line.push(Span::raw(gap));
        line.extend(part);
    }
    line
}

/// Returns the first candidate that fits into `width` columns. If none fits, cuts the last one and
/// appends `…` (ASCII: `~`).
pub fn first_fitting(candidates: &[String], width: usize, theme: &Theme) -> String {
    if let Some(fitting) = candidates.iter().find(|words| words.width() <= width) {
        return fitting.clone();
    }
    let Some(last) = candidates.last() else { return String::new() };
    let mark = theme.glyph("…", "~");
    let mut cut = String::new();
    for character in last.chars() {
        if cut.width() + 2 > width {
            break;
        }
        cut.push(character);
    }
    if width == 0 { cut } else { cut + mark }
}
