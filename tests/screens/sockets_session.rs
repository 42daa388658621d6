//! The Sockets screen, driven by keys: what is selected, marked, filtered and grouped. Compares no
//! frames.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use portscope::{
    app::{
        App, Context, Effect, Event, Key, Overlay, Screen,
        sockets::{ListRow, RowsFile, RowsFormat, SocketList},
    },
    domain::{
        Gap, ProcessTable, Snapshot, Socket, State,
        listing::{GroupBy, GroupColumn, SocketColumn},
    },
    engine::Report,
    host::{Host, simulated::SimulatedHost},
    view::copied,
};

use crate::session::{Session, busy, dark};

/// A machine with a web server, its clients, and a process whose name contains another's.
pub fn machine() -> SimulatedHost {
    let (any, here) = ([0, 0, 0, 0], [10, 0, 1, 7]);
    let mut builder = SimulatedHost::builder()
        .name("web-07")
        .user(33, "www-data")
        .process(812, "nginx", "nginx: master process", 0)
        .process(813, "nginx", "nginx: worker process", 33)
        .process(900, "nginx-exporter", "/usr/bin/nginx-exporter", 1000)
        .process(4121, "payments-api", "/srv/payments --pool 64", 1000)
        .tcp((any, 80), State::Listen)
        .owned_by(&[812, 813])
        .tcp((any, 9113), State::Listen)
        .owned_by(&[900])
        .udp((any, 5353))
        .hidden()
        .gap(Gap::OwnersHidden { sockets: 1, processes: 1 })
        .tcp((any, 8080), State::Bound)
        .owned_by(&[4121]);
    for number in 0..30 {
        builder = builder
            .tcp((here, 40_000 + 2 * number), State::Established)
            .connected_to(([10, 0, 3, 17], 5432))
            .owned_by(&[4121]);
    }
    for number in 0..6 {
        builder = builder
            .tcp((here, 41_000 + number), State::TimeWait)
            .connected_to(([10, 0, 0, 5], 443));
    }
    builder.build()
}

/// The Sockets screen of a machine.
pub struct SocketsSession {
    pub session: Session,
    snapshot: Snapshot,
}

impl SocketsSession {
    pub fn new(host: &SimulatedHost) -> Self {
        Self { session: Session::of(host, dark(), 80, 24).press("3"), snapshot: host.snapshot() }
    }

    fn app(&self) -> &App {
        &self.session.app
    }

    pub fn list(&self) -> &SocketList {
        self.app().socket_list().unwrap()
    }

    pub fn press(&mut self, keys: &[Key]) {
        for &key in keys {
            self.session.update(Event::Key(key));
        }
    }

    pub fn type_keys(&mut self, keys: &str) {
        for key in keys.chars() {
            self.press(&[Key::Char(key)]);
        }
    }

    /// Types a filter and keeps it.
    pub fn filter(&mut self, text: &str) {
        self.press(&[Key::Char('/'), Key::Ctrl('u')]);
        self.type_keys(text);
        self.press(&[Key::Enter]);
    }

    /// Reports a scan after some time, with other sockets.
    pub fn scan(&mut self, seconds: u64, change: impl FnOnce(&mut Vec<Socket>)) {
        self.session.now += Duration::from_secs(seconds);
        self.snapshot.number += 1;
        self.snapshot.taken_at += Duration::from_secs(seconds);
        change(&mut self.snapshot.sockets);
        self.snapshot.sort();
        self.session.update(Event::Report(Report::Scanned(Arc::new(self.snapshot.clone()))));
    }

    fn selected(&self) -> Socket {
        *self.app().selected_socket().unwrap().1
    }

    fn ports(&self) -> Vec<u16> {
        let scan = self.app().scan().unwrap();
        let rows = self.list().rows.iter();
        rows.map(|&row| self.app().sockets().on_row(row, scan).unwrap().1.local.port).collect()
    }

    /// Returns the line of the table that the selected row has.
    fn line(&self) -> usize {
        self.list().selected.unwrap() - self.list().first
    }
}

