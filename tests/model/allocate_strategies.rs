//! Every strategy on the Allocate screen, with the real allocation thread.

use portscope::{
    allocator::{ALLOCATORS, Model, Order},
    app::allocation::{Allocation, AllocationAction as Action, AllocatorTarget, HolderSeen, Speed},
    domain::{Protocols, port::IANA_DYNAMIC},
    engine::AllocationRequest as Ask,
};

use crate::target::Session;

fn number(name: &str) -> usize {
    ALLOCATORS.iter().position(|row| row.name == name).unwrap()
}

/// Returns a paused session with simulated ports (90 % in use), this strategy and full speed.
fn simulated(name: &str) -> Session {
    let mut session = Session::shared();
    session.act(Action::ToggleTarget);
    choose(&mut session, name);
    for _ in 0..3 {
        session.act(Action::Faster);
    }
    session.wait_for(|allocation| allocation.occupancy_counts().is_some());
    session
}

fn choose(session: &mut Session, name: &str) {
    while session.allocation.options().strategy != number(name) {
        session.act(Action::NextStrategy);
    }
}

/// Sets the share of simulated ports in use, in thousandths.
fn fill(session: &mut Session, wanted: u32) {
    let share = |allocation: &Allocation| match allocation.target() {
        AllocatorTarget::Simulated { share } => (share * 1000.0).round() as u32,
        AllocatorTarget::Machine => panic!("that is the machine"),
    };
    while share(&session.allocation) != wanted {
        let is_fuller = share(&session.allocation) > wanted;
        session.act(if is_fuller { Action::Emptier } else { Action::Fuller });
    }
    let occupied = (f64::from(wanted) / 1000.0 * 16_384.0).round() as u32;
    session.wait_for(|allocation| {
        allocation.occupancy_counts().is_some_and(|g| g.occupied == occupied)
    });
}

fn run(session: &mut Session, allocations: u64) {
    session.act(Action::RunOrPause);
    session.wait_for(|allocation| allocation.figures().finished() >= allocations);
    session.act(Action::RunOrPause);
}

/// Returns the distance of the measured mean from the expected one, in standard errors. None: the
/// strategy has no model.
fn distance(allocation: &Allocation) -> Option<f64> {
    let (figures, model, most) =
        (allocation.figures(), allocation.model()?, allocation.attempt_limit());
    let expected = model.expected_attempts(most);
    // Σ (2 j + 1) S(j) is the mean of the squares.
    let squares: f64 = (0..most).map(|j| f64::from(2 * j + 1) * model.survival(j)).sum();
    let deviation = (squares - expected * expected).max(0.0).sqrt();
    let error = deviation / (figures.finished() as f64).sqrt();
    let off = (figures.mean()? - expected).abs();
    Some(if off < 1e-9 { 0.0 } else { off / error })
}

#[test]
fn key_s_cycles_through_all_strategies_and_starts_new_runs() {
    let mut session = simulated("random");
    for (position, row) in ALLOCATORS.iter().enumerate() {
        assert_eq!(session.allocation.options().strategy, position);
        assert_eq!(session.allocation.row().name, row.name);
        run(&mut session, 2_000);
        let figures = session.allocation.figures();
        assert!(figures.successes > 0 && figures.attempts >= figures.finished(), "{}", row.name);
        let off = distance(&session.allocation);
        let has_expectation = !matches!(row.order, Order::Fixed | Order::Unknown);
        assert_eq!(off.is_some(), has_expectation, "{}", row.name);
        assert!(off.is_none_or(|off| off < 5.0), "{}: {off:?} standard errors", row.name);
        let asked = session.ask(Action::NextStrategy);
        let [Ask::Prepare(setup), Ask::Speed(Speed::Max), Ask::Hold(false)] = &asked[..] else {
            panic!("{asked:?}");
        };
        assert_eq!(setup.strategy, (position + 1) % ALLOCATORS.len());
        assert_eq!(session.allocation.figures().attempts, 0);
        assert!(session.allocation.log().entries().next().is_none());
        assert!(!session.allocation.is_running());
        session.wait_for(|allocation| allocation.occupancy_counts().is_some());
    }
    assert_eq!(session.allocation.options().strategy, 0);
    session.act(Action::PreviousStrategy);
    assert_eq!(session.allocation.options().strategy, ALLOCATORS.len() - 1);
}

#[test]
fn figures_match_the_models_in_a_nearly_full_range() {
    for name in ["random", "random-unique", "exo-history", "simple-random", "random-retry"] {
        let mut session = simulated(name);
        fill(&mut session, 990);
        run(&mut session, 3_000);
        let off = distance(&session.allocation);
        assert!(off.unwrap() < 5.0, "{name}: {off:?} standard errors");
        assert!(session.allocation.figures().failures > 0, "{name}");
    }
}

#[test]
fn bitmap_needs_one_attempt_at_99_percent_and_counts_its_snapshots() {
    let mut session = simulated("bitmap");
    fill(&mut session, 990);
    run(&mut session, 5_000);
    let figures = session.allocation.figures();
    let each = figures.attempts as f64 / figures.successes as f64;
    assert!(each <= 1.05, "{each} attempts a success");
    assert_eq!(figures.failures, 0);
    let (count, time) = figures.snapshots;
    assert!(count >= 1 && !time.is_zero(), "{count} snapshots in {time:?}");
    assert_eq!(session.allocation.model(), Some(Model::OnlyFree));
}

