//! Draws the line with the filter: the text with its cursor, the part that is not understood, and
//! how many sockets match.

use ratatui::{style::Modifier, text::Span};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{SocketsContext, count};
use crate::view::{
    Role,
    surface::{Surface, first_fitting},
};

/// Shown in an empty line: examples, the longest that fits.
const HINTS: [&str; 3] = [
    "nginx  :8080  10.0.0.5  state time-wait  listen  pid 812  user app",
    "nginx  :8080  10.0.0.5  listen",
    "",
];
/// Width of ` / `.
const START: usize = 3;
/// Columns between the examples and the count.
const GAP: usize = 2;
/// Minimum width of the text, at the cost of the count.
const LEAST: usize = 30;

pub fn render(context: &SocketsContext<'_>, surface: &mut Surface<'_>) {
    let (theme, area) = (context.theme, surface.area);
    let line = context.app.sockets().line();
    let width = surface.width();
    let wanted = line.text().width().max(LEAST).min(width) + START + 2;
    let wordings = count(context);
    let room = width.saturating_sub(wanted + 1);
    let fitting = wordings.iter().find(|words| words.width() <= room);
    let count = match fitting {
        Some(words) => words.clone(),
        None => first_fitting(&wordings, width / 3, theme),
    };
    let right = area.right().saturating_sub(count.width() as u16 + 1);
    surface.put(right, area.y, &count, theme.style(Role::Dim));
    let room = usize::from(right - area.x).saturating_sub(START + 1);
    let mut spans = vec![Span::styled(" / ", theme.style(Role::Accent).bold())];
    if line.text().is_empty() && !line.is_focused() {
        let hint = first_fitting(&HINTS.map(str::to_owned), room.saturating_sub(GAP), theme);
        spans.push(Span::styled(hint, theme.style(Role::Faint)));
    } else {
        spans.extend(text(context, room));
    }
    surface.line(spans);
}

/// Returns the visible part of the text, which contains the cursor.
fn text(context: &SocketsContext<'_>, room: usize) -> Vec<Span<'static>> {
    let line = context.app.sockets().line();
    let theme = context.theme;
    let before = line.text().get(..line.cursor()).unwrap_or_default().width();
    let skipped = (before + 1).saturating_sub(room);
    let mut spans = Vec::new();
    let mut column = 0;
    let marked = line.error().map(|error| error.span.clone());
    let end = line.text().len();
    let characters = line.text().char_indices().chain(std::iter::once((end, ' ')));
    for (at, character) in characters {
        let width = character.width().unwrap_or(0);
        if column >= skipped && column + width <= skipped + room {
            let is_wrong = marked
                .as_ref()
                .is_some_and(|span| span.contains(&at) || (span.is_empty() && span.start == at));
            let mut style = theme.style(if is_wrong { Role::Critical } else { Role::Text });
            if is_wrong {
                style = style.add_modifier(Modifier::UNDERLINED);
            }
            if line.is_focused() && at == line.cursor() {
                style = theme.badge(Role::Cursor);
            }
            spans.push(Span::styled(character.to_string(), style));
        }
        column += width;
    }
    spans
}