fn socket_on(port: u16, cookie: u64) -> Socket {
    let local = ([10, 0, 1, 7], port).into();
    let mut socket = Socket::new(portscope::domain::Protocol::Tcp, State::Established, local);
    socket.remote = Some(([10, 0, 3, 17], 5432).into());
    socket.cookie = Some(cookie);
    socket
}

#[test]
fn the_selection_stays_on_its_socket_while_rows_appear_and_end_before_it() {
    let mut session = SocketsSession::new(&machine());
    session.press(&[Key::PageDown, Key::Down, Key::Down]);
    let (selected, line) = (session.selected(), session.line());
    session
        .scan(1, |sockets| sockets.extend((0..8).map(|n| socket_on(30_000 + n, 9000 + n as u64))));
    assert_eq!((session.selected(), session.line()), (selected, line));
    session.scan(1, |sockets| sockets.retain(|socket| socket.local.port != 80));
    assert_eq!((session.selected(), session.line()), (selected, line));
    // The ended rows disappear.
    session.scan(4, |_| ());
    assert_eq!((session.selected(), session.line()), (selected, line));
}

#[test]
fn the_selection_stays_on_its_socket_when_the_order_changes() {
    let mut session = SocketsSession::new(&machine());
    session.press(&[Key::PageDown, Key::Down]);
    let selected = session.selected();
    for _ in 0..8 {
        session.press(&[Key::Char('s')]);
        assert_eq!(session.selected(), selected, "{:?}", session.app().sockets().order());
        session.press(&[Key::Char('S')]);
        assert_eq!(session.selected(), selected);
    }
}

#[test]
fn an_ended_socket_stays_for_three_seconds_then_the_nearest_row_is_selected() {
    let mut session = SocketsSession::new(&machine());
    session.filter("payments-api");
    session.press(&[Key::Down, Key::Down]);
    let selected = session.selected();
    let (at, next) = (session.list().selected.unwrap(), session.ports()[3]);
    session.scan(1, |sockets| sockets.retain(|socket| socket.cookie != selected.cookie));
    assert_eq!(session.selected().local, selected.local);
    assert!(matches!(session.app().selected_row(), Some(ListRow::Ended(_))));
    assert_eq!((session.list().matches, session.list().ended), (30, 1));
    session.scan(1, |_| ());
    assert_eq!(session.selected().local, selected.local);
    session.session.now += Duration::from_secs(2);
    session.session.update(Event::Tick);
    assert_eq!((session.list().selected.unwrap(), session.list().ended), (at, 0));
    assert_eq!(session.selected().local.port, next);
}

#[test]
fn new_sockets_are_marked_for_three_seconds_and_only_while_someone_looks() {
    let mut session = SocketsSession::new(&machine());
    let is_new = |session: &SocketsSession, port| {
        let scan = session.app().scan().unwrap();
        let socket = scan.snapshot.sockets.iter().find(|socket| socket.local.port == port).unwrap();
        session.app().sockets().recent().is_new(socket, session.app().now())
    };
    assert!(!is_new(&session, 80));
    session.scan(1, |sockets| sockets.push(socket_on(30_000, 9000)));
    assert!(is_new(&session, 30_000) && !is_new(&session, 80));
    session.scan(3, |_| ());
    assert!(!is_new(&session, 30_000));
    session.press(&[Key::Char('1')]);
    session.scan(1, |sockets| sockets.push(socket_on(30_001, 9001)));
    session.press(&[Key::Char('3')]);
    assert!(!is_new(&session, 30_001));
}

