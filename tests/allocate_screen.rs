//! Golden frames of the Allocate screen: text, and styles where colour carries meaning.

#[path = "support/allocate.rs"]
mod stage;

use std::{fmt::Write as _, time::Duration};

use portscope::{
    app::{
        Key,
        allocation::{Allocation, AllocationAction as Action, AllocationOptions},
    },
    domain::ProcessTable,
    engine::message::Finished,
    view::{
        Background, Depth, Role, Theme,
        allocate::{AllocateContext, render},
    },
};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier},
};
use stage::{Stage, attempt, bound, in_use, ports};

const DARK: Theme = Theme::new(Depth::True, Background::Dark, false);

fn drawn(stage: &Stage, theme: &Theme, columns: u16, rows: u16) -> Buffer {
    // The frame has its header and footer around the screen.
    let area = Rect::new(0, 0, columns, rows.saturating_sub(2));
    let mut buffer = Buffer::empty(area);
    let sight = AllocateContext {
        allocation: &stage.allocation,
        scan: stage.allocation.scan(Some(stage.scan())),
        processes: stage.allocation.processes(&stage.processes),
        now: stage.now,
    };
    render(sight, theme, area, &mut buffer);
    buffer
}

fn text(buffer: &Buffer) -> String {
    let line = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..buffer.area.height).map(|y| line(y).trim_end().to_owned() + "\n").collect()
}

/// Runs of equal style, line by line: length×foreground/background.
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

const SIZES: [(u16, u16); 4] = [(80, 24), (120, 40), (160, 48), (200, 60)];

/// Text in true colour; of the smaller ones styles in sixteen: there a map is a few runs a line.
fn pictured(name: &str, stage: &Stage) {
    let sixteen = Theme::new(Depth::Sixteen, Background::Dark, false);
    for (columns, rows) in SIZES {
        keep_ansi(name, &drawn(stage, &DARK, columns, rows));
        let picture = text(&drawn(stage, &DARK, columns, rows));
        insta::assert_snapshot!(format!("{name}_{columns}x{rows}"), picture);
    }
    for (columns, rows) in [(80, 24), (120, 40)] {
        let styles = styles(&drawn(stage, &sixteen, columns, rows));
        insta::assert_snapshot!(format!("{name}_{columns}x{rows}_style"), styles);
    }
}

/// As a terminal would get it, where `SHOW_FRAMES` names a folder: for eyes.
fn keep_ansi(name: &str, buffer: &Buffer) {
    let Some(folder) = std::env::var_os("SHOW_FRAMES") else { return };
    let mut ansi = String::new();
    for line in buffer.content().chunks(usize::from(buffer.area.width)) {
        for cell in line {
            let color = |color, layer| match color {
                Color::Rgb(red, green, blue) => format!("\x1b[{layer}8;2;{red};{green};{blue}m"),
                _ => String::new(),
            };
            let reversed = if cell.modifier.contains(Modifier::REVERSED) { "\x1b[7m" } else { "" };
            let bold = if cell.modifier.contains(Modifier::BOLD) { "\x1b[1m" } else { "" };
            let (fg, bg) = (color(cell.fg, 3), color(cell.bg, 4));
            write!(ansi, "\x1b[0m{bold}{reversed}{fg}{bg}{}", cell.symbol()).expect("a String");
        }
        ansi.push_str("\x1b[0m\n");
    }
    let size = format!("{}x{}", buffer.area.width, buffer.area.height + 2);
    let path = std::path::Path::new(&folder).join(format!("{name}-{size}.ansi"));
    std::fs::write(path, ansi).expect("the folder exists");
}

/// Six refused attempts, and the port that is won with the seventh.
fn six_collisions(stage: &mut Stage) -> u16 {
    stage.act(Action::Step);
    for (index, port) in ports(stage, true, 6).into_iter().enumerate() {
        stage.report(in_use(1, index as u32 + 1, port));
    }
    ports(stage, false, 1)[0]
}

#[test]
fn idle_screen_shows_the_setup_and_the_occupancy() {
    pictured("idle", &Stage::real(0.78));
}

#[test]
fn an_allocation_shows_the_order_of_its_attempts() {
    let mut stage = Stage::real(0.78);
    six_collisions(&mut stage);
    pictured("six_collisions", &stage);
}

