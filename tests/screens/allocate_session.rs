//! Scripted sessions on the Allocate screen: requests to the engine, and how reports change the
//! state.

use std::{net::Ipv6Addr, sync::Arc, time::Duration};

use portscope::{
    app::{
        App, AppOptions, Effect, Event, Key, Screen,
        allocation::{
            ActivePanel, AllocationAction as Action, AllocationOptions, HolderOwner, HolderSeen,
            Reached,
        },
    },
    domain::{PortRange, Protocols, State, Text, port::IANA_DYNAMIC},
    engine::{AllocationRequest as Ask, AllocatorTarget, Report, Request, Speed},
};

use crate::{
    allocate::{Harness, bound, empty, in_use, ports},
    app_options::options,
};

fn asked(effects: Vec<Effect>) -> Vec<Ask> {
    let ask = |effect| match effect {
        Effect::Ask(Request::Allocation(request)) => request,
        other => panic!("{other:?} is no request to the allocator"),
    };
    effects.into_iter().map(ask).collect()
}

fn panel_error(harness: &Harness) -> Option<&str> {
    match harness.allocation.panel() {
        Some(ActivePanel::Settings(panel)) => panel.error(),
        other => panic!("{other:?} is not the settings panel"),
    }
}

#[test]
fn the_default_options_are_those_of_exo() {
    let harness = Harness::real(0.5);
    let options = harness.allocation.options();
    assert_eq!(options.protocols, Protocols::Udp);
    assert_eq!(options.range, IANA_DYNAMIC);
    assert_eq!((options.max_attempts, options.seed), (100, 42));
    assert!(!harness.allocation.keeps_bound_ports() && !harness.allocation.is_running());
}

#[test]
fn a_run_is_prepared_once_and_on_demand() {
    let mut harness = Harness::real(0.5);
    let first = asked(harness.act(Action::RunOrPause));
    let [Ask::Prepare(setup), Ask::Speed(Speed::Four), Ask::Hold(false), Ask::Run] = &first[..]
    else {
        panic!("{first:?}");
    };
    assert_eq!((setup.range, setup.max_attempts, setup.seed), (IANA_DYNAMIC, 100, 42));
    assert_eq!(asked(harness.act(Action::RunOrPause)), [Ask::Pause]);
    assert_eq!(asked(harness.act(Action::RunOrPause)), [Ask::Run]);
    assert_eq!(asked(harness.act(Action::Step)), [Ask::Step]);
    assert!(!harness.allocation.is_running());
}

#[test]
fn reserved_ports_are_neither_tried_nor_counted() {
    let mut harness = Harness::real(0.0);
    let reserved = PortRange::new(50_000, 50_383).unwrap();
    let range = harness.snapshot.ephemeral.range;
    harness.snapshot.ephemeral = portscope::domain::Ephemeral::new(range, vec![reserved]);
    let requests = asked(harness.act(Action::Step));
    let Ask::Prepare(setup) = &requests[0] else { panic!("{requests:?}") };
    assert_eq!(setup.reserved, [reserved]);
    assert_eq!(harness.allocation.occupancy_counts().unwrap().candidates, 16_000);
}

#[test]
fn a_range_that_is_all_reserved_is_refused_in_words() {
    let mut harness = Harness::real(0.0);
    let range = harness.snapshot.ephemeral.range;
    harness.snapshot.ephemeral = portscope::domain::Ephemeral::new(range, vec![IANA_DYNAMIC]);
    assert_eq!(asked(harness.act(Action::RunOrPause)), []);
    let words = "all ports of 49152-65535 are reserved: choose another range (o)";
    assert_eq!(harness.allocation.notice(), Some(words));
}

#[test]
fn no_run_starts_before_the_first_scan() {
    let mut allocation =
        portscope::app::allocation::Allocation::new(&AllocationOptions::exo(1), true);
    assert_eq!(allocation.act(Action::RunOrPause, None), []);
    assert!(allocation.notice().is_some_and(|words| words.contains("no scan yet")));
}

#[test]
fn held_ports_are_limited_to_a_tenth_of_the_free_ports_on_a_shared_machine() {
    for (mut harness, limit) in [(Harness::real(0.5), 819), (Harness::simulated(0.5), 8_192)] {
        let requests = asked(harness.act(Action::Step));
        let Ask::Prepare(setup) = &requests[0] else { panic!("{requests:?}") };
        assert_eq!(setup.hold_limit, limit);
    }
}

