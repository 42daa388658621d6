//! Scripted sessions: events in, state and effects after each. Draws nothing.

use std::{sync::Arc, time::Duration};

use portscope::{
    app::{
        App, AppOptions, Context, Effect, Event, Extent, Find, Gesture, Key, Lens, OpenHelp,
        Overlay, PointerTarget, Screen,
    },
    domain::{PortRange, Process, ProcessTable, Protocols, Snapshot, State, Text},
    engine::{AllocationRequest, Report, Request},
    host::{Host, simulated::SimulatedHost},
};

use crate::app_options::options;

fn machine() -> SimulatedHost {
    SimulatedHost::builder()
        .process(812, "nginx", "nginx: worker", 33)
        .process(4121, "payments", "/srv/payments", 1000)
        .tcp(([0, 0, 0, 0], 443), State::Listen)
        .owned_by(&[812])
        .tcp(([10, 0, 0, 1], 40_007), State::Established)
        .owned_by(&[4121])
        .tcp(([10, 0, 0, 1], 40_003), State::TimeWait)
        .build()
}

struct Session(App);

impl Session {
    fn new(find: Option<Find>) -> Self {
        let mut app = App::new(AppOptions { find, ..options() });
        app.update(Duration::ZERO, Event::Resized { columns: 80, rows: 24 });
        Self(app)
    }

    /// Starts a session and reports the first scan.
    fn started() -> Self {
        let mut session = Self::new(None);
        session.scanned(machine().snapshot());
        session
    }

    fn update(&mut self, event: Event) -> Vec<Effect> {
        self.0.update(Duration::from_secs(1), event)
    }

    fn press(&mut self, key: Key) -> Vec<Effect> {
        self.update(Event::Key(key))
    }

    fn type_keys(&mut self, keys: &str) -> Vec<Effect> {
        keys.chars().flat_map(|key| self.press(Key::Char(key))).collect()
    }

    fn scanned(&mut self, snapshot: Snapshot) -> Vec<Effect> {
        self.update(Event::Report(Report::Scanned(Arc::new(snapshot))))
    }

    fn cursor(&self) -> u16 {
        self.0.map().cursor
    }
}

#[test]
fn the_cursor_starts_at_the_first_port_of_the_range() {
    assert_eq!(Session::started().cursor(), 32_768);
}

#[test]
fn an_older_snapshot_never_replaces_a_newer_one() {
    let mut session = Session::new(None);
    let mut newer = machine().snapshot();
    newer.number = 5;
    let mut older = SimulatedHost::builder().build().snapshot();
    older.number = 4;
    session.scanned(newer);
    session.scanned(older);
    assert_eq!(session.0.scan().unwrap().snapshot.number, 5);
    assert_eq!(session.0.scan().unwrap().snapshot.sockets.len(), 3);
}

#[test]
fn scans_are_more_frequent_while_ports_run_out() {
    let mut session = Session::new(None);
    assert_eq!(session.scanned(machine().snapshot()), []);
    let range = PortRange::new(32_768, 60_999).unwrap();
    let crowded = SimulatedHost::builder().fill(range, 0.99, State::Established, 7).build();
    let mut snapshot = crowded.snapshot();
    snapshot.number = 2;
    assert_eq!(session.scanned(snapshot), [Effect::Ask(Request::ScanSoon)]);
    let mut snapshot = machine().snapshot();
    snapshot.number = 3;
    session.update(Event::Tick);
    session.0.update(Duration::from_mins(1), Event::Report(Report::Scanned(Arc::new(snapshot))));
    let mut snapshot = machine().snapshot();
    snapshot.number = 4;
    let effects = session
        .0
        .update(Duration::from_mins(2), Event::Report(Report::Scanned(Arc::new(snapshot))));
    assert_eq!(effects, []);
}

#[test]
fn the_age_of_the_snapshot_grows_until_the_next_one() {
    let mut session = Session::started();
    session.0.update(Duration::from_secs(9), Event::Tick);
    assert_eq!(session.0.age(), Some(Duration::from_secs(8)));
    let mut next = machine().snapshot();
    next.number = 2;
    session.0.update(Duration::from_secs(10), Event::Report(Report::Scanned(Arc::new(next))));
    assert_eq!(session.0.age(), Some(Duration::ZERO));
}

