//! Dims what is below an overlay. Does not hide it.

use std::collections::HashMap;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier},
};

use super::{Background, Depth, Role, Theme, fade};

/// Share (0 to 1) of a colour that is left after dimming.
const LEFT: f32 = 0.38;

impl Theme {
    /// Dims an area. With sixteen colours or none, uses the terminal's dim attribute.
    pub fn dim_area(&self, area: Rect, buffer: &mut Buffer) {
        let area = area.intersection(buffer.area);
        if self.depth <= Depth::Sixteen {
            let dimmed = ratatui::style::Style::new().add_modifier(Modifier::DIM);
            buffer.set_style(area, dimmed);
            return;
        }
        // A map has thousands of cells, but only some dozen colours.
        let mut known = HashMap::new();
        let mut dimmed = |color| *known.entry(color).or_insert_with(|| self.dim_color(color));
        for position in area.positions() {
            let cell = &mut buffer[position];
            let foreground = if cell.fg == Color::Reset { self.color(Role::Dim) } else { cell.fg };
            cell.fg = dimmed(foreground);
            cell.bg = dimmed(cell.bg);
            cell.modifier.remove(Modifier::BOLD);
        }
    }

    /// Returns the dimmed colour. The terminal's default and base colours do not change.
    fn dim_color(&self, color: Color) -> Color {
        let background = match self.background {
            Background::Dark => 0x00_0000,
            Background::Light => 0xFF_FFFF,
        };
        fade::rgb(color).map_or(color, |rgb| self.mix(background, rgb, LEFT))
    }
}