#[test]
fn speeds_above_20_per_second_need_one_confirmation_on_a_shared_machine() {
    let mut harness = Harness::real(0.5);
    harness.act(Action::Faster);
    assert_eq!(harness.allocation.speed(), Speed::Twenty);
    harness.act(Action::Faster);
    assert_eq!(harness.allocation.panel(), Some(&ActivePanel::ConfirmSpeed(Speed::Thousand)));
    harness.press(&[Key::Char(' '), Key::Escape]);
    assert_eq!((harness.allocation.speed(), harness.allocation.panel()), (Speed::Twenty, None));
    harness.act(Action::Faster);
    harness.press(&[Key::Char('y')]);
    assert_eq!(harness.allocation.speed(), Speed::Thousand);
    harness.act(Action::Faster);
    assert_eq!((harness.allocation.speed(), harness.allocation.panel()), (Speed::Max, None));
}

#[test]
fn an_isolated_machine_allows_any_speed() {
    let mut harness = Harness::simulated(0.5);
    for _ in 0..5 {
        harness.act(Action::Faster);
    }
    assert_eq!((harness.allocation.speed(), harness.allocation.panel()), (Speed::Max, None));
}

#[test]
fn space_makes_one_attempt_at_the_slowest_speed() {
    let mut harness = Harness::simulated(0.5);
    harness.act(Action::RunOrPause);
    harness.act(Action::Slower);
    assert_eq!(asked(harness.act(Action::Slower)), [Ask::Speed(Speed::Step), Ask::Pause]);
    assert_eq!(asked(harness.act(Action::RunOrPause)), [Ask::Step]);
    assert!(!harness.allocation.is_running());
}

#[test]
fn changed_settings_start_a_new_run_and_late_deltas_are_ignored() {
    let mut harness = Harness::real(0.5);
    harness.act(Action::RunOrPause);
    harness.report(bound(1, 1, 50_000));
    assert_eq!(asked(harness.act(Action::OpenSettings)), [Ask::Pause]);
    harness.press(&[Key::Down, Key::Right, Key::Down]);
    harness.type_in("50000-50999");
    harness.press(&[Key::Enter, Key::Down]);
    harness.type_in("7");
    harness.press(&[Key::Down, Key::Backspace]);
    harness.type_in("3");
    harness.press(&[Key::Enter]);
    let requests = asked(harness.press(&[Key::Escape]));
    let [Ask::Prepare(setup), Ask::Speed(_), Ask::Hold(false)] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(setup.protocols, Protocols::Tcp);
    assert_eq!(setup.range, PortRange::new(50_000, 50_999).unwrap());
    assert_eq!((setup.max_attempts, setup.seed), (7, 43));
    harness.report(bound(1, 1, 50_001));
    assert_eq!(harness.allocation.figures().attempts, 0);
    harness.report(bound(2, 1, 50_002));
    assert_eq!(harness.allocation.figures().attempts, 1);
}

#[test]
fn unchanged_settings_keep_the_run() {
    let mut harness = Harness::real(0.5);
    harness.act(Action::Step);
    harness.report(bound(1, 1, 50_000));
    harness.act(Action::OpenSettings);
    assert_eq!(harness.press(&[Key::Right, Key::Left, Key::Escape]), []);
    assert_eq!(harness.allocation.figures().successes, 1);
}

#[test]
fn unchanged_settings_continue_the_run_that_they_paused() {
    let mut harness = Harness::real(0.5);
    harness.act(Action::RunOrPause);
    assert_eq!(asked(harness.act(Action::OpenSettings)), [Ask::Pause]);
    assert_eq!(asked(harness.press(&[Key::Escape])), [Ask::Run]);
    assert!(harness.allocation.is_running());
    harness.act(Action::OpenSettings);
    let changed = asked(harness.press(&[Key::Right, Key::Escape]));
    assert!(!changed.contains(&Ask::Run), "{changed:?}");
    assert!(!harness.allocation.is_running());
}

#[test]
fn the_occupancy_of_a_machine_cannot_be_changed_and_a_notice_says_so() {
    let mut harness = Harness::real(0.5);
    assert_eq!(harness.act(Action::Fuller), []);
    let notice = harness.allocation.notice().unwrap_or_default();
    assert!(notice.contains("t switches to simulation"), "{notice}");
}

