//! The screens as they are drawn, a row each: tab, drawing, what a click hits. The app has their
//! state.

use ratatui::layout::{Position, Rect};

use crate::{
    app::{App, PointerTarget, Screen},
    view::{Surface, allocate, compact, lab, layout::FrameAreas, map, overview, sockets},
};

pub struct ScreenView {
    /// The labels of the tab, long and short. The number is the key that opens the screen.
    pub tab: [&'static str; 2],
    /// Draws the screen on the whole terminal.
    pub render: fn(&App, &FrameAreas, &mut Surface<'_>),
    /// Draws the screen on terminals with room for a few lines of text. None: `render` does so.
    pub render_text: Option<fn(&App, &mut Surface<'_>)>,
    /// Returns what a click on the terminal of this area selects. None: nothing.
    pub hit: fn(&App, Rect, &FrameAreas, Position) -> Option<PointerTarget>,
}

/// In the order of `Screen::EACH`.
const VIEWS: [ScreenView; Screen::EACH.len()] = [
    ScreenView {
        tab: [" 1 Overview ", " 1 Over "],
        render: |app, areas, surface| overview::render(app, &mut surface.within(areas.body)),
        render_text: Some(compact::render),
        hit: |_, _, _, _| None,
    },
    ScreenView {
        tab: [" 2 Map ", " 2 Map "],
        render: map::render,
        render_text: Some(compact::render),
        hit: map::hit,
    },
    ScreenView {
        tab: [" 3 Sockets ", " 3 Sock "],
        render: |app, areas, surface| sockets::render(app, &mut surface.within(areas.body)),
        render_text: None,
        hit: |app, _, areas, at| sockets::target_at(app, areas.body, at),
    },
    ScreenView {
        tab: [" 4 Allocate ", " 4 Alloc "],
        render: |app, areas, surface| allocate::render_app(app, &mut surface.within(areas.body)),
        render_text: None,
        hit: |app, _, areas, at| allocate::row_at(app, areas.body, at).map(PointerTarget::Row),
    },
    ScreenView {
        tab: [" 5 Lab ", " 5 Lab "],
        render: |app, areas, surface| lab::render(app, &mut surface.within(areas.body)),
        render_text: Some(lab::render),
        hit: |app, _, areas, at| lab::hit(app.lab(), areas.body, at),
    },
];

pub fn view(screen: Screen) -> &'static ScreenView {
    &VIEWS[screen as usize]
}
