//! Properties of every strategy, for any range; random choices favour no port. Uses no sockets.

use std::collections::BTreeSet;

use portscope::{
    Allocator,
    allocator::{ALLOCATORS, Candidates},
    domain::{Ephemeral, PortRange, Protocols, port},
    host::simulated::SimulatedHost,
};
use proptest::{collection::vec, prelude::*};

use crate::harness::StrategyHarness;

fn ranges() -> impl Strategy<Value = PortRange> {
    let ports = (0..=u16::MAX, 0..400u16);
    ports.prop_map(|(first, more)| PortRange::new(first, first.saturating_add(more)).unwrap())
}

/// Generates reserved ports near the range, ascending and with gaps between them, as the kernel
/// lists them.
fn reserved(range: PortRange, gaps: &[(u16, u16)]) -> Vec<PortRange> {
    let gap = |&(after, more): &(u16, u16)| {
        let first = range.first().saturating_add(after);
        PortRange::new(first, first.saturating_add(more)).unwrap()
    };
    let mut reserved: Vec<PortRange> = gaps.iter().map(gap).collect();
    reserved.sort_unstable();
    let mut last = None;
    reserved.retain(|gap| {
        let is_apart = last.is_none_or(|last| gap.first() > last);
        last = last.max(Some(gap.last()));
        is_apart
    });
    reserved
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn strategies_try_only_candidates(
        range in ranges(),
        gaps in vec((0..400u16, 0..60u16), 0..5),
        occupied in vec(0..400u16, 0..300),
        destinations in vec(any::<u32>(), 1..4),
        seed in any::<u64>(),
    ) {
        let reserved = reserved(range, &gaps);
        let candidates = Candidates::new(range, &reserved);
        prop_assume!(candidates.len() > 0);
        for row in ALLOCATORS.iter().filter(|row| !row.lets_machine_choose) {
            let mut harness = StrategyHarness::of(row.name, candidates.clone(), seed);
            harness.occupied =
                occupied.iter().map(|&after| range.first().saturating_add(after)).collect();
            for &destination in destinations.iter().cycle().take(6) {
                harness.destination = destination;
                let (tried, _) = harness.allocate();
                let late_datagrams: Vec<_> = tried.iter().filter(|&&p| !candidates.contains(p)).collect();
                prop_assert!(late_datagrams.is_empty(), "{}: {late_datagrams:?}", row.name);
                let different: BTreeSet<u16> = tried.iter().copied().collect();
                let may_repeat = ["random", "random-retry", "random-increment"].contains(&row.name);
                prop_assert!(may_repeat || different.len() == tried.len(), "{} repeats", row.name);
            }
        }
    }

    #[test]
    fn a_port_chosen_by_the_machine_is_in_range_unreserved_and_was_free(
        range in ranges(),
        gaps in vec((0..400u16, 0..60u16), 0..5),
        tcp in 0.0..=1.0,
        udp in 0.0..=1.0,
        protocols in prop_oneof![Just(Protocols::Tcp), Just(Protocols::Udp), Just(Protocols::Both)],
    ) {
        use portscope::domain::{Occupancy, State};
        let reserved = reserved(range, &gaps);
        let candidates = Candidates::new(range, &reserved);
        let mut ephemeral = Ephemeral::new(port::LINUX_DEFAULT, reserved.clone());
        ephemeral.unprivileged_start = 0;
        let host = SimulatedHost::builder()
            .ephemeral(ephemeral)
            .fill(range, tcp, State::Established, 1)
            .fill(range, udp, State::Unconnected, 2)
            .build();
        let before = Occupancy::count(&host.snapshot());
        let builder = Allocator::over(range).protocols(protocols).reserved(&reserved);
        let mut allocator = builder.strategy("kernel-bind").build_on(&host).unwrap();
        let mut tried = Vec::new();
        let result = allocator.allocate(|attempt| tried.push(attempt.port));
        for &port in &tried {
            prop_assert!(port == 0 || candidates.contains(port), "{port}");
        }
        if let Ok(held) = result {
            prop_assert_eq!(Some(&held.port()), tried.last());
            prop_assert!(!before.port(held.port()).is_occupied(protocols));
        }
    }
}

/// A 16-bit random number modulo 28,232 would choose the lower 9,072 ports 1.5 times as often (RFC
/// 6056, section 3.1). Chi-square over the two parts, and over all ports.
#[test]
fn random_draws_are_uniform_over_the_default_range() {
    const DRAWS: u32 = 282_320;
    let range = port::LINUX_DEFAULT;
    assert_eq!(range.len(), 28_232);
    for name in ["random", "random-retry", "random-unique", "simple-random", "bitmap"] {
        let mut harness = StrategyHarness::of(name, Candidates::new(range, &[]), 1);
        let mut counts = vec![0_u32; range.len() as usize];
        for _ in 0..DRAWS {
            counts[usize::from(harness.attempts(1)[0] - range.first())] += 1;
        }
        let draws = f64::from(counts.iter().sum::<u32>());
        let low = f64::from(counts[..9_072].iter().sum::<u32>());
        let expected = draws * 9_072.0 / 28_232.0;
        let part = (low - expected).powi(2) * (1.0 / expected + 1.0 / (draws - expected));
        // One degree of freedom; biased numbers would give about 20,000.
        assert!(part < 20.0, "{name}: {part}");
        let each = draws / 28_232.0;
        let chi: f64 = counts.iter().map(|&n| (f64::from(n) - each).powi(2) / each).sum();
        let z = (chi - 28_231.0) / (2.0_f64 * 28_231.0).sqrt();
        assert!(z.abs() < 4.5, "{name}: {z}");
    }
}
