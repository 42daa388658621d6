//! `portscope lab` from outside: its output format, what it refuses, and that a seed determines all
//! results.

use std::{
    fs,
    net::UdpSocket,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::{
    namespace::{self, in_new_namespace},
    outputs::{assert_refused, keys, program, stderr, stdout},
};

fn run(arguments: &str) -> Output {
    let arguments = arguments.split_whitespace();
    let mut command = program();
    command.arg("lab").args(arguments);
    command.stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn json(arguments: &str) -> Value {
    let output = run(&format!("{arguments} --format json"));
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{arguments}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn invalid_arguments_are_refused_in_one_line() {
    for (arguments, reported) in [
        ("--fill 1.01", "for --fill: expected 0 to 1"),
        ("--fill -0.1", "for --fill: expected 0 to 1"),
        ("--fill 90%", "for --fill: expected 0 to 1"),
        ("--fill nan", "for --fill: expected 0 to 1"),
        ("--fill", "needs a value"),
        ("--fill 0.5 --occupancy live", "--fill cannot be used with --occupancy live"),
        ("--runs 0", "1 to 4294967295"),
        ("--runs -1", "1 to 4294967295"),
        ("--runs many", "1 to 4294967295"),
        ("--strategy best", "random, random-unique, exo-history, sequential, next-fit"),
        ("--strategy random --strategy random", "--strategy random is given twice"),
        ("--occupancy full", "uniform, clustered, built, live"),
        ("--max-attempts 0", "1 to 4294967295"),
        ("--destinations 0", "1 to 4294967295"),
        ("--seed 9007199254740992", "below 2^53"),
        ("--range 0", "1 to 65535"),
        ("--range 0-7", "expected 1-7"),
        ("--range 50-40", "expected 40-50"),
        ("--range 1-70000", "1 to 65535"),
        ("--band 16 --range 1-16", "expected 0 to 15"),
        ("--band 16384", "invalid value '16384' for --band: expected 0 to 16383"),
        ("--band -1", "0 or more"),
        ("--band 16 --strategy random", "--strategy banded"),
        ("--address 127.0.0.1", "--occupancy live"),
        ("--address nowhere --occupancy live", "127.0.0.1"),
        ("--window 0.01", "--window requires --race"),
        ("--competitor 10", "--competitor requires --race"),
        ("--race --window soon", "0 to 60"),
        ("--race --window 61", "0 to 60"),
        ("--race --competitor 0", "1 to 1000000"),
        ("--race --fill 2", "0 to 1"),
        ("--race --runs 0", "1 to 4294967295"),
        ("--race --fill 1 --range 40000-40063", "free ports"),
        ("--race --strategy random", "cannot be used with"),
        ("--race --netns 1", "cannot be used with"),
        ("--race --max-attempts 7", "cannot be used with"),
        ("--race --occupancy live", "cannot be used with"),
        ("--race --race", "--race is given twice"),
        ("--format csv", "text, json"),
        ("--count 2", "lab has no option '--count'"),
        ("random", "unexpected argument 'random'"),
        ("--output=", "expected a file"),
    ] {
        assert_refused(&run(arguments), 2, reported);
    }
}

#[test]
fn a_fully_reserved_range_is_refused() {
    in_new_namespace(|| {
        namespace::set_sysctl("ip_local_reserved_ports", "40000-40009");
        let refused = run("--range 40000-40009");
        assert_refused(&refused, 2, "--ignore-reserved");
        let ignoring = json("--range 40000-40009 --ignore-reserved --runs 10 --fill 0");
        assert_eq!(ignoring["candidates"], 10);
        let fewer = run("--range 40000-40019 --runs 10 --strategy random");
        assert!(stdout(&fewer).starts_with("10 ports of 40000-40019 (10 more reserved)"));
    });
}

#[test]
fn the_json_keeps_the_contract() {
    let lab = json("--fill 0.5 --runs 200 --seed 1");
    assert_eq!(lab["schema"], "portscope.lab/1");
    assert_eq!(
        keys(&lab),
        [
            "schema",
            "fill",
            "seed",
            "simulated",
            "occupancy",
            "protocol",
            "range",
            "candidates",
            "occupied",
            "max_attempts",
            "destinations",
            "strategies",
            "race",
        ]
        .into()
    );
    assert_eq!((lab["fill"].as_f64(), lab["seed"].as_u64()), (Some(0.5), Some(1)));
    assert_eq!((&lab["simulated"], &lab["occupancy"]), (&true.into(), &"uniform".into()));
    assert_eq!((&lab["protocol"], &lab["race"]), (&"both".into(), &Value::Null));
    assert_eq!(lab["range"], serde_json::json!({ "first": 49152, "last": 65535 }));
    assert_eq!((&lab["max_attempts"], &lab["destinations"]), (&100.into(), &1.into()));
    let strategies = lab["strategies"].as_array().unwrap();
    assert_eq!(strategies.len(), 14);
    for strategy in strategies {
        assert_strategy_keeps_the_contract(strategy);
    }
}

fn assert_strategy_keeps_the_contract(strategy: &Value) {
    let name = strategy["strategy"].as_str().unwrap();
    let expected = [
        "strategy",
        "runs",
        "failures",
        "failure_rate",
        "expected_failure_rate",
        "attempts",
        "model",
        "distinct_ports",
        "entropy_bits",
        "nanoseconds_per_success",
        "predictability",
        "snapshots",
    ];
    assert_eq!(keys(strategy), expected.into());
    let expected = ["mean", "expected_mean", "standard_error", "median", "p99", "max", "histogram"];
    let attempts = &strategy["attempts"];
    assert_eq!(keys(attempts), expected.into());
    assert_eq!(keys(&strategy["predictability"]), ["habit", "bits_left", "guess"].into());
    assert_eq!(keys(&strategy["snapshots"]), ["count", "nanoseconds"].into());
    let (runs, failures) =
        (strategy["runs"].as_u64().unwrap(), strategy["failures"].as_u64().unwrap());
    assert_eq!(runs, 200, "{name}");
    let histogram = attempts["histogram"].as_array().unwrap();
    let counted: u64 = histogram.iter().map(|pair| pair[1].as_u64().unwrap()).sum();
    assert_eq!(counted, runs - failures, "{name}");
    assert!(strategy["failure_rate"].is_f64() && attempts["mean"].is_f64(), "{name}");
    assert!(strategy["distinct_ports"].as_u64().unwrap() <= runs, "{name}");
    // A model gives both values or none.
    let has_expectation = strategy["model"].is_string();
    assert_eq!(strategy["expected_failure_rate"].is_f64(), has_expectation, "{name}");
    assert_eq!(attempts["expected_mean"].is_f64(), has_expectation, "{name}");
    assert!(strategy["nanoseconds_per_success"].is_u64(), "{name}");
}

/// Removes all times, which differ between runs with the same seed.
fn without_times(mut lab: Value) -> Value {
    for strategy in lab["strategies"].as_array_mut().unwrap() {
        strategy["nanoseconds_per_success"] = Value::Null;
        strategy["snapshots"]["nanoseconds"] = Value::Null;
    }
    lab
}

#[test]
fn equal_seeds_give_equal_figures() {
    for occupancy in ["uniform", "clustered", "built"] {
        let lab = |seed: u64| {
            let arguments =
                format!("--occupancy {occupancy} --runs 60 --range 40000-40127 --seed {seed}");
            without_times(json(&arguments))
        };
        assert_eq!(lab(7), lab(7), "{occupancy}");
        assert_ne!(lab(7)["strategies"], lab(8)["strategies"], "{occupancy}");
    }
}

#[test]
fn a_drawn_seed_is_printed_and_reproduces_the_lab() {
    let drawn = json("--runs 50 --strategy random --strategy hash");
    let again =
        json(&format!("--runs 50 --strategy random --strategy hash --seed {}", drawn["seed"]));
    assert_eq!(without_times(drawn), without_times(again));
}

#[test]
fn strategies_are_listed_in_the_requested_order() {
    let lab = json("--strategy next-fit --strategy random --runs 20");
    let names: Vec<&Value> =
        lab["strategies"].as_array().unwrap().iter().map(|row| &row["strategy"]).collect();
    assert_eq!(names, ["next-fit", "random"]);
}

#[test]
fn a_full_range_fails_every_run_and_an_empty_one_none() {
    let full = json("--fill 1 --runs 20 --range 40000-40063 --seed 1");
    let empty = json("--fill 0 --runs 20 --range 40000-40063 --seed 1");
    for (full, empty) in
        full["strategies"].as_array().unwrap().iter().zip(empty["strategies"].as_array().unwrap())
    {
        assert_eq!((&full["failures"], &empty["failures"]), (&20.into(), &0.into()), "{full}");
        assert_eq!(full["nanoseconds_per_success"], Value::Null);
        assert_eq!(
            (&full["attempts"]["p99"], &full["attempts"]["max"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(empty["attempts"]["p99"], 1, "{empty}");
    }
}

#[test]
fn the_percentage_in_the_text_matches_the_count() {
    for (arguments, share) in [
        ("--fill 0.9 --range 40000 --runs 2", "1 occupied (100 %)"),
        ("--fill 0.5 --range 40000-40002 --runs 2", "2 occupied (66.7 %)"),
        ("--fill 0.9 --range 40000-40009 --runs 2", "9 occupied (90.0 %)"),
        ("--fill 0 --range 40000 --runs 2", "0 occupied (0 %)"),
    ] {
        let output = run(arguments);
        assert!(stdout(&output).contains(share), "{arguments}: {}", stdout(&output));
    }
}

#[test]
fn the_text_has_one_line_of_at_most_80_columns_per_strategy() {
    for arguments in [
        "--runs 300 --seed 1",
        "--runs 50 --fill 0.99 --max-attempts 16384 --seed 9007199254740991",
        "--runs 2 --fill 1",
        "--runs 20 --occupancy clustered --destinations 16 --range all",
        "--runs 20 --occupancy built --protocol udp --fill 0.123456789 --range 40000-41000",
    ] {
        let output = run(arguments);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{arguments}");
        let text = stdout(&output);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80, "{arguments}: {widest} columns\n{text}");
        for row in portscope::allocator::ALLOCATORS {
            let lines = text.lines().filter(|line| line.starts_with(&format!("{} ", row.name)));
            assert_eq!(lines.count(), 1, "{}\n{text}", row.name);
        }
        assert!(text.contains("seed ") && text.contains("simulated"), "{text}");
    }
}

#[test]
fn a_live_lab_binds_real_ports_and_reports_the_occupancy() {
    in_new_namespace(|| {
        let _taken: Vec<UdpSocket> =
            (40_000..40_004).map(|port| UdpSocket::bind(("0.0.0.0", port)).unwrap()).collect();
        let arguments = "--occupancy live --protocol udp --range 40000-40007 --runs 200 --seed 1";
        let output = run(&format!("{arguments} --format json"));
        assert_eq!(output.status.code(), Some(0));
        if namespace::needs_linux((6, 3), "has IP_LOCAL_PORT_RANGE") {
            assert_eq!(stderr(&output), "");
        }
        let lab: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&lab["simulated"], &lab["occupancy"]), (&false.into(), &"live".into()));
        assert_eq!((&lab["occupied"], &lab["candidates"]), (&4.into(), &8.into()));
        assert_eq!(lab["fill"].as_f64(), Some(0.5));
        for strategy in lab["strategies"].as_array().unwrap() {
            assert!(strategy["failures"].as_u64().unwrap() < 200, "{strategy}");
        }
        let sequential = &lab["strategies"][3];
        assert_eq!(sequential["attempts"]["histogram"], serde_json::json!([[5, 200]]));
        assert!(stdout(&run(arguments)).contains("real bind() on this host"));
        let scan = program().arg("scan").output().unwrap();
        assert_eq!(stdout(&scan).lines().count(), 5, "the lab kept a port");
    });
}

#[test]
fn a_race_reports_its_backend_and_never_loses_a_kept_socket() {
    let arguments = "--race --runs 20 --window 0.001 --range 40000-40063 --fill 0.5 --seed 1";
    let lab = json(arguments);
    assert_eq!(lab["strategies"], Value::Array(vec![]));
    let race = &lab["race"];
    for key in ["place", "because", "rebound", "handed_over", "trouble"] {
        assert!(keys(race).contains(key), "{key}");
    }
    let is_simulated = race["place"] == "simulated";
    assert!(is_simulated || race["place"] == "namespace", "{race}");
    assert_eq!(
        (race["because"].is_string(), &lab["simulated"]),
        (is_simulated, &is_simulated.into())
    );
    for kind in ["rebound", "handed_over"] {
        let rounds = &race[kind];
        for key in [
            "stolen",
            "refused",
            "expected",
            "standard_deviation",
            "window_seconds",
            "competitor_per_second",
            "free",
        ] {
            assert!(rounds[key].is_number(), "{kind} {key}");
        }
        assert_eq!(rounds["rounds"], 20, "{kind}");
    }
    assert_eq!(race["handed_over"]["stolen"], 0);
    let text = run(arguments);
    assert!(stdout(&text).lines().all(|line| line.chars().count() <= 80), "{}", stdout(&text));
}

#[test]
fn output_that_cannot_be_written_is_an_error_and_a_closed_pipe_is_not() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let arguments = ["lab", "--runs", "10"];
    let output = program().args(arguments).stdout(full).output().unwrap();
    assert_refused(&output, 2, "No space left on device");
    assert_refused(&run("--runs 10 --output /dev/full"), 2, "No space left on device");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = program().args(arguments).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
}
