//! Golden frames of the Allocate screen: text, and styles where colour carries meaning.

use std::{fmt::Write as _, time::Duration};

use portscope::{
    app::{
        Key,
        allocation::{Allocation, AllocationAction as Action, AllocationOptions},
    },
    domain::ProcessTable,
    engine::message::Finished,
    view::{
        Background, Depth, Role, Surface, Theme,
        allocate::{AllocateContext, render},
    },
};
use ratatui::{buffer::Buffer, layout::Rect, style::Color};

use crate::{
    allocate as harness,
    allocate::{Harness, attempt, bound, in_use, ports},
    session::{SIZES, keep_ansi, text},
    snapshots::assert_golden,
};

const DARK: Theme = Theme::new(Depth::True, Background::Dark, false);

fn drawn(harness: &Harness, theme: &Theme, columns: u16, rows: u16) -> Buffer {
    // Two rows of the frame are its header and its footer.
    let area = Rect::new(0, 0, columns, rows.saturating_sub(2));
    let mut buffer = Buffer::empty(area);
    let sight = AllocateContext {
        allocation: &harness.allocation,
        scan: harness.allocation.scan(Some(harness.scan())),
        processes: harness.allocation.processes(&harness.processes),
        now: harness.now,
    };
    render(sight, &mut Surface::new(theme, area, &mut buffer));
    buffer
}

/// Returns the runs of equal style, one line per row: length×foreground/background.
fn styles(buffer: &Buffer) -> String {
    let mut runs = String::new();
    for line in buffer.content().chunks(usize::from(buffer.area.width)) {
        for run in line.chunk_by(|a, b| a.style() == b.style()) {
            let cell = &run[0];
            let modifier = if cell.modifier.is_empty() { "" } else { "+" };
            write!(runs, "{}×{}/{}{modifier} ", run.len(), cell.fg, cell.bg).expect("a String");
        }
        runs.push('\n');
    }
    runs
}

/// Compares the text of each size with its snapshot, and the styles of the smaller sizes. The
/// styles are those with sixteen colours, where a line of the map has only a few runs.
fn assert_pictures(name: &str, harness: &Harness) {
    let sixteen = Theme::new(Depth::Sixteen, Background::Dark, false);
    for (columns, rows) in SIZES {
        let buffer = drawn(harness, &DARK, columns, rows);
        keep_ansi(&format!("{name}-{columns}x{rows}"), &buffer);
        let screen_text = text(&buffer);
        assert_golden(&format!("allocate-{name}-{columns}x{rows}.text"), &screen_text);
    }
    for (columns, rows) in [(80, 24), (120, 40)] {
        let styles = styles(&drawn(harness, &sixteen, columns, rows));
        assert_golden(&format!("allocate-{name}-{columns}x{rows}.style"), &styles);
    }
}

/// Reports six refused attempts. Returns a free port for the seventh.
fn six_collisions(harness: &mut Harness) -> u16 {
    harness.act(Action::Step);
    for (index, port) in ports(harness, true, 6).into_iter().enumerate() {
        harness.report(in_use(1, index as u32 + 1, port));
    }
    ports(harness, false, 1)[0]
}

#[test]
fn idle_screen_shows_the_setup_and_the_occupancy() {
    assert_pictures("idle", &Harness::real(0.78));
}

#[test]
fn an_allocation_shows_the_order_of_its_attempts() {
    let mut harness = Harness::real(0.78);
    six_collisions(&mut harness);
    assert_pictures("six_collisions", &harness);
}

#[test]
fn an_allocated_port_is_labelled_on_the_map_and_named_in_the_text() {
    let mut harness = Harness::real(0.78);
    let port = six_collisions(&mut harness);
    harness.report(bound(1, 7, port));
    assert_pictures("allocated", &harness);
    let buffer = drawn(&harness, &DARK, 80, 24);
    let last = text(&buffer);
    assert!(last.contains(&format!("✓ allocated {port} after 7 attempts")), "{last}");
    assert!(last.contains(&format!("◆ {port} ✓")), "{last}");
}

/// With 23 lines the map has half as many rows as with 24, and leaves the others to the log.
#[test]
fn a_small_terminal_shows_the_log_in_full_below_a_small_map() {
    let mut harness = Harness::real(0.78);
    let port = six_collisions(&mut harness);
    harness.report(bound(1, 7, port));
    let screen_text = text(&drawn(&harness, &DARK, 80, 23));
    assert_golden("allocate-allocated-80x23.text", &screen_text);
    assert!(screen_text.contains(" python3[4711] "), "{screen_text}");
    assert!(!screen_text.contains('…'), "{screen_text}");
}

