//! Draws the overlays of the Allocate screen: the settings, and the question before a high speed.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::Span,
    widgets::{Block, Clear, Widget},
};

use crate::{
    app::allocation::{ActivePanel, Field, Speed},
    view::{Role, Theme, allocate::column::TextColumn},
};

const WIDTH: u16 = 66;
/// Minimum width of the names in a settings panel, including a gap.
const LEAST_NAMES: usize = 11;

pub fn render(panel: &ActivePanel, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    match panel {
        ActivePanel::Settings(settings) => {
            let mut column = open("Settings", 11, theme, area, buffer);
            let row = |field: Field| {
                let is_selected = field == settings.field();
                let typed = settings.typed().filter(|_| is_selected);
                SettingRow { name: field.name(), value: settings.value(field), typed, is_selected }
            };
            let words = "Changing a setting starts a new run and releases held ports";
            fields(&Field::EACH.map(row), settings.error(), words, &mut column);
        }
        ActivePanel::ConfirmSpeed(speed) => confirm(*speed, theme, area, buffer),
    }
}

/// A setting: its name, its value, and the text typed for it so far (None: nothing is being typed).
pub struct SettingRow<'a> {
    pub name: &'static str,
    pub value: String,
    pub typed: Option<&'a str>,
    /// Whether keys change this setting.
    pub is_selected: bool,
}

/// Asks whether to use a speed that may disturb other users of the host's ports.
pub fn confirm(speed: Speed, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let title = "Faster than 20 attempts a second?";
    let mut column = open(title, 9, theme, area, buffer);
    question(speed, &mut column);
}

/// Draws all fields, then the error in the typed value or, without an error, `words`, then the
/// keys.
pub fn fields(
    rows: &[SettingRow<'_>],
    error: Option<&str>,
    words: &str,
    column: &mut TextColumn<'_>,
) {
    let theme = column.theme;
    let names = rows.iter().map(|row| row.name.len() + 1).max().unwrap_or(0).max(LEAST_NAMES);
    for SettingRow { name, value, typed, is_selected } in rows {
        let pointer = if *is_selected { theme.glyph("❯", ">") } else { " " };
        let label = format!("{pointer} {name:<names$}");
        let style =
            if *is_selected { theme.style(Role::Selected) } else { theme.style(Role::Text) };
        let value = typed.map_or_else(|| value.clone(), |typed| format!("{typed}_"));
        let room = column.width().saturating_sub(2 + names);
        column.line([Span::styled(label, style), Span::styled(format!("{value:<room$}"), style)]);
    }
    column.blank();
    match error {
        Some(error) => column.text(error, Role::Critical),
        None => column.text(words, Role::Dim),
    }
    setting_keys(rows.iter().any(|row| row.typed.is_some()), column);
}

/// Draws the keys of a settings panel.
pub fn setting_keys(is_typing: bool, column: &mut TextColumn<'_>) {
    if is_typing {
        hints(&[("Enter", "apply"), ("Esc", "cancel")], column);
        return;
    }
    let keys = [
        ("Up Down", "field"),
        ("Left Right", "change"),
        ("0-9", "enter a value"),
        ("Esc", "close"),
    ];
    hints(&keys, column);
}

pub fn question(speed: Speed, column: &mut TextColumn<'_>) {
    let words = match speed {
        Speed::Thousand => "At 1k/s, up to 1,000 ports per second are tried.",
        _ => "At max, as many ports are tried as this machine allows.",
    };
    for line in [
        "Others may use this machine. Each attempt binds a port for a",
        "few microseconds; a program that binds it at the same time is",
        "refused (EADDRINUSE). Held ports stay bound.",
        words,
    ] {
        column.text(line, Role::Text);
    }
    column.blank();
    column.text("After y, portscope does not ask again until it exits.", Role::Dim);
    hints(&[("y Enter", "go faster"), ("n Esc", "stay at 20/s")], column);
}

pub fn hints(keys: &[(&str, &str)], column: &mut TextColumn<'_>) {
    let accent = column.theme.style(Role::Accent);
    let mut spans = Vec::new();
    for (key, does) in keys {
        spans.push(Span::styled((*key).to_owned(), accent));
        spans.push(Span::raw(format!(" {does}  ")));
    }
    column.line(spans);
}

/// Draws an empty box of `height` lines, frame included, in the middle of `area`. Returns its
/// inside.
pub fn open<'a>(
    title: &str,
    height: u16,
    theme: &'a Theme,
    area: Rect,
    buffer: &'a mut Buffer,
) -> TextColumn<'a> {
    // On a narrow terminal only parts of words would be visible beside the box.
    let width = if area.width < 100 { area.width } else { WIDTH };
    let height = height.min(area.height);
    let outer = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(outer, buffer);
    let block = Block::bordered()
        .border_set(theme.border_set())
        .border_style(theme.style(Role::Accent))
        .title(format!(" {title} "));
    let inside = block.inner(outer);
    block.render(outer, buffer);
    let inside = Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside };
    TextColumn::new(theme, inside.intersection(outer), buffer)
}
