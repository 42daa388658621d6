//! The Overview, driven by keys, at each size and in each palette. Simulated machines only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use portscope::{
    app::{
        Context, Effect, Event, Focus, Key, Lens, Screen,
        overview::{OverviewList, OverviewRow},
    },
    domain::{
        Destination, Ephemeral, Gap, Level, OwnerKey, ProcessTable, Snapshot, State, Subject,
    },
    engine::Report,
    host::{Host, simulated::SimulatedHost},
    view::{self, Theme},
};

use crate::{
    session::{L, M, S, SIZES, Session, XL, ascii, busy, dark, light, range, styles, text},
    snapshots::assert_golden,
};

/// Returns the order in which connect() chooses: first the ports with the parity of the range's
/// first port.
fn order() -> impl Iterator<Item = u16> {
    (0..64).step_by(2).chain((1..64).step_by(2))
}

/// Returns a machine with a range of 64 ports, `first` of them connected to one destination,
/// `second` to another.
fn small(first: u16, second: u16) -> SimulatedHost {
    let here = [10, 0, 0, 7];
    let ports = range(40_000, 40_063);
    let mut machine = SimulatedHost::builder()
        .ephemeral(Ephemeral::new(ports, Vec::new()))
        .process(4121, "payments-api", "/srv/payments", 1000)
        .process(4122, "log-shipper", "/srv/ship", 1000);
    for port in order().take(usize::from(first)) {
        machine = machine
            .tcp((here, 40_000 + port), State::Established)
            .connected_to(([10, 0, 3, 17], 443))
            .owned_by(&[4121]);
    }
    for port in order().take(usize::from(second)) {
        machine = machine
            .tcp((here, 40_000 + port), State::Established)
            .connected_to(([10, 0, 9, 4], 6379))
            .owned_by(&[4122]);
    }
    machine.build()
}

fn on(host: &SimulatedHost, theme: Theme, (columns, rows): (u16, u16)) -> Session {
    let mut session = Session::on(Screen::Overview, theme, columns, rows);
    scan(&mut session, host, 1);
    session
}

fn scan(session: &mut Session, host: &SimulatedHost, number: u64) {
    session.now += Duration::from_secs(1);
    let mut snapshot = Snapshot { number, ..host.snapshot() };
    snapshot.taken_at += Duration::from_secs(number);
    let processes: ProcessTable = host.describer().describe(&snapshot.pids).into_iter().collect();
    session.update(Event::Report(Report::Scanned(Arc::new(snapshot))));
    session.update(Event::Report(Report::Described(Arc::new(processes))));
}

fn destination(remote: [u8; 4], port: u16) -> Destination {
    Destination { source: [10, 0, 0, 7].into(), remote: (remote, port).into(), interface: None }
}

fn payments() -> Destination {
    destination([10, 0, 3, 17], 443)
}

fn redis() -> Destination {
    destination([10, 0, 9, 4], 6379)
}

fn selected(session: &Session) -> OverviewRow {
    session.app.overview().selected(session.app.scan().unwrap()).unwrap().row
}

fn list(session: &Session) -> OverviewList {
    session.app.overview().selected(session.app.scan().unwrap()).unwrap().list
}

fn shown(session: &Session) -> String {
    text(&session.draw())
}

/// Shows seven scans of a load that grows by `step` ports per second.
fn growing(size: (u16, u16), step: u16) -> Session {
    growing_by(step, dark(), size)
}

fn growing_by(step: u16, theme: Theme, size: (u16, u16)) -> Session {
    let mut session = on(&small(10, 5), theme, size);
    for second in 1..8 {
        scan(&mut session, &small(10 + second * step, 5), 1 + u64::from(second));
    }
    session
}

/// Returns a machine with one connection to each of `destinations` destinations.
fn many(destinations: u16) -> SimulatedHost {
    let mut machine = SimulatedHost::builder().process(7, "crawler", "/usr/bin/crawler", 0);
    for number in 0..destinations {
        let [high, low] = number.to_be_bytes();
        machine = machine
            .tcp(([10, 0, 0, 7], 33_000 + number), State::Established)
            .connected_to(([10, 9, high, low], 443))
            .owned_by(&[7]);
    }
    machine.build()
}

#[test]
fn the_program_starts_on_the_overview_and_key_1_opens_it() {
    let session = on(&small(64, 20), dark(), S);
    assert_eq!(
        (session.app.screen(), session.app.context()),
        (Screen::Overview, Context::Overview)
    );
    let session = session.press("2");
    assert_eq!(session.app.screen(), Screen::Map);
    let session = session.press("\t\t\t\t");
    assert_eq!(session.app.screen(), Screen::Overview);
    assert_eq!(session.press("41").app.screen(), Screen::Overview);
}

#[test]
fn the_first_screen_shows_the_verdict() {
    for size in SIZES {
        let shown = shown(&on(&small(64, 20), dark(), size));
        assert!(shown.contains("EXHAUSTED"), "{shown}");
        assert!(
            shown.contains("→ 10.0.3.17:443 uses 64 of 64 ports (100 %): none left"),
            "{shown}"
        );
        assert!(shown.contains("payments-api"), "{shown}");
        let other = shown.lines().find(|line| line.contains("10.0.9.4:6379")).unwrap();
        assert!(other.contains("31.2 %") && other.contains(" 44 "), "{other}");
    }
}

