//! Races, with real competitors in a private namespace and with simulated ones, compared with the
//! expected figures.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use portscope::{
    domain::PortRange,
    engine::{
        message::{RaceBackend, RaceReport, RaceSetup, Rounds},
        race,
    },
    host::linux::LinuxHost,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_portscope");

fn setup(program: Option<&str>, rounds: u32) -> RaceSetup {
    RaceSetup {
        program: program.map(PathBuf::from),
        rounds,
        window: Duration::from_millis(10),
        competitor_binds_per_second: 1000.0,
        range: PortRange::new(49_152, 50_175).unwrap(),
        share: 0.9,
        seed: 1,
    }
}

/// Runs a race to its end.
fn run(setup: &RaceSetup) -> RaceReport {
    race::run(&LinuxHost::new(), setup, &mut |_| true)
}

/// Runs a real race. If no namespace can be created, prints that and returns None, or panics if
/// `CI` is set.
fn real(setup: &RaceSetup) -> Option<RaceReport> {
    let report = run(setup);
    if let RaceBackend::Simulated { because } = &report.backend {
        assert!(std::env::var_os("CI").is_none(), "CI needs a private namespace: {because}");
        eprintln!("not tested here: {because}");
        return None;
    }
    assert_eq!(report.failure, None);
    assert_eq!(report.backend, RaceBackend::Namespace);
    Some(report)
}

/// Returns the distance of `count` from the expected value, in standard deviations.
fn off(count: u32, rounds: &Rounds) -> f64 {
    (f64::from(count) - rounds.expected) / rounds.deviation
}

#[test]
fn real_losses_follow_the_expectation_and_a_kept_socket_is_never_lost() {
    let Some(report) = real(&setup(Some(PROGRAM), 400)) else { return };
    let RaceReport { rebound, handed_over, .. } = &report;
    assert!(report.is_over && rebound.count == 400 && handed_over.count == 400, "{report:?}");
    assert!(rebound.stolen > 0 && off(rebound.stolen, rebound).abs() < 4.0, "{report:?}");
    assert_eq!(handed_over.stolen, 0);
    assert!(off(handed_over.refused, handed_over).abs() < 4.0, "{report:?}");
}

#[test]
fn a_simulated_race_matches_the_expectation_gives_its_reason_and_is_reproducible() {
    for seed in 1..=5 {
        let report = run(&RaceSetup { seed, ..setup(None, 5000) });
        let RaceReport { rebound, handed_over, .. } = &report;
        assert!(
            matches!(&report.backend, RaceBackend::Simulated { because } if !because.is_empty())
        );
        assert!(report.is_over && rebound.count == 5000 && handed_over.count == 5000);
        assert!(rebound.stolen > 0 && off(rebound.stolen, rebound).abs() < 4.0, "{report:?}");
        assert_eq!(handed_over.stolen, 0);
        assert!(off(handed_over.refused, handed_over).abs() < 4.0, "{report:?}");
        assert_eq!(run(&RaceSetup { seed, ..setup(None, 5000) }), report);
    }
}

#[test]
fn an_invalid_race_ends_at_once_with_a_reason() {
    let good = setup(Some(PROGRAM), 10);
    let minute = Duration::from_mins(1);
    for (bad, words) in [
        (RaceSetup { share: 1.0, ..good.clone() }, "has 0"),
        (RaceSetup { range: PortRange::new(0, 0).unwrap(), ..good.clone() }, "above 0"),
        (RaceSetup { competitor_binds_per_second: 0.0, ..good.clone() }, "competitor"),
        (RaceSetup { competitor_binds_per_second: f64::NAN, ..good.clone() }, "competitor"),
        (RaceSetup { window: minute * 2, ..good.clone() }, "window"),
    ] {
        let report = run(&bad);
        assert!(report.is_over && report.rebound == Rounds::default());
        let failure = report.failure.expect("it says why");
        assert!(failure.as_str().contains(words), "{failure}");
    }
}

#[test]
fn a_race_with_more_ports_than_descriptors_is_simulated() {
    let range = PortRange::new(1024, 65_535).unwrap();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    if limit.is_none_or(|limit| limit > 65_536) {
        eprintln!("not tested here: there is no such limit");
        return;
    }
    let report = run(&RaceSetup { range, ..setup(Some(PROGRAM), 10) });
    let RaceBackend::Simulated { because } = &report.backend else { panic!("{report:?}") };
    assert!(because.as_str().contains("descriptors"), "{because}");
    assert_eq!((report.failure, report.rebound.count), (None, 10));
}

#[test]
fn a_missing_program_falls_back_to_a_simulated_race() {
    let report = run(&setup(Some("/nonexistent/portscope"), 10));
    let RaceBackend::Simulated { because } = &report.backend else { panic!("{report:?}") };
    assert!(because.as_str().contains("/nonexistent/portscope: No such file"), "{because}");
}

