//! Golden frames of the pool on the Allocate screen. No size makes it panic.

use std::{sync::Arc, time::Duration};

use portscope::{
    allocator::{
        Attempt, Lease, LeaseHolder, PoolCounts, Priority, QuarantineEntry, pool::BandUse,
    },
    app::{Event, Gesture, Key},
    domain::{Errno, PortRange, Protocol, Refusal, Text},
    engine::{PoolReport, Report},
    view::{Theme, layout},
};
use ratatui::layout::Rect;

use crate::{
    session::{SIZES, Session, ascii, busy, dark, light, text},
    snapshots::assert_golden,
};

const NOW: Duration = Duration::from_secs(90);

fn lease(number: u64, port: u16, class: Priority) -> Lease {
    let holder = LeaseHolder { pid: 4711, started: 1 };
    let since = Duration::from_secs(number * 4);
    Lease { port, number, class, holder, since, is_held: number != 3 }
}

fn band(first: u16, last: u16, leased: u32, quarantined: u32) -> BandUse {
    let ports = PortRange::new(first, last).unwrap();
    BandUse { ports: Some(ports), size: ports.len(), leased, quarantined }
}

/// Returns a report with leases of each class, and with a closed and a bound port in quarantine.
fn some() -> PoolReport {
    let refusal = Some(Refusal { protocol: Protocol::Udp, errno: Errno::EADDRINUSE });
    let took = Duration::from_micros(2);
    let attempt = |(number, port)| Attempt { number, port, refusal, took };
    let until = NOW + Duration::from_millis(6_200);
    let quarantined = |port, late_datagrams| QuarantineEntry {
        port,
        until,
        late_datagrams,
        is_held: late_datagrams > 0,
    };
    PoolReport {
        number: 1,
        now: NOW,
        leases: vec![
            lease(4, 49_160, Priority::High),
            lease(1, 51_000, Priority::Normal),
            lease(2, 55_555, Priority::Low),
            lease(3, 61_234, Priority::High),
        ],
        quarantined: vec![quarantined(50_001, 0), quarantined(58_000, 17)],
        bands: [band(49_408, 65_535, 3, 2), band(49_280, 49_407, 0, 0), band(49_152, 49_279, 1, 0)],
        counts: PoolCounts { given: 9, refused: 31, released: 5, reclaimed: 2, late_datagrams: 17 },
        hold_limit: 1_638,
        occupied: 0.78,
        attempts_allowed: 85,
        attempts: [(1, 53_000), (2, 64_000), (12, 57_777)].map(attempt).into(),
        failure: None,
    }
}

fn empty() -> PoolReport {
    let [low, normal, high] =
        some().bands.map(|band| BandUse { leased: 0, quarantined: 0, ..band });
    let counts = PoolCounts::default();
    let (leases, quarantined, attempts) = (Vec::new(), Vec::new(), Vec::new());
    PoolReport { leases, quarantined, bands: [low, normal, high], counts, attempts, ..some() }
}

/// Returns a report in which the band of class low is leased completely, and a search for low
/// failed.
fn exhausted() -> PoolReport {
    let leases =
        (49_408..=65_535).zip(1..).map(|(port, number)| lease(number, port, Priority::Low));
    let bands = [band(49_408, 65_535, 16_128, 0), empty().bands[1], empty().bands[2]];
    let words = "10 of 10 leased: no port left for class low";
    PoolReport {
        leases: leases.collect(),
        bands,
        attempts_allowed: 0,
        failure: Some(Text::scrub(words)),
        ..empty()
    }
}

fn pool(theme: &Theme, (columns, rows): (u16, u16), report: &PoolReport) -> Session {
    let mut session = Session::of(&busy(), theme.clone(), columns, rows).press("4P");
    session.update(Event::Report(Report::Pool(Arc::new(report.clone()))));
    session
}

fn assert_pictures(name: &str, session: &Session) -> String {
    let screen_text = text(&session.draw());
    assert_golden(&format!("pool-{name}-{}x{}.text", session.columns, session.rows), &screen_text);
    screen_text
}

#[test]
fn leases_and_quarantined_ports_are_in_the_table_and_on_the_map() {
    for size in SIZES.into_iter().chain([(80, 23)]) {
        let screen_text = assert_pictures("some", &pool(&dark(), size, &some()));
        for port in ["49160", "51000", "55555", "61234", "50001", "58000"] {
            assert!(screen_text.contains(port), "{port} at {size:?}\n{screen_text}");
        }
    }
}

#[test]
fn without_colour_letters_distinguish_classes() {
    for size in [(80, 24), (120, 40)] {
        assert_pictures("no_color", &pool(&Theme::MONOCHROME, size, &some()));
        assert!(assert_pictures("ascii", &pool(&ascii(), size, &some())).is_ascii());
    }
}

#[test]
fn a_light_terminal_shows_the_same_words() {
    let [light, dark] = [light(), dark()].map(|theme| pool(&theme, (120, 40), &some()));
    assert_eq!(text(&light.draw()), text(&dark.draw()));
}

