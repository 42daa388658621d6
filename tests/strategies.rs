//! What each strategy guarantees: which ports it tries, and in which order. No socket, no machine.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "support/drill.rs"]
mod drill;

use std::collections::BTreeSet;

use drill::{Drill, all, every};
use portscope::{
    allocator::{ALLOCATORS, Candidates, Tuning, banded},
    domain::PortRange,
};

/// Each of their candidates is tried within as many tries as there are candidates, none twice.
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
fn a_strategy_that_promises_it_tries_each_candidate_once_and_then_stops() {
    for name in TRIES_EACH_ONCE {
        for reserved in [vec![], vec![PortRange::new(50_003, 50_010).unwrap()]] {
            let candidates = Candidates::new(every(64), &reserved);
            let mut drill = Drill::of(name, candidates, 3);
            for destination in 0..4 {
                drill.destination = destination;
                let tried = drill.attempts(200);
                assert_eq!(sorted(&tried), all(&drill.candidates), "{name}");
            }
        }
    }
}

#[test]
fn a_strategy_that_promises_it_finds_the_only_free_port() {
    for name in TRIES_EACH_ONCE.into_iter().chain(["bitmap"]) {
        for free in all(&Candidates::new(every(32), &[])) {
            let mut drill = Drill::new(name, 32, u64::from(free));
            drill.occupied = all(&drill.candidates).into_iter().filter(|&p| p != free).collect();
            assert_eq!(drill.allocate().1, Some(free), "{name}");
        }
    }
}

#[test]
fn each_strategy_names_a_port_of_a_range_of_one_and_gets_along_with_a_full_range() {
    for row in ALLOCATORS {
        let mut drill = Drill::new(row.name, 1, 1);
        let first = if row.lets_machine_choose { 0 } else { 50_000 };
        assert_eq!(drill.attempts(1), [first], "{}", row.name);
        let mut drill = Drill::new(row.name, 40, 1);
        drill.occupied = all(&drill.candidates).into_iter().collect();
        let (tried, port) = drill.allocate();
        assert_eq!(port, None);
        let expected = match row.name {
            "random" | "kernel-bind" => drill::TIMEOUT,
            "bitmap" => 0,
            _ => 40,
        };
        assert_eq!(tried.len(), expected, "{}", row.name);
    }
}

#[test]
fn the_same_seed_tries_the_same_ports_and_another_one_others() {
    for row in ALLOCATORS {
        let tried = |seed| {
            let mut drill = Drill::new(row.name, 512, seed);
            drill.occupied = (50_100..50_400).collect();
            (0..20).flat_map(|_| drill.allocate().0).collect::<Vec<u16>>()
        };
        assert_eq!(tried(1), tried(1), "{}", row.name);
        let is_fixed = ["sequential", "next-fit", "kernel-bind"].contains(&row.name);
        assert_eq!(tried(1) == tried(2), is_fixed, "{}", row.name);
    }
}

#[test]
fn random_retry_tries_as_often_as_there_are_candidates_and_may_miss_a_free_port() {
    let gave_up = (0..100).filter(|&seed| {
        let mut drill = Drill::new("random-retry", 50, seed);
        drill.occupied = (50_001..50_050).collect();
        let (tried, port) = drill.allocate();
        assert!(tried.len() <= 50);
        port.is_none()
    });
    // (49/50)^50 = 0.364.
    let gave_up = gave_up.count();
    assert!((17..=56).contains(&gave_up), "{gave_up}");
}

#[test]
fn exo_history_gives_no_port_again_until_20_others_were_given() {
    let mut drill = Drill::new("exo-history", 64, 5);
    let given: Vec<u16> = (0..2_000).map(|_| drill.allocate().1.unwrap()).collect();
    for window in given.windows(21) {
        assert_eq!(window.iter().collect::<BTreeSet<_>>().len(), 21);
    }
    assert!(given.windows(22).any(|window| window[0] == window[21]), "it remembers more than 20");
    let mut small = Drill::new("exo-history", 20, 5);
    for _ in 0..20 {
        small.allocate().1.unwrap();
    }
    assert_eq!(small.allocate(), (vec![], None), "all 20 are in its history");
}

