//! The help pages: complete and not truncated, at each size and in each palette.

use std::collections::BTreeSet;

use portscope::{
    app::{Context, HelpPage, Key, PointerTarget, command},
    domain::{Ephemeral, State, StateClass, port},
    host::simulated::SimulatedHost,
    view::{Theme, theme::letter},
};
use ratatui::{buffer::Buffer, layout::Rect};

use crate::session::{self, SIZES, Session, ascii, busy, dark, range};

/// The keys that open each screen.
const SCREENS: [(&str, Context); 6] = [
    ("1", Context::Overview),
    ("2", Context::Map),
    ("3", Context::Sockets),
    ("4", Context::Allocate),
    ("4P", Context::Pool),
    ("5", Context::Lab),
];

/// The smallest size with all parts of the screens, and sizes at which long pages do not fit.
const SMALL_SIZES: [(u16, u16); 4] = [(80, 20), (80, 23), (80, 24), (100, 30)];

fn themes() -> [Theme; 3] {
    [dark(), ascii(), Theme::MONOCHROME]
}

fn page(theme: Theme, (columns, rows): (u16, u16), screen: &str, page: HelpPage) -> Buffer {
    shown(&busy(), theme, (columns, rows), screen, page)
}

fn shown(
    host: &SimulatedHost,
    theme: Theme,
    (columns, rows): (u16, u16),
    screen: &str,
    page: HelpPage,
) -> Buffer {
    let turns = HelpPage::EACH.iter().position(|&each| each == page).unwrap();
    let keys = format!("{screen}?{}", ">".repeat(turns));
    Session::of(host, theme, columns, rows).press(&keys).draw()
}

/// Returns the page of a busy machine at each of these sizes, drawn by one session that is resized.
fn at_sizes<const N: usize>(
    theme: &Theme,
    sizes: [(u16, u16); N],
    screen: &str,
    page: HelpPage,
) -> [Buffer; N] {
    let mut session = opened(theme, sizes[0], screen, page);
    sizes.map(|size| {
        session.resize(size);
        session.draw()
    })
}

/// Returns a session of a busy machine in which the page is open.
fn opened(theme: &Theme, (columns, rows): (u16, u16), screen: &str, page: HelpPage) -> Session {
    let turns = HelpPage::EACH.iter().position(|&each| each == page).unwrap();
    let keys = format!("{screen}?{}", ">".repeat(turns));
    Session::of(&busy(), theme.clone(), columns, rows).press(&keys)
}

fn symbol(buffer: &Buffer, x: u16, y: u16) -> &str {
    buffer[(x, y)].symbol()
}

/// Returns the area inside the border of the help box, which is found by its title.
fn inside(buffer: &Buffer) -> Rect {
    let page = buffer.area;
    let title = (page.top()..page.bottom())
        .find(|&y| line(buffer, page.left(), page.right(), y).contains(" States and colours "))
        .expect("the box has a title");
    let is_corner = |x: &u16| ["┌", "+"].contains(&symbol(buffer, *x, title));
    // The screen below is visible beside the box, and may have corners, too.
    let text: Vec<&str> = page.columns().map(|x| symbol(buffer, x.x, title)).collect();
    let name = (0..text.len()).find(|&x| text[x..].concat().starts_with(" Keys ")).unwrap() as u16;
    let left = (page.left()..name).rfind(is_corner).unwrap();
    let is_corner = |x: &u16| ["┐", "+"].contains(&symbol(buffer, *x, title));
    let right = (name..page.right()).find(is_corner).unwrap();
    let is_corner = |y: &u16| ["└", "+"].contains(&symbol(buffer, left, *y));
    let bottom = (title + 1..page.bottom()).find(is_corner).unwrap();
    Rect { x: left + 1, y: title + 1, width: right - left - 1, height: bottom - title - 1 }
}

fn line(buffer: &Buffer, from: u16, to: u16, y: u16) -> String {
    (from..to).map(|x| symbol(buffer, x, y)).collect()
}

