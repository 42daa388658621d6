//! Golden frames: what the screens show, as text and as styles. Simulated machines only.

use std::sync::Arc;

use portscope::{
    app::{Event, Key, PointerTarget, Screen},
    domain::{Gap, Text},
    engine::Report,
    host::simulated::SimulatedHost,
    view::{self, Background, Depth, Theme},
};

use crate::session::{Session, ascii, busy, dark, light, range, sixteen, text};

#[test]
fn the_map_of_a_busy_range() {
    Session::of(&busy(), dark(), 80, 24).golden("busy-80x24");
    Session::of(&busy(), dark(), 120, 40).press("g53100\n").golden("busy-120x40");
}

#[test]
fn the_map_of_all_ports_brackets_the_range() {
    Session::of(&busy(), dark(), 80, 24).press("ag22\n").golden("all-80x24");
    Session::of(&busy(), dark(), 120, 40).press("ag5432\n").golden("all-120x40");
}

#[test]
fn the_owner_lens_names_the_biggest_owners() {
    Session::of(&busy(), dark(), 80, 24).press("c").golden("owner-80x24");
    Session::of(&busy(), dark(), 120, 40).press("cag443\n").golden("owner-120x40");
    Session::of(&busy(), Theme::MONOCHROME, 80, 24).press("c").golden("owner-nocolor-80x24");
}

#[test]
fn the_inspector_shows_all_sockets_and_owners_of_a_shared_port() {
    Session::of(&busy(), dark(), 80, 24).press("g49152\n").golden("shared-80x24");
    Session::of(&busy(), dark(), 120, 40).press("g49152\n").golden("shared-120x40");
    Session::of(&busy(), dark(), 120, 40).press("g8443\n").golden("backlog-120x40");
}

#[test]
fn sockets_on_one_port_are_listed_as_far_as_they_fit() {
    let mut builder = SimulatedHost::builder().process(7, "resolver", "/usr/sbin/resolver", 0);
    for number in 1..=30 {
        builder = builder.udp(([127, 0, 0, number], 40_053)).owned_by(&[7]);
    }
    let host = builder.build();
    Session::of(&host, dark(), 80, 24).press("g40053\n").golden("many-80x24");
    Session::of(&host, dark(), 120, 40).press("g40053\n").golden("many-120x40");
}

#[test]
fn help_lists_the_keys_and_the_gaps() {
    Session::of(&busy(), dark(), 80, 24).press("?\t").golden("help-80x24");
    Session::of(&busy(), ascii(), 120, 40).press("4?\t").golden("help-allocate-ascii-120x40");
}

#[test]
fn the_port_prompt_rejects_invalid_numbers() {
    Session::of(&busy(), dark(), 80, 24).press("g70000\n").golden("goto-80x24");
}

#[test]
fn the_screen_shows_that_no_scan_was_made_yet() {
    Session::new(dark(), 80, 24).golden("empty-80x24");
    Session::new(dark(), 120, 40).golden("empty-120x40");
}

#[test]
fn a_failed_scan_is_shown_with_its_reason() {
    let why = "could not open a netlink socket: Operation not permitted";
    let failed = || Event::Report(Report::ScanFailed(Text::scrub(why)));
    let mut session = Session::new(dark(), 80, 24);
    session.update(failed());
    session.golden("failed-first-80x24");
    let mut session = Session::of(&busy(), dark(), 80, 24);
    session.update(failed());
    session.golden("failed-later-80x24");
}

#[test]
fn a_machine_without_sockets_is_no_error() {
    Session::of(&SimulatedHost::builder().build(), dark(), 80, 24).golden("quiet-80x24");
}

#[test]
fn without_colour_the_map_shows_the_same_by_glyphs() {
    let theme = || Theme::MONOCHROME;
    Session::of(&busy(), theme(), 80, 24).press("a").golden("nocolor-80x24");
    Session::of(&busy(), theme(), 120, 40).press("g49152\n").golden("nocolor-120x40");
}

#[test]
fn ascii_shows_the_letters_of_the_states() {
    let session = Session::of(&busy(), ascii(), 80, 24).press("g49152\n");
    session.golden("ascii-80x24");
    assert!(text(&session.draw()).is_ascii());
    let session = Session::of(&busy(), ascii(), 120, 40).press("a");
    session.golden("ascii-120x40");
    assert!(text(&session.draw()).is_ascii());
}

#[test]
fn light_and_sixteen_colour_terminals_have_their_own_palettes() {
    Session::of(&busy(), light(), 80, 24).golden("light-80x24");
    Session::of(&busy(), sixteen(), 80, 24).golden("sixteen-80x24");
    let indexed = Theme::new(Depth::Indexed, Background::Dark, false);
    Session::of(&busy(), indexed, 80, 24).golden("indexed-80x24");
}

#[test]
fn small_terminals_show_text_only() {
    for (columns, rows) in [(40, 10), (20, 5), (5, 1), (1, 1)] {
        Session::of(&busy(), dark(), columns, rows).golden(&format!("small-{columns}x{rows}"));
    }
}

#[test]
fn a_large_terminal_shows_finer_blocks() {
    Session::of(&busy(), dark(), 200, 60).press("g49152\n").golden("large-200x60");
}

