//! Scripted sessions with the pool on the Allocate screen: requests to the engine, and how reports
//! change the state.

#![allow(clippy::float_cmp, reason = "numbers that are handed on as they are")]

use std::{sync::Arc, time::Duration};

use portscope::{
    allocator::{
        Bands, Lease, LeaseHolder, PoolCounts, Priority, Quarantine, QuarantineEntry, pool::BandUse,
    },
    app::{
        App, AppOptions, Context, Effect, Event, Key, Screen, pool::PoolOptions,
        settings::EditableSettings,
    },
    domain::{Ephemeral, MachineKind, PortRange, Protocols, Snapshot, Text, port::IANA_DYNAMIC},
    engine::{
        AllocationRequest as Run, AllocatorTarget, PoolPlan, PoolReport, PoolRequest as Ask,
        Report, Request,
    },
    host::simulated::SimulatedHost,
};

use crate::app_options::options;

const ESCAPE: Key = Key::Escape;

struct Session {
    app: App,
    now: Duration,
}

impl Session {
    /// The Allocate screen before the first scan.
    fn new() -> Self {
        let mut app = App::new(AppOptions { first: Screen::Allocate, ..options() });
        app.update(Duration::ZERO, Event::Resized { columns: 160, rows: 48 });
        Self { app, now: Duration::from_secs(1) }
    }

    /// Same as `new`, after a scan of an empty machine that other processes use.
    fn scanned() -> Self {
        let mut session = Self::new();
        session.scan(shared(1));
        session
    }

    /// Same as `scanned`, with the pool open.
    fn open() -> Self {
        let mut session = Self::scanned();
        session.keys("P");
        session
    }

    fn scan(&mut self, snapshot: Snapshot) -> Vec<Ask> {
        self.update(Report::Scanned(Arc::new(snapshot)))
    }

    fn update(&mut self, report: Report) -> Vec<Ask> {
        asked(self.app.update(self.now, Event::Report(report)))
    }

    fn press(&mut self, key: Key) -> Vec<Effect> {
        self.app.update(self.now, Event::Key(key))
    }

    /// Presses the keys, and returns the requests of the last one to the pool.
    fn keys(&mut self, keys: &str) -> Vec<Ask> {
        let press = |key| asked(self.press(Key::Char(key)));
        keys.chars().map(press).last().unwrap_or_default()
    }

    fn report(&mut self, number: u64, leases: &[u16], quarantined: &[u16]) {
        self.update(Report::Pool(Arc::new(report(number, leases, quarantined))));
    }

    fn notice(&self) -> &str {
        self.app.pool().notice().unwrap_or_default()
    }

    fn selected(&self) -> Option<u16> {
        self.app.pool().selected_port()
    }

    /// Changes a field in the settings panel.
    fn set(&mut self, field: &str, typed: &str) {
        self.keys("o");
        for _ in PoolOptions::FIELDS.iter().take_while(|each| each.name != field) {
            self.press(Key::Down);
        }
        self.keys(typed);
        self.press(Key::Enter);
    }
}

fn asked(effects: Vec<Effect>) -> Vec<Ask> {
    let ask = |effect| match effect {
        Effect::Ask(Request::Pool(request)) => Some(request),
        _ => None,
    };
    effects.into_iter().filter_map(ask).collect()
}

fn opened(asked: &[Ask]) -> &PoolPlan {
    match asked {
        [Ask::Open(plan)] => plan,
        other => panic!("{other:?}"),
    }
}

fn shared(number: u64) -> Snapshot {
    let mut snapshot = SimulatedHost::builder().build().snapshot();
    let mut machine = (*snapshot.machine).clone();
    machine.kind = MachineKind::Live;
    machine.is_isolated = false;
    (snapshot.machine, snapshot.number) = (Arc::new(machine), number);
    snapshot
}

fn report(number: u64, leases: &[u16], quarantined: &[u16]) -> PoolReport {
    let holder = LeaseHolder { pid: 7, started: 1 };
    let lease = |(number, &port): (u64, &u16)| Lease {
        port,
        number,
        class: Priority::Normal,
        holder,
        since: Duration::from_secs(1),
        is_held: true,
    };
    let entry = |&port| QuarantineEntry {
        port,
        until: Duration::from_secs(9),
        late_datagrams: 0,
        is_held: false,
    };
    PoolReport {
        number,
        now: Duration::from_millis(4_250),
        leases: (1..).zip(leases).map(lease).collect(),
        quarantined: quarantined.iter().map(entry).collect(),
        bands: <[BandUse; 3]>::default(),
        counts: PoolCounts::default(),
        hold_limit: 1_638,
        occupied: 0.0,
        attempts_allowed: 1,
        attempts: Vec::new(),
        failure: None,
    }
}

