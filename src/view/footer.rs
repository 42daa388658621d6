//! Draws the last row: the most important keys of the current context, or the prompt. The keys come
//! from the command table.

use ratatui::{
    layout::{Position, Rect},
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr as _;

use crate::{
    app::{Action, App, Context, Key, KeyCommand, Overlay, command},
    view::{Role, Theme, help, surface::Surface, words},
};

/// Number of commands at the end of the row that are dropped last: help and quit.
const KEPT_COMMANDS: usize = 2;

/// Width of a blank, a gap and the key of the prompt.
const PROMPT_KEYS: usize = 14;
/// The same for the keys of the prompt for a file.
const WRITE_KEYS: usize = 27;

/// Columns between two commands.
const GAP: usize = 2;

pub fn render(app: &App, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    let mut line = before_commands(app, theme, surface.width());
    let room = surface.width().saturating_sub(line.width());
    for (command, label) in fitting(app, theme, room) {
        line.push_span(Span::styled(command.keys, key_style(theme)));
        line.push_span(Span::styled(format!(" {label}  "), theme.style(Role::Dim)));
    }
    surface.lines([&line]);
}

/// Returns what the row shows before the commands: the prompt, or what the last key did.
fn before_commands(app: &App, theme: &Theme, width: usize) -> Line<'static> {
    let mut line = Line::from(" ");
    let prompt = match app.overlay() {
        Overlay::GoTo(typed) => {
            Some(("find ", typed, " port, ADDRESS:PORT, process name or pid N", PROMPT_KEYS))
        }
        Overlay::WriteRows(name) => {
            // A name is long: what is wrong with it takes the place of the keys.
            let keys = app.notice().map_or(WRITE_KEYS, |notice| notice.width() + 1);
            Some(("write to ", name, " .csv or .json", keys))
        }
        _ => None,
    };
    if let Some((label, typed, hint, keys)) = prompt {
        line.push_span(label);
        let room = width.saturating_sub(line.width() + keys + 2);
        let typed = words::last_part(typed, room);
        line.push_span(Span::styled(format!(" {typed} "), theme.badge(Role::Cursor)));
        let keys = match app.overlay() {
            Overlay::GoTo(_) => PROMPT_KEYS,
            _ if app.notice().is_some() => 1,
            _ => WRITE_KEYS,
        };
        let room = width.saturating_sub(line.width() + keys);
        let (text, role) =
            app.notice().map_or((hint, Role::Dim), |notice| (notice, Role::Critical));
        line.push_span(Span::styled(format!(" {}", words::shorten(text, room)), theme.style(role)));
        line.push_span("  ");
    } else if let Some(notice) = app.notice() {
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
    let room = width.saturating_sub(before);
    let mut column = usize::from(at.x.checked_sub(footer.x)?).checked_sub(before)?;
    for footer_command in fitting(app, &Theme::MONOCHROME, room) {
        if column < width_of(&footer_command) {
            return footer_command.0.key_at(column);
        }
        column -= width_of(&footer_command);
    }
    None
}

pub fn key_style(theme: &Theme) -> ratatui::style::Style {
    theme.style(Role::Accent).bold()
}

/// A command and its label.
type LabelledCommand = (&'static KeyCommand, &'static str);

/// Returns the commands that fit into `room` columns. Drops commands from the right, but help, quit
/// and the end of a pause only after all others.
fn fitting(app: &App, theme: &Theme, room: usize) -> Vec<LabelledCommand> {
    let labelled = |command| (command, label(command, app, theme));
    let mut commands: Vec<LabelledCommand> =
        command::here(app.context()).map(labelled).filter(|(_, label)| !label.is_empty()).collect();
    while commands.iter().map(width_of).sum::<usize>() > room + GAP && !commands.is_empty() {
        let others = commands.len().saturating_sub(KEPT_COMMANDS);
        let ends_pause = |(_, label): &LabelledCommand| *label == command::RESUME;
        let dropped = commands[..others].iter().rposition(|command| !ends_pause(command));
        commands.remove(dropped.unwrap_or(0));
    }
    commands
}

/// Returns the label for what the command would do now; empty: not shown in the footer.
fn label(command: &KeyCommand, app: &App, theme: &Theme) -> &'static str {
    let moves = command.bindings().any(|(_, action)| matches!(action, Action::Move(_)));
    // Only the view knows how long a page of the help is.
    if moves && app.context() == Context::Help && !help::scrolls(app, theme) {
        return "";
    }
    command.label(app)
}

/// Returns the width of a command with the gap after it.
fn width_of((command, label): &LabelledCommand) -> usize {
    command.keys.len() + 1 + label.len() + GAP
}
