//! The Lab screen: strategies side by side. Changes nothing.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    app::App,
    view::{Role, Theme},
};

pub fn render(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let names: Vec<_> = app.lab().picked().map(|row| row.name).collect();
    buffer.set_stringn(
        area.x,
        area.y,
        names.join(" "),
        usize::from(area.width),
        theme.style(Role::Text),
    );
}