#[test]
fn an_empty_pool_shows_the_key_and_an_exhausted_one_the_reason() {
    for size in SIZES {
        let screen_text = assert_pictures("empty", &pool(&dark(), size, &empty()));
        assert!(screen_text.contains("i takes"), "{screen_text}");
        let screen_text = assert_pictures("exhausted", &pool(&dark(), size, &exhausted()));
        assert!(screen_text.contains("no port left for class low"), "{screen_text}");
    }
}

#[test]
fn the_selected_row_is_visible_in_a_long_table() {
    let mut session = pool(&dark(), (120, 40), &exhausted());
    session = session.press("jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj");
    let screen_text = text(&session.draw());
    assert!(screen_text.lines().any(|line| line.contains("❯ 49448")), "{screen_text}");
}

/// Returns the first place of the text on the screen.
fn place_of(session: &Session, words: &str) -> (u16, u16) {
    let screen_text = text(&session.draw());
    let at = |line: &str| line.split_once(words).map(|(before, _)| before.chars().count() as u16);
    let found = (0..).zip(screen_text.lines()).find_map(|(y, line)| Some((at(line)?, y)));
    found.unwrap_or_else(|| panic!("{words}\n{screen_text}"))
}

fn mouse(session: &mut Session, gesture: Gesture, (x, y): (u16, u16)) {
    let area = Rect::new(0, 0, session.columns, session.rows);
    let target = layout::target_at(area, &session.app, x, y);
    session.update(Event::Mouse(gesture, target));
}

#[test]
fn a_click_selects_the_row_of_the_table_and_the_wheel_moves() {
    for theme in [dark(), Theme::MONOCHROME] {
        for size in [(80, 20), (80, 24), (100, 30), (120, 40), (160, 48), (200, 60)] {
            let mut session = pool(&theme, size, &some());
            for port in [55_555, 58_000, 49_160] {
                let at = place_of(&session, &format!(" {port}  "));
                mouse(&mut session, Gesture::Press, at);
                assert_eq!(session.app.pool().selected_port(), Some(port), "{size:?}");
            }
            let at = place_of(&session, " 49160  ");
            mouse(&mut session, Gesture::WheelDown, at);
            assert_eq!(session.app.pool().selected_port(), Some(51_000));
            mouse(&mut session, Gesture::Press, (at.0, at.1 - 1));
            assert_eq!(session.app.pool().selected_port(), Some(51_000), "a title is no row");
            // Further down in a long list.
            let mut session = pool(&theme, size, &exhausted());
            for _ in 0..100 {
                session.update(Event::Key(Key::Down));
            }
            let at = place_of(&session, " 49509  ");
            mouse(&mut session, Gesture::Press, at);
            assert_eq!(session.app.pool().selected_port(), Some(49_509), "{size:?}");
        }
    }
}

#[test]
fn a_click_selects_a_field_of_the_settings_and_then_its_next_value() {
    for (keys, fields, field) in [
        ("4o", ["seed", "strategy"], "protocol"),
        ("4Po", ["holder", "reserved for high"], "quarantine by"),
        ("5o", ["destinations", "protocol"], "seed"),
    ] {
        for size in [(80, 20), (80, 24), (120, 40), (200, 60)] {
            let mut session = Session::of(&busy(), dark(), size.0, size.1).press(keys);
            assert!(session.app.has_mouse());
            for name in fields.into_iter().chain([field]) {
                let at = place_of(&session, &format!("│   {name} "));
                mouse(&mut session, Gesture::Press, at);
                let selected = place_of(&session, &format!("│ ❯ {name} "));
                assert_eq!(selected.1, at.1, "{keys} {name} {size:?}");
            }
            let at = place_of(&session, &format!("│ ❯ {field} "));
            let before = text(&session.draw());
            mouse(&mut session, Gesture::Press, at);
            assert_ne!(before, text(&session.draw()), "{keys} {size:?}");
            place_of(&session, &format!("│ ❯ {field} "));
        }
    }
}

#[test]
fn settings_are_drawn_over_the_screen() {
    assert_pictures("settings", &pool(&dark(), (80, 24), &some()).press("o"));
}

#[test]
fn no_size_panics() {
    for theme in [dark(), ascii()] {
        for report in [some(), empty(), exhausted()] {
            for keys in ["", "o"] {
                let mut session = pool(&theme, (80, 24), &report).press(keys);
                for columns in (1..221).step_by(19).chain([56, 110, 150]) {
                    for rows in (1..71).step_by(9).chain([2, 3, 12]) {
                        session.resize((columns, rows));
                        session.draw();
                    }
                }
            }
        }
    }
}

#[test]
fn the_figures_of_all_bands_are_aligned() {
    let mut report = some();
    report.bands[0].leased = 11;
    let seen = text(&pool(&dark(), (120, 40), &report).draw());
    let bands = seen.lines().skip_while(|line| !line.contains("quarantine not leased"));
    let widths: Vec<usize> = bands.take(4).map(|line| line.chars().count()).collect();
    assert!(widths.iter().all(|&width| width == widths[0]), "{widths:?} {seen}");
}
