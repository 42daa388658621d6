//! How much the real program writes, and how soon it responds, in private network namespaces.

use std::{
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use vt100::MouseProtocolMode;

use crate::{
    namespace::{allow_many_descriptors, in_new_namespace},
    pty::{self, Session},
};

/// What the kernel keeps of the output of a pty: 8 KiB (`pty_common_install`), and 4 KiB that the
/// reader has not fetched (`N_TTY_BUF_SIZE`).
const TERMINAL_BUFFER: usize = 12 * 1024;

fn sum(frames: &[&[u8]]) -> usize {
    frames.iter().map(|frame| frame.len() + 16).sum()
}

/// Runs in `at_once`.
pub fn a_refresh_without_change_writes_only_the_age() {
    in_new_namespace(|| {
        thread::scope(|scope| {
            for (arguments, what) in [
                (&[][..], "a scan a second"),
                (&["40000"][..], "a scan a second, on the map"),
                (&["--interval", "3600"][..], "no scan, the age grows"),
            ] {
                scope.spawn(move || only_the_age_is_written(arguments, what));
            }
        });
    });
}

/// Maximum bytes of a frame in which only the age changes. About 50; more when the age gets a second
/// digit, because what is before it moves.
const AGE_BYTES: usize = 140;

fn only_the_age_is_written(arguments: &[&str], what: &str) {
    let mut session = Session::start_sized(200, 60, arguments);
    // On a busy machine the first scans, which change more than the age, take longer.
    session.wait_until("frames of the age only", |session| {
        let start = session.bytes.len();
        session.read_for(Duration::from_secs(2));
        session.frames_since(start).iter().all(|frame| frame.len() <= AGE_BYTES)
    });
    let start = session.bytes.len();
    session.read_for(Duration::from_secs(5));
    let frames = session.frames_since(start);
    let largest = frames.iter().map(|frame| frame.len()).max().unwrap_or(0);
    eprintln!("{what}: {} frames, {} bytes in 5 s", frames.len(), sum(&frames));
    assert!(frames.len() <= 10, "{} frames in 5 s", frames.len());
    assert!(largest <= AGE_BYTES, "{largest} bytes in a frame");
}

/// Runs in `at_once`.
pub fn a_refresh_with_100_changed_ports_writes_at_most_6_kb() {
    // With a port as argument, the program starts on the map.
    for arguments in [&["--interval", "3600"][..], &["--interval", "3600", "40000"]] {
        refresh_a_hundred(arguments);
    }
}

fn refresh_a_hundred(arguments: &'static [&'static str]) {
    allow_many_descriptors();
    in_new_namespace(move || {
        // Every 130th port of a part of the ephemeral range, and 2,000 consecutive ports.
        let at = |port| UdpSocket::bind(("127.0.0.1", port)).unwrap();
        let _many: Vec<_> = (50_000..52_000).map(at).collect();
        let mut going: Vec<_> = (0..50).map(|n| at(32_800 + n * 130)).collect();
        let mut session = Session::start_sized(200, 60, arguments);
        settle_except_age(&mut session);
        going.clear();
        let _coming: Vec<_> = (0..50).map(|n| at(40_007 + n * 190)).collect();
        let start = session.bytes.len();
        session.send(b"r");
        // A scan in a debug build takes much CPU time, and the next one is delayed accordingly.
        session.wait_until("the refresh", |session| {
            session.read_for(Duration::from_millis(100));
            sum(&session.frames_since(start)) > 1_000
        });
        session.read_for(Duration::from_secs(1));
        let frames = session.frames_since(start);
        let bytes = sum(&frames);
        eprintln!(
            "100 changed ports at 200x60, {arguments:?}: {bytes} bytes in {} frames",
            frames.len()
        );
        assert!(bytes <= 6_144, "{bytes} bytes");
    });
}

/// Waits until only the age changes.
fn settle_except_age(session: &mut Session) {
    session.wait_until("a quiet screen", |session| {
        let start = session.bytes.len();
        session.read_for(Duration::from_millis(1_500));
        sum(&session.frames_since(start)) < 200
    });
}

