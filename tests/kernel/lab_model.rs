//! `portscope lab` compared with its own expected figures, on simulated occupancies and on real
//! sockets.

use std::process::Stdio;

use portscope::{
    allocator::{ALLOCATORS, Order},
    domain::{Binder, Protocols, port::IANA_DYNAMIC},
    host::{Held, linux::binder::RealBinder},
};
use rand::{SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use rustix::process::{Resource, Rlimit};
use serde_json::Value;

use crate::{
    namespace::{in_new_namespace, set_sysctl},
    outputs::program,
};

const CANDIDATES: u32 = 16_384;

/// The measured and the expected figures of a strategy.
struct Row {
    name: String,
    runs: f64,
    failures: f64,
    mean: f64,
    standard_error: f64,
    /// Expected failure rate and mean. None: the strategy has no model.
    expected: Option<(f64, f64)>,
}

impl Row {
    fn new(row: &Value) -> Self {
        let attempts = &row["attempts"];
        let rate = row["expected_failure_rate"].as_f64();
        Self {
            name: row["strategy"].as_str().unwrap().to_owned(),
            runs: row["runs"].as_f64().unwrap(),
            failures: row["failures"].as_f64().unwrap(),
            mean: attempts["mean"].as_f64().unwrap(),
            standard_error: attempts["standard_error"].as_f64().unwrap(),
            expected: rate.map(|rate| (rate, attempts["expected_mean"].as_f64().unwrap())),
        }
    }

    /// Describes how the figures differ from the expected ones. None: they agree, or no model is
    /// known.
    fn disagreement(&self) -> Option<String> {
        let Self { name, runs, failures, mean, standard_error, .. } = self;
        let Some((rate, expected)) = self.expected else {
            eprintln!("  {name:16} {failures:5} failed          {mean:9.4} attempts  no law");
            return None;
        };
        let (failing, failing_error) = (runs * rate, (runs * rate * (1.0 - rate)).sqrt());
        eprintln!(
            "  {name:16} {failures:5} failed, law {failing:6.1} ± {failing_error:4.1}  {mean:9.4} \
             attempts, law {expected:9.4} ± {standard_error:.4}  {:+.2}",
            (mean - expected) / standard_error.max(1e-9)
        );
        // 0.5 is added because failures are whole numbers.
        let is_mean = (mean - expected).abs() <= 4.0 * standard_error + 1e-9;
        let is_rate = (failures - failing).abs() <= 4.0 * failing_error + 0.5;
        (!is_mean || !is_rate).then(|| format!("{name}: {mean} for {expected}, {failures} failed"))
    }
}

fn lab(arguments: &str) -> Vec<Row> {
    let output = program()
        .args(["lab", "--format", "json"])
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let reported = str::from_utf8(&output.stderr).unwrap();
    assert_eq!((output.status.code(), reported), (Some(0), ""), "{arguments}");
    let lab: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(lab["candidates"], CANDIDATES, "ports are reserved here");
    lab["strategies"].as_array().unwrap().iter().map(Row::new).collect()
}

/// Asserts that the figures of each strategy with a model are within 4 standard errors of the
/// expected ones.
#[track_caller]
fn assert_as_expected(arguments: &str) -> Vec<Row> {
    let rows = lab(arguments);
    eprintln!("lab {arguments}");
    let broken: Vec<String> = rows.iter().filter_map(Row::disagreement).collect();
    assert!(broken.is_empty(), "lab {arguments}\n{}", broken.join("\n"));
    rows
}

/// Returns the expected failure rate and mean number of attempts of a strategy.
fn expected(rows: &[Row], name: &str) -> (f64, f64) {
    rows.iter().find(|row| row.name == name).and_then(|row| row.expected).unwrap()
}

#[track_caller]
fn assert_about(value: f64, expected: f64) {
    assert!((value / expected - 1.0).abs() < 1e-4, "{value} is not {expected}");
}

#[test]
fn simulated_figures_are_within_4_standard_errors_of_the_expected_ones() {
    for max_attempts in [100, 16_384] {
        for fill in ["0.5", "0.9", "0.95", "0.99"] {
            let arguments = format!(
                "--fill {fill} --max-attempts {max_attempts} --runs 4000 --seed 5 --ignore-reserved"
            );
            let rows = assert_as_expected(&arguments);
            for (row, allocator) in rows.iter().zip(ALLOCATORS) {
                let has_expectation = allocator.order != Order::Unknown;
                assert_eq!(row.expected.is_some(), has_expectation, "{}", row.name);
            }
        }
    }
}

#[test]
fn expected_figures_match_independently_verified_ones() {
    let lab = |fill, max_attempts| {
        lab(&format!("--fill {fill} --max-attempts {max_attempts} --runs 2 --ignore-reserved"))
    };
    let capped = lab("0.99", 100);
    assert_about(expected(&capped, "random").0, 0.365_67);
    assert_about(expected(&capped, "random").1, 63.371);
    let whole = lab("0.99", 16_384);
    for name in ["simple-random", "sequential", "next-fit", "hash", "banded", "random-unique"] {
        assert_about(expected(&whole, name).1, 99.303);
    }
    assert_about(expected(&lab("0.9", 16_384), "random-unique").1, 9.996_95);
}

#[test]
fn a_scan_over_clusters_matches_its_model() {
    for fill in ["0.5", "0.9"] {
        let rows = assert_as_expected(&format!(
            "--occupancy clustered --fill {fill} --max-attempts 16384 --runs 2000 --seed 1 \
             --ignore-reserved --strategy random --strategy random-unique --strategy simple-random"
        ));
        let [chance, scan] = ["random", "simple-random"].map(|name| expected(&rows, name).1);
        assert!(scan > 1.5 * chance, "clusters cost a scan nothing: {scan}, {chance}");
    }
}

#[test]
fn figures_of_real_sockets_are_within_4_standard_errors_of_the_expected_ones() {
    if !has_descriptors() {
        return;
    }
    for share in [0.9, 0.99] {
        in_new_namespace(|| {
            // kernel-bind chooses from this range.
            set_sysctl("ip_local_port_range", "49152 65535");
            let occupied = (f64::from(CANDIDATES) * share).round() as usize;
            let _held = hold(occupied);
            for max_attempts in [100, 16_384] {
                let rows = assert_as_expected(&format!(
                    "--occupancy live --protocol udp --runs 2000 --seed 1 \
                     --max-attempts {max_attempts}"
                ));
                let (failure, mean) = expected(&rows, "random");
                if share > 0.95 && max_attempts == 100 {
                    assert_about(failure, 0.365_67);
                    assert_about(mean, 63.371);
                }
                let with_expectation = [
                    "random",
                    "random-unique",
                    "exo-history",
                    "simple-random",
                    "random-retry",
                    "kernel-bind",
                    "bitmap",
                ];
                for name in with_expectation {
                    expected(&rows, name);
                }
            }
        });
    }
}

/// Binds this number of ports of the range on UDP, chosen by a seed.
fn hold(count: usize) -> Vec<Box<dyn Held>> {
    let mut ports: Vec<u16> = IANA_DYNAMIC.ports().collect();
    ports.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    let mut binder = RealBinder::new(Protocols::Udp, None).unwrap();
    ports.into_iter().take(count).map(|port| binder.bind(port).0.ok().unwrap()).collect()
}

/// Whether enough descriptors are allowed. If not, prints that, or panics if `CI` is set.
fn has_descriptors() -> bool {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if most > u64::from(CANDIDATES) + 100 {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        rustix::process::setrlimit(Resource::Nofile, raised).unwrap();
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "CI needs {CANDIDATES} descriptors, {most} are allowed"
    );
    eprintln!("not tested here: {CANDIDATES} sockets are not allowed (ulimit -n: {most})");
    false
}
