//! Draws a horizontal rule with a title at the left and notes at the right.

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::{OverviewContext, areas::size_class};
use crate::{
    app::overview::OverviewList,
    domain::notation,
    view::{Role, size_class::SizeClass, surface::Surface, words},
};

/// Draws a rule; drops notes from the right if they do not fit.
pub fn draw(title: &str, notes: &[String], surface: &mut Surface<'_>) {
    let title = Span::styled(format!(" {title} "), Style::reset().bold());
    draw_line(vec![title], notes, surface);
}

/// Draws the rule of a list. `position`: which rows are shown; None: all. On terminals with room for
/// only one list, the rule has the names of all lists and marks the list that is shown. Names that
/// leave no room for the position are dropped from the right.
pub fn draw_list(
    context: &OverviewContext<'_>,
    shown: OverviewList,
    position: Option<String>,
    notes: Vec<String>,
    surface: &mut Surface<'_>,
) {
    let room = surface.width().saturating_sub(position.as_ref().map_or(2, |text| text.width() + 5));
    let notes: Vec<String> = position.into_iter().chain(notes).collect();
    if size_class(surface.buffer.area) > SizeClass::Small {
        return draw(shown.name(), &notes, surface);
    }
    let lists = context.app.overview().order();
    let text = |list: OverviewList| {
        let count = notation::grouped(list.len(context.scan) as u64);
        format!(" {} {count} ", list.name())
    };
    let mut names: Vec<_> = lists.map(|list| (list, text(list))).into();
    let width = |names: &[(OverviewList, String)]| {
        names.iter().map(|(_, text)| text.width() + 1).sum::<usize>()
    };
    while width(&names) > room
        && let Some(dropped) = names.iter().rposition(|&(list, _)| list != shown)
    {
        names.remove(dropped);
    }
    let mut spans = Vec::new();
    for (list, text) in names {
        let style = if list == shown {
            Style::reset().bold()
        } else {
            Style::reset().patch(context.theme.style(Role::Dim))
        };
        let line = context.theme.glyph("─", "-");
        spans.push(Span::styled(text, style));
        spans.push(Span::styled(line, context.theme.style(Role::Border)));
    }
    spans.pop();
    draw_line(spans, &notes, surface);
}

fn draw_line(titles: Vec<Span<'static>>, notes: &[String], surface: &mut Surface<'_>) {
    let (theme, width) = (surface.theme, surface.width());
    let border = theme.style(Role::Border);
    let dash = theme.glyph("─", "-");
    let mut line = Line::from(Span::styled(dash, border));
    line.extend(titles);
    let room = width.saturating_sub(line.width() + 4);
    let first_fits = notes.first().is_some_and(|note| note.width() <= room);
    let note = if first_fits { words::fitted(notes, " · ", room) } else { String::new() };
    let note = if note.is_empty() { note } else { format!(" {note} ") };
    let left = width.saturating_sub(line.width() + note.width() + 1);
    line.push_span(Span::styled(dash.repeat(left), border));
    line.push_span(Span::styled(note, theme.style(Role::Dim)));
    line.push_span(Span::styled(dash, border));
    surface.lines([&line]);
}