#[test]
fn the_cursor_enters_a_block_at_the_port_that_gives_its_colour() {
    let mut session = Session::started();
    session.type_keys("g39999");
    session.press(Key::Enter);
    session.press(Key::Right);
    assert_eq!(session.cursor(), 40_003, "one of two ports is in TIME-WAIT, as every second block");
    session.type_keys("<");
    assert_eq!(session.cursor(), 40_002);
    session.press(Key::Left);
    assert_eq!(session.cursor(), 39_975);
    session.update(Event::Mouse(
        Gesture::Press,
        Some(PointerTarget::Ports(PortRange::new(40_000, 40_024).unwrap())),
    ));
    assert_eq!(session.cursor(), 40_003);
}

#[test]
fn digits_go_to_a_port() {
    let mut session = Session::started();
    session.type_keys("g44");
    session.press(Key::Backspace);
    session.type_keys("43");
    assert_eq!(session.0.overlay(), &Overlay::GoTo("443".to_owned()));
    session.press(Key::Enter);
    assert_eq!((session.cursor(), session.0.map().extent), (443, Extent::All));
    session.type_keys("e");
    assert_eq!((session.cursor(), session.0.map().extent), (32_768, Extent::Ephemeral));
}

#[test]
fn an_invalid_port_number_stays_in_the_prompt() {
    let mut session = Session::started();
    session.type_keys("g99999");
    session.press(Key::Enter);
    assert_eq!(session.0.overlay(), &Overlay::GoTo("99999".to_owned()));
    assert_eq!(session.press(Key::Escape), []);
    assert_eq!((session.0.overlay(), session.cursor()), (&Overlay::None, 32_768));
}

/// Returns the screen and the cursor after the keys, Enter included, from the screen of `first`.
fn found(first: &str, typed: &str) -> (Screen, u16) {
    let mut session = Session::started();
    let processes = machine().describer().describe(&[812, 4121]).into_iter().collect();
    session.update(Event::Report(Report::Described(Arc::new(processes))));
    session.type_keys(first);
    session.type_keys(typed);
    session.press(Key::Enter);
    (session.0.screen(), session.cursor())
}

#[test]
fn g_finds_ports_endpoints_names_and_pids_from_each_screen() {
    for first in ["1", "2", "3", "4", "4P", "5"] {
        for (typed, port) in [
            ("g443", 443),
            ("g:40003", 40_003),
            ("g10.0.0.1:40007", 40_007),
            ("gpayments", 40_007),
            ("gpid 812", 443),
            ("gNGINX", 443),
        ] {
            assert_eq!(found(first, typed), (Screen::Map, port), "{first}{typed}");
        }
    }
    assert_eq!(found("1", "g"), (Screen::Overview, 32_768), "nothing was typed");
}

#[test]
fn letters_in_the_prompt_are_no_commands() {
    let mut session = Session::started();
    assert_eq!(session.type_keys("1gq?x 2"), []);
    assert_eq!(session.0.overlay(), &Overlay::GoTo("q?x 2".to_owned()));
    assert_eq!(session.press(Key::Escape), []);
    assert_eq!((session.0.screen(), session.0.overlay()), (Screen::Overview, &Overlay::None));
}

#[test]
fn a_range_in_the_prompt_stays_there_with_what_is_expected() {
    for typed in ["8080-8090", "8080/tcp"] {
        let mut session = Session::started();
        session.type_keys("g");
        session.type_keys(typed);
        session.press(Key::Enter);
        assert_eq!(session.0.overlay(), &Overlay::GoTo(typed.to_owned()));
        let notice = session.0.notice().unwrap();
        assert!(notice.contains("expected a port, ADDRESS:PORT, name or pid N"), "{notice}");
    }
}

#[test]
fn the_cursor_starts_at_the_port_argument() {
    let mut session = Session::new(Some(Find::Port(443)));
    session.scanned(machine().snapshot());
    assert_eq!((session.cursor(), session.0.map().extent), (443, Extent::All));
}

