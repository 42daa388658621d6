//! Draws a horizontal rule with a title at the left and notes at the right.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::OverviewContext;
use crate::{
    app::overview::OverviewList,
    domain::notation,
    view::{Role, Theme, words},
};

/// Draws a rule; drops notes from the right if they do not fit.
pub fn draw(title: &str, notes: &[String], theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let title = Span::styled(format!(" {title} "), Style::reset().add_modifier(Modifier::BOLD));
    draw_line(vec![title], notes, theme, area, buffer);
}

/// Draws a rule with the names of all lists and marks the list that is shown. Used on terminals
/// with room for only one list.
pub fn draw_lists(
    context: &OverviewContext<'_>,
    shown: OverviewList,
    notes: &[String],
    area: Rect,
    buffer: &mut Buffer,
) {
    let mut spans = Vec::new();
    for list in OverviewList::EACH {
        let count = notation::grouped(list.len(context.scan) as u64);
        let text = format!(" {} {count} ", list.name());
        let style = if list == shown {
            Style::reset().add_modifier(Modifier::BOLD)
        } else {
            Style::reset().patch(context.theme.style(Role::Dim))
        };
        let line = context.theme.glyph("─", "-");
        spans.push(Span::styled(text, style));
        spans.push(Span::styled(line, context.theme.style(Role::Border)));
    }
    spans.pop();
    draw_line(spans, notes, context.theme, area, buffer);
}

fn draw_line(
    titles: Vec<Span<'static>>,
    notes: &[String],
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    if area.is_empty() {
        return;
    }
    let border = theme.style(Role::Border);
    let dash = theme.glyph("─", "-");
    let mut line = Line::from(Span::styled(dash, border));
    line.extend(titles);
    let room = usize::from(area.width).saturating_sub(line.width() + 4);
    let dot = theme.glyph(" · ", " - ");
    let first_fits = notes.first().is_some_and(|note| note.width() <= room);
    let note = if first_fits { words::fitted(notes, dot, room) } else { String::new() };
    let note = if note.is_empty() { note } else { format!(" {note} ") };
    let left = usize::from(area.width).saturating_sub(line.width() + note.width() + 1);
    line.push_span(Span::styled(dash.repeat(left), border));
    line.push_span(Span::styled(note, theme.style(Role::Dim)));
    line.push_span(Span::styled(dash, border));
    buffer.set_line(area.x, area.y, &line, area.width);
}