#[test]
fn sequential_gives_the_lowest_free_port() {
    let mut drill = Drill::new("sequential", 64, 1);
    drill.occupied = (50_000..50_007).chain([50_008]).collect();
    assert_eq!(drill.allocate(), ((50_000..=50_007).collect(), Some(50_007)));
    assert_eq!(drill.allocate().1, Some(50_007), "it was released");
}

#[test]
fn next_fit_comes_back_to_a_port_last() {
    let mut drill = Drill::new("next-fit", 16, 1);
    let given: Vec<u16> = (0..33).map(|_| drill.allocate().1.unwrap()).collect();
    let twice = [all(&drill.candidates), all(&drill.candidates), vec![50_000]].concat();
    assert_eq!(given, twice);
    drill.occupied = [50_001, 50_002].into();
    assert_eq!(drill.allocate(), (vec![50_001, 50_002, 50_003], Some(50_003)));
    drill.occupied = every(16).ports().collect();
    assert_eq!(drill.allocate().1, None);
    drill.occupied.clear();
    assert_eq!(drill.allocate().1, Some(50_004), "a failure leaves it where it was");
}

#[test]
fn simple_random_starts_anywhere_and_goes_on_one_by_one_round_the_end() {
    let mut drill = Drill::new("simple-random", 32, 8);
    let mut starts = BTreeSet::new();
    for _ in 0..500 {
        let tried = drill.attempts(32);
        starts.insert(tried[0]);
        let is_next =
            |pair: &[u16]| pair[1] == pair[0] + 1 || (pair[0], pair[1]) == (50_031, 50_000);
        assert!(tried.windows(2).all(is_next), "{tried:?}");
    }
    assert_eq!(starts.len(), 32);
}

/// Distance from one port to the next one, round a range of so many.
fn steps(ports: &[u16], count: u16) -> Vec<u16> {
    ports.windows(2).map(|pair| (pair[1] + count - pair[0]) % count).collect()
}

#[test]
fn hash_keeps_an_offset_for_each_destination_and_one_counter_for_all() {
    let mut drill = Drill::new("hash", 1_000, 2);
    let firsts: Vec<u16> = (0..50).map(|_| drill.allocate().1.unwrap()).collect();
    assert_eq!(steps(&firsts, 1_000), [1; 49]);
    // What others take from the counter is skipped towards the first destination.
    drill.destination = 1;
    let others: Vec<u16> = (0..7).map(|_| drill.allocate().1.unwrap()).collect();
    assert_eq!(steps(&others, 1_000), [1; 6]);
    assert_ne!(steps(&[firsts[49], others[0]], 1_000), [1], "the offsets differ");
    drill.destination = 0;
    let again = drill.allocate().1.unwrap();
    assert_eq!(steps(&[firsts[49], again], 1_000), [8]);
}

#[test]
fn double_hash_counts_apart_for_destinations_of_different_slots() {
    let mut drill = Drill::new("double-hash", 1_000, 2);
    let mut apart = 0;
    for other in 1..=200 {
        drill.destination = 0;
        let before = drill.allocate().1.unwrap();
        drill.destination = other;
        let theirs: Vec<u16> = (0..3).map(|_| drill.allocate().1.unwrap()).collect();
        assert_eq!(steps(&theirs, 1_000), [1, 1]);
        drill.destination = 0;
        let after = drill.allocate().1.unwrap();
        let step = steps(&[before, after], 1_000)[0];
        assert!(step == 1 || step == 4, "{step}");
        apart += u32::from(step == 1);
    }
    // One in 256 shares the slot.
    assert!(apart >= 194, "{apart}");
}

