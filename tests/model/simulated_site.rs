//! The Allocate screen with the real allocation thread, mainly on the simulated machine.

use std::{collections::BTreeSet, sync::Arc};

use portscope::{
    app::allocation::{
        ActivePanel, AllocationAction as Action, AllocatorTarget, HolderOwner, HolderSeen, Reached,
        Speed,
    },
    domain::{Binder, MachineKind, PortRange, Protocols, Snapshot, State, port::IANA_DYNAMIC},
    host::{Host, simulated::SimulatedHost},
};
use proptest::{collection::vec, prelude::*};

use crate::target::Session;

fn ports(snapshot: &Snapshot) -> BTreeSet<u16> {
    snapshot.sockets.iter().map(|socket| socket.local.port).collect()
}

#[test]
fn keys_t_and_space_start_the_simulated_allocator() {
    let mut session = Session::shared();
    session.act(Action::ToggleTarget);
    assert!(!session.allocation.is_running());
    session.act(Action::RunOrPause);
    assert_eq!(session.allocation.target(), AllocatorTarget::Simulated { share: 0.9 });
    assert_eq!((session.allocation.speed(), session.allocation.is_running()), (Speed::Four, true));
    session.wait_for(|allocation| allocation.figures().attempts >= 2);

    let occupancy_counts = session.allocation.occupancy_counts().unwrap();
    assert_eq!((occupancy_counts.candidates, occupancy_counts.occupied), (16_384, 14_746));
    assert_eq!(session.allocation.hold_limit(), Some(1_638));
    let scan = session.allocation.scan(None).unwrap();
    assert_eq!(scan.snapshot.machine.kind, MachineKind::Simulated);
    assert!(session.host_held().is_empty());
}

#[test]
fn key_t_works_before_the_first_scan() {
    let mut session = Session::unseen();
    session.act(Action::ToggleTarget);
    session.act(Action::Step);
    session.wait_for(|allocation| allocation.figures().attempts == 1);
}

#[test]
fn key_t_again_shows_the_machine() {
    let mut session = Session::shared();
    let real = session.allocation.occupancy_counts();
    session.act(Action::ToggleTarget);
    assert_eq!((session.allocation.occupancy_counts(), session.allocation.model()), (None, None));
    assert!(session.simulated_scan().is_none());
    session.wait_for(|allocation| allocation.occupancy_counts().is_some());
    session.act(Action::ToggleTarget);
    assert_eq!(
        (session.allocation.target(), session.allocation.occupancy_counts()),
        (AllocatorTarget::Machine, real)
    );
    assert_eq!(session.allocation.scan(None).map(|_| ()), None);
}

#[test]
fn changing_the_target_ends_the_run_and_releases_held_ports() {
    let mut session = Session::alone();
    session.act(Action::ToggleHold);
    session.act(Action::Step);
    session.wait_for(|allocation| allocation.held().len() == 1);
    assert_eq!(session.host_held().len(), 1);
    session.act(Action::ToggleTarget);
    assert!(session.allocation.held().is_empty());
    session.wait_for(|allocation| allocation.occupancy_counts().is_some());
    assert!(session.host_held().is_empty());
    assert!(session.allocation.keeps_bound_ports());
}

#[test]
fn simulated_speeds_need_no_confirmation_and_are_reset_on_the_machine() {
    let mut session = Session::shared();
    session.act(Action::ToggleTarget);
    for _ in 0..3 {
        session.act(Action::Faster);
    }
    assert_eq!((session.allocation.speed(), session.allocation.panel()), (Speed::Max, None));
    session.act(Action::ToggleTarget);
    assert_eq!(session.allocation.speed(), Speed::Twenty);
    session.act(Action::Faster);
    assert_eq!(session.allocation.panel(), Some(&ActivePanel::ConfirmSpeed(Speed::Thousand)));
    session.act(Action::ToggleTarget);
    assert_eq!((session.allocation.speed(), session.allocation.panel()), (Speed::Twenty, None));
}

#[test]
fn fill_steps_are_finer_near_a_full_range() {
    let mut session = Session::shared();
    assert_eq!(session.ask(Action::Fuller), [], "nothing is filled on the machine");
    session.act(Action::ToggleTarget);
    let mut shares = Vec::new();
    for action in [[Action::Fuller; 30], [Action::Emptier; 30]].concat() {
        session.act(action);
        let AllocatorTarget::Simulated { share } = session.allocation.target() else { panic!() };
        shares.push((share * 1000.0).round() as u32);
    }
    assert_eq!(shares[..10], [910, 920, 930, 940, 950, 960, 970, 980, 981, 982]);
    assert_eq!((shares[27], shares[29]), (1000, 1000));
    assert_eq!(shares[30..32], [999, 998]);
    for _ in 0..100 {
        session.act(Action::Emptier);
    }
    assert_eq!(session.allocation.target(), AllocatorTarget::Simulated { share: 0.0 });
    session.act(Action::Fuller);
    assert_eq!(session.allocation.target(), AllocatorTarget::Simulated { share: 0.05 });
}