#[test]
fn keys_move_through_all_lists_as_one() {
    let session = on(&small(64, 20), dark(), S);
    assert_eq!(selected(&session), OverviewRow::Destination(payments()));
    let session = session.press("j");
    assert_eq!(selected(&session), OverviewRow::Destination(redis()));
    let session = session.press("j");
    assert_eq!(selected(&session), OverviewRow::Owner(OwnerKey::Process(4121)));
    assert!(shown(&session).contains("❯ payments-api"), "{}", shown(&session));
    let session = session.press("kk");
    assert_eq!(selected(&session), OverviewRow::Destination(payments()));
    let session = session.press("kkk");
    assert_eq!(selected(&session), OverviewRow::Destination(payments()));
    let session = session.press("l");
    assert_eq!(list(&session), OverviewList::Owners);
    let session = session.press("h");
    assert_eq!(list(&session), OverviewList::Destinations);
}

#[test]
fn every_one_of_10000_rows_can_be_selected() {
    for size in SIZES {
        let mut session = on(&many(10_000), dark(), size);
        session.update(Event::Key(Key::End));
        assert_ne!(list(&session), OverviewList::Destinations);
        session.update(Event::Key(Key::Home));
        for _ in 0..999 {
            session.update(Event::Key(Key::PageDown));
        }
        let session = session.press("jjjjjjjjj");
        let scan = session.app.scan().unwrap();
        let last = scan.analysis.destinations.last().unwrap().destination;
        assert_eq!(selected(&session), OverviewRow::Destination(last));
        let shown = shown(&session);
        assert!(shown.contains(&format!("❯ {}", last.remote)), "{shown}");
        assert!(shown.contains("of 10,000"), "{shown}");
    }
}

#[test]
fn the_selection_stays_on_its_destination_while_ranks_change() {
    let mut session = on(&small(64, 20), dark(), M).press("j");
    assert_eq!(selected(&session), OverviewRow::Destination(redis()));
    scan(&mut session, &small(20, 64), 2);
    assert_eq!(selected(&session), OverviewRow::Destination(redis()));
    let top = session.app.scan().unwrap().analysis.destinations[0].destination;
    assert_eq!(top, redis());
    // The selected row is gone: the row now in its place is selected.
    scan(&mut session, &small(20, 0), 3);
    assert_eq!(selected(&session), OverviewRow::Destination(payments()));
}

#[test]
fn enter_marks_the_ports_of_a_destination_and_escape_returns() {
    for key in ["\n", "m"] {
        let session = on(&small(30, 20), dark(), S).press("j").press(key);
        let map = session.app.map();
        assert_eq!(session.app.screen(), Screen::Map);
        assert_eq!((map.lens, map.focus), (Lens::Connect, Some(Focus::Destination(redis()))));
        assert_eq!(map.cursor, 40_000);
        let seen = shown(&session);
        assert!(seen.contains("connect → 10.0.9.4:6379: 20 in use · 44 left"), "{seen}");
        let session = session.press("^");
        assert_eq!((session.app.screen(), session.app.map().focus), (Screen::Overview, None));
        assert_eq!(session.app.map().lens, Lens::State);
        assert_eq!(selected(&session), OverviewRow::Destination(redis()));
    }
}

#[test]
fn only_the_ports_of_the_destination_are_marked() {
    let session = on(&small(30, 20), dark(), (80, 24)).press("j\n");
    let scan = session.app.scan().unwrap();
    let marked = |port| scan.categories.marked(range(port, port)).is_some();
    let redis: Vec<u16> = order().take(20).map(|port| 40_000 + port).collect();
    assert!((40_000..40_064).all(|port| marked(port) == redis.contains(&port)));
}

#[test]
fn enter_marks_an_owners_ports_on_the_map_others_are_grey() {
    let session = on(&small(30, 20), dark(), S).press("lj\n");
    let map = session.app.map();
    assert_eq!(session.app.screen(), Screen::Map);
    assert_eq!(
        (map.lens, map.focus),
        (Lens::Owner, Some(Focus::OwnerKey(OwnerKey::Process(4122))))
    );
    let marks = session.app.scan().unwrap().marks.as_ref().unwrap();
    assert_eq!((marks.marked, marks.others), (20, 10));
    let seen = shown(&session);
    assert!(seen.contains("log-shipper[4122] 20"), "{seen}");
    assert!(seen.contains("all others 10"), "{seen}");
    assert_eq!(session.press("^").app.screen(), Screen::Overview);
}

#[test]
fn changing_the_lens_ends_the_focus() {
    let session = on(&small(30, 20), dark(), S).press("\nc");
    assert_eq!((session.app.map().lens, session.app.map().focus), (Lens::Bind, None));
    assert_eq!(session.press("^").app.screen(), Screen::Map);
}

#[test]
fn the_focus_follows_its_destination_through_snapshots() {
    let mut session = on(&small(30, 20), dark(), S).press("\n");
    scan(&mut session, &small(40, 20), 2);
    let seen = shown(&session);
    assert!(seen.contains("10.0.3.17:443: 40 in use · 24 left"), "{seen}");
    scan(&mut session, &small(0, 20), 3);
    assert!(shown(&session).contains("10.0.3.17:443: no connections"), "{}", shown(&session));
}

#[test]
fn rates_and_forecasts_are_unknown_before_the_second_snapshot() {
    let session = on(&small(30, 20), dark(), XL);
    let row = shown(&session);
    let row = row.lines().find(|line| line.contains("❯ 10.0.3.17:443")).unwrap();
    assert!(row.contains(" –  "), "{row}");
    assert!(!row.contains("/s"), "{row}");
    let row = shown(&growing(XL, 5));
    let row = row.lines().find(|line| line.contains("❯ 10.0.3.17:443")).unwrap();
    assert!(row.contains("+5/s"), "{row}");
}

#[test]
fn a_growing_load_shows_the_time_to_exhaustion() {
    let session = growing(M, 5);
    let verdict = session.app.verdict().unwrap();
    assert_eq!(verdict.subject, Subject::Destination(payments()));
    assert_eq!((verdict.level, verdict.available), (Level::Exhausting, 19));
    let seen = shown(&session);
    assert!(seen.contains("+5/s: 19 left, full in ≈ 3s"), "{seen}");
}