#[test]
fn a_failed_allocation_reports_the_number_of_free_ports() {
    let mut harness = Harness::real(16_220.0 / 16_384.0);
    harness.act(Action::Step);
    for (index, port) in ports(&harness, true, 100).into_iter().enumerate() {
        harness.report(in_use(1, index as u32 + 1, port));
    }
    assert_pictures("gave_up", &harness);
    let wide = text(&drawn(&harness, &DARK, 120, 40));
    let words = "✗ failed after 100 attempts · 164 of 16,384 ports free at the last scan · \
                 with a limit of 1,374, 1 in a million fails\n";
    assert!(wide.ends_with(words), "{wide}");
}

#[test]
fn settings_are_drawn_over_the_screen() {
    let mut harness = Harness::real(0.78);
    harness.act(Action::OpenSettings);
    harness.press(&[Key::Down, Key::Down]);
    harness.type_in("9-8");
    harness.press(&[Key::Enter]);
    assert_pictures("settings", &harness);
}

#[test]
fn a_high_speed_on_a_shared_machine_asks_first() {
    let mut harness = Harness::real(0.78);
    harness.act(Action::Faster);
    harness.act(Action::Faster);
    assert_pictures("confirm", &harness);
}

/// Returns a running allocator on simulated ports, at a speed `steps` steps above 4/s.
fn running(share: f64, steps: usize, attempts: usize, per_delta: usize) -> Harness {
    let mut harness = Harness::real(share);
    harness.move_to_simulated_site();
    harness.speed_up(steps);
    harness.act(Action::RunOrPause);
    harness.play(1, attempts, per_delta);
    harness
}

#[test]
fn measured_and_expected_figures_are_shown_at_full_speed() {
    assert_pictures("max", &running(0.90, 3, 60_000, 2_000));
}

#[test]
fn attempts_flash_at_1000_per_second() {
    assert_pictures("thousand", &running(0.90, 2, 3_000, 33));
}

#[test]
fn the_last_60_attempts_show_digits_at_20_per_second() {
    assert_pictures("twenty", &running(0.90, 1, 200, 1));
}

#[test]
fn the_title_names_the_simulated_target() {
    let mut harness = Harness::real(0.90);
    harness.move_to_simulated_site();
    assert_pictures("simulated", &harness);
    for (columns, rows) in SIZES {
        let screen_text = text(&drawn(&harness, &DARK, columns, rows));
        assert!(
            screen_text.lines().next().unwrap_or_default().contains("simulated occupancy 90.0 %")
        );
    }
}

#[test]
fn the_previous_allocation_fades() {
    let mut harness = Harness::real(0.78);
    let port = six_collisions(&mut harness);
    harness.report(bound(1, 7, port));
    harness.report(in_use(1, 1, ports(&harness, true, 9)[3]));
    let map = Rect::new(7, 2, 50, 34);
    let marked = |harness: &Harness| {
        let buffer = drawn(harness, &DARK, 120, 40);
        let symbols: Vec<_> = map.positions().map(|at| buffer[at].symbol().to_owned()).collect();
        symbols.iter().filter(|symbol| !"▀▄ ".contains(symbol.as_str())).count()
    };
    assert_eq!(marked(&harness), 8);
    keep_ansi("fade", &drawn(&harness, &DARK, 120, 40));
    harness.now += Duration::from_millis(650);
    assert_eq!(marked(&harness), 1);
}

#[test]
fn without_colour_attempt_numbers_and_success_are_readable() {
    let mut harness = Harness::real(0.78);
    let port = six_collisions(&mut harness);
    harness.report(bound(1, 7, port));
    let harnesses = [
        ("won", harness),
        ("max", running(0.9, 3, 60_000, 2_000)),
        ("flashes", running(0.9, 2, 3_000, 33)),
    ];
    for (name, harness) in harnesses {
        for (columns, rows) in SIZES {
            let buffer = drawn(&harness, &Theme::MONOCHROME, columns, rows);
            assert!(buffer.content().iter().all(|c| c.fg == Color::Reset));
            keep_ansi(&format!("no_color_{name}"), &buffer);
            assert_golden(
                &format!("allocate-nocolor-{name}-{columns}x{rows}.text"),
                &text(&buffer),
            );
        }
    }
}

