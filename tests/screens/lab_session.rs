//! Scripted sessions on the Lab screen: requests to the engine, and how reports change the state.

use std::{collections::HashSet, sync::Arc, time::Duration};

use portscope::{
    allocator::{ALLOCATORS, AllocatorRow},
    app::{
        App, AppOptions, Context, Effect, Event, Gesture, Key, LabOptions, PointerTarget,
        lab::{LabPanel, LabScreen, MAX_COLUMNS, Pattern, RaceReport},
    },
    domain::{Ephemeral, MachineKind, PortRange, Protocols, Snapshot, Text, port::IANA_DYNAMIC},
    engine::{LabReport, LabRequest as Ask, LabSetup, LabTarget, Report, Request, Speed},
    host::simulated::SimulatedHost,
    view::layout,
};
use ratatui::layout::Rect;

use crate::app_options::options;

const SPACE: Key = Key::Char(' ');

struct Session {
    app: App,
    /// All requests so far.
    asked: Vec<Ask>,
}

impl Session {
    fn new() -> Self {
        let mut app = App::new(AppOptions {
            lab: LabOptions::new(7, Some("/bin/portscope".into())),
            ..options()
        });
        app.update(Duration::ZERO, Event::Resized { columns: 160, rows: 48 });
        Self { app, asked: Vec::new() }
    }

    /// Opens the Lab screen on a machine that other processes use, and starts the simulation.
    fn open() -> Self {
        let mut session = Self::new();
        session.scanned(shared());
        session.keys("5 ");
        session
    }

    /// Same as `open`, then switches to real binds on the machine.
    fn on_machine() -> Self {
        let mut session = Self::open();
        session.keys("t");
        session
    }

    fn update(&mut self, event: Event) -> Vec<Ask> {
        let effects = self.app.update(Duration::from_secs(1), event);
        let ask = |effect| match effect {
            Effect::Ask(Request::Lab(request)) => request,
            other => panic!("{other:?} is no request to the lab"),
        };
        let asked: Vec<Ask> = effects.into_iter().map(ask).collect();
        self.asked.extend(asked.clone());
        asked
    }

    fn press(&mut self, key: Key) -> Vec<Ask> {
        self.update(Event::Key(key))
    }

    /// Presses the keys, and returns the requests of the last one.
    fn keys(&mut self, keys: &str) -> Vec<Ask> {
        keys.chars().map(|key| self.press(Key::Char(key))).last().unwrap_or_default()
    }

    fn scanned(&mut self, snapshot: Snapshot) -> Vec<Ask> {
        self.update(Event::Report(Report::Scanned(Arc::new(snapshot))))
    }

    fn prepared(&self) -> u64 {
        self.asked.iter().filter(|ask| matches!(ask, Ask::Prepare(_))).count() as u64
    }

    /// Reports with the number of the latest `Prepare`.
    fn report(&mut self, occupied: u32) {
        let number = self.prepared();
        self.update(report(number, occupied));
    }

    fn lab(&self) -> &LabScreen {
        self.app.lab()
    }

    fn names(&self) -> Vec<&'static str> {
        self.lab().picked().map(|row| row.name).collect()
    }

    fn notice(&self) -> &str {
        self.lab().notice().map_or("", Text::as_str)
    }

    fn panel_error(&self) -> Option<&str> {
        match self.lab().panel() {
            Some(LabPanel::Settings(panel)) => panel.error(),
            other => panic!("{other:?} is not the settings panel"),
        }
    }
}

fn report(number: u64, occupied: u32) -> Event {
    let report = LabReport { number, candidates: 16_384, occupied, ..LabReport::default() };
    Event::Report(Report::Lab(Arc::new(report)))
}

fn race(number: u64, is_over: bool) -> Event {
    let race = RaceReport { number, is_over, ..RaceReport::default() };
    Event::Report(Report::Race(Box::new(race)))
}

fn shared() -> Snapshot {
    let mut snapshot = SimulatedHost::builder().build().snapshot();
    let mut machine = (*snapshot.machine).clone();
    (machine.kind, machine.is_isolated) = (MachineKind::Live, false);
    snapshot.machine = Arc::new(machine);
    snapshot
}

fn reserving(range: PortRange) -> Snapshot {
    let mut snapshot = shared();
    snapshot.ephemeral = Ephemeral::new(snapshot.ephemeral.range, vec![range]);
    snapshot
}