/// Returns the first line of the verdict.
fn headline(session: &Session) -> String {
    let shown = shown(session);
    let is_level = |line: &&str| ["EXHAUST", "FAILING", "WATCH"].iter().any(|it| line.contains(it));
    shown.lines().find(is_level).unwrap_or_else(|| panic!("{shown}")).trim().to_owned()
}

#[test]
fn a_headline_stays_for_10_seconds_unless_a_worse_one_appears() {
    let mut session = on(&small(58, 57), dark(), S);
    let subject = |session: &Session| session.app.verdict().unwrap().subject;
    assert_eq!(subject(&session), Subject::Destination(payments()));
    for number in 2..=10 {
        scan(&mut session, &small(58, 59), number);
        assert_eq!(subject(&session), Subject::Destination(payments()), "{number} s");
    }
    scan(&mut session, &small(58, 59), 11);
    assert_eq!(subject(&session), Subject::Destination(redis()));
    scan(&mut session, &small(64, 59), 12);
    assert_eq!(subject(&session), Subject::Destination(payments()), "none is left");
    scan(&mut session, &small(57, 64), 13);
    assert_eq!(subject(&session), Subject::Destination(payments()), "no worse than it was");
    // The first destination has no problem any more, so it is not kept.
    session.now += Duration::from_secs(10);
    scan(&mut session, &small(0, 64), 14);
    assert_eq!(subject(&session), Subject::Destination(redis()));
}

#[test]
fn a_destination_precedes_the_range_that_it_fills() {
    let mut machine = SimulatedHost::builder()
        .ephemeral(Ephemeral::new(range(40_000, 40_063), Vec::new()))
        .process(4121, "payments-api", "/srv/payments", 1000);
    for port in order() {
        // One port belongs to another destination, so that the range is fuller than this one.
        let remote = ([10, 0, 3, 17], if port == 63 { 444 } else { 443 });
        let socket = machine.tcp(([10, 0, 0, 7], 40_000 + port), State::Established);
        machine = socket.connected_to(remote).owned_by(&[4121]);
    }
    let mut session = on(&machine.build(), dark(), S);
    assert_eq!(session.app.verdict().unwrap().level, Level::Exhausted, "bind(0) finds none");
    session.now += Duration::from_secs(10);
    scan(&mut session, &small(64, 0), 2);
    assert_eq!(session.app.verdict().unwrap().subject, Subject::Destination(payments()));
}

#[test]
fn a_headline_of_the_same_level_changes_only_its_numbers() {
    let busy = [57, 59, 60, 58, 60, 59, 61, 58, 60, 57, 58, 60];
    let failing = [60, 64, 61, 60, 63, 58, 62, 64, 57, 61, 60];
    for size in SIZES {
        let mut forms: BTreeMap<Level, BTreeSet<String>> = BTreeMap::new();
        let mut rows = BTreeSet::new();
        let mut session = on(&small(56, 0), dark(), size);
        for (number, used) in (2..).zip(busy.into_iter().chain(failing)) {
            scan(&mut session, &small(used, 0), number);
            let level = session.app.verdict().unwrap().level;
            // A forecast is shown only while the use grows.
            let headline = headline(&session).split(", full in ").next().unwrap().to_owned();
            let is_number = |c: char| c.is_ascii_digit() || ".,+−–≈".contains(c);
            let words = headline.split(' ').filter(|word| !word.chars().any(is_number));
            let form = words.collect::<Vec<_>>().join(" ");
            forms.entry(level).or_default().insert(form);
            let shown = shown(&session);
            rows.insert(shown.lines().position(|line| line.contains("Ephemeral range")));
        }
        let levels: Vec<_> = forms.keys().copied().collect();
        assert_eq!(levels, [Level::Exhausting, Level::Failing, Level::Exhausted]);
        assert!(forms.values().all(|forms| forms.len() == 1), "{size:?} {forms:#?}");
        assert_eq!(rows.len(), 1, "what is below stays where it is");
    }
}

#[test]
fn a_destination_that_was_full_a_moment_ago_is_failing() {
    for size in SIZES {
        let mut session = on(&small(60, 0), dark(), size);
        for (number, used) in [(2, 60), (3, 64), (4, 64), (5, 60), (6, 60)] {
            scan(&mut session, &small(used, 0), number);
        }
        let shown = shown(&session);
        assert!(shown.contains("!! FAILING"), "{shown}");
        assert!(headline(&session).contains("4 left, full at 2 of"), "{shown}");
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        let sentence = "connect() fails intermittently with EADDRNOTAVAIL (\"Cannot assign \
                        requested address\")";
        assert!(words.contains(sentence), "{words}");
        let times = ": no port was left at 2 of the last 6 scans, most recently 2s ago";
        assert!(size == S || words.contains(times), "{words}");
    }
}

#[test]
fn scans_at_which_a_destination_was_full_are_left_out_if_there_were_none() {
    for size in SIZES {
        let mut session = on(&small(10, 0), dark(), size);
        for (number, used) in [(2, 32), (3, 54)] {
            scan(&mut session, &small(used, 0), number);
        }
        let shown = shown(&session);
        assert!(shown.contains("!! FAILING"), "{shown}");
        assert!(headline(&session).contains("10 left"), "{shown}");
        assert!(!shown.contains("full at 0"), "{shown}");
    }
}

#[test]
fn a_refresh_without_change_updates_only_the_age() {
    for size in SIZES {
        let host = small(30, 20);
        let mut session = on(&host, dark(), size);
        for number in 2..6 {
            scan(&mut session, &host, number);
        }
        let before = session.draw();
        scan(&mut session, &host, 6);
        let (before, after) = (text(&before), shown(&session));
        assert_eq!(
            before.lines().skip(1).collect::<Vec<_>>(),
            after.lines().skip(1).collect::<Vec<_>>()
        );
    }
}