#[test]
fn a_filter_that_is_not_understood_keeps_the_last_one() {
    let mut session = SocketsSession::new(&machine());
    session.filter("state time-wait");
    assert_eq!(session.list().matches, 6);
    session.press(&[Key::Char('/')]);
    session.type_keys(" = 10.0.0.5");
    assert!(session.app().sockets().line().error().is_some());
    assert_eq!(session.list().matches, 6);
    let text = crate::session::text(&session.session.draw());
    assert!(text.contains("state time-wait = 10.0.0.5"), "{text}");
    assert!(text.contains("nothing can be compared here"), "{text}");
    session.press(&[Key::Enter]);
    assert!(session.app().sockets().line().is_focused(), "the text can be corrected");
    session.press(&[Key::Backspace; 11]);
    session.press(&[Key::Enter]);
    assert!(!session.app().sockets().line().is_focused());
    assert_eq!(session.app().sockets().line().text(), "state time-wait");
}

#[test]
fn up_and_down_go_through_the_filters_and_tab_takes_the_suggestion() {
    let mut session = SocketsSession::new(&machine());
    session.filter("nginx");
    session.filter(":5432");
    session.press(&[Key::Char('/'), Key::Ctrl('u')]);
    session.type_keys("stat time-wait");
    let text = |session: &SocketsSession| session.app().sockets().line().text().to_owned();
    session.press(&[Key::Up, Key::Up]);
    assert_eq!((text(&session), session.list().matches), ("nginx".to_owned(), 2));
    session.press(&[Key::Down, Key::Down]);
    assert_eq!(text(&session), "stat time-wait");
    session.press(&[Key::Tab]);
    assert_eq!((text(&session), session.list().matches), ("state time-wait".to_owned(), 6));
    session.press(&[Key::Escape]);
    assert_eq!(session.app().context(), Context::Sockets);
    assert_eq!((text(&session), session.list().matches), (String::new(), 40));
}

/// For each way to group, the sockets of each group are as many as the filter selects that Enter
/// sets, and Esc returns to the same group.
#[test]
fn a_group_has_the_sockets_that_its_filter_selects() {
    for host in [machine(), busy()] {
        for (times, group_by) in GroupBy::EACH.into_iter().enumerate().skip(1) {
            let mut session = SocketsSession::new(&host);
            session.type_keys(&"c".repeat(times));
            assert_eq!(session.app().sockets().group_by(), group_by);
            let groups = session.list().groups.clone().unwrap();
            assert!(!groups.is_empty());
            for (index, group) in groups.iter().enumerate().take(40) {
                session.press(&[Key::Home]);
                session.press(&vec![Key::Down; index]);
                session.press(&[Key::Enter]);
                if session.app().sockets().group_by() == group_by {
                    let notice = session.app().notice().unwrap();
                    assert!(notice.starts_with("no filter selects"), "{group:?}: {notice}");
                    continue;
                }
                let filter = session.app().sockets().line().text().to_owned();
                assert_eq!(session.list().matches, group.sockets, "{group:?}: {filter}");
                session.press(&[Key::Escape]);
                assert_eq!(session.list().selected, Some(index));
                assert_eq!(session.app().sockets().line().text(), "");
            }
        }
    }
}

#[test]
fn a_name_that_another_name_contains_is_entered_by_pids() {
    let mut session = SocketsSession::new(&machine());
    session.filter("listen");
    session.type_keys("cs");
    session.type_keys("s");
    // The hidden owner comes first.
    session.press(&[Key::Home, Key::Down, Key::Enter]);
    let line = session.app().sockets().line();
    assert_eq!(line.text(), "listen and ( pid 812 or pid 813 )");
    assert_eq!(session.ports(), [80]);
}

#[test]
fn marks_survive_scans_and_are_copied() {
    let mut session = SocketsSession::new(&machine());
    session.filter(":443");
    session.press(&[Key::Char('v'), Key::Down, Key::Char('v')]);
    assert_eq!(session.list().marked, 2);
    session.scan(1, |sockets| sockets.push(socket_on(30_000, 9000)));
    session.filter("");
    assert_eq!(session.list().marked, 2);
    let rows = copied::rows(session.app(), &dark()).unwrap();
    assert_eq!((rows.title.as_str(), rows.text.lines().count()), ("2 sockets", 2));
    session.scan(1, |sockets| sockets.retain(|socket| socket.local.port != 41_000));
    assert_eq!(session.list().marked, 1);
    session.press(&[Key::Escape]);
    assert_eq!(session.list().marked, 0);
    session.filter("state time-wait");
    session.type_keys("V");
    assert_eq!(session.list().marked, 5);
    session.type_keys("V");
    assert_eq!(session.list().marked, 0);
}