fn setup(asked: &[Ask]) -> &LabSetup {
    asked
        .iter()
        .find_map(|ask| if let Ask::Prepare(setup) = ask { Some(setup) } else { None })
        .unwrap_or_else(|| panic!("{asked:?} prepares nothing"))
}

fn row(name: &str) -> &'static AllocatorRow {
    AllocatorRow::named(name).unwrap()
}

#[test]
fn the_simulation_starts_with_space_and_not_by_itself() {
    let mut session = Session::new();
    session.scanned(shared());
    assert_eq!(session.keys("5"), []);
    assert!(!session.lab().is_running());
    let asked = session.press(SPACE);
    let [Ask::Prepare(setup), Ask::Speed(Speed::Max), Ask::Run] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!(setup.target, LabTarget::Simulated { pattern: Pattern::Uniform, share: 0.9 });
    assert_eq!((setup.protocols, setup.range), (Protocols::Both, IANA_DYNAMIC));
    assert_eq!((setup.max_attempts, setup.seed, setup.destinations), (100, 7, 1));
    assert_eq!(setup.strategies.len(), MAX_COLUMNS);
    assert!(session.lab().is_running() && session.lab().is_sampled());
    assert_eq!(session.app.frame_gap(), Duration::from_millis(100));
    assert_eq!(session.keys("2"), [Ask::Pause]);
    assert_eq!(session.keys("5"), []);
    assert!(!session.lab().is_running());
    assert_eq!(session.press(SPACE), [Ask::Run]);
}

#[test]
fn tab_and_the_screen_number_open_the_lab() {
    let mut session = Session::new();
    session.scanned(shared());
    session.keys("4");
    assert_eq!(session.press(Key::Tab), []);
    assert_eq!(session.app.context(), Context::Lab);
}

#[test]
fn space_runs_and_pauses_and_a_step_pauses_too() {
    let mut session = Session::open();
    assert_eq!(session.press(SPACE), [Ask::Pause]);
    assert_eq!(session.press(SPACE), [Ask::Run]);
    assert_eq!(session.keys("."), [Ask::Step]);
    assert!(!session.lab().is_running());
    assert_eq!(session.prepared(), 1);
}

#[test]
fn space_makes_one_attempt_per_strategy_at_the_slowest_speed() {
    let mut session = Session::open();
    assert_eq!(session.keys("[["), [Ask::Speed(Speed::Twenty)]);
    assert_eq!(session.app.frame_gap(), Duration::ZERO);
    assert_eq!(session.keys("[[["), [Ask::Speed(Speed::Step), Ask::Pause]);
    assert_eq!(session.press(SPACE), [Ask::Step]);
    assert_eq!(session.keys("["), []);
}

#[test]
fn machine_and_simulation_wait_for_a_key_and_keep_their_speeds() {
    let mut session = Session::open();
    let asked = session.keys("t");
    assert_eq!((setup(&asked).target, asked.len()), (LabTarget::Machine, 2));
    assert_eq!(asked[1], Ask::Speed(Speed::Four));
    assert!(!session.lab().is_running());
    assert_eq!(session.lab().share(), None);
    session.report(4_096);
    assert_eq!(session.lab().share(), Some(0.25));
    assert_eq!(session.press(SPACE), [Ask::Run]);
    let asked = session.keys("t");
    assert!(matches!(setup(&asked).target, LabTarget::Simulated { .. }));
    assert_eq!(asked[1..], [Ask::Speed(Speed::Max)]);
    assert!(!session.lab().is_running());
}

#[test]
fn leaving_the_screen_pauses_a_run_on_the_machine() {
    let mut session = Session::on_machine();
    session.press(SPACE);
    assert_eq!(session.keys("1"), [Ask::Pause]);
    assert_eq!(session.keys("5"), []);
}

#[test]
fn nothing_runs_on_the_machine_before_the_first_scan() {
    let mut session = Session::new();
    session.keys("5 ");
    session.report(14_746);
    assert_eq!(session.keys("t"), [Ask::Pause]);
    assert!(session.notice().contains("no scan yet"));
    assert!(session.lab().report().is_none());
    // A late report of the simulated lab.
    session.report(14_746);
    assert!(session.lab().report().is_none());
    assert_eq!(session.press(SPACE), []);
    session.scanned(shared());
    assert_eq!(setup(&session.press(SPACE)).target, LabTarget::Machine);
}