#[test]
fn sources_are_shown_only_where_there_are_several() {
    let one = shown(&on(&small(30, 20), dark(), L));
    assert!(one.contains("1 source address"), "{one}");
    let mut machine = SimulatedHost::builder();
    for (source, port) in [(7, 40_000), (8, 40_001)] {
        machine = machine
            .tcp(([10, 0, 0, source], port), State::Established)
            .connected_to(([10, 0, 3, 17], 443));
    }
    let two = shown(&on(&machine.build(), dark(), L));
    assert!(two.contains("2 source addresses"), "{two}");
    assert!(two.contains("10.0.0.7 → 10.0.3.17:443"), "{two}");
    assert!(two.contains("10.0.0.8 → 10.0.3.17:443"), "{two}");
}

#[test]
fn empty_lists_show_a_text() {
    for size in SIZES {
        let none = shown(&Session::on(Screen::Overview, dark(), size.0, size.1));
        assert!(none.contains("first scan.."), "{none}");
        let empty = shown(&on(&SimulatedHost::builder().build(), dark(), size));
        assert!(empty.contains("no sockets in this snapshot"), "{empty}");
        assert!(empty.contains("nothing listens"), "{empty}");
        let gap = Gap::OwnersHidden { sockets: 12, processes: 3 };
        let gaps = shown(&on(&SimulatedHost::builder().gap(gap).build(), dark(), size));
        let header = if size.0 < 100 { "1 gap" } else { "owners hidden: 12" };
        assert!(gaps.contains(header), "{gaps}");
        assert!(gaps.contains("could not read"), "{gaps}");
    }
}

#[test]
fn the_selected_finding_shows_meaning_and_advice() {
    let gap = Gap::OwnersHidden { sockets: 12, processes: 3 };
    let host = SimulatedHost::builder().gap(gap).build();
    for size in SIZES {
        let session = on(&host, dark(), size).press("l");
        assert_eq!(list(&session), OverviewList::Findings);
        let seen = shown(&session);
        assert!(seen.contains("means"), "{seen}");
        assert!(seen.contains("CAP_SYS_PTRACE"), "{seen}");
        assert!(seen.contains("rule   not-seen"), "{seen}");
    }
}

#[test]
fn small_terminals_show_the_verdict_as_text() {
    let seen = shown(&on(&small(64, 20), dark(), (40, 10)));
    assert!(seen.contains("EXHAUSTED  → 10.0.3.17:443 100 %"), "{seen}");
    assert!(seen.contains("requested address"), "{seen}");
    let seen = shown(&on(&small(64, 20), dark(), (40, 13)));
    assert!(seen.contains("TCP IPv4 100 %"), "{seen}");
    for columns in [1, 2, 10, 39, 79, 80, 109, 110, 150, 190, 300] {
        for rows in [1, 3, 12, 23, 24, 36, 46, 100] {
            for keys in ["", "ll"] {
                let session = on(&busy(), dark(), (columns, rows)).press(keys);
                session.draw();
            }
        }
    }
}

/// Shows a destination whose ports run out within seven scans.
fn exhausted(theme: Theme, size: (u16, u16)) -> Session {
    growing_by(8, theme, size)
}

/// The name of a screen, and the function that opens it.
type OverviewScreen = (&'static str, fn(Theme, (u16, u16)) -> Session);

const SCENES: [OverviewScreen; 4] = [
    ("overview-busy", |theme, size| on(&busy(), theme, size)),
    ("overview-exhausted", exhausted),
    ("overview-finding", |theme, size| on(&busy(), theme, size).press("ll")),
    ("overview-connect", |theme, size| on(&busy(), theme, size).press("\n")),
];

#[test]
fn the_overview_at_each_size() {
    for (name, overview_screen) in SCENES {
        for size in SIZES {
            assert_golden(
                &named(name, "dark", size, "text"),
                &shown(&overview_screen(dark(), size)),
            );
        }
        let style = styles(&overview_screen(dark(), S).draw());
        assert_golden(&named(name, "dark", S, "style"), &style);
        let style = styles(&overview_screen(light(), S).draw());
        assert_golden(&named(name, "light", S, "style"), &style);
    }
}

#[test]
fn the_overview_is_equal_without_colour_and_in_ascii() {
    for (name, overview_screen) in SCENES {
        for size in [S, M] {
            let bare = shown(&overview_screen(Theme::MONOCHROME, size));
            assert_golden(&named(name, "nocolor", size, "text"), &bare);
            let plain = shown(&overview_screen(ascii(), size));
            assert!(plain.is_ascii(), "{plain}");
            assert_golden(&named(name, "ascii", size, "text"), &plain);
            assert_eq!(
                shown(&overview_screen(dark(), size)),
                shown(&overview_screen(light(), size))
            );
        }
    }
}

fn named(name: &str, palette: &str, (columns, rows): (u16, u16), what: &str) -> String {
    format!("{name}-{palette}-{columns}x{rows}.{what}")
}

/// The sizes at which the screen must be complete, from the smallest on.
const COMPLETE: [(u16, u16); 6] = [(80, 20), (80, 23), S, (100, 30), M, XL];

/// Returns a machine on which nothing is short: a web server of three processes on both families,
/// two other servers, and a few connections.
fn healthy() -> SimulatedHost {
    let mut machine = SimulatedHost::builder()
        .name("ux2")
        .process(21_866, "python3", "python3 -m http.server 8080", 0)
        .process(21_867, "redis-server", "redis-server 127.0.0.1:6379", 0)
        .process(23_043, "nginx", "nginx: master process", 0)
        .process(23_053, "nginx", "nginx: worker process", 33)
        .process(23_054, "nginx", "nginx: worker process", 33)
        .tcp(([0, 0, 0, 0], 80), State::Listen)
        .owned_by(&[23_043, 23_053, 23_054])
        .tcp(([0_u16; 8], 80), State::Listen)
        .owned_by(&[23_043, 23_053, 23_054])
        .tcp(([127, 0, 0, 1], 6379), State::Listen)
        .owned_by(&[21_867])
        .tcp(([0, 0, 0, 0], 8080), State::Listen)
        .owned_by(&[21_866])
        .udp(([0, 0, 0, 0], 53))
        .hidden();
    for port in 0..12 {
        machine = machine
            .tcp(([10, 0, 1, 7], 40_000 + port), State::Established)
            .connected_to(([10, 0, 0, 5], 443))
            .owned_by(&[21_866]);
    }
    machine.build()
}

/// Shows a destination that was full at two of the last scans.
fn failing(theme: Theme, size: (u16, u16)) -> Session {
    let mut session = on(&small(60, 5), theme, size);
    for (number, used) in [(2, 60), (3, 64), (4, 64), (5, 60), (6, 60)] {
        scan(&mut session, &small(used, 5), number);
    }
    session
}

#[test]
fn the_first_screen_is_complete_from_80x20_up() {
    for size in COMPLETE {
        let seen = shown(&failing(dark(), size));
        for part in [
            "!! FAILING",
            "who   payments-api[4121]",
            "why   ",
            "do    1 ",
            "TCP IPv4",
            "❯ 10.0.3.17:443",
            "Cannot assign requested address",
            "? help",
        ] {
            let words = seen.split_whitespace().collect::<Vec<_>>().join(" ");
            let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(&part), "{size:?} {part}\n{seen}");
        }
        let row = seen.lines().find(|line| line.contains("❯ 10.0.3.17:443")).unwrap();
        assert!(row.contains("payments-api[4121]"), "{size:?} {row}");
        let seen = shown(&on(&healthy(), dark(), size));
        for part in ["OK", "Listening", "tcp 80", "nginx[23043] +2", "tcp 8080", "python3[21866]"] {
            assert!(seen.contains(part), "{size:?} {part}\n{seen}");
        }
    }
}

