//! The lab in memory: random occupancies, and measured figures compared with expected ones.

use std::{rc::Rc, time::Duration};

use portscope::{
    allocator::{
        ALLOCATORS, AllocatorRow, Candidates, Pattern, Population, PortView, StrategyFigures,
        Tuning,
        lab::{LabConfig, SimulatedLab, StrategyReport},
        population::CLUSTER,
        theory::{runs_of_taken, scan_on_built},
    },
    domain::{Binder, Errno, PortRange, Protocols},
};

/// 1,000 candidates: not a power of two, so that a wrong modulus is noticed.
fn small() -> Candidates {
    let reserved = [PortRange::new(50_100, 50_123).unwrap()];
    Candidates::new(PortRange::new(50_000, 51_023).unwrap(), &reserved)
}

fn population(pattern: Pattern, occupied: u32, seed: u64) -> Population {
    Population::new(pattern, small(), Protocols::Tcp, occupied, seed)
}

fn config(names: &[&str], candidates: Candidates, max_attempts: u32, seed: u64) -> LabConfig {
    let number = |name| ALLOCATORS.iter().position(|row| row.name == name).unwrap();
    LabConfig {
        strategies: names.iter().map(|&name| number(name)).collect(),
        candidates,
        protocols: Protocols::Tcp,
        max_attempts,
        seed,
        destinations: 3,
        tuning: Tuning::default(),
    }
}

fn all_names() -> Vec<&'static str> {
    ALLOCATORS.iter().map(|row| row.name).collect()
}

fn complete(config: &LabConfig, pattern: Pattern, occupied: u32, runs: u64) -> Vec<StrategyReport> {
    let mut simulated_lab = SimulatedLab::new(config, pattern, occupied);
    while simulated_lab.runs() < runs {
        simulated_lab.advance(10_007, runs, &|| Duration::ZERO);
    }
    simulated_lab.reports()
}

fn row(column: &StrategyReport) -> &'static AllocatorRow {
    &ALLOCATORS[column.strategy]
}

#[test]
fn a_population_has_exactly_the_requested_number_of_occupied_ports() {
    let candidates = small();
    for pattern in [Pattern::Uniform, Pattern::Clustered] {
        for occupied in [0, 1, 2, 63, 500, 900, 990, 999, 1_000, 5_000] {
            let population = population(pattern, occupied, 3);
            for _ in 0..20 {
                population.renew();
                let looked = candidates.ports().filter(|&port| population.is_taken(port)).count();
                let free_ports = population.free_ports();
                let measured =
                    candidates.ports().filter(|&port| !free_ports.looks_free(port)).count();
                assert_eq!(
                    (looked, measured),
                    (occupied.min(1_000) as usize, looked),
                    "{pattern:?}"
                );
            }
        }
    }
}

#[test]
fn a_picture_of_a_settled_population_matches_bind_results() {
    let [one, other] = [5, 5].map(|seed| population(Pattern::Uniform, 500, seed));
    for _ in 0..50 {
        one.renew();
        other.renew();
        let is_taken_in = |population: &Population, ports: std::ops::Range<u16>| -> Vec<bool> {
            ports.map(|port| population.is_taken(port)).collect()
        };
        assert_eq!(is_taken_in(&one, 50_200..50_230), is_taken_in(&other, 50_200..50_230));
        let free_ports = one.free_ports();
        assert_eq!(is_taken_in(&one, 50_500..50_520), is_taken_in(&other, 50_500..50_520));
        assert!((50_200..50_230).all(|port| free_ports.looks_free(port) != one.is_taken(port)));
        let free_ports = one.free_ports();
        one.draw_all();
        assert!(small().ports().all(|port| free_ports.looks_free(port) != one.is_taken(port)));
    }
}