#[test]
fn the_pool_opens_with_the_options_of_the_allocator() {
    let mut session = Session::scanned();
    assert_eq!(session.app.context(), Context::Allocate);
    let asked = session.keys("P");
    let plan = opened(&asked);
    assert_eq!((plan.target, plan.protocols), (AllocatorTarget::Machine, Protocols::Udp));
    assert_eq!((plan.range, plan.seed, plan.holder), (IANA_DYNAMIC, 7, None));
    assert_eq!(plan.bands, Bands { high: 128, normal: 128 });
    assert_eq!(session.app.context(), Context::Pool);
    assert_eq!(session.press(ESCAPE), []);
    assert_eq!(session.app.context(), Context::Allocate);
    assert_eq!(session.keys("P"), [], "it is still there");
    assert_eq!((session.keys("P"), session.app.context()), (vec![], Context::Allocate));
}

#[test]
fn a_run_pauses_while_the_pool_is_shown() {
    let mut session = Session::scanned();
    session.keys(" ");
    assert!(session.app.allocation().is_running());
    let effects = session.press(Key::Char('P'));
    let [Effect::Ask(Request::Allocation(Run::Pause)), Effect::Ask(Request::Pool(Ask::Open(_)))] =
        &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert!(!session.app.allocation().is_running());
}

#[test]
fn at_most_a_tenth_of_the_free_ports_is_held_on_a_shared_machine() {
    let mut session = Session::scanned();
    assert_eq!(opened(&session.keys("P")).hold_share, 0.1);
    let mut alone = Session::new();
    alone.scan(SimulatedHost::builder().build().snapshot());
    assert_eq!(opened(&alone.keys("P")).hold_share, 1.0);
}

#[test]
fn reserved_ports_are_no_candidates() {
    let mut session = Session::new();
    let reserved = PortRange::new(50_000, 50_009).unwrap();
    let mut snapshot = shared(1);
    snapshot.ephemeral = Ephemeral::new(snapshot.ephemeral.range, vec![reserved]);
    session.scan(snapshot);
    assert_eq!(opened(&session.keys("P")).reserved, [reserved]);
}

#[test]
fn a_range_that_is_all_reserved_is_refused_in_words() {
    let mut session = Session::new();
    let mut snapshot = shared(1);
    snapshot.ephemeral = Ephemeral::new(snapshot.ephemeral.range, vec![IANA_DYNAMIC]);
    session.scan(snapshot);
    assert_eq!(session.keys("P"), []);
    let words = "all ports of 49152-65535 are reserved: choose another range (P, then o)";
    assert_eq!(session.notice(), words);
}

#[test]
fn the_pool_opens_after_the_first_scan() {
    let mut session = Session::new();
    assert_eq!(session.keys("P"), []);
    assert_eq!(session.notice(), "no scan yet: the pool opens after the first scan");
    assert_eq!(session.keys("i"), []);
    let asked = session.scan(shared(1));
    opened(&asked);
    assert_eq!(session.notice(), "");
    assert_eq!(session.scan(shared(2)), []);
}

#[test]
fn leases_have_the_selected_class() {
    let mut session = Session::open();
    assert_eq!(session.app.pool().class(), Priority::Normal);
    assert_eq!(session.keys("i"), [Ask::Take { class: Priority::Normal, count: 1 }]);
    assert_eq!(session.keys("vI"), [Ask::Take { class: Priority::High, count: 10 }]);
    assert_eq!(session.keys("vF"), [Ask::Take { class: Priority::Low, count: u32::MAX }]);
}