#[test]
fn below_80x20_the_verdict_comes_first_and_rows_follow() {
    for size in [(80, 19), (79, 24), (60, 16)] {
        let seen = shown(&failing(dark(), size));
        for part in ["FAILING", "who   payments-api[4121]", "why   ", "do    1 ", "10.0.9.4:6379"] {
            assert!(seen.contains(part), "{size:?} {part}\n{seen}");
        }
        let row = seen.lines().find(|line| line.starts_with("10.0.3.17:443")).unwrap();
        assert!(row.contains("payments-api[4121]"), "{size:?} {row}");
        let seen = shown(&on(&healthy(), dark(), size));
        assert!(seen.contains("tcp 8080"), "{size:?}\n{seen}");
    }
}

#[test]
fn no_owner_is_cut_from_80x20_to_200x60() {
    let widths = (80..=200).flat_map(|columns| [20, 24, 36, 46, 60].map(|rows| (columns, rows)));
    let heights = (20..=60).flat_map(|rows| [80, 110, 200].map(|columns| (columns, rows)));
    let all: BTreeSet<(u16, u16)> = widths.chain(heights).collect();
    let some = all.iter().copied().filter(|(columns, _)| columns % 10 == 0).collect();
    for (name, overview_screen) in WORLDS {
        for (keys, sizes) in [("", &all), ("l", &some), ("ll", &some)] {
            let mut session = overview_screen(dark(), S).press(keys);
            for &(columns, rows) in sizes {
                session.resize((columns, rows));
                let seen = shown(&session);
                let cut = seen.lines().find(|line| has_cut_owner(line));
                assert!(cut.is_none(), "{name} {columns}x{rows} {keys} {cut:?}\n{seen}");
            }
        }
    }
}

/// Returns whether the line has the name of a process without all of its pid.
fn has_cut_owner(line: &str) -> bool {
    ["nginx[", "payments-api[", "log-shipper[", "python3[", "redis-server[", "php-fpm["].iter().any(
        |name| {
            line.match_indices(name).any(|(at, _)| {
                let (_, rest) = line.split_at(at + name.len());
                !rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(']')
            })
        },
    )
}

/// Returns a machine without the right to see owners, on which a destination is almost full.
fn without_rights() -> SimulatedHost {
    let mut machine = SimulatedHost::builder()
        .ephemeral(Ephemeral::new(range(40_000, 40_063), Vec::new()))
        .tcp(([0, 0, 0, 0], 80), State::Listen)
        .hidden()
        .gap(Gap::OwnersHidden { sockets: 61, processes: 3 });
    for port in order().take(60) {
        machine = machine
            .tcp(([10, 0, 0, 7], 40_000 + port), State::Established)
            .connected_to(([10, 0, 3, 17], 443))
            .hidden();
    }
    machine.build()
}

/// The states of a machine that the screen must show completely.
const WORLDS: [OverviewScreen; 8] = [
    ("overview-healthy", |theme, size| on(&healthy(), theme, size)),
    ("overview-trouble", |theme, size| growing_by(6, theme, size)),
    ("overview-failing", failing),
    ("overview-exhausted", exhausted),
    ("overview-leaks", |theme, size| on(&leaking(), theme, size)),
    ("overview-no-rights", |theme, size| on(&without_rights(), theme, size)),
    ("overview-busy", |theme, size| on(&busy(), theme, size)),
    ("overview-full-finding", |theme, size| on(&busy(), theme, size).press("lll\n")),
];