#[test]
fn a_won_port_is_called_out_and_said_in_words() {
    let mut stage = Stage::real(0.78);
    let port = six_collisions(&mut stage);
    stage.report(bound(1, 7, port));
    pictured("allocated", &stage);
    let buffer = drawn(&stage, &DARK, 80, 24);
    let last = text(&buffer);
    assert!(last.contains(&format!("✓ allocated {port} after 7 attempts")), "{last}");
    assert!(last.contains(&format!("◆ {port} ✓")), "{last}");
}

#[test]
fn giving_up_says_how_many_ports_are_free_and_never_that_none_is() {
    let mut stage = Stage::real(16_220.0 / 16_384.0);
    stage.act(Action::Step);
    for (index, port) in ports(&stage, true, 100).into_iter().enumerate() {
        stage.report(in_use(1, index as u32 + 1, port));
    }
    pictured("gave_up", &stage);
    let wide = text(&drawn(&stage, &DARK, 120, 40));
    let words = "✗ failed after 100 attempts · 164 of 16,384 ports free at the last scan · \
                 with 1,374 attempts, 1 in a million fails\n";
    assert!(wide.ends_with(words), "{wide}");
}

#[test]
fn settings_lie_over_the_screen() {
    let mut stage = Stage::real(0.78);
    stage.act(Action::OpenSettings);
    stage.press(&[Key::Down, Key::Down]);
    stage.type_in("9-8");
    stage.press(&[Key::Enter]);
    pictured("settings", &stage);
}

#[test]
fn a_high_speed_on_a_shared_machine_asks_first() {
    let mut stage = Stage::real(0.78);
    stage.act(Action::Faster);
    stage.act(Action::Faster);
    pictured("confirm", &stage);
}

/// On the simulated site, at a speed that many steps above 4/s, while it runs.
fn running(share: f64, steps: usize, attempts: usize, per_delta: usize) -> Stage {
    let mut stage = Stage::real(share);
    stage.move_to_simulated_site();
    stage.speed_up(steps);
    stage.act(Action::RunOrPause);
    stage.play(1, attempts, per_delta);
    stage
}

#[test]
fn figures_stand_beside_the_law_at_full_speed() {
    pictured("max", &running(0.90, 3, 60_000, 2_000));
}

#[test]
fn at_a_thousand_a_second_attempts_flash() {
    pictured("thousand", &running(0.90, 2, 3_000, 33));
}

#[test]
fn at_twenty_a_second_the_last_sixty_tries_have_their_digits() {
    pictured("twenty", &running(0.90, 1, 200, 1));
}

#[test]
fn the_simulated_site_is_named_wherever_the_map_is() {
    let mut stage = Stage::real(0.90);
    stage.move_to_simulated_site();
    pictured("simulated", &stage);
    for (columns, rows) in SIZES {
        let picture = text(&drawn(&stage, &DARK, columns, rows));
        assert!(picture.lines().next().unwrap_or_default().contains("simulated occupancy 90.0 %"));
    }
}

#[test]
fn the_allocation_before_fades() {
    let mut stage = Stage::real(0.78);
    let port = six_collisions(&mut stage);
    stage.report(bound(1, 7, port));
    stage.report(in_use(1, 1, ports(&stage, true, 9)[3]));
    let map = Rect::new(7, 2, 50, 34);
    let marked = |stage: &Stage| {
        let buffer = drawn(stage, &DARK, 120, 40);
        let symbols: Vec<_> = map.positions().map(|at| buffer[at].symbol().to_owned()).collect();
        symbols.iter().filter(|symbol| !"▀▄ ".contains(symbol.as_str())).count()
    };
    assert_eq!(marked(&stage), 8);
    keep_ansi("fade", &drawn(&stage, &DARK, 120, 40));
    stage.now += Duration::from_millis(650);
    assert_eq!(marked(&stage), 1);
}

#[test]
fn without_colour_order_and_success_can_still_be_read() {
    let mut stage = Stage::real(0.78);
    let port = six_collisions(&mut stage);
    stage.report(bound(1, 7, port));
    let stages = [
        ("won", stage),
        ("max", running(0.9, 3, 60_000, 2_000)),
        ("flashes", running(0.9, 2, 3_000, 33)),
    ];
    for (name, stage) in stages {
        for (columns, rows) in SIZES {
            let buffer = drawn(&stage, &Theme::MONOCHROME, columns, rows);
            assert!(buffer.content().iter().all(|c| c.fg == Color::Reset));
            keep_ansi(&format!("no_color_{name}"), &buffer);
            insta::assert_snapshot!(format!("no_color_{name}_{columns}x{rows}"), text(&buffer));
        }
    }
}

