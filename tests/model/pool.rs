//! The pool by examples, on a simulated binder. Uses no real sockets and no real clock.

use std::time::Duration;

use portscope::{
    allocator::{
        Bands, LeaseHolder, Pool, PoolSetup, Priority, Quarantine, Shortage, pool::BandsTooLarge,
    },
    domain::Errno,
};
use rand::{SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};

use crate::leases::{FIRST, Machine, REST, at, holder, pool, setup, take, take_all};

#[test]
fn high_leases_use_the_common_band_first() {
    let (mut pool, _machine) =
        pool(setup(10, Bands { high: 4, normal: 3 }, Quarantine::Time(REST)));
    let band_of = |port| match port - FIRST {
        0..4 => Priority::High,
        4..7 => Priority::Normal,
        _ => Priority::Low,
    };
    let bands: Vec<Priority> =
        take_all(&mut pool, Priority::High).into_iter().map(band_of).collect();
    assert_eq!(
        bands,
        [[Priority::Low; 3].as_slice(), &[Priority::Normal; 3], &[Priority::High; 4]].concat()
    );
}

#[test]
fn bands_larger_than_the_range_are_refused() {
    let setup = setup(10, Bands { high: 6, normal: 5 }, Quarantine::Time(REST));
    let refused = Pool::new(setup, Machine::default(), ChaCha8Rng::seed_from_u64(1)).err();
    assert_eq!(refused, Some(BandsTooLarge { asked: 11, candidates: 10 }));
    let bands = Bands { high: u32::MAX, normal: u32::MAX };
    let setup = PoolSetup { bands, ..self::setup(10, Bands::default(), Quarantine::Time(REST)) };
    assert!(Pool::new(setup, Machine::default(), ChaCha8Rng::seed_from_u64(1)).is_err());
}

#[test]
fn a_released_port_is_leased_again_after_its_quarantine() {
    let (mut pool, machine) = pool(setup(1, Bands::default(), Quarantine::Time(REST)));
    let port = take(&mut pool, at(0), Priority::Low).unwrap();
    assert!(pool.release(at(5), port));
    assert_eq!(machine.ours(), 0, "a rest by time is closed");
    pool.update_quarantines(Duration::from_millis(14_999), usize::MAX);
    let none = Shortage::NoneLeft { class: Priority::Low, leased: 0, quarantined: 1, refused: 0 };
    assert_eq!(take(&mut pool, at(14), Priority::Low), Err(none));
    pool.update_quarantines(at(15), usize::MAX);
    assert_eq!(take(&mut pool, at(15), Priority::Low), Ok(port));
}

#[test]
fn each_late_datagram_restarts_the_drain_and_the_port_stays_bound() {
    let (mut pool, machine) = pool(setup(1, Bands::default(), Quarantine::Drain(REST)));
    let port = take(&mut pool, at(0), Priority::Low).unwrap();
    pool.release(at(0), port);
    for now in [9, 18, 27] {
        machine.send(port);
        machine.send(port);
        pool.update_quarantines(at(now), usize::MAX);
        assert_eq!((machine.ours(), pool.quarantined().next().unwrap().until), (1, at(now + 10)));
    }
    assert_eq!(
        (pool.counts().late_datagrams, pool.quarantined().next().unwrap().late_datagrams),
        (6, 6)
    );
    // A datagram that arrived between two updates.
    machine.send(port);
    pool.update_quarantines(at(1000), usize::MAX);
    assert_eq!(pool.quarantined().len(), 1);
    pool.update_quarantines(at(1010), usize::MAX);
    assert_eq!((pool.quarantined().len(), machine.ours()), (0, 0));
}

#[test]
fn drain_detects_late_datagrams_with_many_quarantined_ports() {
    let (mut pool, machine) = pool(setup(10_000, Bands::default(), Quarantine::Drain(REST)));
    let ports = take_all(&mut pool, Priority::Low);
    for &port in &ports {
        pool.release(at(0), port);
    }
    for &port in &ports {
        machine.send(port);
    }
    pool.update_quarantines(at(10), usize::MAX);
    assert_eq!((pool.quarantined().len(), pool.counts().late_datagrams), (10_000, 10_000));
    let mut rounds = 1;
    while pool.update_quarantines(at(20), 64) {
        rounds += 1;
    }
    assert_eq!((rounds, pool.left_for(Priority::Low)), (10_000_u32.div_ceil(64), 10_000));
}