#[test]
fn listeners_are_merged_by_owner_and_come_first_when_nothing_is_short() {
    let session = on(&healthy(), dark(), S);
    assert_eq!(list(&session), OverviewList::Listening);
    let seen = shown(&session);
    let row = |port: &str| seen.lines().find(|line| line.contains(port)).unwrap().to_owned();
    assert!(row("tcp 80 ").contains("all") && row("tcp 80 ").contains("nginx[23043] +2"), "{seen}");
    assert!(row("tcp 6379").contains("127.0.0.1"), "{seen}");
    assert!(row("udp 53").contains("hidden"), "{seen}");
    assert_eq!(seen.matches("nginx[23043]").count(), 1, "{seen}");
    // A connection to a destination is no listener.
    assert!(!seen.contains("tcp 40000"), "{seen}");
    assert_eq!(list(&on(&small(64, 20), dark(), S)), OverviewList::Destinations);
    let map = session.press("j\n");
    assert_eq!((map.app.screen(), map.app.map().cursor), (Screen::Map, 6379));
    assert_eq!(map.press("^").app.screen(), Screen::Overview);
}

#[test]
fn many_listeners_get_the_free_rows_when_nothing_is_short() {
    let mut machine = SimulatedHost::builder().process(7, "server", "/usr/bin/server", 0);
    for port in 8000..8035 {
        machine = machine.tcp(([0, 0, 0, 0], port), State::Listen).owned_by(&[7]);
    }
    let host = machine.build();
    for (size, least) in [((80, 20), 3), (S, 5), ((100, 30), 15), (M, 15), (XL, 30)] {
        let session = on(&host, dark(), size);
        let listeners = |seen: &str| seen.matches("tcp 80").count();
        let seen = shown(&session);
        assert!(listeners(&seen) >= least, "{} at {size:?}\n{seen}", listeners(&seen));
        // The selected listener is shown, and the verdict stays where it is.
        let end = shown(&session.press("jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj"));
        assert!(end.contains("❯ tcp 8034"), "{end}");
        assert!(seen.lines().take(4).eq(end.lines().take(4)), "{seen}\n{end}");
    }
}

/// A process that listens on these ports, and has connections on the first.
fn serving(ports: &[u16], connections: u16) -> SimulatedHost {
    let here = [127, 0, 0, 1];
    let mut machine = SimulatedHost::builder().process(7, "redis-server", "redis-server", 0);
    for &port in ports {
        machine = machine.tcp((here, port), State::Listen).owned_by(&[7]);
    }
    for remote in 50_000..50_000 + connections {
        machine = machine
            .tcp((here, ports[0]), State::Established)
            .connected_to((here, remote))
            .owned_by(&[7]);
    }
    machine.build()
}

#[test]
fn the_rate_of_a_listener_counts_connections_that_arrived_while_the_program_ran() {
    let with = |connections| serving(&[6379], connections);
    let mut session = on(&with(4), dark(), M);
    let rate = |session: &Session| session.app.scan().unwrap().listeners[0].connections_per_second;
    assert_eq!(rate(&session), None, "one scan shows no rate");
    scan(&mut session, &with(10), 2);
    assert_eq!(rate(&session), Some(6.0));
    scan(&mut session, &with(10), 3);
    assert_eq!(rate(&session), Some(3.0));
}

#[test]
fn connections_per_second_are_shown_over_time_where_the_list_is_wide() {
    let with = |connections| serving(&[6379, 8080], connections);
    let mut session = on(&with(4), dark(), (100, 30));
    // Four connections arrive in the first second, and none later.
    for number in 2..9 {
        scan(&mut session, &with(8), number);
    }
    let row = |session: &Session, port: &str| {
        shown(session).lines().find(|line| line.contains(port)).unwrap().trim_end().to_owned()
    };
    assert!(shown(&session).contains("incoming  over time"), "{}", shown(&session));
    assert!(
        row(&session, "tcp 6379").ends_with(" ··██▄▄▃▃▃▂▂▂▂▂▂▂"),
        "{}",
        row(&session, "tcp 6379")
    );
    // The first scan shows no rate.
    assert!(row(&session, "tcp 8080").ends_with("0/s  ··"), "{}", row(&session, "tcp 8080"));
    for (columns, rows) in [S, M, (99, 30)] {
        session.resize((columns, rows));
        assert!(!shown(&session).contains("over time"), "{}", shown(&session));
    }
    let plain = on(&with(4), ascii(), (100, 30));
    assert!(!shown(&plain).contains("over time"), "{}", shown(&plain));
}

#[test]
fn a_key_opens_the_finding_behind_the_verdict() {
    for size in COMPLETE {
        let session = failing(dark(), size);
        assert!(shown(&session).contains("! why  "), "{}", shown(&session));
        let reason = session.app.reason().unwrap().rule;
        let session = session.press("j!");
        assert_eq!(session.app.context(), Context::Finding);
        let rule = format!("rule   {reason}");
        let end = session.press("jjjjjjjjjjjjjjjjjjjjjjjj");
        assert!(shown(&end).contains(&rule), "{rule}\n{}", shown(&end));
        // The selection stays where it was.
        let back = end.press("^");
        assert_eq!(
            (back.app.context(), selected(&back)),
            (Context::Overview, OverviewRow::Destination(redis()))
        );
        let session = on(&healthy(), dark(), size);
        assert!(!shown(&session).contains("! why"), "{}", shown(&session));
        let session = session.press("!");
        assert_eq!(session.app.context(), Context::Overview);
        assert_eq!(session.app.notice(), Some("no finding"));
    }
}