#[test]
fn reserved_ports_that_become_known_late_are_excluded() {
    let reserved = PortRange::new(50_000, 50_383).unwrap();
    let mut session = Session::new();
    session.scanned(reserving(reserved));
    assert_eq!(setup(&session.keys("5 ")).reserved, [reserved]);

    let mut session = Session::new();
    assert_eq!(setup(&session.keys("5 ")).reserved, []);
    let asked = session.scanned(reserving(reserved));
    assert_eq!(setup(&asked).reserved, [reserved]);
    assert_eq!(asked.last(), Some(&Ask::Run));

    let mut session = Session::new();
    session.keys("5 ");
    assert_eq!(session.scanned(shared()), []);
}

#[test]
fn speeds_above_20_per_second_need_one_confirmation_on_a_shared_machine() {
    let mut session = Session::on_machine();
    assert_eq!(session.keys("]"), [Ask::Speed(Speed::Twenty)]);
    assert_eq!(session.keys("]"), []);
    assert_eq!(session.lab().panel(), Some(&LabPanel::ConfirmSpeed(Speed::Thousand)));
    assert_eq!(session.app.context(), Context::Panel);
    assert_eq!(session.press(SPACE), []);
    session.press(Key::Escape);
    assert_eq!((session.lab().speed(), session.lab().panel()), (Speed::Twenty, None));
    assert_eq!(session.keys("]y"), [Ask::Speed(Speed::Thousand)]);
    assert_eq!(session.keys("]"), [Ask::Speed(Speed::Max)]);
}

#[test]
fn an_isolated_machine_allows_any_speed() {
    let mut session = Session::new();
    session.scanned(SimulatedHost::builder().build().snapshot());
    session.keys("5t");
    assert_eq!(session.keys("]]]"), [Ask::Speed(Speed::Max)]);
}

#[test]
fn occupancy_steps_are_finer_near_a_full_range() {
    let mut session = Session::open();
    assert_eq!(session.keys("="), [Ask::Fill(0.91)]);
    assert_eq!(session.keys("=======").len(), 1);
    assert_eq!(session.keys("="), [Ask::Fill(0.981)]);
    assert_eq!(session.keys("--"), [Ask::Fill(0.97)]);
    assert_eq!(session.keys(&"-".repeat(60)), []);
    assert_eq!((session.lab().share(), session.prepared()), (Some(0.0), 1));
    assert!(session.lab().is_running());
    assert_eq!(session.keys(&"=".repeat(10)), [Ask::Fill(0.5)]);
}

#[test]
fn pattern_key_cycles_through_three_patterns_and_runs_continue() {
    let mut session = Session::open();
    for pattern in [Pattern::Clustered, Pattern::Built, Pattern::Uniform] {
        let asked = session.keys("d");
        assert_eq!(setup(&asked).target, LabTarget::Simulated { pattern, share: 0.9 });
        assert_eq!(asked.last(), Some(&Ask::Run));
        assert_eq!(session.lab().pattern(), pattern);
    }
}

#[test]
fn the_machine_keeps_its_occupancy_and_says_so() {
    for key in ["d", "-", "="] {
        let mut session = Session::on_machine();
        assert_eq!(session.keys(key), []);
        assert!(session.notice().contains("t switches to simulation"), "{key}");
    }
}

#[test]
fn no_strategy_is_in_two_columns() {
    let mut session = Session::open();
    let mut shown_strategies = HashSet::new();
    for _ in 0..=ALLOCATORS.len() - MAX_COLUMNS {
        let asked = session.keys("s");
        let names = session.names();
        let numbers: Vec<_> =
            setup(&asked).strategies.iter().map(|&n| ALLOCATORS[n].name).collect();
        assert_eq!(names, numbers);
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), MAX_COLUMNS);
        shown_strategies.insert(names[0]);
    }
    assert_eq!(shown_strategies.len(), ALLOCATORS.len() - MAX_COLUMNS + 1);
    let now = session.names();
    session.keys("sS");
    assert_eq!(session.names(), now);
}