#[test]
fn no_size_panics() {
    let host = busy();
    let columns = [1, 7, 13, 59, 79, 80, 99, 110, 151];
    let sizes = columns.into_iter().flat_map(|c| [1, 2, 5, 24, 37].map(|rows| (c, rows)));
    let sizes: Vec<(u16, u16)> = sizes.chain([(500, 200), (80, 24)]).collect();
    for theme in [dark(), ascii(), Theme::MONOCHROME] {
        for keys in ["a", "c?", "g49152", "4o"] {
            let mut session = Session::of(&host, theme.clone(), 80, 24).press(keys);
            for &(columns, rows) in &sizes {
                // A frame may be drawn before the app knows the new size.
                (session.columns, session.rows) = (columns, rows);
                session.draw();
                session.update(Event::Resized { columns, rows });
            }
        }
    }
}

#[test]
fn gaps_are_marked_if_their_text_does_not_fit() {
    let host = SimulatedHost::builder()
        .name("a-machine-with-a-very-long-name")
        .gap(Gap::BoundInactiveUnlisted { assumed: false })
        .gap(Gap::PolicyAssumed {
            sysctl: Text::scrub("ip_local_port_range"),
            error: portscope::domain::Errno::ENOENT,
        })
        .gap(Gap::OwnersHidden { sockets: 3, processes: 1 })
        .build();
    let header = |columns| text(&Session::of(&host, dark(), columns, 24).draw());
    assert!(header(80).lines().next().unwrap().contains("3 gaps"), "{}", header(80));
    let wide = header(120);
    assert!(wide.contains("bound-inactive sockets missing +2 more"), "{wide}");
}

#[test]
fn the_header_shows_settings_of_the_map_that_are_not_the_default() {
    let header = |keys: &str, columns| {
        let session = Session::of(&busy(), dark(), columns, 30).press(keys);
        text(&session.draw()).lines().next().unwrap().to_owned()
    };
    // At 80 columns the header has no room; the facts beside the map say it.
    let narrow = text(&Session::of(&busy(), dark(), 80, 30).press("p").draw());
    assert!(narrow.contains("TCP only"), "{narrow}");
    for columns in [100, 120] {
        assert!(!header("", columns).contains("only") && !header("", columns).contains("lens"));
        assert!(header("p", columns).contains(" TCP only "), "{}", header("p", columns));
        assert!(header("pp", columns).contains(" UDP only "), "{}", header("pp", columns));
        // The gap has priority over the lens on narrow terminals; the legend names the lens, too.
        let both = header("ppc", columns);
        assert!(both.contains(" UDP only ") && both.contains('1'), "{both}");
        assert!(both.contains(" lens owner ") || columns < 120, "{both}");
        assert!(header(" ", columns).contains("paused"), "{}", header(" ", columns));
        assert!(!header("pp1", columns).contains("only"), "{}", header("pp1", columns));
    }
}

#[test]
fn the_header_names_another_network_namespace() {
    let header = |label: Option<&str>| {
        let mut snapshot = busy().snapshot();
        let mut machine = (*snapshot.machine).clone();
        machine.namespace_label = label.map(Text::scrub);
        snapshot.machine = Arc::new(machine);
        let mut session = Session::new(dark(), 120, 40);
        session.update(Event::Report(Report::Scanned(Arc::new(snapshot))));
        text(&session.draw()).lines().next().unwrap().to_owned()
    };
    assert!(header(Some("ux2")).contains("web-07 · netns ux2 · "), "{}", header(Some("ux2")));
    assert!(!header(None).contains("netns"), "{}", header(None));
}

#[test]
fn a_click_finds_the_tab_and_the_block_under_it() {
    let session = Session::of(&busy(), dark(), 80, 24);
    let at = |column, row| {
        let area = ratatui::layout::Rect::new(0, 0, 80, 24);
        view::layout::target_at(area, &session.app, column, row)
    };
    assert_eq!(at(14, 0), Some(PointerTarget::Screen(Screen::Overview)));
    assert_eq!(at(23, 0), Some(PointerTarget::Screen(Screen::Map)));
    assert_eq!(at(30, 0), Some(PointerTarget::Screen(Screen::Sockets)));
    assert_eq!(at(38, 0), Some(PointerTarget::Screen(Screen::Allocate)));
    // The second line of blocks begins at 35000.
    assert_eq!(at(7, 4), Some(PointerTarget::Ports(range(35_000, 35_024))));
    assert_eq!(at(8, 4), Some(PointerTarget::Ports(range(35_025, 35_049))));
    // Left of the range's first port there is no target.
    assert_eq!(at(0, 4), None);
    assert_eq!(at(46, 23), Some(PointerTarget::Key(Key::Char('y'))));
    assert_eq!(at(0, 23), None);
}

#[test]
fn a_zoomed_map_is_not_called_the_ephemeral_range() {
    let title = |keys: &str| {
        let seen = text(&Session::of(&busy(), dark(), 120, 40).press(keys).draw());
        seen.lines().nth(1).unwrap().to_owned()
    };
    assert!(title("").starts_with(" Ephemeral range 32768-60999 "), "{}", title(""));
    assert!(title("+").starts_with(" Ports "), "{}", title("+"));
    assert!(title("a").starts_with(" All ports 0-65535 "), "{}", title("a"));
}
