//! What each strategy guarantees: which ports it tries, and in which order. No socket, no machine.

use std::collections::BTreeSet;

use portscope::{
    allocator::{ALLOCATORS, Candidates, Tuning, banded},
    domain::PortRange,
};

use crate::harness::{self, StrategyHarness, all, every};

/// Strategies that try each candidate exactly once.
const TRIES_EACH_ONCE: [&str; 9] = [
    "random-unique",
    "exo-history",
    "sequential",
    "next-fit",
    "simple-random",
    "hash",
    "double-hash",
    "linux-connect",
    "banded",
];

fn sorted(ports: &[u16]) -> Vec<u16> {
    let mut ports = ports.to_vec();
    ports.sort_unstable();
    ports
}

#[test]
fn a_strategy_marked_tries_each_once_does_so() {
    for name in TRIES_EACH_ONCE {
        for reserved in [vec![], vec![PortRange::new(50_003, 50_010).unwrap()]] {
            let candidates = Candidates::new(every(64), &reserved);
            let mut harness = StrategyHarness::of(name, candidates, 3);
            for destination in 0..4 {
                harness.destination = destination;
                let tried = harness.attempts(200);
                assert_eq!(sorted(&tried), all(&harness.candidates), "{name}");
            }
        }
    }
}

#[test]
fn a_strategy_marked_exhaustive_finds_the_only_free_port() {
    for name in TRIES_EACH_ONCE.into_iter().chain(["bitmap"]) {
        for free in all(&Candidates::new(every(32), &[])) {
            let mut harness = StrategyHarness::new(name, 32, u64::from(free));
            harness.occupied =
                all(&harness.candidates).into_iter().filter(|&p| p != free).collect();
            assert_eq!(harness.allocate().1, Some(free), "{name}");
        }
    }
}

#[test]
fn each_strategy_handles_a_range_of_one_port_and_a_full_range() {
    for row in ALLOCATORS {
        let mut harness = StrategyHarness::new(row.name, 1, 1);
        let first = if row.lets_machine_choose { 0 } else { 50_000 };
        assert_eq!(harness.attempts(1), [first], "{}", row.name);
        let mut harness = StrategyHarness::new(row.name, 40, 1);
        harness.occupied = all(&harness.candidates).into_iter().collect();
        let (tried, port) = harness.allocate();
        assert_eq!(port, None);
        let expected = match row.name {
            "random" | "kernel-bind" => harness::TIMEOUT,
            "bitmap" => 0,
            _ => 40,
        };
        assert_eq!(tried.len(), expected, "{}", row.name);
    }
}

#[test]
fn equal_seeds_try_equal_ports() {
    for row in ALLOCATORS {
        let tried = |seed| {
            let mut harness = StrategyHarness::new(row.name, 512, seed);
            harness.occupied = (50_100..50_400).collect();
            (0..20).flat_map(|_| harness.allocate().0).collect::<Vec<u16>>()
        };
        assert_eq!(tried(1), tried(1), "{}", row.name);
        let is_fixed = ["sequential", "next-fit", "kernel-bind"].contains(&row.name);
        assert_eq!(tried(1) == tried(2), is_fixed, "{}", row.name);
    }
}

#[test]
fn random_retry_makes_as_many_attempts_as_candidates_and_may_miss_a_free_port() {
    let gave_up = (0..100).filter(|&seed| {
        let mut harness = StrategyHarness::new("random-retry", 50, seed);
        harness.occupied = (50_001..50_050).collect();
        let (tried, port) = harness.allocate();
        assert!(tried.len() <= 50);
        port.is_none()
    });
    // The expected share is (49/50)^50 = 0.364.
    let gave_up = gave_up.count();
    assert!((17..=56).contains(&gave_up), "{gave_up}");
}

#[test]
fn exo_history_does_not_repeat_a_port_within_20() {
    let mut harness = StrategyHarness::new("exo-history", 64, 5);
    let given: Vec<u16> = (0..2_000).map(|_| harness.allocate().1.unwrap()).collect();
    for window in given.windows(21) {
        assert_eq!(window.iter().collect::<BTreeSet<_>>().len(), 21);
    }
    assert!(given.windows(22).any(|window| window[0] == window[21]), "it remembers more than 20");
    let mut small = StrategyHarness::new("exo-history", 20, 5);
    for _ in 0..20 {
        small.allocate().1.unwrap();
    }
    assert_eq!(small.allocate(), (vec![], None), "all 20 are in its history");
}

#[test]
fn sequential_gives_the_lowest_free_port() {
    let mut harness = StrategyHarness::new("sequential", 64, 1);
    harness.occupied = (50_000..50_007).chain([50_008]).collect();
    assert_eq!(harness.allocate(), ((50_000..=50_007).collect(), Some(50_007)));
    assert_eq!(harness.allocate().1, Some(50_007), "it was released");
}