#[test]
fn columns_are_selected_by_keys_and_by_the_mouse() {
    let mut session = Session::open();
    assert_eq!(session.keys("h"), []);
    assert_eq!(session.lab().selected(), 0);
    session.keys("ll");
    session.press(Key::Right);
    session.press(Key::Right);
    assert_eq!(session.lab().selected(), 3);
    session.keys("k");
    session.press(Key::Up);
    assert_eq!(session.lab().selected(), 1);
    session.keys("j");
    session.press(Key::Down);
    assert_eq!(session.lab().selected(), 3);
    session.press(Key::Left);
    assert_eq!(session.lab().selected(), 2);
    session.update(Event::Mouse(Gesture::Hover, Some(PointerTarget::Column(1))));
    session.update(Event::Mouse(Gesture::Press, Some(PointerTarget::Column(9))));
    assert_eq!(session.lab().selected(), 2);
    session.update(Event::Mouse(Gesture::Press, Some(PointerTarget::Column(1))));
    assert_eq!(session.lab().selected(), 1);
    let before = session.names();
    session.keys("s");
    assert_eq!(session.names()[0], before[0]);
    assert_ne!(session.names()[1], before[1]);
}

#[test]
fn a_click_selects_the_column_or_table_row_under_it() {
    let session = Session::open();
    let at = |size: (u16, u16), x, y| {
        layout::target_at(Rect::new(0, 0, size.0, size.1), &session.app, x, y)
    };
    let column = |column| Some(PointerTarget::Column(column));
    assert_eq!(at((160, 48), 5, 20), column(0));
    assert_eq!(at((160, 48), 155, 20), column(3));
    assert_eq!(at((160, 48), 5, 46), None);
    // Header, title, setup and the names of the figures come first; then one line per strategy.
    assert_eq!((at((80, 24), 5, 3), at((80, 24), 5, 4)), (None, column(0)));
    assert_eq!(at((80, 24), 5, 7), column(3));
    assert_eq!(at((80, 24), 5, 12), column(0));
}

#[test]
fn there_are_one_to_four_columns() {
    let mut session = Session::open();
    assert_eq!(session.keys("i"), []);
    assert!(session.notice().contains("at most 4 strategies"));
    session.keys("lll");
    assert_eq!(setup(&session.keys("x")).strategies.len(), 3);
    assert_eq!(session.lab().selected(), 2);
    session.keys("xx");
    assert_eq!((session.names(), session.lab().selected()), (vec!["random"], 0));
    assert_eq!(session.keys("x"), []);
    assert!(session.notice().contains("at least one strategy"));
    session.keys("ii");
    assert_eq!((session.names().len(), session.lab().selected()), (3, 2));
    assert!(session.lab().is_running() && session.notice().is_empty());
}

#[test]
fn late_reports_of_other_columns_are_ignored() {
    let mut session = Session::open();
    session.report(14_746);
    assert_eq!(session.lab().occupancy_counts().unwrap().occupied, 14_746);
    session.keys("s");
    assert!(session.lab().report().is_none());
    session.update(report(1, 5));
    assert!(session.lab().report().is_none());
    session.report(6);
    assert_eq!(session.lab().occupancy_counts().unwrap().occupied, 6);
}

#[test]
fn a_reset_restarts_with_the_same_seed_and_keeps_the_pause() {
    let mut session = Session::open();
    let asked = session.press(Key::Backspace);
    assert_eq!((setup(&asked).seed, asked.last()), (7, Some(&Ask::Run)));
    session.press(SPACE);
    let asked = session.press(Key::Backspace);
    assert_eq!((asked.len(), session.prepared()), (2, 3));
}

#[test]
fn a_failed_lab_shows_the_reason_and_the_next_key_prepares_it_again() {
    let mut session = Session::open();
    let why = Text::scrub("every port of 49152-65535 is reserved");
    session.update(Event::Report(Report::LabFailed(why.clone())));
    assert_eq!((session.lab().notice(), session.lab().is_running()), (Some(&why), false));
    assert_eq!(session.press(SPACE).len(), 3);
    assert_eq!((session.prepared(), session.lab().notice()), (2, None));
}

#[test]
fn settings_are_checked_applied_on_close_and_reset_the_figures() {
    let mut session = Session::open();
    assert_eq!(session.keys("o"), []);
    session.press(Key::Right);
    session.press(Key::Down);
    session.keys("9-8");
    session.press(Key::Down);
    assert_eq!(session.panel_error(), Some("range '9-8' is reversed: did you mean 8-9?"));
    session.press(Key::Escape);
    session.keys("50000-50999");
    session.press(Key::Down);
    session.keys("0");
    session.press(Key::Enter);
    assert_eq!(session.panel_error(), Some("invalid attempts '0': expected 1 or more"));
    session.press(Key::Backspace);
    session.keys("1000");
    session.press(Key::Down);
    session.press(Key::Right);
    session.press(Key::Down);
    session.keys("0");
    session.press(Key::Enter);
    assert!(session.panel_error().unwrap().contains("expected 1 or more"));
    session.press(Key::Escape);
    session.press(Key::Right);
    session.press(Key::Right);
    let asked = session.press(Key::Escape);
    let setup = setup(&asked);
    assert_eq!(setup.protocols, Protocols::Udp);
    assert_eq!(setup.range, PortRange::new(50_000, 50_999).unwrap());
    assert_eq!((setup.max_attempts, setup.seed, setup.destinations), (1000, 8, 4));
    assert_eq!(asked.last(), Some(&Ask::Run));
}

