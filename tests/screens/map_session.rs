//! Scripted events on the map: runs of occupied ports, the mouse, zooming, the help pages.

use std::{sync::Arc, time::Duration};

use portscope::{
    app::{App, Effect, Event, Gesture, HelpPage, Key, OpenHelp, Overlay, PointerTarget, Size},
    domain::{PortRange, State},
    engine::Report,
    host::simulated::SimulatedHost,
};

use crate::app_options::options;

fn range(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

/// Returns an app with these ports in use: 33000 and 33001, 40000, 60999.
fn app() -> App {
    let any = [0, 0, 0, 0];
    let host = SimulatedHost::builder()
        .tcp((any, 33_000), State::Listen)
        .tcp((any, 33_001), State::Listen)
        .udp((any, 40_000))
        .tcp((any, 60_999), State::Listen)
        .build();
    let mut app = App::new(options());
    update(&mut app, Event::Resized { columns: 120, rows: 40 });
    update(&mut app, Event::Report(Report::Scanned(Arc::new(host.snapshot()))));
    app
}

fn update(app: &mut App, event: Event) -> Vec<Effect> {
    app.update(Duration::from_secs(1), event)
}

fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    keys.chars().flat_map(|key| update(app, Event::Key(Key::Char(key)))).collect()
}

fn point(app: &mut App, gesture: Gesture, first: u16, last: u16) {
    update(app, Event::Mouse(gesture, Some(PointerTarget::Ports(range(first, last)))));
}

#[test]
fn keys_w_and_b_move_between_occupied_runs_and_stop_at_the_last() {
    let mut app = app();
    let mut stops = Vec::new();
    for key in ["w", "w", "w", "w", "b", "b", "b"] {
        press(&mut app, key);
        stops.push(app.map().cursor);
    }
    assert_eq!(stops, [33_000, 40_000, 60_999, 60_999, 40_000, 33_000, 33_000]);
}

#[test]
fn occupied_runs_depend_on_the_selected_protocols() {
    let mut app = app();
    press(&mut app, "ppw");
    assert_eq!(app.map().cursor, 40_000, "of UDP there is one port");
}

#[test]
fn hovering_shows_a_block_without_moving_the_cursor() {
    let mut app = app();
    point(&mut app, Gesture::Hover, 40_000, 40_009);
    assert_eq!((app.inspected(), app.map().cursor), (40_000, 32_768));
    update(&mut app, Event::Mouse(Gesture::Hover, None));
    assert_eq!(app.inspected(), 32_768);
}

#[test]
fn a_click_selects_the_port_that_gives_a_block_its_colour() {
    let mut app = app();
    point(&mut app, Gesture::Press, 60_990, 60_999);
    point(&mut app, Gesture::Release, 60_990, 60_999);
    assert_eq!((app.map().cursor, app.span()), (60_999, None));
}

#[test]
fn dragging_measures_a_range_in_both_directions_until_escape() {
    let mut app = app();
    point(&mut app, Gesture::Press, 40_000, 40_009);
    point(&mut app, Gesture::Drag, 41_000, 41_009);
    assert_eq!(app.span(), Some(range(40_000, 41_009)));
    point(&mut app, Gesture::Drag, 33_000, 33_009);
    point(&mut app, Gesture::Release, 33_000, 33_009);
    assert_eq!(app.span(), Some(range(33_000, 40_009)));
    update(&mut app, Event::Key(Key::Escape));
    assert_eq!(app.span(), None);
}

#[test]
fn the_wheel_zooms_at_the_pointer_and_back() {
    let mut app = app();
    let size = Size { columns: 120, rows: 40 };
    let whole = app.grid(size).unwrap().range();
    for _ in 0..4 {
        point(&mut app, Gesture::WheelUp, 40_000, 40_009);
    }
    let near = app.grid(size).unwrap().range();
    assert!(near.contains(40_000) && near.len() < whole.len(), "{near}");
    for _ in 0..6 {
        press(&mut app, "-");
    }
    assert_eq!(app.grid(size).unwrap().range().len(), 65_536);
}

#[test]
fn the_mouse_is_used_where_rows_or_blocks_can_be_clicked_unless_it_is_off() {
    let mut app = app();
    let used = |app: &mut App, keys: &str| {
        press(app, keys);
        app.has_mouse()
    };
    assert_eq!(["", "g"].map(|keys| used(&mut app, keys)), [true, true]);
    update(&mut app, Event::Key(Key::Escape));
    assert_eq!(["1", "4", "5"].map(|keys| used(&mut app, keys)), [false, false, true]);
    assert_eq!(["4o", "o", "P", "P"].map(|keys| used(&mut app, keys)), [true, false, true, false]);
    assert_eq!(["2#", "5", "2#"].map(|keys| used(&mut app, keys)), [false, false, true]);
    assert_eq!(press(&mut app, "T"), [Effect::NextTheme]);
}

#[test]
fn help_cycles_through_its_pages() {
    let mut app = app();
    press(&mut app, "?");
    let mut pages = Vec::new();
    for _ in 0..4 {
        let Overlay::Help(OpenHelp { page, .. }) = app.overlay() else { panic!("help is closed") };
        pages.push(*page);
        update(&mut app, Event::Key(Key::Right));
    }
    assert_eq!(pages, [HelpPage::Words, HelpPage::Keys, HelpPage::States, HelpPage::Ranges]);
    update(&mut app, Event::Key(Key::Escape));
    assert_eq!(app.overlay(), &Overlay::None);
}

#[test]
fn counts_follow_a_scrolled_zoomed_map() {
    let mut app = app();
    press(&mut app, "+++");
    let mut totals = Vec::new();
    for _ in 0..200 {
        press(&mut app, "j");
        let counted = app.scan().unwrap().lens_counts;
        assert_eq!(counted, app.lens_counts(app.shown()), "{}", app.shown());
        totals.push(counted.occupied);
    }
    totals.dedup();
    assert!(totals.len() > 1, "the map has scrolled past sockets: {totals:?}");
}
