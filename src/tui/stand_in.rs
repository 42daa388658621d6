//! Stands in for the screens until they are merged.

use ratatui::{Frame, text::Line, widgets::Paragraph};

use crate::{app::App, view::theme::Theme};

pub fn render(app: &App, _theme: &Theme, frame: &mut Frame) {
    let area = frame.area();
    let sockets = app.scan().map_or(0, |scan| scan.snapshot.sockets.len());
    let lines = vec![
        Line::from(format!("portscope {}x{}", area.width, area.height)),
        Line::from(format!("2 Map 4 Allocate: {:?} {:?}", app.screen(), app.overlay())),
        Line::from(format!("sockets {sockets} frozen {}", app.is_frozen())),
    ];
    frame.render_widget(Paragraph::new(lines), area);
}

pub mod layout {
    use crate::app::{App, Target};
    use ratatui::layout::Rect;

    pub fn target_at(_area: Rect, _app: &App, _column: u16, _row: u16) -> Option<Target> {
        None
    }
}