#[test]
fn the_process_argument_is_selected_once_described() {
    let mut session = Session::new(Some(Find::Process("payments".to_owned())));
    let host = machine();
    let snapshot = host.snapshot();
    let table: ProcessTable = host.describer().describe(&snapshot.pids).into_iter().collect();
    session.scanned(snapshot);
    assert_eq!(session.cursor(), 32_768);
    session.update(Event::Report(Report::Described(Arc::new(table.clone()))));
    assert_eq!(session.cursor(), 40_007);
    session.press(Key::Home);
    session.update(Event::Report(Report::Described(Arc::new(table))));
    assert_eq!(session.cursor(), 32_768, "it is looked for once");
}

/// Starts a session that looks for a process, and reports the processes with these pids.
fn looking_for(name: &str, pids: &[u32]) -> (Session, ProcessTable) {
    let mut session = Session::new(Some(Find::Process(name.to_owned())));
    let host = machine();
    let snapshot = host.snapshot();
    let all: ProcessTable = host.describer().describe(&snapshot.pids).into_iter().collect();
    session.scanned(snapshot);
    let known = host.describer().describe(pids).into_iter().collect();
    session.update(Event::Report(Report::Described(Arc::new(known))));
    (session, all)
}

#[test]
fn an_unknown_name_opens_a_list_of_similar_names() {
    let (mut session, all) = looking_for("paymens", &[812, 4121]);
    let Overlay::Names(choice) = session.0.overlay() else { panic!("no list") };
    let names: Vec<&str> = choice.names.iter().map(Text::as_str).collect();
    assert_eq!((names, choice.selected), (vec!["payments"], 0));
    assert_eq!(session.0.context(), Context::Names);
    session.press(Key::Down);
    session.press(Key::Enter);
    assert_eq!((session.0.overlay(), session.cursor()), (&Overlay::None, 40_007));
    assert_eq!(session.0.not_found(), None);
    session.update(Event::Report(Report::Described(Arc::new(all))));
    assert_eq!(session.0.overlay(), &Overlay::None);
}

#[test]
fn the_list_of_names_opens_once_and_the_name_is_still_looked_for() {
    let (mut session, all) = looking_for("nginy", &[812]);
    assert!(matches!(session.0.overlay(), Overlay::Names(_)));
    session.press(Key::Escape);
    session.update(Event::Report(Report::Described(Arc::new(all))));
    assert_eq!(session.0.overlay(), &Overlay::None);
    assert_eq!(session.0.not_found(), Some(&Find::Process("nginy".to_owned())));
}

#[test]
fn the_list_of_names_closes_when_the_process_becomes_known() {
    let (mut session, all) = looking_for("payments", &[812]);
    assert_eq!(session.0.overlay(), &Overlay::None, "no known name is similar");
    let (mut other, _) = looking_for("ngin", &[4121]);
    assert_eq!(other.0.overlay(), &Overlay::None);
    for session in [&mut session, &mut other] {
        session.update(Event::Report(Report::Described(Arc::new(all.clone()))));
        assert_eq!(session.0.not_found(), None);
    }
    let (mut session, all) = looking_for("nginx", &[]);
    let alike = Process { name: Text::scrub("nginy"), ..all.get(812).unwrap().clone() };
    let known = [Process { pid: 4121, ..alike }].into_iter().collect();
    session.update(Event::Report(Report::Described(Arc::new(known))));
    assert!(matches!(session.0.overlay(), Overlay::Names(_)));
    session.update(Event::Report(Report::Described(Arc::new(all))));
    assert_eq!((session.0.overlay(), session.cursor()), (&Overlay::None, 443));
}

#[test]
fn a_name_of_the_list_can_be_clicked() {
    let (mut session, _) = looking_for("nginy", &[812, 4121]);
    let area = ratatui::layout::Rect::new(0, 0, 80, 24);
    let rows: Vec<_> = (0..24)
        .filter_map(|y| portscope::view::layout::target_at(area, &session.0, 40, y))
        .filter(|target| matches!(target, PointerTarget::Row(_)))
        .collect();
    assert_eq!(rows, [PointerTarget::Row(0)]);
    assert!(session.0.has_mouse());
    session.update(Event::Mouse(Gesture::Press, Some(rows[0])));
    assert_eq!((session.0.overlay(), session.cursor()), (&Overlay::None, 443));
}