/// Runs in `at_once`.
pub fn an_allocator_step_at_4_per_second_writes_at_most_2_kb() {
    in_new_namespace(|| {
        let mut session = Session::start_sized(120, 40, &["--interval", "3600"]);
        session.send(b"4");
        session.wait_for_text("real bind()");
        session.send(b" ");
        session.read_for(Duration::from_secs(2));
        let start = session.bytes.len();
        session.read_for(Duration::from_secs(5));
        let frames = session.frames_since(start);
        let a_step = sum(&frames) / 20;
        eprintln!("the allocator at 4/s, 120x40: {a_step} bytes a step, {} frames", frames.len());
        assert!(frames.len() >= 15, "it does not run\n{}", session.contents());
        assert!(a_step <= 2_048, "{a_step} bytes a step");
    });
}

#[test]
fn keys_are_answered_while_the_allocator_runs_at_full_speed() {
    in_new_namespace(|| {
        let mut session = Session::start_sized(120, 40, &[]);
        session.send(b"4");
        session.wait_for_text("real bind()");
        session.send(b" ]]]]");
        session.read_for(Duration::from_secs(1));
        let start = session.bytes.len();
        session.read_for(Duration::from_secs(3));
        let frames = session.frames_since(start);
        eprintln!("at full speed: {} frames in 3 s, {} bytes", frames.len(), sum(&frames));
        assert!(frames.len() >= 6, "it does not run\n{}", session.contents());
        assert!(frames.len() <= 31, "{} frames in 3 s", frames.len());

        let mut slowest = Duration::ZERO;
        for (key, is_open) in [(b"?", true), (b"\x1b", false)].repeat(10) {
            let began = Instant::now();
            session.send(key);
            session
                .wait_for("an answer", |screen| screen.contents().contains("turn page") == is_open);
            slowest = slowest.max(began.elapsed());
        }
        eprintln!("the slowest of 20 keys was answered after {slowest:?}");
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
        session.assert_ends_by(b"q");
    });
}

/// Runs in `at_once`.
pub fn keys_are_answered_on_a_slow_terminal() {
    in_new_namespace(|| {
        let mut session = Session::start_sized(120, 40, &[]);
        session.send(b"4");
        session.wait_for_text("real bind()");
        session.send(b" ]]]]");
        // 20 KB per second, about a third of what a faster terminal would receive.
        let slowly = |session: &mut Session| session.read_some(1_024, Duration::from_millis(50));
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(4) {
            slowly(&mut session);
        }
        session.type_unread(b"?");
        let (began, before) = (Instant::now(), session.bytes.len());
        while !session.contents().contains("turn page") {
            assert!(began.elapsed() < pty::TIMEOUT, "no answer\n{}", session.contents());
            slowly(&mut session);
        }
        // Before the answer come what the terminal holds and the frame that is being written.
        let bytes = session.bytes.len() - before;
        let largest = session.frames_since(0).iter().map(|frame| frame.len()).max().unwrap_or(0);
        eprintln!("the answer ended {bytes} bytes after the key; a frame has at most {largest}");
        assert!(bytes <= TERMINAL_BUFFER + 2 * largest, "{bytes} bytes, {largest} in a frame");
        session.signal(Signal::TERM);
        assert_eq!(session.wait_for_end().status.signal(), Some("Terminated"));
        session.assert_given_back();
    });
}