#[test]
fn other_backgrounds_and_colour_depths_show_the_same_text() {
    let harness = running(0.9, 3, 60_000, 2_000);
    let light = Theme::new(Depth::True, Background::Light, false);
    let indexed = Theme::new(Depth::Indexed, Background::Dark, false);
    for (columns, rows) in SIZES {
        let screen_text = text(&drawn(&harness, &DARK, columns, rows));
        keep_ansi("light", &drawn(&harness, &light, columns, rows));
        for theme in [&light, &indexed] {
            assert_eq!(text(&drawn(&harness, theme, columns, rows)), screen_text);
        }
    }
    assert_golden("allocate-light-80x24.style", &styles(&drawn(&harness, &light, 80, 24)));
}

#[test]
fn small_terminals_show_text_instead_of_the_map() {
    let mut harness = Harness::real(0.78);
    let port = six_collisions(&mut harness);
    harness.report(bound(1, 7, port));
    let mut failed = Harness::real(16_220.0 / 16_384.0);
    failed.act(Action::Step);
    for (index, port) in ports(&failed, true, 100).into_iter().enumerate() {
        failed.report(in_use(1, index as u32 + 1, port));
    }
    let harnesses =
        [("won", harness), ("gave_up", failed), ("max", running(0.9, 3, 60_000, 2_000))];
    for (name, harness) in harnesses {
        for (columns, rows) in [(20, 5), (40, 10), (60, 16), (100, 30)] {
            let screen_text = text(&drawn(&harness, &DARK, columns, rows));
            assert_golden(&format!("allocate-small-{name}-{columns}x{rows}.text"), &screen_text);
        }
    }
}

/// Returns the number of bytes written to the terminal for frame `after` if it shows `before`.
fn bytes_between(before: &Buffer, after: &Buffer) -> usize {
    let mut written = Vec::new();
    let mut backend = ratatui::backend::CrosstermBackend::new(&mut written);
    let changes = before.diff(after).into_iter();
    ratatui::backend::Backend::draw(&mut backend, changes).expect("a Vec takes all");
    written.len()
}

#[test]
fn a_step_writes_at_most_about_2_kb() {
    for (columns, rows) in SIZES {
        let mut harness = Harness::real(0.78);
        harness.act(Action::Step);
        let mut before = drawn(&harness, &DARK, columns, rows);
        let mut most = Vec::new();
        let lengths = [5, 1, 3, 9, 2, 4, 7].into_iter().cycle().zip(1..60);
        let numbers = lengths.flat_map(|(length, end)| (1..=length).map(move |n| (n, length, end)));
        for ((number, length, end), port) in numbers.zip(ports(&harness, true, 220)) {
            let is_last = number == length;
            let mut delta = if is_last { bound } else { in_use }(1, number, port);
            let count = |ended: &mut Finished| ended.number = end;
            delta.finished.iter_mut().chain(&mut delta.ended).for_each(count);
            harness.report(delta);
            harness.now += Duration::from_millis(217);
            let after = drawn(&harness, &DARK, columns, rows);
            most.push(bytes_between(&before, &after));
            before = after;
        }
        most.sort_unstable();
        eprintln!("{columns}x{rows}: median {} most {:?}", most[110], &most[210..]);
        // At the largest size, one step both scrolls the log by a page and ends an allocation.
        let limit = if columns < 200 { 2048 } else { 2560 };
        assert!(most[219] <= limit, "{columns}x{rows}: {most:?}");
    }
}

#[test]
fn ascii_terminals_get_ascii_only() {
    let mut harness = Harness::real(0.78);
    let port = six_collisions(&mut harness);
    let mut won = bound(1, 7, port);
    won.held = vec![port];
    harness.report(won);
    let ascii = Theme::new(Depth::Sixteen, Background::Dark, true);
    for open in [None, Some(Action::OpenSettings)] {
        if let Some(action) = open {
            harness.act(action);
        }
        for (columns, rows) in [(80, 24), (120, 40)] {
            let screen_text = text(&drawn(&harness, &ascii, columns, rows));
            let foreign: String = screen_text.chars().filter(|c| !c.is_ascii()).collect();
            assert_eq!(foreign, "", "{screen_text}");
            let name = if open.is_some() { "ascii_settings" } else { "ascii" };
            assert_golden(&format!("allocate-{name}-{columns}x{rows}.text"), &screen_text);
        }
    }
}

#[test]
fn attempts_have_their_own_colours() {
    let mut harness = Harness::real(0.78);
    let port = six_collisions(&mut harness);
    harness.report(bound(1, 7, port));
    let buffer = drawn(&harness, &DARK, 120, 40);
    let map = Rect::new(7, 2, 50, 34);
    let digits = map.positions().filter(|&at| buffer[at].bg == DARK.color(Role::Collision));
    let mut digits: Vec<&str> = digits.map(|at| buffer[at].symbol()).collect();
    digits.sort_unstable();
    assert_eq!(digits, ["1", "2", "3", "4", "5", "6"]);
    let white = map.positions().filter(|&at| buffer[at].bg == DARK.color(Role::Allocated)).count();
    assert_eq!(white, "◆ 51202 ✓".chars().count());
}