#[test]
fn bitmap_skips_ports_held_by_the_run_and_finds_the_last_free_port() {
    let mut session = Session::small();
    session.act(Action::ToggleHold);
    choose(&mut session, "bitmap");
    for _ in 0..3 {
        session.act(Action::Faster);
    }
    session.act(Action::RunOrPause);
    session.wait_for(|allocation| allocation.held().len() == 100);
    session.wait_for(|allocation| allocation.figures().failures > 0);
    let figures = session.allocation.figures();
    assert_eq!((figures.attempts, figures.successes), (100, 100), "no port was tried in vain");
    assert_eq!(session.allocation.last().map(|last| (last.attempts, last.port)), Some((0, None)));
    session.act(Action::ReleaseOne);
    session.wait_for(|allocation| allocation.figures().successes == 101);
    session.act(Action::RunOrPause);
}

#[test]
fn a_strategy_without_ports_left_gives_up_early_and_the_run_continues() {
    for name in ["random-unique", "exo-history", "sequential", "simple-random", "banded"] {
        let mut session = Session::small();
        session.act(Action::ToggleTarget);
        choose(&mut session, name);
        for _ in 0..3 {
            session.act(Action::Faster);
        }
        session.allow(1000);
        let full = |session: &mut Session| {
            while session.allocation.target() != (AllocatorTarget::Simulated { share: 1.0 }) {
                session.act(Action::Fuller);
            }
            session.wait_for(|a| {
                a.occupancy_counts().is_some_and(|occupancy_counts| occupancy_counts.free() == 0)
            });
        };
        full(&mut session);
        run(&mut session, 50);
        let (allocation, figures) = (&session.allocation, session.allocation.figures());
        assert_eq!((figures.successes, figures.mean()), (0, Some(200.0)), "{name}");
        if let Some(model) = allocation.model() {
            let most = allocation.attempt_limit();
            assert!((model.expected_attempts(most) - 200.0).abs() < 1e-9, "{name}");
            assert!((model.failure(most) - 1.0).abs() < 1e-9, "{name}");
        }
        let entries: Vec<_> = allocation.log().entries().copied().collect();
        for pair in entries.windows(2) {
            let [before, after] = [pair[0], pair[1]];
            // At full speed the log has only some of the attempts.
            let is_next = after.allocation == before.allocation + 1;
            assert!(after.allocation >= before.allocation, "{name}");
            assert!(before.attempt.number < 200 || after.attempt.number != 1 || is_next, "{name}");
        }
    }
}

#[test]
fn a_refused_port_0_has_no_mark_and_no_holder() {
    let mut session = Session::small();
    session.act(Action::ToggleTarget);
    choose(&mut session, "kernel-bind");
    while session.allocation.target() != (AllocatorTarget::Simulated { share: 1.0 }) {
        session.act(Action::Fuller);
    }
    session.wait_for(|a| {
        a.occupancy_counts().is_some_and(|occupancy_counts| occupancy_counts.free() == 0)
    });
    for _ in 0..3 {
        session.act(Action::Step);
    }
    session.wait_for(|allocation| allocation.figures().attempts == 3);
    assert!(session.allocation.model().is_none(), "nothing is free");
    let entries: Vec<_> = session.allocation.log().entries().copied().collect();
    assert_eq!(entries.len(), 3);
    assert!(entries.iter().all(|e| e.attempt.port == 0 && e.holder == HolderSeen::NoneChosen));
    assert!(session.allocation.heat(std::time::Duration::ZERO).iter().all(|&times| times == 0));
}

#[test]
fn the_port_chosen_by_the_kernel_is_in_the_range_and_marked() {
    let mut session = simulated("kernel-bind");
    run(&mut session, 500);
    let tried: Vec<_> =
        session.allocation.log().entries().map(|entry| entry.attempt.port).collect();
    assert!(!tried.is_empty() && tried.iter().all(|&port| IANA_DYNAMIC.contains(port)));
    session.act(Action::ToggleHold);
    session.act(Action::Step);
    session.wait_for(|allocation| !allocation.held().is_empty());
    assert!(IANA_DYNAMIC.contains(session.allocation.held()[0]));
}

#[test]
fn the_strategy_is_the_first_settings_field() {
    let mut session = Session::shared();
    session.choose_strategy(number("next-fit"));
    assert_eq!(session.allocation.row().name, "next-fit");
    let asked = session.ask(Action::Step);
    assert!(matches!(&asked[0], Ask::Prepare(setup) if setup.strategy == number("next-fit")));
    session.choose(Protocols::Tcp);
    assert_eq!(session.allocation.options().strategy, number("next-fit"));
}

#[test]
fn the_model_is_shown_as_soon_as_a_strategy_is_selected() {
    let mut session = Session::shared();
    choose(&mut session, "simple-random");
    assert!(matches!(session.allocation.model(), Some(Model::Scan { .. })));
    choose(&mut session, "random-unique");
    assert!(matches!(session.allocation.model(), Some(Model::Unique { .. })));
    choose(&mut session, "random");
    assert!(matches!(session.allocation.model(), Some(Model::Replacement { .. })));
    choose(&mut session, "sequential");
    assert_eq!(session.allocation.model(), None);
}