#[test]
fn other_grounds_and_depths_keep_the_picture() {
    let stage = running(0.9, 3, 60_000, 2_000);
    let light = Theme::new(Depth::True, Background::Light, false);
    let indexed = Theme::new(Depth::Indexed, Background::Dark, false);
    for (columns, rows) in SIZES {
        let picture = text(&drawn(&stage, &DARK, columns, rows));
        keep_ansi("light", &drawn(&stage, &light, columns, rows));
        for theme in [&light, &indexed] {
            assert_eq!(text(&drawn(&stage, theme, columns, rows)), picture);
        }
    }
    insta::assert_snapshot!("light_80x24_style", styles(&drawn(&stage, &light, 80, 24)));
}

#[test]
fn small_terminals_say_in_words_what_they_cannot_draw() {
    let mut stage = Stage::real(0.78);
    let port = six_collisions(&mut stage);
    stage.report(bound(1, 7, port));
    let mut failed = Stage::real(16_220.0 / 16_384.0);
    failed.act(Action::Step);
    for (index, port) in ports(&failed, true, 100).into_iter().enumerate() {
        failed.report(in_use(1, index as u32 + 1, port));
    }
    let stages = [("won", stage), ("gave_up", failed), ("max", running(0.9, 3, 60_000, 2_000))];
    for (name, stage) in stages {
        for (columns, rows) in [(20, 5), (40, 10), (60, 16), (100, 30)] {
            let picture = text(&drawn(&stage, &DARK, columns, rows));
            insta::assert_snapshot!(format!("small_{name}_{columns}x{rows}"), picture);
        }
    }
}

/// What the terminal gets for the second picture after the first.
fn bytes_between(before: &Buffer, after: &Buffer) -> usize {
    let mut written = Vec::new();
    let mut backend = ratatui::backend::CrosstermBackend::new(&mut written);
    let changes = before.diff(after).into_iter();
    ratatui::backend::Backend::draw(&mut backend, changes).expect("a Vec takes all");
    written.len()
}

#[test]
fn a_step_writes_about_two_kilobytes_at_most() {
    for (columns, rows) in SIZES {
        let mut stage = Stage::real(0.78);
        stage.act(Action::Step);
        let mut before = drawn(&stage, &DARK, columns, rows);
        let mut most = Vec::new();
        let lengths = [5, 1, 3, 9, 2, 4, 7].into_iter().cycle().zip(1..60);
        let numbers = lengths.flat_map(|(length, end)| (1..=length).map(move |n| (n, length, end)));
        for ((number, length, end), port) in numbers.zip(ports(&stage, true, 220)) {
            let is_last = number == length;
            let mut delta = if is_last { bound } else { in_use }(1, number, port);
            let count = |ended: &mut Finished| ended.number = end;
            delta.finished.iter_mut().chain(&mut delta.ended).for_each(count);
            stage.report(delta);
            stage.now += Duration::from_millis(217);
            let after = drawn(&stage, &DARK, columns, rows);
            most.push(bytes_between(&before, &after));
            before = after;
        }
        most.sort_unstable();
        eprintln!("{columns}x{rows}: median {} most {:?}", most[110], &most[210..]);
        // On the largest, a page of the log turned together with the end of an allocation.
        let limit = if columns < 200 { 2048 } else { 2560 };
        assert!(most[219] <= limit, "{columns}x{rows}: {most:?}");
    }
}

#[test]
fn ascii_terminals_get_ascii_only() {
    let mut stage = Stage::real(0.78);
    let port = six_collisions(&mut stage);
    let mut won = bound(1, 7, port);
    won.held = vec![port];
    stage.report(won);
    let ascii = Theme::new(Depth::Sixteen, Background::Dark, true);
    for open in [None, Some(Action::OpenSettings)] {
        if let Some(action) = open {
            stage.act(action);
        }
        for (columns, rows) in [(80, 24), (120, 40)] {
            let picture = text(&drawn(&stage, &ascii, columns, rows));
            let foreign: String = picture.chars().filter(|c| !c.is_ascii()).collect();
            assert_eq!(foreign, "", "{picture}");
            let name = if open.is_some() { "ascii_settings" } else { "ascii" };
            insta::assert_snapshot!(format!("{name}_{columns}x{rows}"), picture);
        }
    }
}

