//! Golden frames of the Sockets screen, at each size and in each palette. Simulated machines only.

use portscope::{host::simulated::SimulatedHost, view::Theme};

use crate::{
    session::{Session, ascii, busy, dark, keep_ansi, light, sixteen, styles, text},
    snapshots::assert_golden,
};

const SIZES: [(u16, u16); 5] = [(80, 20), (80, 24), (100, 30), (120, 40), (200, 60)];

/// The name of a frame, and the keys that lead to it.
const FRAMES: [(&str, &str); 5] = [
    ("sockets-flat", ""),
    ("sockets-filtered", "/state time-wait\nsvv"),
    ("sockets-grouped", "cv"),
    ("sockets-error", "/tcp\n/ and stat time-wait"),
    ("sockets-empty", "/sshd\n"),
];

fn frame(theme: Theme, (columns, rows): (u16, u16), keys: &str) -> Session {
    Session::of(&busy(), theme, columns, rows).press("3").press(keys)
}

#[test]
fn the_sockets_at_each_size() {
    for (name, keys) in FRAMES {
        for (columns, rows) in SIZES {
            let buffer = frame(dark(), (columns, rows), keys).draw();
            keep_ansi(&format!("{name}-{columns}x{rows}"), &buffer);
            assert_golden(&format!("{name}-{columns}x{rows}.text"), &text(&buffer));
            if (columns, rows) == (80, 24) {
                assert_golden(&format!("{name}-{columns}x{rows}.style"), &styles(&buffer));
            }
        }
    }
}

#[test]
fn the_sockets_without_colour_and_in_ascii() {
    for (name, keys) in FRAMES {
        let size = (80, 24);
        let buffer = frame(Theme::MONOCHROME, size, keys).draw();
        assert_golden(&format!("{name}-nocolor-80x24.text"), &text(&buffer));
        assert_golden(&format!("{name}-nocolor-80x24.style"), &styles(&buffer));
        let text_of = |theme| text(&frame(theme, size, keys).draw());
        assert!(text_of(ascii()).is_ascii(), "{name}");
        assert_eq!(text_of(light()), text_of(dark()), "{name}");
        assert_eq!(text_of(sixteen()), text_of(dark()), "{name}");
    }
}

#[test]
fn a_machine_without_sockets_says_so() {
    let session = Session::of(&SimulatedHost::builder().build(), dark(), 80, 24).press("3");
    assert!(text(&session.draw()).contains("no sockets"));
}