/// Returns the text as one line with single spaces, in which no sentence is wrapped.
fn text(buffer: &Buffer, area: Rect) -> String {
    let lines = area.rows().map(|row| line(buffer, row.left(), row.right(), row.y));
    let words = lines.flat_map(|l| l.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    words.collect::<Vec<_>>().join(" ")
}

fn whole(buffer: &Buffer) -> String {
    text(buffer, inside(buffer))
}

/// Returns the text of the page of keys, which has two columns.
fn columns(buffer: &Buffer) -> String {
    let inside = inside(buffer);
    let middle = inside.x + 1 + (inside.width - 4) / 2;
    let left = Rect { width: middle - inside.x, ..inside };
    let right = Rect { x: middle, width: inside.right() - middle, ..inside };
    format!("{} {}", text(buffer, left), text(buffer, right))
}

#[test]
fn the_help_page_lists_each_key_of_the_screen() {
    for (screen, context) in SCREENS {
        for buffer in themes().iter().flat_map(|t| at_sizes(t, SIZES, screen, HelpPage::Keys)) {
            let (text, size) = (columns(&buffer), buffer.area);
            for command in command::here(context) {
                let row = format!("{} {}", command.keys, command.help);
                assert!(text.contains(&row), "{size:?} lacks {row:?}:\n{text}");
            }
        }
    }
}

#[test]
fn the_keys_page_lists_the_gaps_of_the_scan() {
    let text = columns(&page(dark(), (80, 24), "2", HelpPage::Keys));
    assert!(text.contains("What this scan could not see owners missing for 12 sockets"), "{text}");
}

#[test]
fn the_states_page_lists_each_state_with_letter_and_sentence() {
    for (screen, _) in SCREENS.into_iter().filter(|(_, context)| *context != Context::Lab) {
        for buffer in themes().iter().flat_map(|t| at_sizes(t, SIZES, screen, HelpPage::States)) {
            let (text, size) = (whole(&buffer), buffer.area);
            for state in State::EACH {
                let row = format!("{} {} ", letter(StateClass::of(state)), state.name());
                assert!(text.contains(&row), "{size:?} lacks {row:?}:\n{text}");
            }
        }
    }
}

#[test]
fn each_kind_of_free_port_and_each_mark_has_a_sentence() {
    let map = whole(&page(dark(), (80, 24), "2", HelpPage::States));
    for name in ["· free", "x reserved", "system 0-1023", "outside", "block", "cursor"] {
        assert!(map.contains(name), "{name}: {map}");
    }
    let allocate = whole(&page(dark(), (80, 24), "4", HelpPage::States));
    for name in ["1 refused", "◆ allocated", "● held", "in use", "◇ expected", "density"] {
        assert!(allocate.contains(name), "{name}: {allocate}");
    }
    let lab = whole(&page(dark(), (80, 24), "5", HelpPage::States));
    for name in ["refused", "allocated", "measured", "expected", "mean", "failed", "next", "built"]
    {
        assert!(lab.contains(name), "{name}: {lab}");
    }
}

#[test]
fn the_letters_of_all_lenses_or_of_the_current_one_are_explained() {
    let large = whole(&page(dark(), (120, 40), "2", HelpPage::States));
    for lens in
        ["state letters above", "owner a to g", "protocol t TCP", "parity e even", "density 1 <12"]
    {
        assert!(large.contains(lens), "{lens}: {large}");
    }
    let keys = format!("ccc?{}", ">>");
    let small = whole(&Session::of(&busy(), dark(), 80, 24).press(&keys).draw());
    assert!(small.contains("age 1 <2s, 2 <10s"), "{small}");
}

#[test]
fn the_ranges_page_lists_each_range_with_both_ends() {
    let own = range(20_000, 29_999);
    let host = SimulatedHost::builder().ephemeral(Ephemeral::new(own, vec![range(25_000, 25_009)]));
    let host = host.build();
    for (size, theme) in SIZES.into_iter().flat_map(|size| themes().map(|theme| (size, theme))) {
        let text = whole(&shown(&host, theme, size, "2", HelpPage::Ranges));
        for (name, range) in [
            ("system", port::SYSTEM),
            ("registered", port::REGISTERED),
            ("IANA dynamic", port::IANA_DYNAMIC),
            ("Linux default", port::LINUX_DEFAULT),
            ("this machine", own),
            ("macOS", port::IANA_DYNAMIC),
            ("Windows", port::IANA_DYNAMIC),
        ] {
            let row = format!("{name} {range} ");
            assert!(text.contains(&row), "{size:?} lacks {row:?}:\n{text}");
        }
        assert!(text.contains("9,990 for the kernel's choice, 10 reserved"), "{text}");
        for call in ["bind(port) any", "bind(0) random", "connect() even", "UDP at random"] {
            assert!(text.contains(call), "{size:?} lacks {call:?}:\n{text}");
        }
    }
}

#[test]
fn a_range_that_starts_odd_is_filled_from_its_odd_ports_by_connect() {
    let odd = Ephemeral::new(range(30_001, 40_000), Vec::new());
    let host = SimulatedHost::builder().ephemeral(odd).build();
    let text = whole(&shown(&host, dark(), (120, 40), "2", HelpPage::Ranges));
    assert!(text.contains("connect() odd ports first"), "{text}");
    assert!(text.contains("even ports first; connect() skips"), "{text}");
}

#[test]
fn nothing_touches_the_box_and_no_word_is_cut() {
    for (screen, _) in SCREENS {
        for help in HelpPage::EACH {
            for theme in themes() {
                let words = |buffer: &Buffer| -> BTreeSet<String> {
                    whole(buffer).split(' ').map(str::to_owned).collect()
                };
                let sizes = [(200, 60), (80, 24), (100, 30), (120, 40), (160, 48)];
                let [largest, others @ ..] = at_sizes(&theme, sizes, screen, help);
                let known = words(&largest);
                for buffer in others {
                    let (inside, size) = (inside(&buffer), buffer.area);
                    for y in inside.top()..inside.bottom() {
                        for x in [inside.left(), inside.right() - 1] {
                            assert_eq!(symbol(&buffer, x, y), " ", "{help:?} {size:?} {x},{y}");
                        }
                    }
                    let cut: Vec<_> = words(&buffer).difference(&known).cloned().collect();
                    assert!(cut.is_empty(), "{help:?} {size:?}: {cut:?}");
                }
            }
        }
    }
}

/// Returns each part of an open page of the help, from the first to the last, and shows the first
/// one again.
fn parts(session: &mut Session) -> Vec<String> {
    let mut parts = vec![whole(&session.draw())];
    loop {
        session.type_keys("j");
        let part = whole(&session.draw());
        if part == parts[0] {
            return parts;
        }
        parts.push(part);
    }
}

#[test]
fn each_page_is_complete_at_every_size_in_parts_if_it_does_not_fit() {
    for (screen, context) in SCREENS {
        for help in HelpPage::EACH {
            for theme in themes() {
                let mut session = opened(&theme, SMALL_SIZES[0], screen, help);
                for size in SMALL_SIZES {
                    session.resize((size.0, 100));
                    let full = whole(&session.draw());
                    session.resize(size);
                    is_complete(&mut session, &full, (context, help));
                }
            }
        }
    }
}

/// Asserts that the parts of the open page contain all words of `full`.
fn is_complete(session: &mut Session, full: &str, (context, help): (Context, HelpPage)) {
    // The page of the map explains the letters of one lens if not those of all fit.
    let is_of_map = context == Context::Map && help == HelpPage::States;
    let wanted = if is_of_map { full.split(" lens ").next().unwrap() } else { full };
    let parts = parts(session);
    let found: BTreeSet<&str> = parts.iter().flat_map(|part| part.split(' ')).collect();
    let lost: Vec<&str> = wanted.split(' ').filter(|word| !found.contains(word)).collect();
    let size = (session.columns, session.rows);
    assert!(lost.is_empty(), "{context:?} {help:?} at {size:?} lacks {lost:?}");
    let text = session::text(&session.draw());
    assert_eq!(text.contains("j k scroll"), parts.len() > 1, "{text}");
    assert_eq!(text.contains("j k: scroll "), parts.len() > 1, "{text}");
}

#[test]
fn the_parts_of_a_page_can_be_turned_in_both_directions() {
    let open = || Session::of(&busy(), dark(), 80, 20).press("?>>");
    let at = |session: Session| {
        let text = session::text(&session.draw());
        let (_, numbers) = text.split_once(" lines ").expect(&text);
        numbers.split(',').next().unwrap().to_owned()
    };
    assert_eq!(at(open()), "1-16 of 20");
    assert_eq!(at(open().press("j")), "5-20 of 20");
    assert_eq!(at(open().press("jj")), at(open()));
    assert_eq!(at(open().press("k")), at(open().press("j")));
    assert_eq!(at(open().press("j>>>>")), at(open()), "another page begins with its first line");
}

#[test]
fn small_terminals_do_not_panic() {
    for help in HelpPage::EACH {
        for (screen, _) in SCREENS {
            for size in [(1, 1), (2, 3), (5, 1), (10, 4), (20, 5), (40, 10), (60, 12)] {
                page(dark(), size, screen, help);
            }
        }
    }
}

#[test]
fn the_title_shows_all_pages_and_the_keys_to_change_them() {
    for theme in themes() {
        let text = session::text(&page(theme, (80, 24), "2", HelpPage::Ranges));
        assert!(text.contains(" Keys ") && text.contains(" Ranges "), "{text}");
        assert!(text.contains("Left Right: turn page, Esc: close"), "{text}");
    }
}

#[test]
fn the_screen_below_is_dimmed_but_its_header_and_footer_are_not() {
    let open = page(dark(), (120, 40), "2", HelpPage::Ranges);
    let closed = Session::of(&busy(), dark(), 120, 40).draw();
    assert_eq!(open[(2, 0)].style(), closed[(2, 0)].style());
    let beside = (0..6).flat_map(|x| (2..36).map(move |y| (x, y)));
    let changed = beside.filter(|&at| open[at].fg != closed[at].fg).count();
    assert!(changed > 20, "{changed} cells are dimmed");
}

#[test]
fn the_footer_of_a_small_terminal_shows_the_most_important_keys() {
    let footer = |keys: &str| {
        let buffer = Session::of(&busy(), dark(), 80, 24).press(keys).draw();
        line(&buffer, 0, 80, 23)
    };
    let map = " hjkl move  g find  + - zoom  c C colours  y copy  p TCP only  ? help  q quit";
    assert_eq!(footer("").trim_end(), map);
    let paused = " hjkl move  g find  + - zoom  c C colours  y copy  Space resume  ? help  q quit";
    assert_eq!(footer(" ").trim_end(), paused);
    assert!(footer("1 ").contains("Space resume  ? help  q quit"), "{}", footer("1 "));
    let allocate = footer("4");
    let kept = ["Space run", "t simulated", "o settings", "P pool", "H hold", "? help", "q quit"];
    assert!(kept.iter().all(|label| allocate.contains(label)), "{allocate}");
}

#[test]
fn the_header_says_when_the_mouse_is_off() {
    let header = |keys: &str| {
        let buffer = Session::of(&busy(), dark(), 120, 40).press(keys).draw();
        line(&buffer, 0, 120, 0)
    };
    assert!(!header("").contains("mouse off") && header("#").contains("mouse off"));
}

#[test]
fn the_first_page_is_about_the_screen_and_explains_its_words() {
    for (screen, title, word) in [
        ("1", "Overview", "full in"),
        ("2", "Map", "lens"),
        ("4", "Allocate", "refused"),
        ("4P", "Pool", "not leased"),
        ("5", "Lab", "predictable"),
        ("5R", "Race", "stolen"),
    ] {
        for size in [(80, 23), (80, 24), (120, 40)] {
            let keys = format!("{screen}?");
            let buffer = Session::of(&busy(), dark(), size.0, size.1).press(&keys).draw();
            let text = session::text(&buffer);
            let is_shown = |wanted: &str| text.contains(wanted);
            assert!(is_shown(title) && is_shown(word), "{screen} at {size:?}\n{text}");
            assert!(!is_shown("j k: scroll"), "{screen} at {size:?}\n{text}");
        }
    }
}

#[test]
fn labels_of_the_footer_say_what_the_key_will_do() {
    let footer = |keys: &str| {
        let buffer = Session::of(&busy(), dark(), 160, 40).press(keys).draw();
        line(&buffer, 0, 160, 39)
    };
    for (keys, label) in [
        ("4", "t simulated"),
        ("4t", "t real"),
        ("4", "Space run"),
        ("4 ", "Space pause"),
        ("2 ", "Space resume"),
        ("2p", "p UDP only"),
        ("5", "t real"),
        ("5t", "t simulated"),
        ("4P", "P Esc back"),
    ] {
        assert!(footer(keys).contains(label), "{keys}: {}", footer(keys));
    }
    for label in ["j k select", "E reclaim"] {
        assert!(!footer("4P").contains(label), "an empty pool: {}", footer("4P"));
    }
}

#[test]
fn a_click_on_the_footer_is_the_key_under_the_pointer() {
    let session = Session::of(&busy(), dark(), 120, 40);
    let buffer = session.draw();
    let footer = line(&buffer, 0, 120, 39);
    let area = Rect::new(0, 0, 120, 40);
    let at = |text: &str, plus: u16| {
        let column = footer.split_once(text).unwrap().0.chars().count() as u16 + plus;
        portscope::view::layout::target_at(area, &session.app, column, 39)
    };
    let key = |key: char| Some(PointerTarget::Key(Key::Char(key)));
    assert_eq!([0, 2, 5].map(|plus| at("c C colours", plus)), [key('c'), key('C'), key('c')]);
    assert_eq!([0, 3, 6].map(|plus| at("hjkl move", plus)), [key('h'), key('l'), key('h')]);
    assert_eq!(at("q quit", 9), None);
}

#[test]
fn copied_text_has_no_control_characters_and_ascii_where_needed() {
    let host = SimulatedHost::builder()
        .process(7, "a\x1b]52;c;x\x07\u{202e}b", "run\nme", 0)
        .tcp(([10, 0, 0, 1], 40_000), State::Established)
        .connected_to(([10, 0, 0, 2], 443))
        .owned_by(&[7])
        .build();
    for theme in [dark(), ascii()] {
        for screen in ["1", "2g40000\n"] {
            let session = Session::of(&host, theme.clone(), 120, 40).press(screen);
            let copied = portscope::view::copied::text(&session.app, &theme).unwrap();
            let is_plain = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
            assert!(copied.text.chars().all(is_plain), "{:?}", copied.text);
            assert!(copied.text.contains("\\u{1b}"), "{:?}", copied.text);
            assert!(!theme.ascii || copied.text.is_ascii(), "{:?}", copied.text);
        }
    }
}

#[test]
fn ascii_screens_have_no_question_mark_instead_of_an_arrow() {
    let host = SimulatedHost::builder()
        .process(7, "payments", "/srv/payments", 0)
        .fill(portscope::domain::port::LINUX_DEFAULT, 0.5, State::TimeWait, 1)
        .build();
    for screen in ["1", "1llll", "2", "4t", "5"] {
        let session = Session::of(&host, ascii(), 120, 40).press(screen);
        let text = session::text(&session.draw());
        let body: String = text.lines().rev().skip(1).collect();
        assert!(!body.contains('?'), "{screen}\n{text}");
    }
}

#[test]
fn the_footer_offers_only_keys_that_have_an_effect() {
    let footer = |keys: &str, (columns, rows): (u16, u16)| {
        let buffer = Session::of(&busy(), dark(), columns, rows).press(keys).draw();
        line(&buffer, 0, columns, rows - 1)
    };
    let is_offered = |keys: &str, label: &str| footer(keys, (200, 60)).contains(label);
    assert!(is_offered("5", "+ - occupancy") && !is_offered("5t", "+ - occupancy"));
    assert!(is_offered("5", "d distribution") && !is_offered("5t", "d distribution"));
    assert!(footer("5t", (80, 24)).contains("t simulated"));
    assert!(!is_offered("4", "+ - occupancy") && is_offered("4t", "+ - occupancy"));
    let host = SimulatedHost::builder()
        .ephemeral(portscope::domain::Ephemeral::new(session::range(40_000, 40_063), Vec::new()))
        .build();
    let session = Session::of(&host, dark(), 200, 60);
    let last = |session: &Session| line(&session.draw(), 0, 200, 59);
    assert!(!last(&session).contains("f dots"), "{}", last(&session));
    // Blocks that are too many for dots: a note in the legend says so, and a second press removes it.
    assert!(last(&Session::of(&busy(), dark(), 200, 60).press("a")).contains("f dots"));
    assert!(last(&Session::of(&busy(), dark(), 200, 60).press("af")).contains("f dots"));
    let session = session.press("f");
    assert!(last(&session).contains("each cell shows one port already"), "{}", last(&session));
}
