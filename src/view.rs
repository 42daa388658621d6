//! Draws the app. Reads its state, but does not change it.

pub mod allocate;
mod attempt_map;
mod bars;
mod compact;
mod dialog;
mod footer;
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
mod size_class;
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
        Layout,
    },
};

use crate::app::{App, Overlay, Screen, Size};

pub use surface::Surface;
pub use theme::{Background, COLORED_OWNERS, Contrast, Depth, Role, Theme};

/// Draws a whole frame.
pub fn render(app: &App, theme: &Theme, frame: &mut Frame) {
    let area = frame.area();
    let mut surface = Surface::new(theme, area, frame.buffer_mut());
    let size = Size { columns: area.width, rows: area.height };
    if size.is_text_only() && app.screen() != Screen::Allocate {
        let has_footer = area.height >= 4 && area.width >= 20;
        let [text, footer] = Layout::vertical([Fill(1), Length(u16::from(has_footer))]).areas(area);
        match app.screen() {
            Screen::Lab => lab::render(app, &mut surface.within(text)),
            _ => compact::render(app, &mut surface.within(text)),
        }
        footer::render(app, &mut surface.within(footer));
    } else {
        screen(app, &mut surface);
    }
    if let Overlay::Help(page) = *app.overlay() {
        help::render(app, page, &mut surface);
    }
    if theme.ascii {
        replace_non_ascii(surface.buffer);
    }
}

fn screen(app: &App, surface: &mut Surface<'_>) {
    let area = surface.area;
    let areas = layout::areas(area, app);
    header::render(app, &mut surface.within(areas.header));
    match app.screen() {
        Screen::Overview => overview::render(app, &mut surface.within(areas.body)),
        Screen::Map => {
            let size = Size { columns: area.width, rows: area.height };
            if let Some(plan) = app.plan(size) {
                map::render(app, &plan, &areas, surface);
            }
        }
        Screen::Allocate => {
            let allocate_context = allocate::AllocateContext {
                allocation: app.allocation(),
                scan: app.allocation().scan(app.last_scan()),
                processes: app.allocation().processes(app.processes()),
                now: app.now(),
            };
            if app.pool().is_open() {
                let pool_context = allocate::pool::PoolContext {
                    allocate_context,
                    pool_screen: app.pool(),
                    processes: app.processes(),
                };
                allocate::pool::render(pool_context, &mut surface.within(areas.body));
            } else {
                allocate::render(allocate_context, &mut surface.within(areas.body));
            }
        }
        Screen::Lab => lab::render(app, &mut surface.within(areas.body)),
    }
    if area.height > 1 {
        footer::render(app, &mut surface.within(areas.footer));
    }
}

/// Replaces each non-ASCII symbol by `?`, and `·` by `-`. Names of processes or hosts may contain
/// characters that the terminal cannot show.
fn replace_non_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        match cell.symbol() {
            symbol if symbol.is_ascii() => {}
            "·" => {
                cell.set_symbol("-");
            }
            _ => {
                cell.set_symbol("?");
            }
        }
    }
}