#[test]
fn increasing_the_fill_keeps_ports_and_decreasing_frees_the_newest() {
    let host = SimulatedHost::builder().fill(IANA_DYNAMIC, 0.3, State::Bound, 5).build();
    let start = ports(&host.population());
    let mut before = start.clone();
    for share in [0.31, 0.5, 0.9, 0.981, 1.0] {
        host.refill(share);
        let now = ports(&host.population());
        assert!(before.is_subset(&now), "at {share}");
        assert_eq!(now.len(), (share * 16_384.0).round() as usize);
        before = now;
    }
    host.refill(0.3);
    assert_eq!(ports(&host.population()), start);
}

#[test]
fn every_occupied_port_refuses_and_every_free_one_binds() {
    for protocols in [Protocols::Tcp, Protocols::Udp, Protocols::Both] {
        let mut session = Session::shared();
        session.choose(protocols);
        session.act(Action::ToggleTarget);
        session.act(Action::Fuller);
        session.wait_for(|allocation| {
            allocation.occupancy_counts().is_some_and(|g| g.occupied == 14_909)
        });
        let scan = session.allocation.scan(None).unwrap();
        let taken: Vec<u16> = IANA_DYNAMIC
            .ports()
            .filter(|&port| scan.occupancy.port(port).is_occupied(protocols))
            .collect();
        assert_eq!(taken.len(), 14_909);

        // With up to 100 attempts per allocation, the run tries all ports.
        for _ in 0..3 {
            session.act(Action::Faster);
        }
        session.act(Action::ToggleHold);
        session.act(Action::RunOrPause);
        session.wait_for(|allocation| allocation.held().len() == 16_384 - 14_909);
        session.act(Action::RunOrPause);
        let held = session.allocation.held();
        assert!(held.iter().all(|port| taken.binary_search(port).is_err()));
        assert_eq!(session.allocation.occupancy_counts().unwrap().free(), 0);
    }
}

#[test]
fn held_ports_stay_held_while_the_fill_increases() {
    let host = SimulatedHost::builder().fill(IANA_DYNAMIC, 0.5, State::Unconnected, 9).build();
    let mut binder = host.binder(Protocols::Udp, None).unwrap();
    let held: Vec<_> = IANA_DYNAMIC.ports().filter_map(|port| binder.bind(port).0.ok()).collect();
    let ours: BTreeSet<u16> = held.iter().map(|held| held.port()).collect();
    assert_eq!(ours.len(), 8_192);
    host.refill(1.0);
    assert_eq!(host.held().len(), 8_192);
    assert!(ports(&host.population()).is_disjoint(&ours));
    assert!(IANA_DYNAMIC.ports().all(|port| binder.bind(port).0.is_err()));
    drop(held);
    assert!(ours.iter().all(|&port| binder.bind(port).0.is_ok()), "nobody took them meanwhile");
    host.refill(1.0);
    assert!(ours.iter().all(|&port| binder.bind(port).0.is_err()));
}

#[test]
fn a_changed_fill_resets_the_figures_and_keeps_held_ports() {
    let mut session = Session::shared();
    session.act(Action::ToggleTarget);
    session.act(Action::ToggleHold);
    for _ in 0..100 {
        session.act(Action::Step);
    }
    session.wait_for(|a| a.figures().attempts == 100 && !a.held().is_empty());
    let held = session.allocation.held().to_vec();
    session.act(Action::Fuller);
    session.wait_for(|allocation| allocation.figures().attempts == 0);
    assert_eq!(session.allocation.held(), held);
    session.act(Action::Step);
    session.wait_for(|allocation| allocation.figures().attempts == 1);
    assert!(held.iter().all(|port| session.allocation.held().contains(port)));
}