#[test]
fn a_slash_opens_an_empty_filter_from_each_screen() {
    for keys in ["1", "2", "4", "4P", "5"] {
        let mut session = SocketsSession::new(&machine());
        session.filter("nginx");
        session.type_keys(keys);
        session.press(&[Key::Char('/')]);
        assert_eq!(session.app().context(), Context::Filter, "{keys}");
        session.type_keys("q:80");
        assert_eq!(session.app().screen(), Screen::Sockets);
        assert_eq!(session.app().sockets().line().text(), "q:80");
        session.press(&[Key::Ctrl('u'), Key::Up]);
        assert_eq!(session.app().sockets().line().text(), "nginx");
    }
}

#[test]
fn a_paste_goes_to_the_filter_and_is_never_a_command() {
    let mut session = SocketsSession::new(&machine());
    session.session.update(Event::Pasted('q'));
    assert_eq!(session.app().sockets().line().text(), "");
    session.press(&[Key::Char('/')]);
    for character in "state\ttime-wait\n".chars().chain("x".repeat(100_000).chars()) {
        session.session.update(Event::Pasted(character));
    }
    assert!(session.app().sockets().line().text().starts_with("statetime-waitxxx"));
    assert_eq!(session.app().sockets().line().text().len(), 1000);
}

#[test]
fn sockets_of_hidden_owners_are_counted_as_unknown() {
    let mut session = SocketsSession::new(&machine());
    session.filter("nginx");
    assert_eq!((session.list().matches, session.list().unknown), (2, 1));
    let text = crate::session::text(&session.session.draw());
    assert!(text.contains("2 of 40 sockets · 1 unknown"), "{text}");
    session.filter("not nginx");
    assert_eq!((session.list().matches, session.list().unknown), (37, 1));
}

#[test]
fn a_search_hides_no_socket_and_n_goes_through_its_matches() {
    let mut session = SocketsSession::new(&machine());
    session.filter("?:443");
    let (all, found) = (session.list().matches, session.list().found.clone());
    assert_eq!((all, found.len()), (40, 6));
    let port = |session: &SocketsSession| session.selected().local.port;
    // Enter selects the first match.
    assert_eq!(port(&session), 41_000);
    let text = crate::session::text(&session.session.draw());
    assert!(text.contains("6 of 40 sockets found"), "{text}");
    assert!(text.contains("•▌TIME-WAIT"), "{text}");
    session.type_keys("nn");
    assert_eq!(port(&session), 41_002);
    session.type_keys("NNN");
    assert_eq!(port(&session), 41_005);
    assert_eq!(session.app().notice(), Some("the search goes on at the last row"));
    session.type_keys("n");
    assert_eq!(port(&session), 41_000);
    assert_eq!(session.app().notice(), Some("the search goes on at the first row"));
    // The matches are found in each order.
    session.press(&[Key::Char('S'), Key::Home, Key::Char('n')]);
    assert_eq!(port(&session), 41_005);
    session.press(&[Key::Escape, Key::Char('n')]);
    assert!(session.app().notice().unwrap().starts_with("nothing is searched for"));
    session.filter("?nosuchprogram");
    assert_eq!((session.list().matches, session.list().found.len()), (40, 0));
    assert_eq!(session.app().notice(), Some("the search finds no socket"));
}

#[test]
fn a_search_is_there_again_after_a_group_was_entered() {
    let mut session = SocketsSession::new(&machine());
    session.filter("?nginx");
    session.type_keys("ccc");
    assert_eq!(session.app().sockets().group_by(), GroupBy::State);
    session.press(&[Key::Enter]);
    let text = session.app().sockets().line().text();
    assert!(text.contains("established"), "{text}");
    session.press(&[Key::Escape]);
    assert_eq!(session.app().sockets().line().text(), "?nginx");
    session.type_keys("n");
    assert!(session.app().notice().unwrap().contains("not groups"));
}