#[test]
fn settings_before_the_first_run_send_no_request() {
    let mut harness = Harness::real(0.5);
    harness.act(Action::OpenSettings);
    assert_eq!(harness.press(&[Key::Down, Key::Right, Key::Escape]), []);
    assert_eq!(harness.allocation.options().protocols, Protocols::Tcp);
    assert_eq!(harness.allocation.occupancy_counts().unwrap().occupied, 0);
}

#[test]
fn invalid_input_shows_what_is_expected_and_remains_until_it_is_fixed() {
    let mut harness = Harness::real(0.5);
    harness.act(Action::OpenSettings);
    harness.press(&[Key::Down; 3]);
    harness.type_in("0");
    harness.press(&[Key::Down]);
    assert_eq!(panel_error(&harness), Some("invalid attempts '0': expected 1 or more"));
    harness.press(&[Key::Backspace]);
    assert_eq!(panel_error(&harness), None);
    harness.type_in("12x");
    harness.press(&[Key::Enter, Key::Escape]);
    assert_eq!(harness.allocation.options().max_attempts, 12);
}

#[test]
fn escape_discards_typed_text_before_it_closes_the_panel() {
    let mut harness = Harness::real(0.5);
    harness.act(Action::OpenSettings);
    harness.press(&[Key::Up]);
    harness.type_in("::1");
    harness.press(&[Key::Enter]);
    let Some(ActivePanel::Settings(panel)) = harness.allocation.panel() else { panic!("closed") };
    let selected = panel.rows().find(|row| row.is_selected).unwrap();
    assert_eq!((selected.name, selected.value.as_str()), ("address", "::1"));
    harness.type_in("::");
    harness.press(&[Key::Escape]);
    assert!(harness.allocation.panel().is_some());
    harness.press(&[Key::Escape]);
    assert!(harness.allocation.panel().is_none());
    assert_eq!(harness.allocation.options().address, Some(Ipv6Addr::LOCALHOST.into()));
}

#[test]
fn reset_restarts_the_run_with_the_same_seed_and_releases_held_ports() {
    let mut harness = Harness::real(0.5);
    harness.act(Action::ToggleHold);
    let before = asked(harness.act(Action::RunOrPause));
    let mut won = bound(1, 1, 50_000);
    won.held = vec![50_000];
    harness.report(won);
    assert_eq!(harness.allocation.held(), [50_000]);
    let after = asked(harness.act(Action::Reset));
    assert_eq!(after[..], before[..3]);
    assert_eq!(after[2], Ask::Hold(true));
    assert!(harness.allocation.held().is_empty() && !harness.allocation.is_running());
    assert_eq!(asked(harness.act(Action::RunOrPause)), [Ask::Run]);
}

#[test]
fn held_ports_are_released_one_by_one_or_all() {
    let mut harness = Harness::real(0.5);
    assert_eq!(harness.act(Action::ReleaseOne), []);
    assert_eq!(harness.allocation.notice(), Some("no port is held"));
    assert_eq!(asked(harness.act(Action::Step)).last(), Some(&Ask::Step));
    assert_eq!(asked(harness.act(Action::ToggleHold)), [Ask::Hold(true)]);
    let mut won = bound(1, 1, 50_000);
    won.held = vec![50_000, 60_000];
    harness.report(won);
    assert_eq!(asked(harness.act(Action::ReleaseOne)), [Ask::Release(50_000)]);
    harness.report(portscope::engine::message::AllocationDelta { held: vec![60_000], ..empty(1) });
    assert_eq!(asked(harness.act(Action::ReleaseOne)), [Ask::Release(60_000)]);
    assert_eq!(asked(harness.act(Action::ReleaseAll)), [Ask::ReleaseAll]);
}

#[test]
fn the_log_names_the_holder_from_the_last_scan() {
    let mut harness = Harness::real(0.5);
    harness.act(Action::Step);
    let port = ports(&harness, true, 1)[0];
    assert_eq!(harness.report(in_use(1, 1, port)), []);
    let entry = harness.allocation.log().entries().next_back().unwrap();
    let holder_owner = HolderOwner::Process { pid: 4711, others: 0 };
    assert_eq!(entry.holder, HolderSeen::Socket { state: State::Unconnected, holder_owner });
}