/// Chi-square over the ports, queried in different orders, and over pairs of neighbouring ports.
#[test]
fn uniform_occupancy_has_no_favoured_port_or_pair() {
    let (occupied, rounds) = (600_u32, 6_000_u32);
    let candidates = small();
    let ports: Vec<u16> = candidates.ports().collect();
    let population = population(Pattern::Uniform, occupied, 11);
    let (mut by_port, mut pairs) = (vec![0_u32; ports.len()], [0_u32; 3]);
    for round in 0..rounds {
        population.renew();
        let start = (round * 37) as usize;
        let step = [1, 3, 7, 999][round as usize % 4];
        for n in 0..ports.len() {
            let at = (start + n * step) % ports.len();
            by_port[at] += u32::from(population.is_taken(ports[at]));
        }
        for pair in ports.chunks(2) {
            let taken = pair.iter().filter(|&&port| population.is_taken(port)).count();
            pairs[taken] += 1;
        }
    }
    let (n, k) = (f64::from(candidates.len()), f64::from(occupied));
    let share = k / n;
    let expected = f64::from(rounds) * share;
    let deviation = |count: u32| (f64::from(count) - expected).powi(2) / (expected * (1.0 - share));
    // n - 1 degrees of freedom, because the number of occupied ports of each round is fixed; scaled
    // by (n - 1) / n.
    let chi: f64 = by_port.into_iter().map(deviation).sum::<f64>() * (n - 1.0) / n;
    let z = (chi - (n - 1.0)) / (2.0 * (n - 1.0)).sqrt();
    assert!(z.abs() < 4.5, "{z}");

    let all = f64::from(rounds) * n / 2.0;
    let both = k * (k - 1.0) / (n * (n - 1.0));
    let neither = (n - k) * (n - k - 1.0) / (n * (n - 1.0));
    for (count, chance) in [(pairs[2], both), (pairs[0], neither)] {
        let z = (f64::from(count) - all * chance) / (all * chance * (1.0 - chance)).sqrt();
        assert!(z.abs() < 4.5, "{z} of {pairs:?}");
    }
}

#[test]
fn clusters_have_the_reported_lengths_and_no_favoured_position() {
    let candidates = small();
    let population = population(Pattern::Clustered, 640, 2);
    let (mut runs, mut by_quarter) = (0, [0_u32; 4]);
    for _ in 0..2_000 {
        population.renew();
        let known = population.known_runs().unwrap();
        let free_ports = population.free_ports();
        let mut known: Vec<u32> = known.iter().map(|&(length, _)| length).collect();
        known.sort_unstable();
        let measured = runs_of_taken(&candidates, &free_ports);
        let measured: Vec<u32> =
            measured.iter().flat_map(|&(length, count)| vec![length; count as usize]).collect();
        assert_eq!(known, measured);
        runs += measured.len();
        for (number, port) in candidates.ports().enumerate() {
            by_quarter[number / 250] += u32::from(population.is_taken(port));
        }
    }
    assert_eq!(640 * 2_000 / runs, CLUSTER as usize);
    assert!(by_quarter.iter().all(|count| (310_000..330_000).contains(count)), "{by_quarter:?}");
}

#[test]
fn a_taken_port_stays_occupied_and_port_0_chooses_only_free_ports() {
    for protocols in [Protocols::Tcp, Protocols::Udp, Protocols::Both] {
        let population = Population::new(Pattern::Built, small(), protocols, 0, 0);
        (50_000..=51_023).for_each(|port| population.take(port));
        let mut binder = Rc::new(population);
        assert_eq!(binder.bind(50_500).0.unwrap_err().errno, Errno::EADDRINUSE);
        assert_eq!(binder.bind(0).0.unwrap_err().errno, Errno::EADDRINUSE);
        let free = |port: &u16| *port != 50_777;
        let population = Population::new(Pattern::Built, small(), protocols, 0, 0);
        (50_000..=51_023).filter(free).for_each(|port| population.take(port));
        let mut binder = Rc::new(population);
        let bound = binder.bind_first(&mut |_| Some(0)).unwrap();
        assert_eq!(bound.port, 50_777, "{protocols:?}");
    }
}

