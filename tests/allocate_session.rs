//! Scripted sessions on the Allocate screen: requests to the engine, and how reports change the
//! state.

#[path = "support/allocate.rs"]
mod stage;

use std::{net::Ipv6Addr, sync::Arc, time::Duration};

use portscope::{
    app::{
        App, AppOptions, Effect, Event, Extent, GlyphSet, Key, RowsPerLine, Screen,
        allocation::{
            ActivePanel, AllocationAction as Action, AllocationOptions, Field, HolderSeen, Reached,
            Who,
        },
    },
    domain::{PortRange, Protocols, State, Text, port::IANA_DYNAMIC},
    engine::{AllocationRequest as Ask, Report, Request, Site, Speed},
};
use stage::{Stage, bound, empty, in_use, ports};

fn asked(effects: Vec<Effect>) -> Vec<Ask> {
    let ask = |effect| match effect {
        Effect::Ask(Request::Allocation(request)) => request,
        other => panic!("{other:?} is no request to the allocator"),
    };
    effects.into_iter().map(ask).collect()
}

fn panel_error(stage: &Stage) -> Option<&str> {
    match stage.allocation.panel() {
        Some(ActivePanel::Settings(panel)) => panel.error(),
        other => panic!("{other:?} is not the settings panel"),
    }
}

#[test]
fn exo_is_the_start() {
    let stage = Stage::real(0.5);
    let options = stage.allocation.options();
    assert_eq!(options.protocols, Protocols::Udp);
    assert_eq!(options.range, IANA_DYNAMIC);
    assert_eq!((options.max_attempts, options.seed), (100, 42));
    assert!(!stage.allocation.keeps_what_it_wins() && !stage.allocation.is_running());
}

#[test]
fn a_run_is_prepared_once_and_only_when_it_is_needed() {
    let mut stage = Stage::real(0.5);
    let first = asked(stage.act(Action::RunOrPause));
    let [Ask::Prepare(setup), Ask::Speed(Speed::Four), Ask::Hold(false), Ask::Run] = &first[..]
    else {
        panic!("{first:?}");
    };
    assert_eq!((setup.range, setup.max_attempts, setup.seed), (IANA_DYNAMIC, 100, 42));
    assert_eq!(asked(stage.act(Action::RunOrPause)), [Ask::Pause]);
    assert_eq!(asked(stage.act(Action::RunOrPause)), [Ask::Run]);
    assert_eq!(asked(stage.act(Action::Step)), [Ask::Step]);
    assert!(!stage.allocation.is_running());
}

#[test]
fn reserved_ports_are_neither_tried_nor_counted() {
    let mut stage = Stage::real(0.0);
    let reserved = PortRange::new(50_000, 50_383).unwrap();
    let range = stage.snapshot.ephemeral.range;
    stage.snapshot.ephemeral = portscope::domain::Ephemeral::new(range, vec![reserved]);
    let requests = asked(stage.act(Action::Step));
    let Ask::Prepare(setup) = &requests[0] else { panic!("{requests:?}") };
    assert_eq!(setup.reserved, [reserved]);
    assert_eq!(stage.allocation.ground().unwrap().candidates, 16_000);
}

#[test]
fn a_range_that_is_all_reserved_is_refused_in_words() {
    let mut stage = Stage::real(0.0);
    let range = stage.snapshot.ephemeral.range;
    stage.snapshot.ephemeral = portscope::domain::Ephemeral::new(range, vec![IANA_DYNAMIC]);
    assert_eq!(asked(stage.act(Action::RunOrPause)), []);
    let words = "all ports of 49152-65535 are reserved: choose another range (o)";
    assert_eq!(stage.allocation.notice(), Some(words));
}

#[test]
fn nothing_runs_before_the_first_scan() {
    let mut allocation =
        portscope::app::allocation::Allocation::new(&AllocationOptions::exo(1), true);
    assert_eq!(allocation.act(Action::RunOrPause, None), []);
    assert!(allocation.notice().is_some_and(|words| words.contains("no scan yet")));
}

#[test]
fn held_ports_never_exceed_a_tenth_of_what_is_free_unless_we_are_alone() {
    for (mut stage, limit) in [(Stage::real(0.5), 819), (Stage::simulated(0.5), 8_192)] {
        let requests = asked(stage.act(Action::Step));
        let Ask::Prepare(setup) = &requests[0] else { panic!("{requests:?}") };
        assert_eq!(setup.hold_limit, limit);
    }
}