#[test]
fn an_unknown_holder_requests_one_scan_and_is_then_not_seen() {
    let mut harness = Harness::real(0.5);
    harness.act(Action::Step);
    let free = ports(&harness, false, 2);
    let scan = vec![Effect::Ask(Request::ScanNow)];
    assert_eq!(harness.report(in_use(1, 1, free[0])), scan);
    assert_eq!(harness.report(in_use(1, 2, free[1])), []);
    let holders = |harness: &Harness| -> Vec<_> {
        harness.allocation.log().entries().map(|entry| entry.holder).collect()
    };
    assert_eq!(holders(&harness), [HolderSeen::NotSeenYet; 2]);
    harness.observe_again();
    assert_eq!(holders(&harness), [HolderSeen::NotSeen; 2]);
    assert_eq!(harness.report(empty(1)), []);
}

#[test]
fn a_collision_with_a_held_port_of_this_run_is_named() {
    let mut harness = Harness::real(0.5);
    harness.act(Action::Step);
    let free = ports(&harness, false, 1)[0];
    let mut met = in_use(1, 1, free);
    met.held = vec![free];
    assert_eq!(harness.report(met), []);
    assert_eq!(harness.allocation.log().entries().next().unwrap().holder, HolderSeen::Us);
}

#[test]
fn figures_of_a_long_run_match_the_model() {
    let mut harness = Harness::simulated(0.9);
    harness.act(Action::RunOrPause);
    harness.play(1, 100_000, 5_000);
    let (figures, model) = (harness.allocation.figures(), harness.allocation.model().unwrap());
    let mean = figures.mean().unwrap();
    assert!((mean / model.expected_attempts(100) - 1.0).abs() < 0.05, "{mean}");
    assert!((figures.collision_rate().unwrap() - model.survival(1)).abs() < 0.005);
    assert_eq!(figures.quantile(0.5), model.quantile(0.5, 100).map(Reached::After));
    let last = harness.allocation.log().entries().next_back().unwrap();
    assert!(last.allocation.abs_diff(figures.finished()) <= 1);
}

#[test]
fn a_failed_run_is_prepared_again() {
    let mut harness = Harness::real(0.5);
    harness.act(Action::RunOrPause);
    harness.allocation.fail(Text::scrub("could not open a socket: EMFILE"));
    assert_eq!(harness.allocation.notice(), Some("could not open a socket: EMFILE"));
    assert!(!harness.allocation.is_running());
    assert!(matches!(asked(harness.act(Action::RunOrPause))[..], [Ask::Prepare(_), .., Ask::Run]));
    harness.report(bound(2, 1, 50_000));
    assert_eq!(harness.allocation.figures().successes, 1);
}

fn app() -> App {
    App::new(AppOptions { allocation: AllocationOptions::exo(42), ..options() })
}

#[test]
fn leaving_the_screen_pauses_the_run_and_keeps_held_ports() {
    let harness = Harness::real(0.5);
    let mut app = app();
    let mut play = |event| app.update(Duration::ZERO, event);
    play(Event::Report(Report::Scanned(Arc::new(harness.snapshot))));
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
fn three_keys_start_the_simulated_allocator_at_90_percent() {
    let mut app = app();
    let mut requests = Vec::new();
    for key in ['4', 't', ' '] {
        requests.extend(asked(app.update(Duration::ZERO, Event::Key(Key::Char(key)))));
    }
    let [Ask::Prepare(setup), Ask::Speed(Speed::Four), Ask::Hold(false), Ask::Run] = &requests[..]
    else {
        panic!("{requests:?}");
    };
    assert_eq!(setup.target, AllocatorTarget::Simulated { share: 0.9 });
    let fuller = asked(app.update(Duration::ZERO, Event::Key(Key::Char('='))));
    assert_eq!(fuller, [Ask::Fill(0.91)]);

    let simulated = Harness::simulated(0.91);
    let report = |report| Event::Report(report);
    app.update(Duration::ZERO, report(Report::Simulated(Arc::new(simulated.snapshot))));
    assert_eq!(
        app.allocation().occupancy_counts().map(|occupancy_counts| occupancy_counts.occupied),
        Some(14_909)
    );
    for (at, port) in [(0, 50_000), (250, 50_001)] {
        let won = report(Report::Allocation(Box::new(bound(1, 1, port))));
        app.update(Duration::from_millis(at), won);
    }
    assert_eq!(app.redraw_after(), Some(Duration::from_millis(200)), "a mark fades");
}