#[test]
fn all_strategies_of_a_run_meet_the_same_occupancy() {
    for pattern in [Pattern::Uniform, Pattern::Clustered] {
        let mut simulated_lab =
            SimulatedLab::new(&config(&all_names(), small(), 50, 4), pattern, 700);
        for _ in 0..500 {
            simulated_lab.prepare(u32::MAX);
            let shown = simulated_lab.reports()[0].ports.clone();
            simulated_lab.step();
            for column in simulated_lab.reports() {
                assert_eq!(column.ports, shown, "{pattern:?}");
                let met = column.last_attempts.iter().filter(|attempt| attempt.port > 0);
                for attempt in met {
                    let was_free = attempt.refusal.is_none();
                    assert_eq!(shown.looks_free(attempt.port), was_free, "{}", row(&column).name);
                }
            }
        }
        assert!(simulated_lab.runs() > 5);
    }
}

#[test]
fn a_step_makes_one_attempt_per_unfinished_allocation() {
    let mut simulated_lab =
        SimulatedLab::new(&config(&all_names(), small(), 9, 8), Pattern::Uniform, 950);
    for step in 1..=9 {
        simulated_lab.step();
        for column in simulated_lab.reports() {
            let ended = column.last.map_or(step, |last| last.attempts);
            assert_eq!(column.last_attempts.len(), ended as usize, "{}", row(&column).name);
            assert_eq!(column.figures.runs, u64::from(column.last.is_some()));
        }
    }
    assert_eq!(simulated_lab.runs(), 1);
    simulated_lab.step();
    assert!(simulated_lab.reports().iter().all(|column| column.last_attempts.len() == 1));
}

#[test]
fn figures_depend_on_the_seed_and_not_on_batch_sizes() {
    for pattern in Pattern::EACH {
        let names = ["random", "simple-random", "kernel-bind", "hash"];
        let figures = |seed, budget| -> Vec<StrategyFigures> {
            let mut simulated_lab =
                SimulatedLab::new(&config(&names, small(), 100, seed), pattern, 600);
            while simulated_lab.runs() < 40 {
                simulated_lab.advance(budget, 40, &|| Duration::ZERO);
            }
            simulated_lab.reports().into_iter().map(|column| column.figures).collect()
        };
        let whole = figures(1, u32::MAX);
        assert_eq!(whole, figures(1, 7), "{pattern:?}");
        assert_ne!(whole, figures(2, 7), "{pattern:?}");
    }
}

/// Asserts that the mean and the failures are within 4.5 standard errors of the expected values.
/// Returns false if the strategy has no model.
#[track_caller]
fn assert_as_predicted(column: &StrategyReport, max_attempts: u32) -> bool {
    let (name, figures) = (row(column).name, &column.figures);
    let Some(expected) = figures.expected else { return false };
    let (mean, runs) = (figures.mean().unwrap(), figures.runs as f64);
    // If nearly all runs have the same number of attempts, the standard error is too small to
    // compare with.
    let error = figures.standard_error().unwrap().max(1e-9);
    let z = (mean - expected.mean_attempts) / error;
    assert!(
        z.abs() < 4.5 || (mean - expected.mean_attempts).abs() < 1e-9,
        "{name} {max_attempts}: {mean} {expected:?} z {z}"
    );
    let rate = expected.failure_rate;
    let z = (figures.failures as f64 - runs * rate) / (runs * rate * (1.0 - rate)).sqrt().max(1.0);
    assert!(z.abs() < 4.5, "{name} {max_attempts}: {} {expected:?} z {z}", figures.failures);
    true
}