#[test]
fn enter_opens_a_finding_in_full_and_keys_scroll_it() {
    let session = on(&busy(), dark(), (80, 20));
    let mut session = session.press("lll");
    assert_eq!(list(&session), OverviewList::Findings);
    session.update(Event::Key(Key::Enter));
    assert_eq!(session.app.context(), Context::Finding);
    let seen = shown(&session);
    assert!(seen.contains("Finding 1 of 3"), "{seen}");
    assert!(seen.contains("means  The peers have closed"), "{seen}");
    let mut all = seen;
    for _ in 0..50 {
        session.update(Event::Key(Key::Char('j')));
        all.push_str(&shown(&session));
    }
    assert!(all.contains("rule   close-wait-leak"), "{all}");
    assert!(!all.contains(".."), "{all}");
    // At the end, one key back shows another line at once.
    let end = shown(&session);
    session.update(Event::Key(Key::Char('k')));
    if all.contains("lines ") {
        assert_ne!(shown(&session), end);
    }
    session.update(Event::Key(Key::Escape));
    assert_eq!(session.app.context(), Context::Overview);
    assert_eq!(list(&session), OverviewList::Findings);
}

#[test]
fn the_footer_of_a_finding_offers_to_scroll_only_what_does_not_fit() {
    for size in [(80, 20), S, M, XL] {
        let seen = shown(&on(&busy(), dark(), size).press("lll\n"));
        let footer = seen.lines().last().unwrap();
        assert_eq!(footer.contains("j k scroll"), seen.contains(" lines 1-"), "{seen}");
        assert_eq!(footer.contains("PgUp PgDn page"), seen.contains(" lines 1-"), "{seen}");
        assert!(size != M || !footer.contains("scroll"), "{seen}");
    }
}

#[test]
fn the_steps_of_the_advice_are_shown_in_order() {
    for width in 80..=200 {
        for screen in [exhausted, failing] {
            let seen = shown(&screen(dark(), (width, 40)));
            let advice = seen.lines().skip_while(|line| !line.starts_with(" do  "));
            let advice: String = advice.take_while(|line| !line.trim().is_empty()).collect();
            let numbers = (1..9).filter(|number| advice.contains(&format!(" {number} ")));
            assert!(numbers.eq(1..=numbers_in(&advice)), "{seen}");
        }
    }
}

fn numbers_in(advice: &str) -> usize {
    (1..9).filter(|number| advice.contains(&format!(" {number} "))).count()
}

#[test]
fn the_small_map_without_colour_has_a_legend_of_its_glyphs() {
    let seen = shown(&on(&healthy(), Theme::MONOCHROME, M));
    let legend = seen.lines().find(|line| line.starts_with(" in use  · free  : <12 %"));
    assert!(legend.is_some(), "{seen}");
    // On a map with a letter for each port, the letters are states.
    let seen = shown(&on(&waiting(), Theme::MONOCHROME, XL));
    assert!(!seen.contains("<12 %"), "{seen}");
}

#[test]
fn a_command_of_a_finding_is_on_a_line_of_its_own() {
    let session = on(&busy(), dark(), S).press("llljj");
    let mut session = session;
    // Selects the finding about the listener in the range.
    while !matches!(selected(&session), OverviewRow::Finding("listener-in-range", _)) {
        session = session.press("k");
        assert_eq!(list(&session), OverviewList::Findings);
    }
    let seen = shown(&session.press("\n"));
    let command = seen.lines().find(|line| line.trim_start().starts_with("$ sysctl -w")).unwrap();
    assert!(command.trim_end().ends_with("=40000-40063,51820"), "{seen}");
}

/// Returns a machine with 40 workers of one program that do not close their connections.
fn leaking() -> SimulatedHost {
    let mut machine = SimulatedHost::builder();
    for worker in 0..40 {
        machine = machine.process(900 + worker, "php-fpm", "php-fpm: pool www", 33);
        for number in 0..40 {
            machine = machine
                .tcp(([10, 0, 0, 7], 33_000 + worker as u16 * 40 + number), State::CloseWait)
                .connected_to(([10, 0, 3, 17], 3306))
                .owned_by(&[900 + worker]);
        }
    }
    machine.build()
}

#[test]
fn the_overview_from_80x20_to_200x60() {
    for (name, overview_screen) in WORLDS {
        for size in COMPLETE {
            assert_golden(
                &named(name, "dark", size, "text"),
                &shown(&overview_screen(dark(), size)),
            );
        }
        let bare = shown(&overview_screen(Theme::MONOCHROME, M));
        assert_golden(&named(name, "nocolor", M, "text"), &bare);
    }
}

#[test]
fn the_advice_names_its_effect_and_its_command_on_one_line() {
    let ports = range(40_000, 40_063);
    let mut ephemeral = Ephemeral::new(ports, Vec::new());
    ephemeral.tw_reuse = Some(0);
    let mut machine = SimulatedHost::builder().ephemeral(ephemeral).process(
        4121,
        "payments-api",
        "/srv/payments",
        1000,
    );
    for (number, port) in order().enumerate() {
        let local = ([10, 0, 0, 7], 40_000 + port);
        machine = if number < 30 {
            let socket = machine.tcp(local, State::Established);
            socket.connected_to(([10, 0, 3, 17], 443)).owned_by(&[4121])
        } else {
            machine.tcp(local, State::TimeWait).connected_to(([10, 0, 3, 17], 443))
        };
    }
    let host = machine.build();
    for size in COMPLETE {
        let seen = shown(&on(&host, dark(), size));
        let advice = " do    1 frees up to 34 ports: sysctl -w net.ipv4.tcp_tw_reuse=1";
        assert!(seen.contains(advice), "{seen}");
        assert!(
            seen.contains("2 +55,232 ports: sysctl -w net.ipv4.ip_local_port_range="),
            "{seen}"
        );
    }
}