#[test]
fn a_refused_attempt_is_explained_with_a_named_holder() {
    let mut session = Session::shared();
    session.act(Action::ToggleTarget);
    session.act(Action::Step);
    for _ in 0..60 {
        session.act(Action::Step);
    }
    session.wait_for(|allocation| allocation.figures().attempts == 61);
    let real = portscope::domain::ProcessTable::default();
    let processes = session.allocation.processes(&real);
    let mut names = BTreeSet::new();
    for entry in session.allocation.log().entries() {
        match entry.holder {
            HolderSeen::NotApplicable => {}
            HolderSeen::Socket {
                state: State::Unconnected,
                holder_owner: HolderOwner::Process { pid, others: 0 },
            } => {
                names.insert(processes.get(pid).unwrap().name.as_str().to_owned());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["nginx", "node", "postgres", "python3"]);
}

#[test]
fn reserved_ports_of_the_machine_stay_reserved_and_are_not_filled() {
    let reserved = PortRange::new(50_000, 50_383).unwrap();
    let mut session = Session::reserving(reserved);
    session.act(Action::ToggleTarget);
    session.wait_for(|allocation| allocation.occupancy_counts().is_some());
    let occupancy_counts = session.allocation.occupancy_counts().unwrap();
    assert_eq!((occupancy_counts.candidates, occupancy_counts.occupied), (16_000, 14_400));
    let scan = session.allocation.scan(None).unwrap();
    assert_eq!(scan.occupancy.occupied_in(reserved, Protocols::Both), 0);
}

#[test]
fn the_same_seed_shows_the_same_run_again() {
    let mut session = Session::shared();
    session.act(Action::ToggleTarget);
    let mut runs = [(); 2].map(|()| {
        for _ in 0..50 {
            session.act(Action::Step);
        }
        session.wait_for(|allocation| allocation.figures().attempts == 50);
        let run: Vec<_> = session.allocation.log().entries().copied().collect();
        session.act(Action::Reset);
        assert_eq!(session.allocation.figures().attempts, 0);
        run
    });
    assert_eq!(runs[0].len(), 50);
    assert_eq!(std::mem::take(&mut runs[0]), runs[1]);
}

#[test]
fn the_mean_matches_the_model_at_90_percent() {
    let mut session = Session::shared();
    session.act(Action::ToggleTarget);
    for _ in 0..3 {
        session.act(Action::Faster);
    }
    session.act(Action::RunOrPause);
    session.wait_for(|allocation| allocation.figures().finished() >= 20_000);
    let (figures, model) = (session.allocation.figures(), session.allocation.model().unwrap());
    let (mean, expected) = (figures.mean().unwrap(), model.expected_attempts(100));
    // Geometric distribution with failure probability p: the variance is p / (1 - p)². The limit of
    // 100 attempts makes the variance smaller.
    let deviation = model.survival(1).sqrt() / (1.0 - model.survival(1));
    let error = deviation / (figures.finished() as f64).sqrt();
    assert!((mean - expected).abs() < 4.0 * error, "{mean} against {expected} ± {error}");
    assert_eq!(figures.quantile(0.5), model.quantile(0.5, 100).map(Reached::After));
}

#[test]
fn screen_and_engine_agree_on_a_complete_run() {
    let mut session = Session::alone();
    session.act(Action::ToggleHold);
    for _ in 0..3 {
        session.act(Action::Faster);
    }
    session.act(Action::RunOrPause);
    session.wait_for(|allocation| allocation.held().len() >= 20);
    session.act(Action::RunOrPause);
    session.wait_until(|session| !session.runs);

    let held = session.host_held().len();
    assert_eq!(session.allocation.held().len(), held);
    session.act(Action::ReleaseOne);
    session.wait_for(|allocation| allocation.held().len() == held - 1);
    assert_eq!(session.host_held().len(), held - 1);

    session.act(Action::Reset);
    session.act(Action::Step);
    session.wait_for(|allocation| allocation.figures().attempts == 1);
    assert!(session.host_held().len() <= 1);
}

#[test]
fn late_reports_of_another_run_are_ignored() {
    let mut session = Session::shared();
    session.act(Action::ToggleTarget);
    session.wait_for(|allocation| allocation.occupancy_counts().is_some());
    let late = Arc::new(session.simulated_scan().unwrap().clone());
    session.choose(Protocols::Tcp);
    session.allocation.set_simulated(late.clone());
    assert_eq!(session.allocation.occupancy_counts(), None, "those were UDP sockets");
    session.wait_for(|allocation| allocation.occupancy_counts().is_some());
    assert_eq!(session.allocation.occupancy_counts().unwrap().occupied, 14_746);
    session.act(Action::ToggleTarget);
    let occupancy_counts = session.allocation.occupancy_counts();
    session.allocation.set_simulated(late);
    assert_eq!(session.allocation.occupancy_counts(), occupancy_counts);
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::RunOrPause),
        Just(Action::Step),
        Just(Action::Slower),
        Just(Action::Faster),
        Just(Action::OpenSettings),
        Just(Action::ToggleTarget),
        Just(Action::Emptier),
        Just(Action::Fuller),
        Just(Action::NextStrategy),
        Just(Action::PreviousStrategy),
        Just(Action::ToggleHold),
        Just(Action::ReleaseOne),
        Just(Action::ReleaseAll),
        Just(Action::Reset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_actions_keep_a_run_consistent(actions in vec(actions(), 1..60), seen in any::<bool>()) {
        let mut session = if seen { Session::small() } else { Session::unseen() };
        for action in actions {
            session.act(action);
            if action == Action::ToggleTarget {
                prop_assert!(!session.allocation.is_running());
                prop_assert_eq!(session.allocation.figures().attempts, 0);
            }
            session.take_waiting();
            let allocation = &session.allocation;
            if let Some(limit) = allocation.hold_limit() {
                prop_assert!(allocation.held().len() <= limit as usize, "{} held", allocation.held().len());
            }
            if let Some(occupancy_counts) = allocation.occupancy_counts() {
                prop_assert!(occupancy_counts.occupied <= occupancy_counts.candidates);
            }
        }
        session.act(Action::Reset);
        prop_assert_eq!(session.allocation.figures().attempts, 0);
    }
}
