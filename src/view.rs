//! Draws the app. Reads its state, but does not change it.

pub mod allocate;
mod attempt_map;
mod bars;
mod compact;
pub mod copied;
mod dialog;
mod footer;
mod free_dialog;
mod gauges;
mod header;
pub mod heatmap;
mod help;
mod inspector;
mod lab;
pub mod layout;
mod legend;
mod lens;
mod loupe;
mod map;
mod overview;
mod screen_views;
mod size_class;
mod sockets;
mod speeds;
pub mod surface;
mod table;
pub mod theme;
mod words;

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{
        Constraint::{Fill, Length},
        Layout, Rect,
    },
};

use crate::app::{App, Overlay, Size};

pub use surface::Surface;
pub use theme::{Background, COLORED_OWNERS, Contrast, Depth, Role, Theme};

/// Draws a whole frame.
pub fn render(app: &App, theme: &Theme, frame: &mut Frame) {
    let area = frame.area();
    let mut surface = Surface::new(theme, area, frame.buffer_mut());
    let size = Size { columns: area.width, rows: area.height };
    let view = screen_views::view(app.screen());
    let areas = layout::areas(area, app);
    if let Some(render_text) = view.render_text.filter(|_| size.is_text_only()) {
        let has_footer = area.height >= 4 && area.width >= 20;
        let [text, footer] = Layout::vertical([Fill(1), Length(u16::from(has_footer))]).areas(area);
        render_text(app, &mut surface.within(text));
        footer::render(app, &mut surface.within(footer));
    } else {
        header::render(app, &mut surface.within(areas.header));
        (view.render)(app, &areas, &mut surface);
        if area.height > 1 {
            footer::render(app, &mut surface.within(areas.footer));
        }
    }
    overview::render_page(app, &mut surface);
    match app.overlay() {
        Overlay::Help(help) => help::render(app, *help, &mut surface),
        Overlay::Names(choice) => {
            surface.theme.dim_area(areas.body, surface.buffer);
            dialog::names(choice, &mut surface.within(areas.body));
        }
        Overlay::Free => {
            if let Some(dialog) = app.free_dialog() {
                surface.theme.dim_area(areas.body, surface.buffer);
                free_dialog::render(app, dialog, &mut surface.within(areas.body));
            }
        }
        _ => {}
    }
    if theme.ascii {
        replace_non_ascii(surface.buffer);
    }
}

/// Returns how many choices of the dialog that frees ports a frame of the app's size shows.
pub fn visible_choices(app: &App) -> usize {
    let Size { columns, rows } = app.size();
    let body = layout::areas(Rect::new(0, 0, columns, rows), app).body;
    app.free_dialog().map_or(0, |dialog| free_dialog::visible_choices(app, dialog, body))
}

/// Replaces each symbol that is not ASCII by one that resembles it, else by `?`. Names of processes
/// or hosts may contain characters that the terminal cannot show.
fn replace_non_ascii(buffer: &mut Buffer) {
    for cell in buffer.content.iter_mut().filter(|cell| !cell.symbol().is_ascii()) {
        let ascii = words::ascii(cell.symbol());
        let is_one_cell = ascii.len() == 1 && ascii.is_ascii();
        cell.set_symbol(if is_one_cell { &ascii } else { "?" });
    }
}