/// Runs a race with a script as the holder, and returns the report.
fn faked(name: &str, script: &str) -> RaceReport {
    let folder = std::env::temp_dir().join(format!("portscope-race-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join(name);
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let begun = Instant::now();
    let report = run(&setup(program.to_str(), 10));
    assert!(begun.elapsed() < Duration::from_secs(9), "{name}: {:?}", begun.elapsed());
    fs::remove_dir_all(folder).ok();
    report
}

#[test]
fn unexpected_holder_output_ends_the_race_with_an_error() {
    let round = "round 10000000 81.0 0 1 0 10";
    for (name, script, rounds, words) in [
        ("garbage", "echo hello; sleep 60", 0, "unexpected output \"hello\""),
        ("binary", r"printf '\033[2J\377\n'", 0, r#"unexpected output "\u{1b}[2J\xff""#),
        ("early", &format!("echo '{round}'"), 0, "unexpected output \"round 10000000 "),
        ("twice", "echo ready; echo ready", 0, "unexpected output \"ready\""),
        ("silent", "exit 0", 0, "it ended before the end of the race"),
        ("dies", &format!("echo ready; echo '{round}'; kill -9 $$"), 1, "it ended before"),
        ("endless", "exec tr '\\0' x < /dev/zero", 0, "a line is too long"),
        ("deaf", "trap '' TERM HUP PIPE; echo ready; echo nonsense; sleep 3", 0, "nonsense"),
    ] {
        let report = faked(name, script);
        let failure = report.failure.clone().unwrap_or_else(|| panic!("{name}: {report:?}"));
        assert!(failure.as_str().contains(words), "{name}: {failure}");
        assert!(report.is_over && report.rebound.count == rounds, "{name}: {report:?}");
    }
}

/// Runs a race without end. Calls `disturb` with the holder's pid after some rounds. None: the race
/// is simulated.
fn run_endless_race(seed: u64, mut disturb: impl FnMut(u32) -> bool) -> Option<RaceReport> {
    let setup = RaceSetup { seed, ..setup(Some(PROGRAM), u32::MAX) };
    let mut has_disturbed = false;
    let report = race::run(&LinuxHost::new(), &setup, &mut |report| {
        let is_simulated = matches!(report.backend, RaceBackend::Simulated { .. });
        if has_disturbed || report.rebound.count < 5 || is_simulated {
            return !is_simulated;
        }
        has_disturbed = true;
        disturb(holder_of(seed).expect("it runs rounds"))
    });
    let RaceBackend::Simulated { because } = &report.backend else { return Some(report) };
    assert!(std::env::var_os("CI").is_none(), "CI needs a private namespace: {because}");
    eprintln!("not tested here: {because}");
    None
}

#[test]
fn a_cancelled_race_leaves_no_process() {
    let mut family = Vec::new();
    let report = run_endless_race(distinct_seed(1), |holder| {
        family = with_children(holder);
        false
    });
    let Some(report) = report else { return };
    assert!(report.is_over && report.failure.is_none() && report.rebound.count >= 5, "{report:?}");
    assert_eq!(family.len(), 3, "holder, competitor and receiver");
    // All processes have ended, and none is a zombie.
    assert!(family.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
}

#[test]
fn a_killed_holder_ends_the_race_and_its_other_processes() {
    let mut family = Vec::new();
    let report = run_endless_race(distinct_seed(2), |holder| {
        family = with_children(holder);
        kill(holder);
        true
    });
    let Some(report) = report else { return };
    let failure = report.failure.expect("it says why");
    assert!(report.is_over && failure.as_str().contains("ended before"), "{failure}");
    until("they end", || family.iter().all(|&pid| is_gone(pid)));
}

#[test]
fn a_killed_competitor_or_receiver_ends_the_race_with_an_error() {
    for (child, words) in [(1, "the competitor has ended"), (2, "the receiver failed")] {
        let report = run_endless_race(distinct_seed(2 + child as u64), |holder| {
            kill(with_children(holder)[child]);
            true
        });
        let Some(report) = report else { return };
        let failure = report.failure.expect("it says why");
        assert!(report.is_over && failure.as_str().contains(words), "{failure}");
    }
}

/// The variable with the seed of the race that this test binary, started again, runs until it is
/// killed.
const RUNNER: &str = "PORTSCOPE_TEST_RACE_SEED";

#[test]
fn race_processes_end_with_their_parent_even_by_sigkill() {
    if let Ok(seed) = std::env::var(RUNNER) {
        run(&RaceSetup { seed: seed.parse().unwrap(), ..setup(Some(PROGRAM), u32::MAX) });
        return;
    }
    let seed = distinct_seed(5);
    let name = "race::race_processes_end_with_their_parent_even_by_sigkill";
    let mut runner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(RUNNER, seed.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut family = Vec::new();
    let is_possible = run_endless_race(distinct_seed(6), |_| false).is_some();
    if is_possible {
        until("they run", || {
            family = holder_of(seed).map(with_children).unwrap_or_default();
            family.len() == 3
        });
    }
    runner.kill().unwrap();
    runner.wait().unwrap();
    until("they end", || family.iter().all(|&pid| is_gone(pid)));
}

/// Returns a seed that no other test run uses at the same time.
fn distinct_seed(test: u64) -> u64 {
    (u64::from(std::process::id()) << 20) + 0xF0_0000 + test
}

fn holder_of(seed: u64) -> Option<u32> {
    let end = format!("\0{seed}\0");
    processes().find(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let has = |word: &[u8]| line.windows(word.len()).any(|part| part == word);
        line.ends_with(end.as_bytes()) && has(b"\0holder\0")
    })
}

/// Returns the process and its children.
fn with_children(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| stat(*pid).is_some_and(|(_, of)| of == parent);
    [parent].into_iter().chain(processes().filter(is_child)).collect()
}

/// Whether the process has ended. It may be a zombie for which process 1 has not waited yet.
fn is_gone(pid: u32) -> bool {
    stat(pid).is_none_or(|(state, _)| state == 'Z')
}

/// Returns the state and the parent of a process (proc_pid_stat(5)).
fn stat(pid: u32) -> Option<(char, u32)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = line.rsplit_once(") ")?.1.split(' ');
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn until(what: &str, mut is_met: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_met() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}