#[test]
fn next_fit_reuses_a_port_last() {
    let mut harness = StrategyHarness::new("next-fit", 16, 1);
    let given: Vec<u16> = (0..33).map(|_| harness.allocate().1.unwrap()).collect();
    let twice = [all(&harness.candidates), all(&harness.candidates), vec![50_000]].concat();
    assert_eq!(given, twice);
    harness.occupied = [50_001, 50_002].into();
    assert_eq!(harness.allocate(), (vec![50_001, 50_002, 50_003], Some(50_003)));
    harness.occupied = every(16).ports().collect();
    assert_eq!(harness.allocate().1, None);
    harness.occupied.clear();
    assert_eq!(harness.allocate().1, Some(50_004), "a failure leaves it where it was");
}

#[test]
fn simple_random_starts_at_random_and_scans_upwards_with_wrap() {
    let mut harness = StrategyHarness::new("simple-random", 32, 8);
    let mut starts = BTreeSet::new();
    for _ in 0..500 {
        let tried = harness.attempts(32);
        starts.insert(tried[0]);
        let is_next =
            |pair: &[u16]| pair[1] == pair[0] + 1 || (pair[0], pair[1]) == (50_031, 50_000);
        assert!(tried.windows(2).all(is_next), "{tried:?}");
    }
    assert_eq!(starts.len(), 32);
}

/// Returns the distances from each port to the next one, modulo `count`.
fn steps(ports: &[u16], count: u16) -> Vec<u16> {
    ports.windows(2).map(|pair| (pair[1] + count - pair[0]) % count).collect()
}

#[test]
fn hash_keeps_an_offset_for_each_destination_and_one_counter_for_all() {
    let mut harness = StrategyHarness::new("hash", 1_000, 2);
    let first_ports: Vec<u16> = (0..50).map(|_| harness.allocate().1.unwrap()).collect();
    assert_eq!(steps(&first_ports, 1_000), [1; 49]);
    // Increments of the counter for other destinations are skipped for the first one.
    harness.destination = 1;
    let others: Vec<u16> = (0..7).map(|_| harness.allocate().1.unwrap()).collect();
    assert_eq!(steps(&others, 1_000), [1; 6]);
    assert_ne!(steps(&[first_ports[49], others[0]], 1_000), [1], "the offsets differ");
    harness.destination = 0;
    let again = harness.allocate().1.unwrap();
    assert_eq!(steps(&[first_ports[49], again], 1_000), [8]);
}

#[test]
fn double_hash_has_one_counter_per_table_slot() {
    let mut harness = StrategyHarness::new("double-hash", 1_000, 2);
    let mut apart = 0;
    for other in 1..=200 {
        harness.destination = 0;
        let before = harness.allocate().1.unwrap();
        harness.destination = other;
        let other_ports: Vec<u16> = (0..3).map(|_| harness.allocate().1.unwrap()).collect();
        assert_eq!(steps(&other_ports, 1_000), [1, 1]);
        harness.destination = 0;
        let after = harness.allocate().1.unwrap();
        let step = steps(&[before, after], 1_000)[0];
        assert!(step == 1 || step == 4, "{step}");
        apart += u32::from(step == 1);
    }
    // One destination in 256 shares the slot.
    assert!(apart >= 194, "{apart}");
}

#[test]
fn random_increment_steps_are_uniform_from_1_to_500() {
    let mut harness = StrategyHarness::new("random-increment", 4_096, 4);
    let given: Vec<u16> = (0..100_001).map(|_| harness.allocate().1.unwrap()).collect();
    let mut counts = [0_u32; 501];
    for step in steps(&given, 4_096) {
        counts[usize::from(step)] += 1;
    }
    assert_eq!(counts[0], 0);
    let chi: f64 = counts[1..].iter().map(|&n| (f64::from(n) - 200.0).powi(2) / 200.0).sum();
    // 499 degrees of freedom.
    assert!((chi - 499.0).abs() < 4.5 * (2.0_f64 * 499.0).sqrt(), "{chi}");
}

#[test]
fn kernel_bind_tries_only_port_0() {
    assert_eq!(StrategyHarness::new("kernel-bind", 64, 1).attempts(3), [0, 0, 0]);
}

