//! Writes lines into a column. The callers choose their content.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use crate::view::{Role, Theme};

/// An area that is filled with lines from the top. Lines below its end are not drawn.
pub struct TextColumn<'a> {
    pub theme: &'a Theme,
    area: Rect,
    y: u16,
    pub buffer: &'a mut Buffer,
}

impl<'a> TextColumn<'a> {
    pub fn new(theme: &'a Theme, area: Rect, buffer: &'a mut Buffer) -> Self {
        let area = area.intersection(buffer.area);
        Self { theme, area, y: area.y, buffer }
    }

    pub fn width(&self) -> usize {
        usize::from(self.area.width)
    }

    /// Returns the number of lines that still fit.
    pub fn left(&self) -> u16 {
        self.area.bottom().saturating_sub(self.y)
    }

    /// Returns the unused part of the area.
    pub fn rest(&self) -> Rect {
        Rect { y: self.y, height: self.left(), ..self.area }
    }

    pub fn line<'b>(&mut self, spans: impl IntoIterator<Item = Span<'b>>) {
        if self.left() > 0 {
            let ascii = self.theme.ascii;
            let line: Line = spans.into_iter().map(|span| separated(span, ascii)).collect();
            self.buffer.set_line(self.area.x, self.y, &line, self.area.width);
        }
        self.y = self.y.saturating_add(1);
    }

    pub fn text(&mut self, text: &str, role: Role) {
        let style = self.theme.style(role);
        self.line([Span::styled(text, style)]);
    }

    pub fn pair(&mut self, first: &str, first_role: Role, second: &str, second_role: Role) {
        let styles = [self.theme.style(first_role), self.theme.style(second_role)];
        self.line([Span::styled(first, styles[0]), Span::styled(second, styles[1])]);
    }

    pub fn blank(&mut self) {
        self.y = self.y.saturating_add(1);
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

/// Replaces `·`, which separates parts, by `-` if only ASCII is available.
fn separated(span: Span<'_>, ascii: bool) -> Span<'_> {
    if ascii && span.content.contains('·') {
        Span::styled(span.content.replace('·', "-"), span.style)
    } else {
        span
    }
}

/// Joins with ` · ` the first parts that fit in full into `width` columns; skips empty ones.
pub fn fitted(parts: &[&str], width: usize) -> String {
    let mut line = String::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let separator = if line.is_empty() { "" } else { " · " };
        if line.width() + separator.width() + part.width() > width {
            break;
        }
        line.push_str(separator);
        line.push_str(part);
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