#[test]
fn a_shared_machine_stays_at_20_a_second_until_the_person_agrees_once() {
    let mut stage = Stage::real(0.5);
    stage.act(Action::Faster);
    assert_eq!(stage.allocation.speed(), Speed::Twenty);
    stage.act(Action::Faster);
    assert_eq!(stage.allocation.panel(), Some(&ActivePanel::ConfirmSpeed(Speed::Thousand)));
    stage.press(&[Key::Char(' '), Key::Escape]);
    assert_eq!((stage.allocation.speed(), stage.allocation.panel()), (Speed::Twenty, None));
    stage.act(Action::Faster);
    stage.press(&[Key::Char('y')]);
    assert_eq!(stage.allocation.speed(), Speed::Thousand);
    stage.act(Action::Faster);
    assert_eq!((stage.allocation.speed(), stage.allocation.panel()), (Speed::Max, None));
}

#[test]
fn alone_on_a_machine_any_speed_may_be_used() {
    let mut stage = Stage::simulated(0.5);
    for _ in 0..5 {
        stage.act(Action::Faster);
    }
    assert_eq!((stage.allocation.speed(), stage.allocation.panel()), (Speed::Max, None));
}

#[test]
fn at_the_slowest_speed_space_is_one_attempt() {
    let mut stage = Stage::simulated(0.5);
    stage.act(Action::RunOrPause);
    stage.act(Action::Slower);
    assert_eq!(asked(stage.act(Action::Slower)), [Ask::Speed(Speed::Step), Ask::Pause]);
    assert_eq!(asked(stage.act(Action::RunOrPause)), [Ask::Step]);
    assert!(!stage.allocation.is_running());
}

#[test]
fn changed_settings_begin_a_new_run_and_late_deltas_of_the_old_one_are_ignored() {
    let mut stage = Stage::real(0.5);
    stage.act(Action::RunOrPause);
    stage.report(bound(1, 1, 50_000));
    assert_eq!(asked(stage.act(Action::OpenSettings)), [Ask::Pause]);
    stage.press(&[Key::Down, Key::Right, Key::Down]);
    stage.type_in("50000-50999");
    stage.press(&[Key::Enter, Key::Down]);
    stage.type_in("7");
    stage.press(&[Key::Down, Key::Backspace]);
    stage.type_in("3");
    stage.press(&[Key::Enter]);
    let requests = asked(stage.press(&[Key::Escape]));
    let [Ask::Prepare(setup), Ask::Speed(_), Ask::Hold(false)] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(setup.protocols, Protocols::Tcp);
    assert_eq!(setup.range, PortRange::new(50_000, 50_999).unwrap());
    assert_eq!((setup.max_attempts, setup.seed), (7, 43));
    stage.report(bound(1, 1, 50_001));
    assert_eq!(stage.allocation.figures().attempts, 0);
    stage.report(bound(2, 1, 50_002));
    assert_eq!(stage.allocation.figures().attempts, 1);
}

#[test]
fn settings_that_did_not_change_leave_the_run_alone() {
    let mut stage = Stage::real(0.5);
    stage.act(Action::Step);
    stage.report(bound(1, 1, 50_000));
    stage.act(Action::OpenSettings);
    assert_eq!(stage.press(&[Key::Right, Key::Left, Key::Escape]), []);
    assert_eq!(stage.allocation.figures().successes, 1);
}

#[test]
fn settings_before_the_first_run_ask_nothing_of_the_engine() {
    let mut stage = Stage::real(0.5);
    stage.act(Action::OpenSettings);
    assert_eq!(stage.press(&[Key::Down, Key::Right, Key::Escape]), []);
    assert_eq!(stage.allocation.options().protocols, Protocols::Tcp);
    assert_eq!(stage.allocation.ground().unwrap().occupied, 0);
}

#[test]
fn wrong_input_says_what_is_right_and_stays_until_it_is_mended() {
    let mut stage = Stage::real(0.5);
    stage.act(Action::OpenSettings);
    stage.press(&[Key::Down; 3]);
    stage.type_in("0");
    stage.press(&[Key::Down]);
    assert_eq!(panel_error(&stage), Some("invalid attempts '0': expected 1 or more"));
    stage.press(&[Key::Backspace]);
    assert_eq!(panel_error(&stage), None);
    stage.type_in("12x");
    stage.press(&[Key::Enter, Key::Escape]);
    assert_eq!(stage.allocation.options().max_attempts, 12);
}