/// Returns a machine with a range of 64 ports: 20 connections of one destination, and 20 ports in
/// TIME-WAIT of another.
fn waiting() -> SimulatedHost {
    let ports = range(40_000, 40_063);
    let mut ephemeral = Ephemeral::new(ports, Vec::new());
    ephemeral.tw_reuse = Some(0);
    let mut machine = SimulatedHost::builder().ephemeral(ephemeral);
    machine = machine.process(4121, "payments-api", "/srv/payments", 1000);
    for (number, port) in order().take(40).enumerate() {
        let local = ([127, 0, 0, 1], 40_000 + port);
        machine = if number < 20 {
            let socket = machine.tcp(local, State::Established);
            socket.connected_to(([127, 0, 0, 1], 5432)).owned_by(&[4121])
        } else {
            machine.tcp(local, State::TimeWait).connected_to(([127, 0, 0, 1], 9000))
        };
    }
    machine.build()
}

#[test]
fn bar_share_and_ports_left_of_a_destination_agree() {
    for size in COMPLETE {
        let seen = shown(&on(&waiting(), dark(), size));
        let is_row = |line: &&str| line.contains("127.0.0.1:9000 ") && line.contains("kernel");
        let row = seen.lines().find(is_row).unwrap();
        assert!(row.contains("\u{2588}") && row.contains("31.2 %"), "{seen}");
        let figures = row.split_once(":9000").unwrap().1;
        let left = figures
            .split_whitespace()
            .find_map(|word| word.trim_start_matches('\u{2265}').parse::<u32>().ok());
        assert!(left.is_some_and(|left| left <= 44), "{row}");
    }
}

#[test]
fn an_open_finding_can_be_copied_and_has_help() {
    let mut session = on(&busy(), dark(), (80, 20)).press("lll\n");
    assert_eq!(session.app.context(), Context::Finding);
    let finding = shown(&session);
    let effects = session.app.update(session.now, Event::Key(Key::Char('y')));
    assert_eq!(effects, [Effect::Copy]);
    let copied = view::copied::text(&session.app, &session.theme).unwrap();
    assert_eq!(copied.title, "finding close-wait-leak");
    session = session.press("?");
    assert_eq!(session.app.context(), Context::Help);
    session = session.press("^");
    assert_eq!(shown(&session), finding);
}

/// Returns a machine with a range of 64 ports, all of them bound and not used.
fn full() -> SimulatedHost {
    let ephemeral = Ephemeral::new(range(40_000, 40_063), Vec::new());
    let mut machine = SimulatedHost::builder().ephemeral(ephemeral);
    machine = machine.process(9, "python3", "python3 full.py", 0);
    for port in 40_000..40_064 {
        machine = machine.tcp(([0, 0, 0, 0], port), State::Bound).owned_by(&[9]);
    }
    machine.build()
}

#[test]
fn the_reason_uses_its_second_line() {
    for size in [(80, 23), S] {
        let seen = shown(&on(&full(), dark(), size));
        assert!(seen.contains("connect() to any destination fails"), "{seen}");
    }
}

#[test]
fn a_finding_in_the_list_has_no_broken_command() {
    let mut session = on(&full(), dark(), M);
    while list(&session) != OverviewList::Findings {
        session = session.press("l");
    }
    let seen = shown(&session);
    assert!(seen.contains("(Enter shows the command)"), "{seen}");
    assert!(!seen.contains("$ sysctl"), "{seen}");
    assert!(shown(&session.press("\n")).contains("$ sysctl -w net.ipv4.ip_local_port_range="));
}

#[test]
fn the_headline_counts_the_ports_if_there_is_room() {
    let seen = shown(&on(&small(60, 0), dark(), S));
    assert!(headline_of(&seen).contains("uses 60 of 64"), "{seen}");
}

fn headline_of(seen: &str) -> &str {
    seen.lines().find(|line| line.contains("!! ")).unwrap()
}

#[test]
fn the_time_wait_chart_counts_the_ports_that_become_free() {
    let seen = shown(&on(&waiting(), dark(), XL));
    assert!(seen.contains("TIME-WAIT ends: 20 ports become free"), "{seen}");
}

#[test]
fn a_long_command_is_wrapped_while_lines_are_free() {
    let command =
        "/usr/bin/server --listen 0.0.0.0:8443 --pool 64 --name payments --log /var/log/x.log";
    for (size, repeated) in [(M, 2), (XL, 2), (XL, 4)] {
        let machine = SimulatedHost::builder().process(8, "server", &command.repeat(repeated), 0);
        let machine = machine.tcp(([0, 0, 0, 0], 8443), State::Listen).owned_by(&[8]).build();
        let session = on(&machine, dark(), size).press("2g8443\n");
        let seen: String = shown(&session).split_whitespace().collect();
        assert!(!seen.contains("x.lo..") && seen.contains("--pool64"), "{seen}");
    }
}

#[test]
fn a_command_that_is_cut_ends_with_two_dots() {
    let command = "/usr/bin/server -a 80x20 -b 80x23 -c 80x24 ".repeat(20);
    let machine = SimulatedHost::builder().process(8, "server", &command, 0);
    let machine = machine.tcp(([0, 0, 0, 0], 8443), State::Listen).owned_by(&[8]).build();
    for columns in 110..=150 {
        let seen = shown(&on(&machine, dark(), (columns, 40)).press("2g8443\n"));
        let inspector: Vec<&str> = seen.lines().filter_map(|line| line.split('│').nth(1)).collect();
        let is_cut = |line: &&&str| line.trim_end().ends_with("..");
        assert_eq!(inspector.iter().filter(is_cut).count(), 1, "{seen}");
        assert!(!inspector.iter().any(|line| [".", ".."].contains(&line.trim())), "{seen}");
    }
}