#[test]
fn the_selected_lease_is_released_and_the_next_one_is_selected() {
    let mut session = Session::open();
    session.report(1, &[50_000, 50_001, 50_002], &[]);
    session.press(Key::Down);
    assert_eq!(session.keys("x"), [Ask::Release(50_001)]);
    session.report(1, &[50_000, 50_002], &[50_001]);
    assert_eq!(session.selected(), Some(50_002));
    session.report(1, &[49_999, 50_000, 50_002], &[50_001]);
    assert_eq!(session.selected(), Some(50_002), "the same port, in another row");
    assert_eq!(session.keys("x"), [Ask::Release(50_002)]);
    session.report(1, &[49_999, 50_000], &[50_001, 50_002]);
    assert_eq!(session.selected(), Some(50_000), "the last lease");
    assert_eq!(session.keys("X"), [Ask::ReleaseAll]);
    assert_eq!(session.keys("E"), [Ask::Reclaim]);
}

#[test]
fn a_quarantined_port_cannot_be_released() {
    let mut session = Session::open();
    assert_eq!(session.keys("x"), []);
    assert_eq!(session.notice(), "no port is leased");
    session.report(1, &[50_000], &[50_005, 50_006]);
    session.press(Key::End);
    assert_eq!((session.selected(), session.keys("x")), (Some(50_006), vec![]));
    assert_eq!(session.notice(), "50006 is in quarantine");
    session.report(1, &[50_000, 50_001], &[50_006]);
    assert_eq!(session.selected(), Some(50_006));
    session.report(1, &[], &[]);
    assert_eq!((session.selected(), session.app.pool().selected()), (None, 0));
    assert_eq!((session.keys("X"), session.keys("E")), (vec![], vec![]));
}

#[test]
fn the_selection_stays_within_the_list() {
    let mut session = Session::open();
    session.keys("jk");
    assert_eq!(session.app.pool().selected(), 0);
    let ports: Vec<u16> = (50_000..50_025).collect();
    session.report(1, &ports, &[50_100]);
    for (key, row) in [
        (Key::Up, 0),
        (Key::PageDown, 10),
        (Key::PageDown, 20),
        (Key::PageDown, 25),
        (Key::Down, 25),
        (Key::PageUp, 15),
        (Key::Home, 0),
        (Key::End, 25),
    ] {
        session.press(key);
        assert_eq!(session.app.pool().selected(), row, "{key:?}");
    }
}

#[test]
fn the_selected_port_is_shown_on_the_map_and_the_leases_stay() {
    let mut session = Session::open();
    session.report(1, &[50_000, 51_234], &[]);
    session.keys("j");
    assert_eq!(session.press(Key::Char('m')), []);
    assert_eq!((session.app.screen(), session.app.map().cursor), (Screen::Map, 51_234));
    assert_eq!(session.keys("4"), []);
    assert_eq!(session.app.context(), Context::Pool);
    assert_eq!(session.app.pool().report().unwrap().leases.len(), 2);
}

#[test]
fn late_reports_of_an_earlier_pool_are_ignored() {
    let mut session = Session::open();
    session.report(1, &[50_000], &[]);
    session.set("reserved for high", "64");
    let asked = asked(session.press(ESCAPE));
    assert_eq!(opened(&asked).bands, Bands { high: 64, normal: 128 });
    assert_eq!(session.notice(), "new pool: 1 lease ended");
    session.report(1, &[50_000, 50_001], &[]);
    assert!(session.app.pool().report().is_none());
    session.report(2, &[], &[]);
    assert!(session.app.pool().report().is_some());
}

#[test]
fn unchanged_settings_keep_the_pool() {
    let mut session = Session::open();
    session.report(1, &[50_000], &[]);
    session.keys("o");
    assert_eq!(session.app.context(), Context::Panel);
    session.press(Key::Right);
    session.press(Key::Left);
    assert_eq!(session.press(ESCAPE), []);
    assert_eq!(session.app.context(), Context::Pool);
}

#[test]
fn all_settings_are_in_the_plan() {
    let mut session = Session::open();
    session.keys("o");
    let typed = ["200", "300", "", "2.5", "0.001", "50", ""];
    for text in typed {
        match text {
            "" => drop(session.press(Key::Right)),
            text => drop(session.keys(text)),
        }
        session.press(Key::Down);
    }
    let asked = asked(session.press(ESCAPE));
    let plan = opened(&asked);
    assert_eq!(plan.bands, Bands { high: 200, normal: 300 });
    assert_eq!(plan.quarantine, Quarantine::Drain(Duration::from_millis(2_500)));
    assert_eq!((plan.failure_rate, plan.max_attempts), (0.001, 50));
}