#[test]
fn unchanged_settings_restart_nothing() {
    let mut session = Session::open();
    session.keys("o");
    let Some(LabPanel::Settings(panel)) = session.lab().panel() else { panic!("closed") };
    let range = panel.rows().find(|row| row.name == "range").unwrap();
    assert_eq!(range.value, "49152-65535");
    assert_eq!(session.press(Key::Enter), []);
    assert!(session.lab().panel().is_none() && session.lab().is_running());
}

#[test]
fn a_real_run_pauses_while_settings_are_open() {
    let mut session = Session::on_machine();
    session.press(SPACE);
    assert_eq!(session.keys("o"), [Ask::Pause]);
    assert_eq!(session.press(Key::Escape), [Ask::Run]);
    assert!(session.lab().is_running());
}

#[test]
fn a_race_can_be_started_ended_and_closed() {
    let mut session = Session::open();
    let asked = session.keys("R");
    let [Ask::Pause, Ask::Race(setup)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(setup.program, Some("/bin/portscope".into()));
    assert_eq!((setup.range.len(), setup.rounds, setup.window.as_millis()), (1024, 1000, 10));
    assert!(session.lab().is_race_shown());
    assert_eq!(session.app.context(), Context::Race);
    session.update(race(1, false));
    assert_eq!(session.keys("R"), [Ask::EndRace]);
    session.update(race(1, true));
    assert!(session.lab().race().unwrap().is_over, "what came of it stays to be read");
    let asked = session.keys("R");
    assert!(matches!(asked[..], [Ask::Race(_)]));
    // The last report of the previous race.
    session.update(race(1, true));
    assert!(!session.lab().race().unwrap().is_over);
    assert_eq!(session.press(Key::Escape), [Ask::EndRace]);
    assert_eq!((session.lab().race(), session.lab().is_race_shown()), (None, false));
    session.update(race(2, true));
    assert!(session.lab().race().is_none());
    assert_eq!(session.press(SPACE), [Ask::Run]);
}

#[test]
fn a_finished_race_closes_silently_and_leaving_ends_a_running_one() {
    let mut session = Session::open();
    session.keys("R");
    session.update(race(1, true));
    assert_eq!(session.press(Key::Escape), []);
    session.keys("R");
    assert_eq!(session.press(SPACE), [], "the keys of the lab rest");
    assert_eq!(session.keys("2"), [Ask::EndRace]);
    assert!(session.lab().panel().is_none());
}

#[test]
fn expected_means_are_known_for_strategies_with_a_model() {
    let mut session = Session::open();
    session.keys("d");
    let mean = |session: &Session, name: &str| session.lab().expected_mean(row(name), 0.5);
    let near = |mean: Option<f64>, value: f64| (mean.unwrap() - value).abs() < 0.01;
    assert!(near(mean(&session, "random"), 2.0) && mean(&session, "sequential").is_none());
    session.keys("dd");
    assert_eq!(session.lab().pattern(), Pattern::Uniform);
    assert!(near(mean(&session, "random"), 2.0) && near(mean(&session, "sequential"), 2.0));
    session.keys("dd");
    assert_eq!(session.lab().pattern(), Pattern::Built);
    assert!(near(mean(&session, "random"), 2.0));
    assert_eq!((mean(&session, "sequential"), mean(&session, "simple-random")), (None, None));
    session.keys("o");
    session.press(Key::Down);
    session.press(Key::Down);
    session.keys("16384");
    session.press(Key::Enter);
    session.press(Key::Escape);
    // Knuth: (1 + 1 / (1 - share)^2) / 2.
    assert!(near(mean(&session, "simple-random"), 2.5));
    session.keys("t");
    assert!(near(mean(&session, "random"), 2.0));
    assert_eq!(mean(&session, "simple-random"), None);
}