#[test]
fn linux_connect_steps_to_one_destination_are_uniform_even_from_2_to_16() {
    let mut harness = StrategyHarness::new("linux-connect", 4_096, 6);
    let given: Vec<u16> = (0..8_001).map(|_| harness.allocate().1.unwrap()).collect();
    let mut counts = [0_u32; 17];
    for step in steps(&given, 4_096) {
        counts[usize::from(step)] += 1;
    }
    let even: u32 = counts[2..].iter().step_by(2).sum();
    assert_eq!(even, 8_000, "{counts:?}");
    let chi: f64 =
        counts[2..].iter().step_by(2).map(|&n| (f64::from(n) - 1_000.0).powi(2) / 1_000.0).sum();
    assert!(chi < 29.9, "{chi} of 7 degrees of freedom");
}

#[test]
fn linux_connect_tries_no_port_of_the_second_parity_before_all_of_the_first() {
    for first in [50_000, 50_001] {
        let range = PortRange::new(first, first + 63).unwrap();
        let mut harness = StrategyHarness::of("linux-connect", Candidates::new(range, &[]), 9);
        for destination in 0..20 {
            harness.destination = destination;
            let tried = harness.attempts(64);
            assert!(tried[..32].iter().all(|port| port % 2 == first % 2));
            assert!(tried[32..].iter().all(|port| port % 2 != first % 2));
            assert_eq!(tried[32], tried[0] + 1, "the second search begins beside the first");
        }
    }
}

#[test]
fn linux_connect_skips_one_end_of_a_range_of_odd_size() {
    let mut left_out = BTreeSet::new();
    let mut harness = StrategyHarness::new("linux-connect", 5, 9);
    for destination in 0..100 {
        harness.destination = destination;
        let tried: BTreeSet<u16> = harness.attempts(5).into_iter().collect();
        assert_eq!(tried.len(), 4);
        left_out.extend(every(5).ports().filter(|port| !tried.contains(port)));
    }
    assert_eq!(left_out, [50_000, 50_004].into());
}

#[test]
fn linux_connect_continues_after_the_ports_it_searched() {
    let mut harness = StrategyHarness::new("linux-connect", 4_096, 3);
    let first = harness.allocate().1.unwrap();
    harness.occupied = (1..=50).map(|n| 50_000 + (first - 50_000 + 2 * n) % 4_096).collect();
    let second = harness.allocate().1.unwrap();
    assert_eq!(steps(&[first, second], 4_096), [102]);
    harness.occupied.clear();
    let third = harness.allocate().1.unwrap();
    assert!((2..=102).contains(&steps(&[second, third], 4_096)[0]));
}

#[test]
fn bitmap_takes_one_attempt_and_any_free_port() {
    let mut harness = StrategyHarness::new("bitmap", 100, 7);
    harness.occupied = (50_000..50_090).collect();
    let mut counts = [0_u32; 10];
    for _ in 0..10_000 {
        let (tried, port) = harness.allocate();
        assert_eq!(tried.len(), 1);
        counts[usize::from(port.unwrap() - 50_090)] += 1;
    }
    let chi: f64 = counts.iter().map(|&n| (f64::from(n) - 1_000.0).powi(2) / 1_000.0).sum();
    assert!(chi < 33.7, "{chi} of 9 degrees of freedom");
}

#[test]
fn bitmap_tries_no_port_twice_with_an_outdated_snapshot() {
    let mut harness = StrategyHarness::new("bitmap", 100, 7);
    harness.occupied = (50_000..50_080).collect();
    harness.unlisted = (50_080..50_099).collect();
    for _ in 0..100 {
        let (tried, port) = harness.allocate();
        assert_eq!(port, Some(50_099));
        assert_eq!(tried.iter().collect::<BTreeSet<_>>().len(), tried.len());
        assert!(tried.iter().all(|port| *port >= 50_080));
    }
}

#[test]
fn banded_uses_its_static_band_last() {
    let mut harness = StrategyHarness::new("banded", 1_024, 7);
    let mut starts = BTreeSet::new();
    for _ in 0..200 {
        let tried = harness.attempts(1_024);
        let (above, within) = tried.split_at(1_024 - 32);
        assert!(above.iter().all(|&port| port >= 50_032) && within.iter().all(|&p| p < 50_032));
        starts.insert((above[0], within[0]));
    }
    assert!(starts.len() > 190);
    let mut asked = StrategyHarness::tuned("banded", 64, 1, Tuning { band: Some(60) });
    assert!(asked.attempts(64)[..4].iter().all(|&port| port >= 50_060));
    let mut none = StrategyHarness::tuned("banded", 64, 1, Tuning { band: Some(0) });
    assert_eq!(sorted(&none.attempts(64)), all(&none.candidates));
}

#[test]
fn the_static_band_size_matches_kubernetes() {
    let bands = [1, 16, 17, 512, 544, 2_768, 4_096, 16_384].map(banded::band_of);
    assert_eq!(bands, [0, 0, 16, 16, 17, 86, 128, 128]);
}
