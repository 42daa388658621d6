//! Draws boxes over a screen: a panel of settings, and the question before a high speed. The app
//! handles their keys.

use ratatui::{
    layout::Rect,
    text::Span,
    widgets::{Block, Clear, Widget},
};

use crate::{
    app::{
        allocation::Speed,
        settings::{EditableSettings, SettingRow, SettingsPanel},
    },
    view::{
        Role,
        surface::{Surface, indented},
    },
};

const WIDTH: u16 = 66;
/// Lines of a settings panel besides its fields: the frame, a blank line, the note, the keys.
const AROUND_FIELDS: u16 = 5;

/// Draws all fields, then the error in the typed value or, without an error, `note`, then the keys.
/// `names` is the minimum width of the names, including a gap.
pub fn settings<S: EditableSettings>(
    title: &str,
    names: usize,
    panel: &SettingsPanel<S>,
    note: &str,
    surface: &mut Surface<'_>,
) {
    let rows: Vec<SettingRow<'_>> = panel.rows().collect();
    let mut column = open(title, rows.len() as u16 + AROUND_FIELDS, surface);
    let theme = column.theme;
    let names = rows.iter().map(|row| row.name.len() + 1).max().unwrap_or(0).max(names);
    for SettingRow { name, value, typed, is_selected } in &rows {
        let pointer = if *is_selected { theme.glyph("❯", ">") } else { " " };
        let style = theme.style(if *is_selected { Role::Selected } else { Role::Text });
        let value = typed.map_or_else(|| value.clone(), |typed| format!("{typed}_"));
        let room = column.width().saturating_sub(2 + names);
        column.line([Span::styled(format!("{pointer} {name:<names$}{value:<room$}"), style)]);
    }
    column.blank();
    match panel.error() {
        Some(error) => column.text(error, Role::Critical),
        None => column.text(note, Role::Dim),
    }
    let is_typing = rows.iter().any(|row| row.typed.is_some());
    let keys: &[(&str, &str)] = if is_typing {
        &[("Enter", "apply"), ("Esc", "cancel")]
    } else {
        &[
            ("Up Down", "field"),
            ("Left Right", "change"),
            ("0-9", "enter a value"),
            ("Esc", "close"),
        ]
    };
    hints(keys, &mut column);
}

/// Asks whether to use a speed that may disturb other users of the host's ports.
pub fn confirm(speed: Speed, surface: &mut Surface<'_>) {
    let mut column = open("Faster than 20 attempts a second?", 9, surface);
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
    hints(&[("y Enter", "go faster"), ("n Esc", "stay at 20/s")], &mut column);
}

pub fn hints(keys: &[(&str, &str)], column: &mut Surface<'_>) {
    let accent = column.theme.style(Role::Accent);
    column.line(
        keys.iter()
            .flat_map(|(key, does)| [Span::styled(*key, accent), Span::raw(format!(" {does}  "))]),
    );
}

/// Draws an empty box of `height` lines, frame included, in the middle of the surface. Returns its
/// inside.
pub fn open<'a>(title: &str, height: u16, surface: &'a mut Surface<'_>) -> Surface<'a> {
    let (theme, columns) = (surface.theme, surface.area.width);
    // On a narrow terminal only parts of words would be visible beside the box.
    let width = if columns < 100 { columns } else { WIDTH };
    let block = Block::bordered()
        .border_set(theme.border_set())
        .border_style(theme.style(Role::Accent))
        .title(format!(" {title} "));
    framed(block, width, height, surface)
}

/// Clears a box in the middle of the surface and draws its frame. Returns its inside.
pub fn framed<'a>(
    block: Block<'_>,
    width: u16,
    height: u16,
    surface: &'a mut Surface<'_>,
) -> Surface<'a> {
    let area = surface.area;
    let height = height.min(area.height);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    let outer = Rect { x, y, width, height };
    Clear.render(outer, surface.buffer);
    let inside = block.inner(outer);
    block.render(outer, surface.buffer);
    surface.within(indented(inside).intersection(outer))
}