#[test]
fn escape_forgets_what_is_typed_before_it_closes() {
    let mut stage = Stage::real(0.5);
    stage.act(Action::OpenSettings);
    stage.press(&[Key::Up]);
    stage.type_in("::1");
    stage.press(&[Key::Enter]);
    let Some(ActivePanel::Settings(panel)) = stage.allocation.panel() else { panic!("closed") };
    assert_eq!((panel.field(), panel.value(Field::Address)), (Field::Address, "::1".to_owned()));
    stage.type_in("::");
    stage.press(&[Key::Escape]);
    assert!(stage.allocation.panel().is_some());
    stage.press(&[Key::Escape]);
    assert!(stage.allocation.panel().is_none());
    assert_eq!(stage.allocation.options().address, Some(Ipv6Addr::LOCALHOST.into()));
}

#[test]
fn reset_shows_the_same_run_again_and_drops_what_was_held() {
    let mut stage = Stage::real(0.5);
    stage.act(Action::ToggleHold);
    let before = asked(stage.act(Action::RunOrPause));
    let mut won = bound(1, 1, 50_000);
    won.held = vec![50_000];
    stage.report(won);
    assert_eq!(stage.allocation.held(), [50_000]);
    let after = asked(stage.act(Action::Reset));
    assert_eq!(after[..], before[..3]);
    assert_eq!(after[2], Ask::Hold(true));
    assert!(stage.allocation.held().is_empty() && !stage.allocation.is_running());
    assert_eq!(asked(stage.act(Action::RunOrPause)), [Ask::Run]);
}

#[test]
fn held_ports_are_released_one_by_one_or_all() {
    let mut stage = Stage::real(0.5);
    assert_eq!(stage.act(Action::ReleaseOne), []);
    assert_eq!(stage.allocation.notice(), Some("no port is held"));
    assert_eq!(asked(stage.act(Action::Step)).last(), Some(&Ask::Step));
    assert_eq!(asked(stage.act(Action::ToggleHold)), [Ask::Hold(true)]);
    let mut won = bound(1, 1, 50_000);
    won.held = vec![50_000, 60_000];
    stage.report(won);
    assert_eq!(asked(stage.act(Action::ReleaseOne)), [Ask::Release(50_000)]);
    stage.report(portscope::engine::message::AllocationDelta { held: vec![60_000], ..empty(1) });
    assert_eq!(asked(stage.act(Action::ReleaseOne)), [Ask::Release(60_000)]);
    assert_eq!(asked(stage.act(Action::ReleaseAll)), [Ask::ReleaseAll]);
}

#[test]
fn the_log_names_the_holder_that_the_last_scan_saw() {
    let mut stage = Stage::real(0.5);
    stage.act(Action::Step);
    let port = ports(&stage, true, 1)[0];
    assert_eq!(stage.report(in_use(1, 1, port)), []);
    let entry = stage.allocation.log().entries().next_back().unwrap();
    let who = Who::Process { pid: 4711, others: 0 };
    assert_eq!(entry.holder, HolderSeen::Socket { state: State::Unconnected, who });
}

#[test]
fn a_holder_that_no_scan_saw_is_looked_for_once_and_then_not_seen() {
    let mut stage = Stage::real(0.5);
    stage.act(Action::Step);
    let free = ports(&stage, false, 2);
    let scan = vec![Effect::Ask(Request::ScanNow)];
    assert_eq!(stage.report(in_use(1, 1, free[0])), scan);
    assert_eq!(stage.report(in_use(1, 2, free[1])), []);
    let holders = |stage: &Stage| -> Vec<_> {
        stage.allocation.log().entries().map(|entry| entry.holder).collect()
    };
    assert_eq!(holders(&stage), [HolderSeen::NotSeenYet; 2]);
    stage.look_again();
    assert_eq!(holders(&stage), [HolderSeen::NotSeen; 2]);
    assert_eq!(stage.report(empty(1)), []);
}

