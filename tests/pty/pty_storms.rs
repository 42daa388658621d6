//! The real program in a pseudo terminal that floods it with input, or does not read its output.
//! The screen must be correct.

use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use portscope::app::{Action, COMMANDS, Key, KeyCommand};
use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng};
use rustix::process::Signal;

use crate::{
    namespace::in_new_namespace,
    pty::{Session, TWO_SECONDS},
};

/// Returns the bytes that xterm sends for a key.
fn typed(key: Key) -> Vec<u8> {
    let sequence = match key {
        Key::Char(c) => return c.to_string().into_bytes(),
        Key::Ctrl(c) => return vec![c as u8 & 0x1f],
        Key::Up => "\x1b[A",
        Key::Down => "\x1b[B",
        Key::Right => "\x1b[C",
        Key::Left => "\x1b[D",
        Key::ShiftUp => "\x1b[1;2A",
        Key::ShiftDown => "\x1b[1;2B",
        Key::ShiftRight => "\x1b[1;2C",
        Key::ShiftLeft => "\x1b[1;2D",
        Key::PageUp => "\x1b[5~",
        Key::PageDown => "\x1b[6~",
        Key::Home => "\x1b[H",
        Key::End => "\x1b[F",
        Key::Enter => "\r",
        Key::Escape => "\x1b",
        Key::Tab => "\t",
        Key::BackTab => "\x1b[Z",
        Key::Backspace => "\x7f",
    };
    sequence.as_bytes().to_vec()
}

/// Returns every bound key that does not end or stop the program, and some keys that are not bound.
fn harmless_keys() -> Vec<Vec<u8>> {
    let bindings = COMMANDS.iter().flat_map(KeyCommand::bindings);
    let harmless = bindings.filter(|(_, action)| !matches!(action, Action::Quit | Action::Suspend));
    let bound = harmless.map(|(key, _)| typed(key));
    let unbound = "0123456789zZQé \u{7f}".chars().map(|c| typed(Key::Char(c)));
    bound.chain(unbound).collect()
}

/// Closes all panels and ends all runs, and shows the map.
fn drain_output(session: &mut Session) {
    // CAN ends a control string that an ESC and the key after it may have begun.
    session.send(b"\x18");
    for _ in 0..4 {
        // An ESC alone, which is not the start of a sequence.
        session.send(b"\x1b");
        session.read_for(Duration::from_millis(80));
    }
    session.send(b"2");
    session.wait_for_frame();
}

/// Asserts that the screen, after many partial updates, is the same as after a full redraw. Ages
/// may advance meanwhile.
#[track_caller]
fn assert_whole(session: &mut Session) {
    let below_header = |session: &Session| -> Vec<String> {
        session.screen().rows(0, 80).skip(1).map(|row| row.trim_end().to_owned()).collect()
    };
    let mut last = (Vec::new(), Vec::new());
    for _ in 0..10 {
        session.read_for(Duration::from_millis(300));
        let by_differences = below_header(session);
        let before = session.bytes.len();
        session.signal(Signal::WINCH);
        session.wait_until("a whole frame", |session| {
            let frames = session.frames_since(before);
            frames.iter().any(|frame| frame.windows(4).any(|window| window == b"\x1b[2J"))
        });
        session.read_for(Duration::from_millis(100));
        last = (by_differences, below_header(session));
        if last.0 == last.1 {
            return;
        }
    }
    panic!("{last:#?}");
}

#[test]
fn after_10000_keys_the_screen_is_correct() {
    in_new_namespace(|| {
        let mut session = Session::start_sized(80, 24, &[]);
        let keys = harmless_keys();
        let mut random = ChaCha8Rng::seed_from_u64(20);
        for _ in 0..100 {
            let hundred = (0..100).flat_map(|_| keys[random.random_range(0..keys.len())].clone());
            session.send(&hundred.collect::<Vec<u8>>());
        }
        drain_output(&mut session);
        assert_whole(&mut session);
        session.assert_ends_by(b"q");
    });
}