#[test]
fn a_socket_is_shown_on_the_map_and_esc_returns() {
    let mut session = SocketsSession::new(&machine());
    session.filter(":443");
    session.type_keys("m");
    assert_eq!((session.app().screen(), session.app().map().cursor), (Screen::Map, 41_000));
    session.press(&[Key::Escape]);
    assert_eq!(session.app().screen(), Screen::Sockets);
    assert_eq!(session.app().sockets().line().text(), ":443");
}

#[test]
fn y_copies_the_command_and_else_the_row() {
    let mut session = SocketsSession::new(&machine());
    session.filter("state time-wait dst 10.0.0.5");
    let copied_text = |session: &SocketsSession| copied::text(session.app(), &dark()).unwrap();
    assert_eq!(copied_text(&session).text, "ss -tuan state time-wait dst 10.0.0.5\n");
    session.filter("nginx");
    let row = "tcp4 LISTEN 0.0.0.0:80 nginx[812] root +1\n";
    assert_eq!(copied_text(&session).text, row);
    let at = Duration::from_secs(9);
    let effects = session.session.app.update(at, Event::Key(Key::Char('Y')));
    assert_eq!(effects, [Effect::CopyRows]);
    assert_eq!(copied::rows(session.app(), &dark()).unwrap().text.lines().count(), 2);
}

#[test]
fn following_keeps_the_newest_socket_on_top() {
    let mut session = SocketsSession::new(&machine());
    session.press(&[Key::End, Key::Char('F')]);
    for number in 0..5 {
        session.scan(1, |sockets| sockets.push(socket_on(30_000 + number, 9000 + number as u64)));
        assert_eq!(session.selected().local.port, 30_000 + number);
        assert_eq!((session.list().selected, session.list().first), (Some(0), 0));
    }
    session.press(&[Key::Down]);
    assert!(!session.app().sockets().is_following());
}

#[test]
fn each_column_sorts_and_reverses() {
    let mut session = SocketsSession::new(&busy());
    let mut columns = BTreeSet::new();
    for _ in 0..5 {
        let ports = session.ports();
        session.type_keys("S");
        let reversed: Vec<u16> = session.ports().into_iter().rev().collect();
        assert_eq!(reversed, ports);
        session.type_keys("s");
        columns.insert(session.app().sockets().order().column);
    }
    let shown = [SocketColumn::State, SocketColumn::Local, SocketColumn::Remote];
    assert_eq!(
        columns,
        shown.into_iter().chain([SocketColumn::Owner, SocketColumn::Age]).collect()
    );
}

#[test]
fn a_click_selects_a_row_and_a_long_inspector_is_opened_by_enter() {
    let mut session = SocketsSession::new(&machine());
    session.press(&[Key::End]);
    let first = session.list().first;
    let area = ratatui::layout::Rect::new(0, 0, 80, 24);
    let target = portscope::view::layout::target_at(area, session.app(), 10, 5);
    session.session.update(Event::Mouse(portscope::app::Gesture::Press, target));
    assert_eq!(session.list().selected, Some(first + 2));
    let selected = session.selected();
    session.press(&[Key::Enter]);
    let text = crate::session::text(&session.session.draw());
    assert!(text.contains("IANA"), "{text}");
    assert_eq!(session.selected(), selected);
    session.press(&[Key::Escape]);
    assert_eq!(session.selected(), selected);
}

