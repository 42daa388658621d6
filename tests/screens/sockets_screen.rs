//! Golden frames of the Sockets screen, at each size and in each palette. Simulated machines only.

use portscope::{domain::State, host::simulated::SimulatedHost, view::Theme};

use crate::{
    session::{Session, ascii, busy, dark, keep_ansi, light, sixteen, styles, text},
    snapshots::assert_golden,
};

const SIZES: [(u16, u16); 5] = [(80, 20), (80, 24), (100, 30), (120, 40), (200, 60)];

/// The name of a frame, its machine, and the keys that lead to it.
type Frame = (&'static str, fn() -> SimulatedHost, &'static str);

const FRAMES: [Frame; 7] = [
    ("sockets-flat", busy, ""),
    ("sockets-filtered", busy, "/state time-wait\nsvv"),
    ("sockets-searched", busy, "/?state listening\nn"),
    ("sockets-grouped", busy, "cv"),
    ("sockets-containers", containers, "C"),
    ("sockets-error", busy, "/tcp\n/ and stat time-wait"),
    ("sockets-empty", busy, "/sshd\n"),
];

/// A machine with processes in containers, in a unit, and in neither.
fn containers() -> SimulatedHost {
    let any = [0, 0, 0, 0];
    let mut builder = SimulatedHost::builder().name("web-07");
    for (pid, name, unit, port, state) in [
        (812, "nginx", "docker 3f2a1b0c9d8e", 80, State::Listen),
        (813, "nginx", "docker 3f2a1b0c9d8e", 40_001, State::Established),
        (900, "redis-server", "container 5b4c3d2e1f0a (pod 0b7e1c2d)", 6379, State::Listen),
        (901, "postgres", "lxc db", 5432, State::Listen),
        (902, "sshd", "ssh.service", 22, State::Listen),
    ] {
        builder = builder.process(pid, name, name, 0).in_unit(pid, unit);
        builder = builder.tcp((any, port), state).owned_by(&[pid]);
        if state == State::Established {
            builder = builder.connected_to(([10, 0, 3, 17], 443));
        }
    }
    let builder = builder.process(1, "systemd", "/sbin/init", 0).udp((any, 68)).owned_by(&[1]);
    builder.tcp((any, 40_009), State::TimeWait).connected_to(([10, 0, 3, 17], 443)).build()
}

fn frame(theme: Theme, (columns, rows): (u16, u16), (_, host, keys): Frame) -> Session {
    Session::of(&host(), theme, columns, rows).press("3").press(keys)
}

#[test]
fn the_sockets_at_each_size() {
    for each in FRAMES {
        let name = each.0;
        for (columns, rows) in SIZES {
            let buffer = frame(dark(), (columns, rows), each).draw();
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
    for each in FRAMES {
        let name = each.0;
        let size = (80, 24);
        let buffer = frame(Theme::MONOCHROME, size, each).draw();
        assert_golden(&format!("{name}-nocolor-80x24.text"), &text(&buffer));
        assert_golden(&format!("{name}-nocolor-80x24.style"), &styles(&buffer));
        let text_of = |theme| text(&frame(theme, size, each).draw());
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
