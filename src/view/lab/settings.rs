//! Draws the overlays of the Lab screen: the settings, and the question before a high speed.

use ratatui::{buffer::Buffer, layout::Rect, text::Span};

use crate::{
    app::lab::{LabField, LabSettingsPanel, Speed},
    view::{
        Role, Theme,
        allocate::panel::{open, question, setting_keys},
    },
};

pub fn confirm(speed: Speed, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut column = open("Faster than 20 attempts a second?", 9, theme, area, buffer);
    question(speed, &mut column);
}

pub fn render(panel: &LabSettingsPanel, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut column = open("Settings of the lab", 10, theme, area, buffer);
    for field in LabField::EACH {
        let is_selected = field == panel.field();
        let pointer = if is_selected { theme.glyph("❯", ">") } else { " " };
        let style = if is_selected { theme.style(Role::Selected) } else { theme.style(Role::Text) };
        let value = match panel.typed() {
            Some(typed) if is_selected => format!("{typed}_"),
            _ => panel.value(field),
        };
        let room = column.width().saturating_sub(12);
        let label = format!("{pointer} {:<10}", field.name());
        column.line([Span::styled(label, style), Span::styled(format!("{value:<room$}"), style)]);
    }
    column.blank();
    match panel.error() {
        Some(error) => column.text(error, Role::Critical),
        None => column.text("Changing a setting resets the figures", Role::Dim),
    }
    setting_keys(panel.typed().is_some(), &mut column);
}