#[test]
fn text_beside_the_map_uses_the_default_background() {
    let harness = Harness::real(0.78);
    let buffer = drawn(&harness, &DARK, 120, 40);
    for y in 1..38 {
        for x in 60..120 {
            let cell = &buffer[(x, y)];
            let is_speed = cell.bg == DARK.color(Role::Accent);
            let is_gauge = cell.bg == DARK.color(Role::Available);
            assert!(cell.bg == Color::Reset || is_speed || is_gauge, "{x},{y}: {cell:?}");
        }
    }
}

#[test]
fn held_ports_are_marked() {
    let mut harness = Harness::real(0.2);
    let port = six_collisions(&mut harness);
    harness.act(Action::ToggleHold);
    let mut won = bound(1, 7, port);
    won.held = vec![port, 65_000];
    harness.report(won);
    assert_pictures("held", &harness);
}

/// Returns a paused run with this strategy, before its first attempt is reported.
fn choosing(name: &str, share: f64) -> Harness {
    let mut harness = Harness::real(share);
    while harness.allocation.row().name != name {
        harness.act(Action::NextStrategy);
    }
    harness.act(Action::Step);
    harness
}

#[test]
fn a_sequential_scan_shows_its_first_attempt_and_the_number_of_attempts() {
    for name in ["simple-random", "sequential"] {
        let mut harness = choosing(name, 0.78);
        let run = harness.allocation.scan(Some(harness.scan())).map(|_| 60_000..60_012);
        for (port, number) in run.unwrap().zip(1..) {
            harness.report(in_use(1, number, port));
        }
        let buffer = drawn(&harness, &DARK, 160, 48);
        let refused = |cell: &&ratatui::buffer::Cell| cell.bg == DARK.color(Role::Collision);
        let marks: Vec<&str> = buffer
            .content()
            .iter()
            .take(160 * 40)
            .filter(refused)
            .map(ratatui::buffer::Cell::symbol)
            .collect();
        assert!(marks.contains(&"1") && marks.iter().all(|mark| ["1", "+"].contains(mark)));
        assert!(marks.len() > 1, "{name}: {marks:?}");
        harness.report(bound(1, 13, 60_012));
        for (columns, rows) in SIZES {
            let screen_text = text(&drawn(&harness, &DARK, columns, rows));
            assert!(screen_text.contains("◆ 60012 ✓ after 13"), "{name}: {screen_text}");
            assert!(screen_text.lines().next().unwrap().contains(name), "{screen_text}");
        }
        keep_ansi(&format!("scan_{name}"), &drawn(&harness, &DARK, 120, 40));
    }
}

#[test]
fn the_screen_names_the_model_or_says_that_there_is_none() {
    let words = |name: &str| text(&drawn(&choosing(name, 0.9), &DARK, 200, 60));
    for (name, figures, histogram) in [
        ("random", "model: random ports; 90.0 % in use", "█ measured  ◇ expected"),
        ("random-unique", "model: random ports, none twice; 90.0 %", "█ measured  ◇ expected"),
        ("simple-random", "model: in order, random start; 90.0 % in use", "█ measured  ◇ expected"),
        ("bitmap", "model: one attempt; 90.0 % in use", "█ measured  ◇ expected"),
        ("hash", "for hash with these", "█ measured  no model"),
        ("random-increment", "for random-increment with these", "█ measured  no model"),
    ] {
        let screen_text = words(name);
        assert!(
            screen_text.contains(figures) && screen_text.contains(histogram),
            "{name}: {screen_text}"
        );
    }
}

#[test]
fn a_failure_suggests_an_attempt_limit_only_if_a_model_exists() {
    let gave_up = |name: &str| {
        let mut harness = choosing(name, 16_220.0 / 16_384.0);
        for (index, port) in ports(&harness, true, 100).into_iter().enumerate() {
            harness.report(in_use(1, index as u32 + 1, port));
        }
        text(&drawn(&harness, &DARK, 160, 48)).lines().last().unwrap().to_owned()
    };
    let start = "✗ failed after 100 attempts · 164 of 16,384 ports free at the last scan";
    assert_eq!(gave_up("random"), format!("{start} · with a limit of 1,374, 1 in a million fails"));
    assert_eq!(gave_up("sequential"), start);
    assert_eq!(gave_up("linux-connect"), start);
    let scan = gave_up("simple-random");
    assert!(scan.starts_with(start) && scan.ends_with(", none fails"), "{scan}");
}