#[test]
fn invalid_settings_show_what_is_expected() {
    for (field, typed, words) in [
        ("reserved for high", "70000", "invalid number of ports '70000': expected 0 to 65535"),
        ("seconds", "1.2.3", "invalid seconds '1.2.3': expected 0 to 86400, such as 0.5"),
        ("failure rate", "1", "invalid failure rate '1': expected above 0 and below 1"),
        ("attempts", "0", "invalid attempts '0': expected 1 or more"),
        ("holder", "0", "invalid holder '0': expected a pid; empty: portscope"),
    ] {
        let mut session = Session::open();
        session.set(field, typed);
        let panel = session.app.pool().panel().unwrap();
        assert_eq!(panel.error(), Some(words));
        assert_eq!(session.press(ESCAPE), []);
    }
}

#[test]
fn a_changed_lease_holder_keeps_the_pool() {
    let mut session = Session::open();
    session.report(1, &[50_000], &[]);
    session.set("holder", "4711");
    assert_eq!(asked(session.press(ESCAPE)), [Ask::LeaseHolder(Some(4711))]);
    assert_eq!(session.app.pool().report().unwrap().leases.len(), 1);
    session.keys("o");
    session.press(Key::Up);
    for _ in 0..4 {
        session.press(Key::Backspace);
    }
    session.press(Key::Enter);
    assert_eq!(asked(session.press(ESCAPE)), [Ask::LeaseHolder(None)]);
}

#[test]
fn bands_larger_than_the_range_are_refused_without_a_request() {
    let mut session = Session::open();
    session.set("reserved for normal", "16384");
    assert_eq!(asked(session.press(ESCAPE)), [Ask::Close]);
    assert_eq!(session.notice(), "bands need 16,512 ports, range has 16,384: reduce them (o)");
    assert_eq!(session.keys("i"), []);
    session.set("reserved for normal", "0");
    opened(&asked(session.press(ESCAPE)));
}

#[test]
fn each_target_has_its_own_pool() {
    let mut session = Session::open();
    let asked = session.keys("t");
    assert_eq!(opened(&asked).target, AllocatorTarget::Simulated { share: 0.9 });
    assert_eq!(opened(&asked).hold_share, 1.0, "nobody else needs its ports");
    session.report(1, &[50_000], &[]);
    assert!(session.app.pool().report().is_none());
    assert_eq!(opened(&session.keys("t")).target, AllocatorTarget::Machine);
}

#[test]
fn the_range_of_the_runs_is_the_range_of_the_pool() {
    let mut session = Session::open();
    session.keys("Po");
    session.press(Key::Down);
    session.press(Key::Down);
    session.keys("50000-50999");
    session.press(Key::Enter);
    assert_eq!(asked(session.press(ESCAPE)), [], "not before it is shown");
    assert_eq!(opened(&session.keys("P")).range, PortRange::new(50_000, 50_999).unwrap());
}

#[test]
fn a_failed_pool_shows_the_reason_and_the_next_key_retries() {
    let mut session = Session::open();
    session.report(1, &[50_000], &[]);
    session.update(Report::PoolFailed(Text::scrub("could not make a socket")));
    assert_eq!(session.notice(), "could not make a socket");
    assert!(session.app.pool().report().is_none());
    let asked = session.keys("i");
    assert!(matches!(asked[..], [Ask::Open(_), Ask::Take { count: 1, .. }]), "{asked:?}");
}

#[test]
fn ages_advance_without_reports_and_stop_without_leases() {
    let mut session = Session::open();
    session.report(1, &[], &[]);
    assert_eq!(session.app.redraw_after(), None);
    session.report(1, &[50_000], &[]);
    let pool = session.app.pool();
    assert_eq!(pool.clock(session.now + Duration::from_secs(3)), Duration::from_millis(7_250));
    assert_eq!(session.app.redraw_after(), Some(Duration::from_millis(750)));
    session.keys("1");
    assert_eq!(session.app.redraw_after(), None, "nobody looks");
}

#[test]
fn quitting_sends_no_release() {
    let mut session = Session::open();
    session.report(1, &[50_000], &[]);
    assert_eq!(session.press(Key::Char('q')), [Effect::Quit], "the engine's end releases all");
}