#[test]
fn a_port_still_bound_by_its_holder_is_drained_once_it_can_be_bound() {
    let (mut pool, machine) = pool(setup(1, Bands::default(), Quarantine::Drain(REST)));
    let port = pool.book(at(0), Priority::Low, holder(1), |_| ()).unwrap().port;
    assert!(machine.occupy(port), "its tenant binds it");
    pool.release(at(0), port);
    assert!(!pool.quarantined().next().unwrap().is_held);
    machine.0.borrow_mut().others.clear();
    pool.update_quarantines(at(10), usize::MAX);
    let entry = *pool.quarantined().next().unwrap();
    assert_eq!((entry.is_held, entry.until, machine.ours()), (true, at(20), 1));
    pool.update_quarantines(at(20), usize::MAX);
    assert_eq!((pool.left_for(Priority::Low), machine.ours(), pool.held()), (1, 0, 0));
}

#[test]
fn only_leases_of_ended_processes_are_reclaimed() {
    let (mut pool, _machine) = pool(setup(4, Bands::default(), Quarantine::Time(REST)));
    let both = [LeaseHolder { pid: 5, started: 1 }, LeaseHolder { pid: 5, started: 2 }];
    let [gone, alive] =
        both.map(|holder| pool.take(at(0), Priority::Low, holder, |_| ()).unwrap().port);
    let alive_now = |holder: LeaseHolder| holder.started == 2;
    assert_eq!(pool.reclaim(at(1), alive_now), [gone], "the pid is another process now");
    assert_eq!(pool.leases().map(|lease| lease.port).collect::<Vec<_>>(), [alive]);
    assert_eq!((pool.counts().reclaimed, pool.counts().released), (1, 1));
}

#[test]
fn a_booked_port_used_by_a_child_is_reclaimed_once_it_is_free() {
    let (mut pool, machine) = pool(setup(1, Bands::default(), Quarantine::Time(REST)));
    let port = pool.book(at(0), Priority::Low, holder(1), |_| ()).unwrap().port;
    assert_eq!(machine.ours(), 0);
    assert!(machine.occupy(port));
    for now in 1..5 {
        assert_eq!(pool.reclaim(at(now), |_| false), [0_u16; 0]);
        assert_eq!(pool.leases().len(), 1);
    }
    machine.0.borrow_mut().others.clear();
    assert_eq!(pool.reclaim(at(5), |_| false), [port]);
    pool.update_quarantines(at(14), usize::MAX);
    assert_eq!(pool.left_for(Priority::Low), 0, "it rests from then on");
    pool.update_quarantines(at(15), usize::MAX);
    assert_eq!(pool.left_for(Priority::Low), 1);
}

#[test]
fn held_sockets_including_quarantined_ones_stay_within_the_limit() {
    let setup = PoolSetup { max_held: 3, ..setup(10, Bands::default(), Quarantine::Drain(REST)) };
    let (mut pool, machine) = pool(setup);
    let ports = take_all(&mut pool, Priority::Low);
    assert_eq!(ports.len(), 3);
    pool.release(at(0), ports[0]);
    assert_eq!(take(&mut pool, at(0), Priority::Low), Err(Shortage::Limit { held: 3 }));
    let booked = pool.book(at(0), Priority::Low, holder(1), |_| ()).unwrap().port;
    pool.release(at(1), booked);
    assert_eq!((pool.held(), machine.ours()), (3, 3));
    pool.update_quarantines(at(10), usize::MAX);
    pool.update_quarantines(at(11), usize::MAX);
    assert_eq!((pool.held(), pool.quarantined().len()), (3, 1), "now there is room to watch it");
}

#[test]
fn running_out_of_descriptors_is_not_reported_as_full() {
    let (mut pool, machine) = pool(setup(1000, Bands::default(), Quarantine::Time(REST)));
    machine.0.borrow_mut().broken = Some(Errno::EMFILE);
    let refused = take(&mut pool, at(0), Priority::Low).unwrap_err();
    let words = "failed after 1 attempt, 999 ports not tried; udp refused by EMFILE";
    assert_eq!(refused.to_string().to_lowercase(), words.to_lowercase());
    machine.0.borrow_mut().broken = None;
    assert!(take(&mut pool, at(0), Priority::Low).is_ok());
}