#[test]
fn an_allocation_without_attempts_shows_the_reason() {
    let mut harness = choosing("bitmap", 1.0);
    let ended = Finished { number: 1, attempts: 0, port: None };
    let mut delta = harness::empty(1);
    (delta.stats.failures, delta.finished, delta.ended) = (1, Some(ended), vec![ended]);
    harness.report(delta);
    let screen_text = text(&drawn(&harness, &DARK, 120, 40));
    assert!(
        screen_text.contains("✗ failed: the strategy found no port to try · 0 of 16,384"),
        "{screen_text}"
    );
    assert!(screen_text.contains("no model: no port is free"), "{screen_text}");
}

#[test]
fn a_refusal_of_port_0_is_shown_as_text_and_not_on_the_map() {
    let mut harness = choosing("kernel-bind", 1.0);
    assert_eq!(harness.report(in_use(1, 1, 0)), [], "nobody is looked for");
    for (columns, rows) in SIZES {
        let screen_text = text(&drawn(&harness, &DARK, columns, rows));
        let words = "attempt 1 · port 0 ✗ EADDRINUSE udp · the kernel found none";
        assert!(screen_text.contains(words), "{screen_text}");
    }
}

#[test]
fn snapshots_of_a_strategy_are_shown_separately_from_attempts() {
    let mut harness = choosing("bitmap", 0.9);
    let mut won = bound(1, 1, ports(&harness, false, 1)[0]);
    won.stats.snapshots = (3, Duration::from_micros(3_600));
    harness.report(won);
    let screen_text = text(&drawn(&harness, &DARK, 120, 40));
    assert!(screen_text.contains("3 snapshots, 1.2ms each"), "{screen_text}");
    let screen_text = text(&drawn(&harness, &DARK, 80, 24));
    assert!(screen_text.contains("snapshot     3 x 1.2ms"), "{screen_text}");
    let screen_text = text(&drawn(&choosing("random", 0.9), &DARK, 80, 24));
    assert!(!screen_text.contains("snapshot"), "{screen_text}");
}

#[test]
fn other_errnos_are_named_exactly() {
    let mut harness = Harness::real(0.2);
    harness.act(Action::Step);
    let refused = (portscope::domain::Protocol::Tcp, portscope::domain::Errno::EADDRNOTAVAIL);
    harness.report(attempt(1, 1, 50_000, Some(refused)));
    let screen_text = text(&drawn(&harness, &DARK, 120, 40));
    assert!(screen_text.contains("✗ EADDRNOTAVAIL tcp"), "{screen_text}");
    let screen_text = text(&drawn(&harness, &DARK, 80, 24));
    assert!(screen_text.contains("attempt 1 · 50000 ✗ EADDRNOTAVAIL tcp"), "{screen_text}");
}

#[test]
fn no_size_panics() {
    let mut harness = Harness::simulated(0.9);
    let port = six_collisions(&mut harness);
    harness.report(bound(1, 7, port));
    let mut confirming = Harness::real(0.9);
    confirming.act(Action::Faster);
    confirming.act(Action::Faster);
    let mut setting = Harness::real(0.9);
    setting.act(Action::OpenSettings);
    let ascii = Theme::new(Depth::Sixteen, Background::Light, true);
    for harness in [&harness, &confirming, &setting] {
        for columns in (0..20).chain([30, 57, 79, 80, 81, 109, 110, 120, 150, 300]) {
            for rows in (0..30).step_by(3).chain([24, 31, 35, 40, 60]) {
                drawn(harness, if rows % 2 == 0 { &DARK } else { &ascii }, columns, rows);
            }
        }
    }
}

#[test]
fn no_occupancy_is_shown_before_the_first_scan() {
    let allocation = Allocation::new(&AllocationOptions::exo(42), true);
    let area = Rect::new(0, 0, 80, 22);
    let mut buffer = Buffer::empty(area);
    let processes = ProcessTable::default();
    render(
        AllocateContext {
            allocation: &allocation,
            scan: None,
            processes: &processes,
            now: Duration::ZERO,
        },
        &mut Surface::new(&DARK, area, &mut buffer),
    );
    let screen_text = text(&buffer);
    assert!(
        screen_text.contains("no scan yet")
            && !screen_text.contains('▀')
            && !screen_text.contains('%'),
        "{screen_text}"
    );
}
