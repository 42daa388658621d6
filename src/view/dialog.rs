//! Draws boxes over a screen: a panel of settings, a list of names, and the question before a high
//! speed. The app handles their keys.

use ratatui::{
    layout::{Position, Rect},
    text::Span,
    widgets::{Block, Clear, Widget},
};

use crate::{
    app::{
        NameChoice,
        allocation::Speed,
        settings::{EditableSettings, SettingRow, SettingsPanel},
    },
    view::{
        Role,
        surface::{Surface, indented},
    },
};

const WIDTH: u16 = 66;
/// Lines of a list besides its rows: the frame, a blank line, the note, the keys.
const AROUND_ROWS: u16 = 5;

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
    let names = rows.iter().map(|row| row.name.len() + 1).max().unwrap_or(0).max(names);
    let text = |SettingRow { name, value, typed, .. }: &SettingRow<'_>| {
        let value = typed.map_or_else(|| value.clone(), |typed| format!("{typed}_"));
        format!("{name:<names$}{value}")
    };
    let texts: Vec<String> = rows.iter().map(text).collect();
    let selected = rows.iter().position(|row| row.is_selected);
    let note = panel.error().map_or((note, Role::Dim), |error| (error, Role::Critical));
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
    list(title, &texts, selected, note, keys, surface);
}

/// Draws the names nearest to the one on the command line.
pub fn names(choice: &NameChoice, surface: &mut Surface<'_>) {
    let texts: Vec<String> = choice.names.iter().map(ToString::to_string).collect();
    let note = ("The most similar names of processes with sockets", Role::Dim);
    let keys = [("Up Down", "name"), ("Enter", "show its ports"), ("Esc", "none of them")];
    let title = "No visible process with sockets has this name: which one?";
    list(title, &texts, Some(choice.selected), note, &keys, surface);
}

/// Draws rows, of which one may be selected, a note and the keys.
fn list(
    title: &str,
    rows: &[String],
    selected: Option<usize>,
    (note, role): (&str, Role),
    keys: &[(&str, &str)],
    surface: &mut Surface<'_>,
) {
    let mut column = open(title, rows.len() as u16 + AROUND_ROWS, surface);
    let theme = column.theme;
    let room = column.width().saturating_sub(2);
    for (index, text) in rows.iter().enumerate() {
        let is_selected = selected == Some(index);
        let pointer = if is_selected { theme.glyph("❯", ">") } else { " " };
        let style = theme.style(if is_selected { Role::Selected } else { Role::Text });
        column.line([Span::styled(format!("{pointer} {text:<room$}"), style)]);
    }
    column.blank();
    column.text(note, role);
    hints(keys, &mut column);
}

/// Returns the row at this position of a list of `rows` rows in the middle of the area. None: no row
/// is there.
pub fn row_at(rows: usize, area: Rect, at: Position) -> Option<usize> {
    let outer = centered(width(area), rows as u16 + AROUND_ROWS, area);
    let row = usize::from(at.y.checked_sub(outer.y + 1)?);
    (outer.contains(at) && row < rows).then_some(row)
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
    column.text("After y, this screen does not ask again until portscope exits.", Role::Dim);
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
    let (theme, width) = (surface.theme, width(surface.area));
    let block = Block::bordered()
        .border_set(theme.border_set())
        .border_style(theme.style(Role::Accent))
        .title(format!(" {title} "));
    framed(block, width, height, surface)
}

/// Returns the width of a box. On a narrow terminal only parts of words would be visible beside it.
fn width(area: Rect) -> u16 {
    if area.width < 100 { area.width } else { WIDTH }
}

/// Returns a rectangle in the middle of the area.
pub fn centered(width: u16, height: u16, area: Rect) -> Rect {
    let height = height.min(area.height);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    Rect { x, y, width, height }
}

/// Clears a box in the middle of the surface and draws its frame. Returns its inside.
pub fn framed<'a>(
    block: Block<'_>,
    width: u16,
    height: u16,
    surface: &'a mut Surface<'_>,
) -> Surface<'a> {
    let outer = centered(width, height, surface.area);
    Clear.render(outer, surface.buffer);
    let inside = block.inner(outer);
    block.render(outer, surface.buffer);
    surface.within(indented(inside).intersection(outer))
}