#[test]
fn a_full_range_is_searched_completely_and_reported_full() {
    let (mut pool, machine) = pool(setup(500, Bands::default(), Quarantine::Time(REST)));
    for port in 0..500 {
        machine.occupy(FIRST + port);
    }
    let none = Shortage::NoneLeft { class: Priority::Low, leased: 0, quarantined: 0, refused: 500 };
    assert_eq!(take(&mut pool, at(0), Priority::Low), Err(none));
    machine.0.borrow_mut().others.remove(&(FIRST + 123));
    assert_eq!(take(&mut pool, at(0), Priority::Low), Ok(FIRST + 123));
}

/// Each search has another random population, which the pool learns only from its attempts.
#[test]
fn searches_give_up_on_a_free_port_at_most_at_the_failure_rate() {
    const PORTS: u16 = 400;
    const SEARCHES: u32 = 3000;
    for (share, rate) in [(0.5, 0.2), (0.9, 0.2), (0.9, 0.02), (0.98, 0.1), (0.99, 0.01)] {
        let setup = PoolSetup {
            failure_rate: rate,
            ..setup(PORTS, Bands::default(), Quarantine::Time(Duration::ZERO))
        };
        let (mut pool, machine) = pool(setup);
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut ports: Vec<u16> = (FIRST..FIRST + PORTS).collect();
        let mut gave_up = 0;
        for _ in 0..SEARCHES {
            ports.shuffle(&mut random);
            let taken = (f64::from(PORTS) * share) as usize;
            machine.0.borrow_mut().others = ports[..taken].iter().copied().collect();
            match take(&mut pool, at(0), Priority::Low) {
                Ok(port) => assert!(pool.release(at(0), port)),
                Err(_) => gave_up += 1,
            }
            pool.update_quarantines(at(0), usize::MAX);
        }
        let expected = f64::from(SEARCHES) * rate;
        let most = expected + 4.0 * (expected * (1.0 - rate)).sqrt();
        assert!(f64::from(gave_up) <= most, "{share} full, wanted {rate}: {gave_up} of {SEARCHES}");
    }
}

#[test]
fn allowed_attempts_follow_occupancy_and_failure_rate() {
    let attempts = |share: f64, failure_rate| {
        let setup =
            PoolSetup { failure_rate, ..setup(10_000, Bands::default(), Quarantine::Time(REST)) };
        let (mut pool, _machine) = pool(setup);
        pool.expect_occupied(share);
        pool.attempts_among(10_000)
    };
    for rate in [1e-1, 1e-3, 1e-6] {
        let rising_attempts: Vec<u32> =
            [0.0, 0.5, 0.9, 0.99].map(|share| attempts(share, rate)).into();
        assert!(
            rising_attempts.is_sorted_by(|one, next| one < next),
            "{rate}: {rising_attempts:?}"
        );
        for (share, allowed) in [0.0_f64, 0.5, 0.9].into_iter().zip(rising_attempts) {
            let fails = share.powf(f64::from(allowed));
            assert!(fails <= rate, "{share}: {allowed} attempts all miss with {fails}");
        }
    }
    assert!(attempts(0.5, 1e-6) > attempts(0.5, 1e-3));
}

#[test]
fn a_strict_search_does_not_give_up_after_the_range_filled_up() {
    let (mut pool, machine) = pool(setup(2000, Bands::default(), Quarantine::Time(REST)));
    for _ in 0..500 {
        take(&mut pool, at(0), Priority::Low).unwrap();
    }
    let is_leased = |port: &u16| pool.leases().any(|lease| lease.port == *port);
    let free: Vec<u16> = (FIRST..FIRST + 2000).filter(|port| !is_leased(port)).take(30).collect();
    for port in (FIRST..FIRST + 2000).filter(|port| !free.contains(port)) {
        machine.occupy(port);
    }
    for _ in 0..30 {
        assert!(free.contains(&take(&mut pool, at(0), Priority::Low).unwrap()));
    }
}