#[test]
fn attempts_stand_out_in_their_own_colours() {
    let mut stage = Stage::real(0.78);
    let port = six_collisions(&mut stage);
    stage.report(bound(1, 7, port));
    let buffer = drawn(&stage, &DARK, 120, 40);
    let map = Rect::new(7, 2, 50, 34);
    let digits = map.positions().filter(|&at| buffer[at].bg == DARK.color(Role::Collision));
    let mut digits: Vec<&str> = digits.map(|at| buffer[at].symbol()).collect();
    digits.sort_unstable();
    assert_eq!(digits, ["1", "2", "3", "4", "5", "6"]);
    let white = map.positions().filter(|&at| buffer[at].bg == DARK.color(Role::Allocated)).count();
    assert_eq!(white, "◆ 51202 ✓".chars().count());
}

#[test]
fn text_beside_the_map_keeps_the_terminals_own_background() {
    let stage = Stage::real(0.78);
    let buffer = drawn(&stage, &DARK, 120, 40);
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
fn held_ports_are_marked_as_ours() {
    let mut stage = Stage::real(0.2);
    let port = six_collisions(&mut stage);
    stage.act(Action::ToggleHold);
    let mut won = bound(1, 7, port);
    won.held = vec![port, 65_000];
    stage.report(won);
    pictured("held", &stage);
}

/// With that strategy, before its first attempt.
fn choosing(name: &str, share: f64) -> Stage {
    let mut stage = Stage::real(share);
    while stage.allocation.row().name != name {
        stage.act(Action::NextStrategy);
    }
    stage.act(Action::Step);
    stage
}

#[test]
fn a_scan_shows_where_it_began_and_how_many_it_took() {
    for name in ["simple-random", "sequential"] {
        let mut stage = choosing(name, 0.78);
        let run = stage.allocation.scan(Some(stage.scan())).map(|_| 60_000..60_012);
        for (port, number) in run.unwrap().zip(1..) {
            stage.report(in_use(1, number, port));
        }
        let buffer = drawn(&stage, &DARK, 160, 48);
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
        stage.report(bound(1, 13, 60_012));
        for (columns, rows) in SIZES {
            let picture = text(&drawn(&stage, &DARK, columns, rows));
            assert!(picture.contains("◆ 60012 ✓ after 13"), "{name}: {picture}");
            assert!(picture.lines().next().unwrap().contains(name), "{picture}");
        }
        keep_ansi(&format!("scan_{name}"), &drawn(&stage, &DARK, 120, 40));
    }
}

#[test]
fn the_screen_says_which_law_holds_and_where_there_is_none() {
    let words = |name: &str| text(&drawn(&choosing(name, 0.9), &DARK, 200, 60));
    for (name, figures, histogram) in [
        ("random", "model: uniform attempts at 90.0 % in use", "█ measured  ◇ expected"),
        (
            "random-unique",
            "model: uniform attempts, no port twice, at 90.0 %",
            "█ measured  ◇ expected",
        ),
        ("simple-random", "model: a scan from any port at 90.0 % in use", "█ measured  ◇ expected"),
        ("bitmap", "model: one attempt at 90.0 % in use", "█ measured  ◇ expected"),
        ("hash", "for hash on a", "█ measured  no model"),
        ("random-increment", "for random-increment on a", "█ measured  no model"),
    ] {
        let picture = words(name);
        assert!(picture.contains(figures) && picture.contains(histogram), "{name}: {picture}");
    }
}

#[test]
fn a_failure_says_what_would_be_enough_only_where_a_law_tells_it() {
    let gave_up = |name: &str| {
        let mut stage = choosing(name, 16_220.0 / 16_384.0);
        for (index, port) in ports(&stage, true, 100).into_iter().enumerate() {
            stage.report(in_use(1, index as u32 + 1, port));
        }
        text(&drawn(&stage, &DARK, 160, 48)).lines().last().unwrap().to_owned()
    };
    let start = "✗ failed after 100 attempts · 164 of 16,384 ports free at the last scan";
    assert_eq!(gave_up("random"), format!("{start} · with 1,374 attempts, 1 in a million fails"));
    assert_eq!(gave_up("sequential"), start);
    assert_eq!(gave_up("linux-connect"), start);
    let scan = gave_up("simple-random");
    assert!(scan.starts_with(start) && scan.ends_with("attempts, none fails"), "{scan}");
}

#[test]
fn an_allocation_without_any_attempt_says_why() {
    let mut stage = choosing("bitmap", 1.0);
    let ended = Finished { number: 1, attempts: 0, port: None };
    let mut delta = stage::empty(1);
    (delta.failures, delta.finished, delta.ended) = (1, Some(ended), vec![ended]);
    stage.report(delta);
    let picture = text(&drawn(&stage, &DARK, 120, 40));
    assert!(
        picture.contains("✗ failed: the strategy found no port to try · 0 of 16,384"),
        "{picture}"
    );
    assert!(picture.contains("model: none where no port is free at 100 % in use"), "{picture}");
}

#[test]
fn a_refused_port_0_is_told_in_words_and_is_on_no_map() {
    let mut stage = choosing("kernel-bind", 1.0);
    assert_eq!(stage.report(in_use(1, 1, 0)), [], "nobody is looked for");
    for (columns, rows) in SIZES {
        let picture = text(&drawn(&stage, &DARK, columns, rows));
        let words = "attempt 1 · port 0 ✗ EADDRINUSE udp · the kernel found none";
        assert!(picture.contains(words), "{picture}");
    }
}

#[test]
fn snapshots_of_a_strategy_that_looks_are_told_apart() {
    let mut stage = choosing("bitmap", 0.9);
    let mut won = bound(1, 1, ports(&stage, false, 1)[0]);
    won.snapshots = (3, Duration::from_micros(3_600));
    stage.report(won);
    let picture = text(&drawn(&stage, &DARK, 120, 40));
    assert!(picture.contains("3 snapshots, 1.2ms each"), "{picture}");
    let picture = text(&drawn(&stage, &DARK, 80, 24));
    assert!(picture.contains("snapshot     3 x 1.2ms"), "{picture}");
    let picture = text(&drawn(&choosing("random", 0.9), &DARK, 80, 24));
    assert!(!picture.contains("snapshot"), "{picture}");
}

#[test]
fn other_errnos_are_named_exactly() {
    let mut stage = Stage::real(0.2);
    stage.act(Action::Step);
    let refused = (portscope::domain::Protocol::Tcp, portscope::domain::Errno::EADDRNOTAVAIL);
    stage.report(attempt(1, 1, 50_000, Some(refused)));
    let picture = text(&drawn(&stage, &DARK, 120, 40));
    assert!(picture.contains("✗ EADDRNOTAVAIL tcp"), "{picture}");
    let picture = text(&drawn(&stage, &DARK, 80, 24));
    assert!(picture.contains("attempt 1 · 50000 ✗ EADDRNOTAVAIL tcp"), "{picture}");
}

#[test]
fn no_size_panics() {
    let mut stage = Stage::simulated(0.9);
    let port = six_collisions(&mut stage);
    stage.report(bound(1, 7, port));
    let mut confirming = Stage::real(0.9);
    confirming.act(Action::Faster);
    confirming.act(Action::Faster);
    let mut setting = Stage::real(0.9);
    setting.act(Action::OpenSettings);
    let ascii = Theme::new(Depth::Sixteen, Background::Light, true);
    for stage in [&stage, &confirming, &setting] {
        for columns in (0..20).chain([30, 57, 79, 80, 81, 109, 110, 120, 150, 300]) {
            for rows in (0..30).step_by(3).chain([24, 31, 35, 40, 60]) {
                drawn(stage, if rows % 2 == 0 { &DARK } else { &ascii }, columns, rows);
            }
        }
    }
}

#[test]
fn before_the_first_scan_nothing_is_said_of_occupancy() {
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
        &DARK,
        area,
        &mut buffer,
    );
    let picture = text(&buffer);
    assert!(
        picture.contains("no scan yet") && !picture.contains('▀') && !picture.contains('%'),
        "{picture}"
    );
}
