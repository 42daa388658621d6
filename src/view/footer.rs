//! Draws the last row: the most important keys of the current context, or the prompt. The keys come
//! from the command table.

use ratatui::{
    layout::{Position, Rect},
    text::{Line, Span},
};

use crate::{
    app::{App, Key, KeyCommand, Overlay, command},
    view::{Role, Theme, surface::Surface, words},
};

/// Number of commands at the end of the row that are dropped last: help and quit.
const KEPT_COMMANDS: usize = 2;

/// Columns between two commands.
const GAP: usize = 2;

pub fn render(app: &App, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    let mut line = before_commands(app, theme, surface.width());
    let room = surface.width().saturating_sub(line.width());
    for command in fitting(app, room) {
        line.push_span(Span::styled(command.keys, key_style(theme)));
        line.push_span(Span::styled(format!(" {}  ", command.label(app)), theme.style(Role::Dim)));
    }
    surface.lines([&line]);
}

/// Returns what the row shows before the commands: the prompt, or what the last key did.
fn before_commands(app: &App, theme: &Theme, width: usize) -> Line<'static> {
    let mut line = Line::from(" ");
    if let Overlay::GoTo(digits) = app.overlay() {
        line.push_span("go to port ");
        line.push_span(Span::styled(format!(" {digits} "), theme.badge(Role::Cursor)));
        if !digits.is_empty() && digits.parse::<u16>().is_err() {
            line.push_span(Span::styled(" 65535 is the last port", theme.style(Role::Critical)));
        }
        line.push_span("  ");
    }
    if let Some(notice) = app.notice() {
        let notice = words::shorten(notice, width.saturating_sub(2));
        line.push_span(Span::styled(notice, theme.style(Role::Ok).bold()));
        line.push_span("   ");
    }
    line
}

/// Returns the key at this position. On a label, the first key of its command. None: the position is
/// on no command.
pub fn key_at(app: &App, footer: Rect, at: Position) -> Option<Key> {
    let width = usize::from(footer.width);
    // Only the width of the line matters here, and no theme changes it.
    let before = before_commands(app, &Theme::MONOCHROME, width).width();
    let mut column = usize::from(at.x.checked_sub(footer.x)?).checked_sub(before)?;
    for command in fitting(app, width.saturating_sub(before)) {
        if column < width_of(command, app) {
            return command.key_at(column);
        }
        column -= width_of(command, app);
    }
    None
}

pub fn key_style(theme: &Theme) -> ratatui::style::Style {
    theme.style(Role::Accent).bold()
}

/// Returns the commands that fit into `room` columns. Drops commands from the right, but help and
/// quit only after all others.
fn fitting(app: &App, room: usize) -> Vec<&'static KeyCommand> {
    let mut commands: Vec<_> =
        command::here(app.context()).filter(|command| !command.label(app).is_empty()).collect();
    while commands.iter().map(|c| width_of(c, app)).sum::<usize>() > room + GAP
        && !commands.is_empty()
    {
        let dropped =
            if commands.len() > KEPT_COMMANDS { commands.len() - 1 - KEPT_COMMANDS } else { 0 };
        commands.remove(dropped);
    }
    commands
}

/// Returns the width of a command with the gap after it.
fn width_of(command: &KeyCommand, app: &App) -> usize {
    command.keys.len() + 1 + command.label(app).len() + GAP
}
