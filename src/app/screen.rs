//! The table of the screens: what keys mean there, and what happens when a screen is left,
//! or when something that it has open is closed. Does not draw.

use crate::app::{
    App, Context, Effect, Key, LatestScan, Move,
    pool::{PoolAction, PoolInput},
    run::RunScreen as _,
};

/// The screens, in the order of their keys, which are 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Screen {
    Overview,
    Map,
    Sockets,
    Allocate,
    Lab,
}

impl Screen {
    pub const EACH: [Self; 5] =
        [Self::Overview, Self::Map, Self::Sockets, Self::Allocate, Self::Lab];

    pub(super) fn row(self) -> &'static ScreenRow {
        &SCREENS[self as usize]
    }
}

/// What a screen does with events.
pub(super) struct ScreenRow {
    /// Returns the context that decides what keys mean while no overlay is open.
    pub context: fn(&App) -> Context,
    /// Handles a key that is no command.
    pub press: fn(&mut App, Key) -> Vec<Effect>,
    /// Adds a pasted character to an open panel.
    pub paste: fn(&mut App, char),
    pub go: fn(&mut App, Move),
    /// Handles a click on a row of an open panel or of the pool.
    pub click: fn(&mut App, usize),
    /// Handles a click on a column of the lab or on the title of a column.
    pub click_title: fn(&mut App, usize),
    pub show_on_map: fn(&mut App) -> Vec<Effect>,
    /// Closes what the screen itself has open, such as the pool. None: nothing was closed, and the
    /// caller closes something else. The Lab never returns None.
    pub close: fn(&mut App) -> Option<Vec<Effect>>,
    pub leave: fn(&mut App) -> Vec<Effect>,
    /// Whether the screen shows only a sample of a run that is too fast to be shown in full.
    pub is_sampled: fn(&App) -> bool,
}

impl ScreenRow {
    /// A screen with no panels and no run.
    const fn of(context: fn(&App) -> Context) -> Self {
        Self {
            context,
            press: |_, _| Vec::new(),
            paste: |_, _| {},
            go: App::move_cursor,
            click: |_, _| {},
            click_title: |_, _| {},
            show_on_map: |_| Vec::new(),
            close: |_| None,
            leave: |_| Vec::new(),
            is_sampled: |_| false,
        }
    }
}

/// In the order of `Screen::EACH`.
const SCREENS: [ScreenRow; Screen::EACH.len()] = [
    ScreenRow {
        go: |app, movement| {
            if let Some(scan) = &app.scan {
                app.overview.go(movement, scan);
            }
        },
        show_on_map: |app| {
            app.show_selected();
            Vec::new()
        },
        ..ScreenRow::of(|_| Context::Overview)
    },
    ScreenRow::of(|_| Context::Map),
    ScreenRow {
        press: |app, key| {
            app.edit_filter(key);
            Vec::new()
        },
        paste: |app, character| app.edit_filter(Key::Char(character)),
        go: |app, movement| {
            app.with_sockets(|sockets, input, size| sockets.go(movement, input, size));
        },
        click: |app, row| {
            app.with_sockets(|sockets, input, size| sockets.select(row, input, size));
        },
        click_title: |app, column| {
            let size = app.size;
            app.sockets.sort_by(column, size);
        },
        show_on_map: App::show_socket_on_map,
        close: |app| app.sockets.close().then(Vec::new),
        leave: |app| {
            app.sockets.leave();
            Vec::new()
        },
        ..ScreenRow::of(|app| {
            if app.sockets.line().is_focused() { Context::Filter } else { Context::Sockets }
        })
    },
    ScreenRow {
        press: press_allocate,
        paste: |app, character| {
            if app.pool.is_open() {
                app.pool.paste(character);
            } else {
                app.allocation.paste(character);
            }
        },
        click: |app, row| {
            if app.pool.is_open() {
                app.pool.click(row);
            } else {
                app.allocation.click_in_panel(row);
            }
        },
        show_on_map: |app| {
            let last = app.allocation.last().and_then(|finished| finished.port);
            app.show_port(if app.pool.is_open() { app.pool.selected_port() } else { last })
        },
        close: |app| app.pool.is_open().then(|| app.lease(PoolAction::Toggle)),
        leave: |app| {
            app.pool.leave();
            app.allocation.leave()
        },
        is_sampled: |app| app.allocation.is_sampled() && !app.pool.is_open(),
        ..ScreenRow::of(allocate_context)
    },
    ScreenRow {
        press: |app, key| app.lab.press_in_panel(key, app.scan.as_ref().map(LatestScan::last)),
        paste: |app, character| app.lab.paste(character),
        go: |app, movement| app.lab.go(movement),
        click: |app, row| app.lab.click_in_panel(row),
        click_title: |app, column| app.lab.select(column),
        close: |app| Some(app.lab.close()),
        leave: |app| app.lab.leave(),
        is_sampled: |app| app.lab.is_sampled(),
        ..ScreenRow::of(lab_context)
    },
];

fn press_allocate(app: &mut App, key: Key) -> Vec<Effect> {
    let scan = app.scan.as_ref().map(LatestScan::last);
    if app.pool.is_open() {
        return app.pool.press(key, PoolInput { allocation: &app.allocation, scan });
    }
    app.allocation.press(key, scan)
}

fn allocate_context(app: &App) -> Context {
    match (app.pool.is_open(), app.pool.panel(), app.allocation.panel()) {
        (true, None, _) => Context::Pool,
        (false, _, None) => Context::Allocate,
        (true, Some(_), _) | (false, _, Some(_)) => Context::Panel,
    }
}

fn lab_context(app: &App) -> Context {
    match app.lab.panel() {
        _ if app.lab.is_race_shown() => Context::Race,
        Some(_) => Context::Panel,
        None => Context::Lab,
    }
}