#[test]
fn random_increment_goes_up_by_1_to_500_each_as_likely() {
    let mut drill = Drill::new("random-increment", 4_096, 4);
    let given: Vec<u16> = (0..100_001).map(|_| drill.allocate().1.unwrap()).collect();
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
fn kernel_bind_names_port_0_alone() {
    assert_eq!(Drill::new("kernel-bind", 64, 1).attempts(3), [0, 0, 0]);
}

#[test]
fn linux_connect_steps_by_2_to_16_towards_one_destination_each_as_likely() {
    let mut drill = Drill::new("linux-connect", 4_096, 6);
    let given: Vec<u16> = (0..8_001).map(|_| drill.allocate().1.unwrap()).collect();
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
        let mut drill = Drill::of("linux-connect", Candidates::new(range, &[]), 9);
        for destination in 0..20 {
            drill.destination = destination;
            let tried = drill.attempts(64);
            assert!(tried[..32].iter().all(|port| port % 2 == first % 2));
            assert!(tried[32..].iter().all(|port| port % 2 != first % 2));
            assert_eq!(tried[32], tried[0] + 1, "the second search begins beside the first");
        }
    }
}

#[test]
fn linux_connect_leaves_out_one_end_of_an_odd_number_of_ports() {
    let mut left_out = BTreeSet::new();
    let mut drill = Drill::new("linux-connect", 5, 9);
    for destination in 0..100 {
        drill.destination = destination;
        let tried: BTreeSet<u16> = drill.attempts(5).into_iter().collect();
        assert_eq!(tried.len(), 4);
        left_out.extend(every(5).ports().filter(|port| !tried.contains(port)));
    }
    assert_eq!(left_out, [50_000, 50_004].into());
}

#[test]
fn linux_connect_goes_on_behind_what_it_searched_when_that_was_more_than_its_noise() {
    let mut drill = Drill::new("linux-connect", 4_096, 3);
    let first = drill.allocate().1.unwrap();
    drill.occupied = (1..=50).map(|n| 50_000 + (first - 50_000 + 2 * n) % 4_096).collect();
    let second = drill.allocate().1.unwrap();
    assert_eq!(steps(&[first, second], 4_096), [102]);
    drill.occupied.clear();
    let third = drill.allocate().1.unwrap();
    assert!((2..=102).contains(&steps(&[second, third], 4_096)[0]));
}

#[test]
fn bitmap_takes_one_attempt_and_any_free_port() {
    let mut drill = Drill::new("bitmap", 100, 7);
    drill.occupied = (50_000..50_090).collect();
    let mut counts = [0_u32; 10];
    for _ in 0..10_000 {
        let (tried, port) = drill.allocate();
        assert_eq!(tried.len(), 1);
        counts[usize::from(port.unwrap() - 50_090)] += 1;
    }
    let chi: f64 = counts.iter().map(|&n| (f64::from(n) - 1_000.0).powi(2) / 1_000.0).sum();
    assert!(chi < 33.7, "{chi} of 9 degrees of freedom");
}

#[test]
fn bitmap_tries_no_port_twice_when_what_it_saw_is_old() {
    let mut drill = Drill::new("bitmap", 100, 7);
    drill.occupied = (50_000..50_080).collect();
    drill.unseen = (50_080..50_099).collect();
    for _ in 0..100 {
        let (tried, port) = drill.allocate();
        assert_eq!(port, Some(50_099));
        assert_eq!(tried.iter().collect::<BTreeSet<_>>().len(), tried.len());
        assert!(tried.iter().all(|port| *port >= 50_080));
    }
}

#[test]
fn banded_leaves_its_static_band_until_all_above_is_taken() {
    let mut drill = Drill::new("banded", 1_024, 7);
    let mut starts = BTreeSet::new();
    for _ in 0..200 {
        let tried = drill.attempts(1_024);
        let (above, within) = tried.split_at(1_024 - 32);
        assert!(above.iter().all(|&port| port >= 50_032) && within.iter().all(|&p| p < 50_032));
        starts.insert((above[0], within[0]));
    }
    assert!(starts.len() > 190);
    let mut asked = Drill::tuned("banded", 64, 1, Tuning { band: Some(60) });
    assert!(asked.attempts(64)[..4].iter().all(|&port| port >= 50_060));
    let mut none = Drill::tuned("banded", 64, 1, Tuning { band: Some(0) });
    assert_eq!(sorted(&none.attempts(64)), all(&none.candidates));
}

#[test]
fn the_band_is_that_of_kubernetes() {
    let bands = [1, 16, 17, 512, 544, 2_768, 4_096, 16_384].map(banded::band_of);
    assert_eq!(bands, [0, 0, 16, 16, 17, 86, 128, 128]);
}