#[test]
fn lens_and_protocol_keys_cycle() {
    let mut session = Session::started();
    session.type_keys("c");
    assert_eq!(session.0.map().lens, Lens::Owner);
    assert_eq!(session.0.scan().unwrap().owners.owners.len(), 2);
    session.type_keys("C");
    assert_eq!(session.0.map().lens, Lens::State);
    session.type_keys("pp");
    assert_eq!(session.0.map().protocols, Protocols::Udp);
    assert_eq!(session.0.scan().unwrap().lens_counts.occupied, 0);
    session.type_keys("p");
    assert_eq!(session.0.scan().unwrap().lens_counts.occupied, 2);
}

#[test]
fn space_pauses_the_map_and_runs_the_allocator() {
    let mut session = Session::started();
    assert_eq!(session.type_keys(" "), [Effect::Ask(Request::Freeze(true))]);
    assert!(session.0.is_frozen());
    assert_eq!(session.type_keys(" "), [Effect::Ask(Request::Freeze(false))]);
    session.type_keys("4");
    let run = Effect::Ask(Request::Allocation(AllocationRequest::Run));
    assert!(session.type_keys(" ").contains(&run));
    let pause = Effect::Ask(Request::Allocation(AllocationRequest::Pause));
    let left = session.press(Key::Tab);
    assert_eq!(left.first(), Some(&pause), "a run pauses when its screen is left");
    assert_eq!(session.0.screen(), Screen::Lab);
    session.press(Key::Tab);
    assert_eq!(session.0.screen(), Screen::Overview);
    session.press(Key::Tab);
    assert_eq!(session.0.screen(), Screen::Map);
}

#[test]
fn key_r_scans_now() {
    assert_eq!(Session::started().type_keys("r"), [Effect::Ask(Request::ScanNow)]);
}

#[test]
fn a_scan_error_is_shown_until_a_scan_succeeds() {
    let mut session = Session::started();
    session.update(Event::Report(Report::ScanFailed(Text::scrub("no"))));
    assert_eq!(session.0.failure().map(Text::as_str), Some("no"));
    assert!(session.0.scan().is_some());
    let mut next = machine().snapshot();
    next.number = 2;
    session.scanned(next);
    assert_eq!(session.0.failure(), None);
}

#[test]
fn a_panicked_worker_ends_the_program() {
    let mut session = Session::started();
    let died = Report::WorkerDied(Text::scrub("scanner: index out of bounds"));
    assert_eq!(session.update(Event::Report(died)), [Effect::Quit]);
}

#[test]
fn ctrl_c_quits_and_ctrl_z_suspends_whatever_is_open() {
    for keys in ["", "?", "g12", "4", "4?", "4o"] {
        let mut session = Session::started();
        session.type_keys(keys);
        assert_eq!(session.press(Key::Ctrl('z')), [Effect::Suspend], "after {keys:?}");
        assert_eq!(session.press(Key::Ctrl('c')), [Effect::Quit], "after {keys:?}");
    }
}

#[test]
fn escape_closes_what_is_open_and_never_quits() {
    for keys in ["", "?", "g12", "4", "4?", "4o"] {
        let mut session = Session::started();
        session.type_keys(keys);
        for _ in 0..3 {
            assert!(!session.press(Key::Escape).contains(&Effect::Quit), "after {keys:?}");
        }
        let context = session.0.context();
        assert!(matches!(context, Context::Map | Context::Allocate), "{context:?} after {keys:?}");
    }
}

#[test]
fn an_unbound_key_has_no_effect() {
    let mut session = Session::started();
    assert_eq!(session.type_keys("zZ."), []);
    assert_eq!((session.cursor(), session.0.overlay()), (32_768, &Overlay::None));
    session.type_keys("?");
    assert_eq!(session.type_keys("24z"), []);
    assert_eq!(
        (session.0.screen(), session.0.overlay()),
        (Screen::Map, &Overlay::Help(OpenHelp::default()))
    );
}

#[test]
fn a_click_on_a_tab_shows_its_screen() {
    let mut session = Session::started();
    session.update(Event::Mouse(Gesture::Press, Some(PointerTarget::Screen(Screen::Allocate))));
    assert_eq!(session.0.screen(), Screen::Allocate);
}
