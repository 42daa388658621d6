//! Draws the last row: the most important keys of the current context, or the prompt. The keys come
//! from the command table.

use ratatui::text::{Line, Span};

use crate::{
    app::{App, KeyCommand, Overlay, command},
    view::{Role, Theme, surface::Surface, words},
};

/// Number of commands at the end of the row that are dropped last: help and quit.
const KEPT_COMMANDS: usize = 2;

pub fn render(app: &App, surface: &mut Surface<'_>) {
    let theme = surface.theme;
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
        let room = surface.width().saturating_sub(line.width() + 1);
        let notice = words::shorten(notice, room);
        line.push_span(Span::styled(notice, theme.style(Role::Ok).bold()));
        line.push_span("   ");
    }
    let room = surface.width().saturating_sub(line.width());
    for command in fitting(app, room) {
        line.push_span(Span::styled(command.keys, key_style(theme)));
        line.push_span(Span::styled(format!(" {}  ", command.label), theme.style(Role::Dim)));
    }
    surface.lines([&line]);
}

pub fn key_style(theme: &Theme) -> ratatui::style::Style {
    theme.style(Role::Accent).bold()
}

/// Returns the commands that fit into `room` columns. Drops commands from the right, but help and
/// quit only after all others.
fn fitting(app: &App, room: usize) -> Vec<&'static KeyCommand> {
    let mut commands: Vec<_> =
        command::here(app.context()).filter(|command| !command.label.is_empty()).collect();
    let width = |c: &&KeyCommand| c.keys.len() + 1 + c.label.len() + 2;
    while commands.iter().map(width).sum::<usize>() > room + 2 && !commands.is_empty() {
        let dropped =
            if commands.len() > KEPT_COMMANDS { commands.len() - 1 - KEPT_COMMANDS } else { 0 };
        commands.remove(dropped);
    }
    commands
}