/// Returns a mouse report in either encoding, often outside the screen or truncated.
fn mouse_report(random: &mut ChaCha8Rng) -> Vec<u8> {
    let buttons = [0, 1, 2, 3, 32, 33, 34, 35, 35, 35, 39, 64, 65, 66, 128, 255];
    let button = buttons[random.random_range(0..buttons.len())];
    let (column, row) = (random.random_range(0..120), random.random_range(0..40));
    let last = if random.random() { 'M' } else { 'm' };
    let mut report = if random.random_ratio(3, 4) {
        format!("\x1b[<{button};{column};{row}{last}").into_bytes()
    } else {
        [b"\x1b[M", [button, column, row].map(|n: u8| n.saturating_add(32)).as_slice()].concat()
    };
    if random.random_ratio(1, 20) {
        report.truncate(random.random_range(1..report.len()));
        // CAN ends a truncated report, so that the following bytes are not read as its rest.
        report.push(0x18);
    }
    report
}

#[test]
fn many_mouse_reports_do_not_delay_keys() {
    in_new_namespace(|| {
        let mut session = Session::start_sized(80, 24, &[]);
        let mut random = ChaCha8Rng::seed_from_u64(21);
        for _ in 0..100 {
            let reports = (0..50).flat_map(|_| mouse_report(&mut random));
            session.send(&reports.collect::<Vec<u8>>());
        }
        let motions = (0..20_000_u32)
            .flat_map(|n| format!("\x1b[<35;{};{}M", 1 + n % 80, 1 + n / 80 % 24).into_bytes());
        session.send(&motions.collect::<Vec<u8>>());
        let began = Instant::now();
        session.send(b"?");
        session.wait_for_text("turn page");
        let took = began.elapsed();
        eprintln!("a key behind 20,000 motions was answered after {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        drain_output(&mut session);
        assert_whole(&mut session);
        session.assert_ends_by(b"q");
    });
}

#[test]
fn random_bytes_and_unterminated_pastes_are_handled() {
    in_new_namespace(|| {
        let mut session = Session::start_sized(80, 24, &[]);
        // Without q, Ctrl-C and Ctrl-Z: no other byte may end the program.
        let harmless = |byte: &u8| !b"qQ\x03\x1a".contains(byte);
        let garbage: Vec<u8> =
            (0..20_000_u32).map(|n| (n * n / 7 + n) as u8).filter(harmless).collect();
        session.send(&garbage);
        session.send(b"\x1b[m\x1b]11;rgb:\x1b[200~unclosed");
        drain_output(&mut session);
        assert_whole(&mut session);
        session.assert_ends_by(b"\x03");
    });
}

/// Runs in `at_once`.
pub fn a_terminal_that_does_not_read_for_20_seconds_then_shows_the_latest_state() {
    in_new_namespace(|| {
        let mut session = Session::start(&["--theme", "dark", "40000"]);
        session.wait_for_text("40000");
        let mut other = Session::start(&["--theme", "dark"]);
        other.wait_for_frame();
        session.stop_reading();
        other.stop_reading();
        session.resize(80, 24);
        let before = [&session, &other].map(|s| (s.cpu_ticks(), s.resident(), s.written()));

        let _listener = TcpListener::bind(("127.0.0.1", 40_000)).unwrap();
        session.type_unread(b"4");
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            thread::sleep(Duration::from_millis(500));
            for (session, (_, resident, written)) in [&session, &other].iter().zip(before) {
                assert!(session.resident() < resident + 8 * 1024, "{resident} KiB and more");
                assert_eq!(session.written(), written, "nobody reads, yet it could write");
            }
        }

        for (session, (ticks, resident, _)) in [&session, &other].iter().zip(before) {
            let (used, now) = (session.cpu_ticks() - ticks, session.resident());
            eprintln!("unread for 20 s: {used} ticks of 10 ms, {resident} -> {now} KiB");
            // Scans continue and may take 5 % of a core; nothing else may take CPU time.
            assert!(used < 100, "{used} ticks in 20 s");
        }
        other.signal(Signal::TERM);
        let ended = other.wait_for_end_unread();
        assert_eq!(ended.status.signal(), Some("Terminated"));
        assert!(ended.took < TWO_SECONDS, "took {:?}", ended.took);

        session.wait_for_text("real bind()");
        session.send(b"2");
        session.wait_for_text("LISTEN");
        assert_whole(&mut session);
        session.assert_ends_by(b"q");
    });
}
