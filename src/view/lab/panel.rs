//! What lies over the Lab screen: settings, the question before a high speed, the race.

use ratatui::{buffer::Buffer, layout::Rect};

use super::race;
use crate::{
    app::lab::{Lab, LabField, LabPanel, LabSettingsPanel},
    view::{
        Theme,
        allocate::panel::{self, Row},
    },
};

pub fn render(lab: &Lab, shown: &LabPanel, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    match shown {
        LabPanel::Settings(settings) => {
            let mut column = panel::open("Settings", 10, theme, area, buffer);
            let rows: Vec<Row<'_>> =
                LabField::EACH.iter().map(|&field| row(settings, field)).collect();
            panel::fields(&rows, settings.error(), "a change begins fresh figures", &mut column);
        }
        LabPanel::ConfirmSpeed(speed) => panel::confirm(*speed, theme, area, buffer),
        LabPanel::Race => {
            let title = "Race: close then rebind, against a thief";
            let mut column = panel::open(title, race::HEIGHT, theme, area, buffer);
            race::render(lab, &mut column);
        }
    }
}

fn row(settings: &LabSettingsPanel, field: LabField) -> Row<'_> {
    let is_here = field == settings.field();
    let typed = settings.typed().filter(|_| is_here);
    Row { name: field.name(), value: settings.value(field), typed, is_here }
}