#[test]
fn measured_figures_match_the_expected_ones_for_each_strategy_with_a_model() {
    for (fill, max_attempts) in [(500, 100), (500, 3), (990, 100), (990, 1_000)] {
        let columns = complete(
            &config(&all_names(), small(), max_attempts, 9),
            Pattern::Uniform,
            fill,
            3_000,
        );
        let with_expectation =
            columns.iter().filter(|column| assert_as_predicted(column, max_attempts));
        assert_eq!(
            with_expectation.count(),
            ALLOCATORS.len() - 1,
            "only random-increment has no law"
        );
    }
}

#[test]
fn simulated_udp_port_0_is_uniform_over_the_free_ports() {
    let mut config = config(&["kernel-bind"], small(), 1, 4);
    config.protocols = Protocols::Udp;
    let figures = &complete(&config, Pattern::Uniform, 990, 20_000)[0].figures;
    assert_eq!((figures.failures, figures.attempts), (0, 20_000));
    let bits = figures.entropy_bits.unwrap();
    assert!((bits - 1_000_f64.log2()).abs() < 0.02, "{bits}");
}

#[test]
fn a_scan_matches_the_run_length_model_on_clustered_and_built_occupancy() {
    let names = ["random", "random-unique", "exo-history", "simple-random", "bitmap", "next-fit"];
    for (pattern, fill, max_attempts) in [
        (Pattern::Clustered, 500, 100),
        (Pattern::Clustered, 900, 40),
        (Pattern::Clustered, 990, 1_000),
        (Pattern::Built, 500, 100),
        (Pattern::Built, 950, 60),
    ] {
        let runs = if pattern == Pattern::Built { 300 } else { 2_000 };
        let columns = complete(&config(&names, small(), max_attempts, 6), pattern, fill, runs);
        let with_expectation =
            columns.iter().filter(|column| assert_as_predicted(column, max_attempts));
        assert_eq!(with_expectation.count(), 5, "next-fit has none");
    }
}

/// Knuth's linear probing: 49.7 attempts at 90 % of 16,384 ports, slightly fewer if there are fewer
/// ports.
#[test]
fn simple_random_on_its_own_occupancy_costs_as_much_as_linear_probing() {
    let candidates = Candidates::new(PortRange::new(50_000, 54_095).unwrap(), &[]);
    let occupied = candidates.len() * 9 / 10;
    let config = config(&["simple-random"], candidates, 4_096, 12);
    let figures = &complete(&config, Pattern::Built, occupied, 200)[0].figures;
    let expected = scan_on_built(occupied, 4_096).unwrap();
    let z = (figures.mean().unwrap() - expected) / figures.standard_error().unwrap();
    assert!(z.abs() < 4.0, "{:?} {expected}", figures.mean());
    let expected = figures.expected.unwrap().mean_attempts;
    assert!((expected / expected - 1.0).abs() < 0.15, "{expected} {expected}");
}

#[test]
fn every_strategy_fails_in_a_full_range_and_needs_one_attempt_in_an_empty_one() {
    for pattern in [Pattern::Uniform, Pattern::Clustered] {
        for column in complete(&config(&all_names(), small(), 20, 1), pattern, 1_000, 30) {
            assert_eq!(column.figures.failures, 30, "{}", row(&column).name);
        }
    }
    for pattern in Pattern::EACH {
        for column in complete(&config(&all_names(), small(), 20, 1), pattern, 0, 30) {
            let figures = &column.figures;
            assert_eq!((figures.failures, figures.attempts), (0, 30), "{}", row(&column).name);
        }
    }
}

#[test]
fn one_run_in_16_is_timed_with_the_given_clock() {
    let mut simulated_lab =
        SimulatedLab::new(&config(&["random"], small(), 50, 4), Pattern::Uniform, 100);
    let ticks = std::cell::Cell::new(0);
    let clock = || {
        ticks.set(ticks.get() + 1);
        Duration::from_micros(ticks.get())
    };
    simulated_lab.advance(u32::MAX, 160, &clock);
    let (time, successes) = simulated_lab.reports()[0].figures.timed;
    assert_eq!((time, successes), (Duration::from_micros(10), 10));
}