#[test]
fn a_collision_with_a_port_of_this_run_says_so() {
    let mut stage = Stage::real(0.5);
    stage.act(Action::Step);
    let free = ports(&stage, false, 1)[0];
    let mut met = in_use(1, 1, free);
    met.held = vec![free];
    assert_eq!(stage.report(met), []);
    assert_eq!(stage.allocation.log().entries().next().unwrap().holder, HolderSeen::Us);
}

#[test]
fn figures_of_a_long_run_agree_with_the_law() {
    let mut stage = Stage::simulated(0.9);
    stage.act(Action::RunOrPause);
    stage.play(1, 100_000, 5_000);
    let (figures, model) = (stage.allocation.figures(), stage.allocation.model().unwrap());
    let mean = figures.mean().unwrap();
    assert!((mean / model.expected_attempts(100) - 1.0).abs() < 0.05, "{mean}");
    assert!((figures.collision_rate().unwrap() - model.miss()).abs() < 0.005);
    assert_eq!(figures.quantile(0.5), model.quantile(0.5, 100).map(Reached::After));
    let last = stage.allocation.log().entries().next_back().unwrap();
    assert!(last.allocation.abs_diff(figures.finished()) <= 1);
}

#[test]
fn a_run_that_failed_is_prepared_anew() {
    let mut stage = Stage::real(0.5);
    stage.act(Action::RunOrPause);
    stage.allocation.fail(Text::scrub("could not open a socket: EMFILE"));
    assert_eq!(stage.allocation.notice(), Some("could not open a socket: EMFILE"));
    assert!(!stage.allocation.is_running());
    assert!(matches!(asked(stage.act(Action::RunOrPause))[..], [Ask::Prepare(_), .., Ask::Run]));
    stage.report(bound(2, 1, 50_000));
    assert_eq!(stage.allocation.figures().successes, 1);
}

fn app() -> App {
    App::new(AppOptions {
        first: Screen::Map,
        glyphs: GlyphSet { rows_per_line: RowsPerLine::Two, has_dots: true },
        extent: Extent::Ephemeral,
        protocols: Protocols::Both,
        find: None,
        allocation: AllocationOptions::exo(42),
        lab: portscope::app::LabOptions::new(7, None),
        mouse: true,
        motion: true,
        services: portscope::domain::ServiceNames::default(),
    })
}

#[test]
fn leaving_the_screen_pauses_the_run_and_keeps_what_is_held() {
    let stage = Stage::real(0.5);
    let mut app = app();
    let mut play = |event| app.update(Duration::ZERO, event);
    play(Event::Report(Report::Scanned(Arc::new(stage.snapshot))));
    play(Event::Key(Key::Char('4')));
    play(Event::Key(Key::Char('H')));
    play(Event::Key(Key::Char(' ')));
    let mut won = bound(1, 1, 50_000);
    won.held = vec![50_000];
    play(Event::Report(Report::Allocation(Box::new(won))));
    assert_eq!(asked(play(Event::Key(Key::Char('2')))), [Ask::Pause]);
    assert_eq!((app.screen(), app.allocation().held()), (Screen::Map, &[50_000][..]));
}

#[test]
fn three_keys_are_a_running_allocator_at_90_percent() {
    let mut app = app();
    let mut requests = Vec::new();
    for key in ['4', 't', ' '] {
        requests.extend(asked(app.update(Duration::ZERO, Event::Key(Key::Char(key)))));
    }
    let [Ask::Prepare(setup), Ask::Speed(Speed::Four), Ask::Hold(false), Ask::Run] = &requests[..]
    else {
        panic!("{requests:?}");
    };
    assert_eq!(setup.site, Site::Simulated { share: 0.9 });
    let fuller = asked(app.update(Duration::ZERO, Event::Key(Key::Char('='))));
    assert_eq!(fuller, [Ask::Fill(0.91)]);

    let simulated = Stage::simulated(0.91);
    let report = |report| Event::Report(report);
    app.update(Duration::ZERO, report(Report::Simulated(Arc::new(simulated.snapshot))));
    assert_eq!(app.allocation().ground().map(|ground| ground.occupied), Some(14_909));
    for (at, port) in [(0, 50_000), (250, 50_001)] {
        let won = report(Report::Allocation(Box::new(bound(1, 1, port))));
        app.update(Duration::from_millis(at), won);
    }
    assert_eq!(app.redraw_after(), Some(Duration::from_millis(200)), "a mark fades");
}
