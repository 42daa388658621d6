//! Properties of the map's geometry: each port has one position, and each position names its ports,
//! at every zoom level.

use std::{sync::Arc, time::Duration};

use portscope::{
    app::{
        App, AppOptions, Event, Extent, GlyphSet, Grid, GridBlock, Key, PointerTarget, Resolution,
        RowsPerLine, Screen, Size, grid::Room,
    },
    domain::{PortRange, State},
    engine::Report,
    host::simulated::SimulatedHost,
    view::{self, Background, Depth, Theme, heatmap::Pane, layout},
};
use proptest::prelude::*;
use ratatui::{
    Terminal,
    backend::TestBackend,
    layout::{Position, Rect},
};

use crate::app_options::options;

fn ranges() -> impl Strategy<Value = PortRange> {
    any::<(u16, u16)>().prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap())
}

/// Returns an app with some sockets after these keys, which can lead to each resolution and extent.
fn app(range: PortRange, glyphs: GlyphSet, size: Size, keys: &str) -> App {
    let host = SimulatedHost::builder()
        .fill(range, 0.3, State::Established, 3)
        .tcp(([0, 0, 0, 0], 443), State::Listen)
        .build();
    let mut app = App::new(AppOptions { glyphs, extent: Extent::Ports(range), ..options() });
    let Size { columns, rows } = size;
    let mut update = |event| drop(app.update(Duration::from_secs(1), event));
    update(Event::Resized { columns, rows });
    update(Event::Report(Report::Scanned(Arc::new(host.snapshot()))));
    for key in keys.chars() {
        update(Event::Key(match key {
            '>' => Key::PageDown,
            '<' => Key::PageUp,
            '$' => Key::End,
            '^' => Key::Home,
            key => Key::Char(key),
        }));
    }
    app
}

fn resolutions() -> impl Strategy<Value = GlyphSet> {
    (any::<bool>(), any::<bool>()).prop_map(|(one, has_dots)| GlyphSet {
        rows_per_line: if one { RowsPerLine::One } else { RowsPerLine::Two },
        has_dots,
    })
}

fn each_port_has_one_place(grid: &Grid) -> Result<(), TestCaseError> {
    let mut next = u32::from(grid.range().first());
    for row in 0..grid.rows() {
        for column in 0..grid.columns() {
            let block_position = GridBlock { column, row };
            let Some(block) = grid.block(block_position) else { continue };
            prop_assert_eq!(u32::from(block.first()), next);
            for port in [block.first(), block.last()] {
                prop_assert_eq!(grid.block_position(port), Some(block_position));
            }
            next = u32::from(block.last()) + 1;
        }
    }
    prop_assert_eq!(next, u32::from(grid.range().last()) + 1);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn port_to_cell_and_cell_to_port_are_inverse_in_a_window(
        range in ranges(), top: u16, columns in 10_u16..300, lines in 1_u16..100
    ) {
        let room = Room { columns, lines };
        for resolution in [Resolution::Dots, Resolution::Letters, Resolution::Numbers(0)] {
            let top = top.clamp(range.first(), range.last());
            let Some(grid) = Grid::window(range, top, resolution, room) else { continue };
            prop_assert!(grid.width() <= columns && grid.lines() <= lines);
            each_port_has_one_place(&grid)?;
        }
        for grid in [Grid::fit_dots(range, room), Grid::fit_ports(range, room)] {
            let Some(grid) = grid else { continue };
            prop_assert!(grid.width() <= columns && grid.lines() <= lines);
            prop_assert_eq!(grid.range(), range);
            each_port_has_one_place(&grid)?;
        }
    }

    #[test]
    fn the_cursor_is_always_visible_and_every_cell_maps_to_ports(
        range in ranges(),
        glyphs in resolutions(),
        columns in 80_u16..260,
        rows in 24_u16..80,
        keys in "[-+fwbhjklea><$^gp]{0,12}",
    ) {
        let size = Size { columns, rows };
        let app = app(range, glyphs, size, &keys);
        let plan = app.plan(size).unwrap();
        prop_assert!(plan.grid.range().contains(app.map().cursor), "{keys} {:?}", plan.grid);
        each_port_has_one_place(&plan.grid)?;

        let area = Rect::new(0, 0, columns, rows);
        let pane = Pane::within(layout::areas(area, &app).map, &plan.grid);
        for port in plan.grid.range().ports().step_by(97) {
            let at = pane.position(&plan.grid, port);
            let at = at.expect("every port of the map is on the screen");
            let Some(PointerTarget::Ports(block)) = layout::target_at(area, &app, at.x, at.y) else {
                return Err(TestCaseError::fail(format!("{port} at {at} is nothing")));
            };
            let block_position = plan.grid.block_position(port).unwrap();
            let is_lower = plan.grid.line_of(block_position.row) * plan.grid.rows_per_line().count() < block_position.row;
            prop_assert!(is_lower || block.contains(port), "{port} is not in {block}");
        }
    }

    #[test]
    fn a_click_in_the_loupe_selects_a_port_of_the_map(
        glyphs in resolutions(), columns in 110_u16..260, rows in 36_u16..80, keys in "[jlw>]{0,6}",
    ) {
        let size = Size { columns, rows };
        let app = app(PortRange::new(32_768, 60_999).unwrap(), glyphs, size, &keys);
        let area = Rect::new(0, 0, columns, rows);
        let areas = layout::areas(area, &app);
        let grid = app.grid(size).unwrap();
        for Position { x, y } in areas.loupe.positions().step_by(13) {
            if let Some(target) = layout::target_at(area, &app, x, y) {
                let PointerTarget::Ports(ports) = target else { panic!("{target:?} in the loupe") };
                prop_assert_eq!(ports.len(), 1);
                prop_assert!(grid.range().contains(ports.first()));
            }
        }
    }

    #[test]
    fn no_size_and_no_zoom_level_panics(
        glyphs in resolutions(), columns in 1_u16..300, rows in 1_u16..100, keys in "[-+fea]{0,6}4\\?"
    ) {
        let size = Size { columns, rows };
        let app = app(PortRange::new(1, 60_999).unwrap(), glyphs, size, &keys);
        for theme in [Theme::new(Depth::True, Background::Dark, false), Theme::MONOCHROME] {
            let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
            terminal.draw(|frame| view::render(&app, &theme, frame)).unwrap();
        }
        prop_assert_eq!(app.screen(), Screen::Allocate);
    }
}