#[test]
fn the_color_option_overrides_the_environment() {
    for (color, sequence) in [
        ("always", &b"48;5;"[..]),
        ("truecolor", b"48;2;"),
        ("256", b"48;5;"),
        ("16", b"48;5;"),
        ("never", b"\x1b["),
    ] {
        let script = format!(r#"NO_COLOR=1 exec "$0" --theme dark --color {color}"#);
        let mut session = Session::start_script(&script);
        session.wait_for_frame();
        assert!(session.count(sequence) > 0, "{color}");
        let is_colored = session.screen().cell(0, 1).unwrap().bgcolor() != vt100::Color::Default;
        assert_eq!(is_colored, color != "never", "{color}");
    }
}

#[test]
fn a_terminal_of_20_by_5_shows_the_verdict() {
    allow_many_descriptors();
    in_new_namespace(|| {
        // One percent of the 28,232 ports of Linux's ephemeral range.
        let at = |port| UdpSocket::bind(("127.0.0.1", port)).unwrap();
        let _sockets: Vec<_> = (40_000..40_282).map(at).collect();
        let mut session = Session::start_sized(20, 5, &[]);
        session.wait_for_text("OK  UDP 1.0 %");
        session.send(b"2");
        session.wait_for_text("1.0 % in use");
        session.wait_for_text("quit");
        session.assert_ends_by(b"q");
    });
}

#[test]
fn the_mouse_can_be_disabled_and_enabled_and_survives_a_stop() {
    let mut session = Session::start_sized(80, 24, &["40000"]);
    let mode = |wanted: MouseProtocolMode| {
        move |screen: &vt100::Screen| screen.mouse_protocol_mode() == wanted
    };
    assert!(mode(MouseProtocolMode::AnyMotion)(session.screen()));
    session.send(b"#");
    session.wait_for("no mouse", mode(MouseProtocolMode::None));
    session.signal(Signal::TSTP);
    session.wait_until("stopped", |session| session.state() == 'T');
    let before = session.bytes.len();
    session.signal(Signal::CONT);
    session.wait_until("a frame", |session| !session.frames_since(before).is_empty());
    assert!(mode(MouseProtocolMode::None)(session.screen()));
    session.send(b"#");
    session.wait_for("the mouse", mode(MouseProtocolMode::AnyMotion));
    session.assert_ends_by(b"q");
}

#[test]
fn the_no_mouse_option_can_be_changed_at_run_time() {
    let mut session = Session::start_sized(80, 24, &["--no-mouse", "40000"]);
    assert_eq!(session.screen().mouse_protocol_mode(), MouseProtocolMode::None);
    session.send(b"#");
    session.wait_for("the mouse", |screen| {
        screen.mouse_protocol_mode() == MouseProtocolMode::AnyMotion
    });
    session.assert_ends_by(b"q");
}

/// Returns the column and row, from 1, of a text on the first line.
fn place_of(session: &Session, text: &str) -> (usize, usize) {
    let first = session.screen().rows(0, 80).next().unwrap();
    let (before, _) = first.split_once(text).unwrap();
    (before.chars().count() + 2, 1)
}

/// Returns all lines except the first one, which shows the age. Blanks at the end do not count: some
/// are written, others erased.
fn below_header(screen: &vt100::Screen) -> Vec<String> {
    screen.rows(0, 80).skip(1).map(|row| row.trim_end().to_owned()).collect()
}

/// Starts a session on the map, which does not change by itself.
fn quiet_map() -> Session {
    let mut session = Session::start_sized(80, 24, &["--interval", "3600"]);
    session.send(b"2");
    session.wait_for("the first scan", |screen| screen.contents().contains("hjkl"));
    settle_except_age(&mut session);
    session
}

#[test]
fn the_block_under_the_pointer_is_shown() {
    in_new_namespace(|| {
        let mut session = quiet_map();
        let before = below_header(session.screen());
        session.send(b"\x1b[<35;20;8M");
        session.wait_for("what is under the pointer", |screen| below_header(screen) != before);
        session.send(b"\x1b[<35;1;1M");
        session.wait_for("what is under the cursor", |screen| below_header(screen) == before);
    });
}

#[test]
fn the_wheel_zooms_and_a_click_shows_a_screen() {
    in_new_namespace(|| {
        let mut session = quiet_map();
        let before = below_header(session.screen());
        session.send(b"\x1b[<64;20;8M");
        // The second line below the header is the axis of the map.
        session.wait_for("another axis", |screen| below_header(screen)[1] != before[1]);
        for (tab, shown) in [("5 Lab", "strategy"), ("2 Map", "hjkl")] {
            let (column, row) = place_of(&session, tab);
            session.send(format!("\x1b[<0;{column};{row}M\x1b[<0;{column};{row}m").as_bytes());
            session.wait_for_text(shown);
        }
    });
}

#[test]
fn the_mouse_is_captured_only_on_screens_that_use_it() {
    let mut session = Session::start_sized(80, 24, &[]);
    let mode = |wanted: MouseProtocolMode| {
        move |screen: &vt100::Screen| screen.mouse_protocol_mode() == wanted
    };
    assert!(mode(MouseProtocolMode::None)(session.screen()));
    for (key, wanted) in [
        (b"2", MouseProtocolMode::AnyMotion),
        (b"4", MouseProtocolMode::None),
        (b"o", MouseProtocolMode::AnyMotion),
        (b"o", MouseProtocolMode::None),
        (b"P", MouseProtocolMode::AnyMotion),
        (b"P", MouseProtocolMode::None),
        (b"5", MouseProtocolMode::AnyMotion),
        (b"?", MouseProtocolMode::None),
        (b"?", MouseProtocolMode::AnyMotion),
        (b"1", MouseProtocolMode::None),
    ] {
        session.send(key);
        session.wait_for("the mouse of this screen", mode(wanted));
    }
    session.assert_ends_by(b"q");
}

#[test]
fn a_key_of_the_footer_can_be_clicked() {
    in_new_namespace(|| {
        let mut session = quiet_map();
        let footer = session.screen().rows(0, 80).last().unwrap();
        let column = footer.split_once("? help").unwrap().0.chars().count() + 4;
        session.send(format!("\x1b[<0;{column};24M\x1b[<0;{column};24m").as_bytes());
        session.wait_for_text("turn page");
    });
}

#[test]
fn the_theme_key_cycles_through_all_themes() {
    let mut session = Session::start_sized(80, 24, &[]);
    session.read_for(Duration::from_secs(1));
    let name = |screen: &vt100::Screen| screen.cell(0, 1).map(vt100::Cell::bgcolor);
    let first = name(session.screen());
    for _ in 0..3 {
        let before = name(session.screen());
        session.send(b"T");
        session.wait_for("other colours", |screen| name(screen) != before);
    }
    session.send(b"T");
    session.wait_for("the first colours", |screen| name(screen) == first);
}

#[test]
fn each_theme_can_be_selected_by_option() {
    for theme in ["dark", "light", "high-contrast", "high-contrast-light"] {
        let mut session = Session::start(&["--no-motion", "--theme", theme]);
        session.wait_for_frame();
        assert_eq!(session.count(b"\x1b]11;?"), 0, "{theme} asks the terminal");
        session.assert_ends_by(b"q");
    }
}

#[test]
fn a_terminal_without_background_answer_delays_the_start_only_briefly() {
    let mut session = Session::start(&[]);
    session.wait_until("the question", |session| session.count(b"\x1b]11;?") == 1);
    session.send(b"?");
    session.wait_for_text("turn page");
    session.send(b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?62;c");
    session.send(b"?");
    session.wait_for("nothing typed", |screen| !screen.contents().contains("turn page"));
    session.assert_ends_by(b"q");
}

#[test]
fn the_theme_follows_the_reported_background() {
    let mut shown = Vec::new();
    for color in ["0000/0000/0000", "ffff/ffff/ffff"] {
        let mut session = Session::start(&["--color", "truecolor"]);
        session.wait_until("the question", |session| session.count(b"\x1b]11;?") == 1);
        session.send(format!("?\x1b]11;rgb:{color}\x1b\\\x1b[?62;c").as_bytes());
        session.wait_for_text("turn page");
        session.send(b"?");
        session.wait_for_frame();
        session.wait_for("the map", |screen| !screen.contents().contains("turn page"));
        shown.push(session.screen().cell(0, 1).unwrap().bgcolor());
    }
    assert_ne!(shown[0], shown[1]);
}