#[test]
fn a_click_on_a_title_sorts_by_the_column_and_again_reverses() {
    let mut session = SocketsSession::new(&machine());
    let area = ratatui::layout::Rect::new(0, 0, 80, 24);
    let click = |session: &mut SocketsSession, title: &str| {
        let text = crate::session::text(&session.session.draw());
        let line = text.lines().nth(2).unwrap();
        let x = line.split_once(title).unwrap().0.chars().count() as u16;
        let target = portscope::view::layout::target_at(area, session.app(), x, 2);
        session.session.update(Event::Mouse(portscope::app::Gesture::Press, target));
    };
    click(&mut session, "remote");
    let order = session.app().sockets().order();
    assert_eq!((order.column, order.is_reversed), (SocketColumn::Remote, false));
    click(&mut session, "remote");
    assert!(session.app().sockets().order().is_reversed);
    session.type_keys("c");
    for (title, column) in [("ports", GroupColumn::Ports), ("owner", GroupColumn::Name)] {
        click(&mut session, title);
        let order = session.app().sockets().group_order();
        assert_eq!((order.column, order.is_reversed), (column, false));
    }
    // Nothing sorts by this column.
    click(&mut session, "listen");
    assert_eq!(session.app().sockets().group_order().column, GroupColumn::Name);
}

#[test]
fn the_prompt_for_a_file_offers_a_name_and_refuses_other_formats() {
    let mut session = SocketsSession::new(&machine());
    session.filter("nginx");
    session.type_keys("W");
    let Overlay::WriteRows(name) = session.app().overlay().clone() else {
        panic!("{:?}", session.app().overlay())
    };
    assert!(name.starts_with("portscope-sockets-20"), "{name}");
    assert_eq!(RowsFile::parse(&name).unwrap().format, RowsFormat::Csv);
    let text = crate::session::text(&session.session.draw());
    assert!(text.contains(&format!("write to  {name} ")), "{text}");
    // The letters of a name are no commands.
    session.press(&[Key::Ctrl('u')]);
    session.type_keys("q.txt");
    session.press(&[Key::Enter]);
    let refused = Some("expected a name that ends with .csv or .json");
    assert_eq!(session.app().notice(), refused);
    session.press(&[Key::Backspace; 3]);
    session.type_keys("json");
    let at = session.session.now;
    let effects = session.session.app.update(at, Event::Key(Key::Enter));
    let file = RowsFile { name: "q.json".to_owned(), format: RowsFormat::Json };
    assert_eq!(effects, [Effect::WriteRows(file)]);
    session.session.update(Event::Written(Err("could not write q.json: why".to_owned())));
    assert_eq!(session.app().notice(), Some("could not write q.json: why"));
    session.type_keys("cW");
    assert!(matches!(session.app().overlay(), Overlay::WriteRows(name) if name.contains("groups")));
    session.press(&[Key::Escape]);
    assert_eq!(session.app().overlay(), &Overlay::None);
    assert_eq!(session.app().sockets().line().text(), "nginx");
}

#[test]
fn no_key_panics_at_any_size() {
    let keys = "cjcjcjcjcjcjcjcssSSvVFjkJKm^/nginx\n3\n^m3W.csv^/?n\nnNnWx\n^^";
    for (columns, rows) in [(1, 1), (10, 4), (40, 10), (60, 15), (80, 19), (100, 30), (200, 60)] {
        for host in [machine(), SimulatedHost::builder().build()] {
            let mut session = Session::of(&host, dark(), columns, rows).press("3");
            for key in keys.chars() {
                session = session.press(&key.to_string());
                session.draw();
            }
        }
    }
}

#[test]
fn names_of_processes_arrive_later_than_their_sockets() {
    let host = machine();
    let mut session = Session::on(Screen::Sockets, dark(), 80, 24);
    session.update(Event::Report(Report::Scanned(Arc::new(host.snapshot()))));
    session = session.press("/nginx\n");
    let list = |session: &Session| session.app.socket_list().unwrap().clone();
    assert_eq!((list(&session).matches, list(&session).unknown), (0, 34));
    let processes: ProcessTable =
        host.clone().describer().describe(&host.snapshot().pids).into_iter().collect();
    session.update(Event::Report(Report::Described(Arc::new(processes))));
    assert_eq!((list(&session).matches, list(&session).unknown), (2, 1));
}
