//! `--netns` of the built program, from one private network namespace into another. Both belong to
//! the test; those of the machine are not touched.

use std::{
    ffi::OsStr,
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    namespace::{in_new_namespace, set_sysctl},
    outputs::{PROGRAM, assert_refused, command, program, stderr, stdout},
    processes::{Sleeper, alone, not_tested},
    pty::Session,
};

/// A network namespace that lives as long as a process that holds a TCP listener in it.
struct Other {
    sleeper: Sleeper,
    id: u64,
}

const HELD: u16 = 40_010;

impl Other {
    fn new() -> Self {
        let made = in_new_namespace(|| {
            set_sysctl("ip_local_port_range", "40000 40063");
            set_sysctl("ip_local_reserved_ports", "40001-40003");
            let held = TcpListener::bind(("0.0.0.0", HELD)).unwrap().into();
            let id = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
            Self { sleeper: Sleeper::holding(&held), id }
        });
        made.expect("the first namespace could be made")
    }

    fn pid(&self) -> String {
        self.sleeper.pid().to_string()
    }
}

/// Runs `body` in a private namespace, with another private namespace as argument.
fn between(body: impl FnOnce(&Other) + Send) {
    let _alone = alone();
    in_new_namespace(|| body(&Other::new()));
}

/// Runs the program as a child of the calling thread, and thus in its namespace.
fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    program().args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// None: this process may not become that user, or that user cannot access the program.
fn run_as(uid: u32, arguments: &[&str]) -> Option<Output> {
    let mut command = program();
    let output = command.args(arguments).uid(uid).gid(uid).stdin(Stdio::null()).output();
    output.map_err(|error| not_tested(&format!("no process of uid {uid}: {error}"))).ok()
}

fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ports(scan: &Value) -> Vec<u64> {
    let sockets = scan["sockets"].as_array().unwrap();
    sockets.iter().map(|socket| socket["local"]["port"].as_u64().unwrap()).collect()
}

#[test]
fn sockets_of_another_namespace_have_their_owners() {
    between(|other| {
        let _ours = TcpListener::bind("0.0.0.0:40020").unwrap();
        let pid = other.pid();
        let scan = json(&run(["scan", "--format", "json", "--netns", &pid]));
        assert_eq!(ports(&scan), [u64::from(HELD)]);
        let owner = &scan["sockets"][0]["owner"]["processes"][0];
        assert_eq!((&owner["pid"], &owner["name"]), (&other.sleeper.pid().into(), &"sleep".into()));
        let host = &scan["host"];
        assert_eq!(host["network_namespace"], other.id);
        assert_eq!(host["network_namespace_name"], format!("sleep[{pid}]"));
        let path = format!("/proc/{pid}/ns/net");
        assert_eq!(
            ports(&json(&run(["scan", "--format", "json", "--netns", &path]))),
            ports(&scan)
        );
    });
}

#[test]
fn the_range_is_that_of_the_other_namespace() {
    between(|other| {
        set_sysctl("ip_local_port_range", "50000 50099");
        let scan = json(&run(["scan", "--format", "json", "--netns", &other.pid()]));
        let expected = serde_json::json!({
            "first": 40_000, "last": 40_063, "reserved": [[40_001, 40_003]],
            "automatic_capacity": 61,
        });
        assert_eq!(scan["ephemeral"], expected);
        assert_eq!(json(&run(["scan", "--format", "json"]))["ephemeral"]["first"], 50_000);
    });
}

#[test]
fn netns_all_lists_each_namespace_once_and_reports_unseen_ones() {
    between(|other| {
        let _ours = TcpListener::bind("0.0.0.0:40020").unwrap();
        let ours = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
        let output = run(["scan", "--format", "json", "--netns", "all", "--range", "40000-40063"]);
        let all = json(&output);
        assert_eq!(all["schema"], "portscope.scan/1");
        let namespaces = all["namespaces"].as_array().unwrap();
        let of = |id: u64| {
            let found = namespaces.iter().filter(|scan| scan["host"]["network_namespace"] == id);
            let found: Vec<_> = found.collect();
            let [scan] = found[..] else { panic!("{} of {id}", found.len()) };
            assert_eq!(scan["schema"], "portscope.scan/1");
            ports(scan)
        };
        assert_eq!((of(ours), of(other.id)), (vec![40_020], vec![u64::from(HELD)]));
        let is_complete = namespaces.iter().all(|scan| scan["complete"] == true)
            && all["missing"].as_array().unwrap().is_empty();
        assert_eq!(all["complete"], is_complete);
        let reported = stderr(&output).contains("partial: network namespaces missing");
        assert_eq!(reported, !all["missing"].as_array().unwrap().is_empty());
    });
}

#[test]
fn netns_all_samples_the_namespaces_at_the_same_time() {
    const SAMPLE: Duration = Duration::from_secs(2);
    between(|_other| {
        let _third = Other::new();
        let started = Instant::now();
        let output = run(["diagnose", "--netns", "all", "--sample", "2", "--format", "json"]);
        let elapsed = started.elapsed();
        let all: Value = serde_json::from_slice(&output.stdout).unwrap();
        let namespaces = all["namespaces"].as_array().unwrap();
        assert!(namespaces.len() >= 3, "{all}");
        assert!(elapsed < SAMPLE * namespaces.len() as u32, "{elapsed:?} for {}", namespaces.len());
        assert!(namespaces.iter().all(|health| health["sample_seconds"].as_f64() >= Some(2.0)));
    });
}

#[test]
fn netns_all_prints_a_table_with_heading_per_namespace() {
    between(|other| {
        let output = run(["scan", "--netns", "all", "--range", "40010", "--no-owners"]);
        let heading = format!("namespace sleep[{}] (net {})", other.pid(), other.id);
        let tables: Vec<_> = stdout(&output).split("\n\n").collect();
        let is_ours = |table: &&&str| table.lines().next() == Some(&heading);
        let table = tables.iter().find(is_ours).unwrap_or_else(|| panic!("{output:?}"));
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[1].starts_with("PROTOCOL FAMILY STATE"), "{table}");
        assert!(lines[2].contains("0.0.0.0:40010") && lines.len() == 3, "{table}");
    });
}

#[test]
fn pick_with_netns_binds_in_that_namespace() {
    between(|other| {
        let pid = other.pid();
        let _ours = (
            TcpListener::bind("0.0.0.0:40030").unwrap(),
            UdpSocket::bind("0.0.0.0:40030").unwrap(),
        );
        let picked = run(["pick", "--netns", &pid, "--range", "40030"]);
        assert_eq!((picked.status.code(), stdout(&picked)), (Some(0), "40030\n"));
        let refused = run(["pick", "--netns", &pid, "--range", "40010", "--format", "json"]);
        assert_eq!(refused.status.code(), Some(1));
        let pick: Value = serde_json::from_slice(&refused.stdout).unwrap();
        let holder = &pick["attempts"][0]["holder"]["processes"][0];
        assert_eq!(holder["pid"], other.sleeper.pid());
        let ephemeral = ["pick", "--netns", &pid, "--range", "ephemeral", "--count", "60"];
        let enough = ["--max-attempts", "10000"];
        let ephemeral = run(ephemeral.into_iter().chain(enough));
        let ports: Vec<u16> =
            stdout(&ephemeral).lines().map(|port| port.parse().unwrap()).collect();
        assert_eq!(ports.len(), 60, "{}", stderr(&ephemeral));
        assert!(ports.iter().all(|port| matches!(port, 40_000 | 40_004..=40_063) && *port != HELD));
    });
}

#[test]
fn diagnose_and_explain_accept_netns() {
    between(|other| {
        let pid = other.pid();
        let explained = run(["explain", "40010", "--netns", &pid, "--probe"]);
        assert_eq!(explained.status.code(), Some(0), "{}", stderr(&explained));
        assert!(stdout(&explained).contains(&format!("sleep[{pid}]")), "{}", stdout(&explained));
        let output = run(["diagnose", "--netns", &pid, "--sample", "0", "--format", "json"]);
        let diagnosis: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(diagnosis["ranges"][0]["first"], 40_000);
        assert_refused(&run(["diagnose", "--netns", "no such", "--sample", "0"]), 3, "'no such'");
    });
}

#[test]
fn the_terminal_program_uses_the_selected_namespace() {
    between(|other| {
        let arguments = ["--netns", &other.pid(), "--interval", "0.1", "40010"];
        let mut session = Session::start_sized(200, 60, &arguments);
        session.wait_for_text("40000-40063");
        session.wait_for_text("sleep");
        session.send(b"4");
        session.wait_for_text("4/s");
        session.send(b"H.");
        session.wait_for_text("✓ allocated");
        let held = ["scan", "--format", "json", "--range", "iana"];
        assert_eq!(ports(&json(&run(held))).len(), 0);
        let there = json(&run(held.iter().copied().chain(["--netns", &other.pid()])));
        let holder = &there["sockets"][0]["owner"]["processes"][0];
        assert_eq!((ports(&there).len(), &holder["name"]), (1, &"portscope".into()));
    });
}

#[test]
fn an_invalid_namespace_is_reported_in_one_line() {
    between(|other| {
        let known = format!("sleep[{}]", other.pid());
        assert_refused(&run(["scan", "--netns", "no\u{1b}[2Jsuch"]), 2, "'no\\u{1b}[2Jsuch'");
        assert_refused(&run(["scan", "--netns", "4294967295"]), 2, "no process 4294967295");
        assert_refused(&run(["scan", "--netns", "/nowhere"]), 2, "unknown network namespace");
        for path in ["/dev/null", "/proc/self/exe", "/proc/self/status"] {
            assert_refused(&run(["scan", "--netns", path]), 2, "is not a network namespace");
        }
        assert_refused(
            &run(["scan", "--netns", "/proc/self/ns/mnt"]),
            2,
            "is not a network namespace",
        );
        let output = run(["scan", "--netns", "nosuch"]);
        let reported = stderr(&output);
        assert!(reported.contains(&known) || reported.contains(" more; "), "{reported}");
    });
}

#[test]
fn netns_all_is_refused_by_commands_with_one_answer() {
    for arguments in ["pick --netns all", "--netns all"] {
        assert_refused(&run(arguments.split(' ')), 2, "expected one network namespace");
    }
    assert_refused(&run("scan --format csv --netns all".split(' ')), 2, "text or json");
    assert_refused(&run(["scan", "--netns", ""]), 2, "a name in /run/netns");
}

#[test]
fn an_unprivileged_user_can_enter_only_own_namespaces() {
    between(|other| {
        let _ours = TcpListener::bind("0.0.0.0:40020").unwrap();
        let Some(refused) = run_as(1000, &["scan", "--netns", &other.pid()]) else { return };
        assert_refused(&refused, 2, "no permission to enter");
        let own = ["scan", "--format", "json", "--netns", "/proc/self/ns/net"];
        assert_eq!(ports(&json(&run_as(1000, &own).unwrap())), [40_020]);
        let all = ["scan", "--format", "json", "--netns", "all", "--range", "40000-40063"];
        let all = json(&run_as(1000, &all).unwrap());
        let ours = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
        assert_eq!(all["namespaces"][0]["host"]["network_namespace"], ours);
        assert_eq!(all["complete"], false);
        assert_eq!(all["missing"][0]["what"], "network namespaces");
        let strict = run_as(1000, &["scan", "--netns", "all", "--strict"]).unwrap();
        assert_eq!(strict.status.code(), Some(1));
    });
}

/// Runs in a mount namespace of its own, so that /run of the machine does not change.
#[test]
fn a_named_namespace_is_found_and_shown_by_its_name() {
    let _alone = alone();
    let script = "mount -t tmpfs none /run && mkdir /run/netns && touch /run/netns/blue && \
                  unshare --net=/run/netns/blue \
                    sh -c 'echo 40000 40063 > /proc/sys/net/ipv4/ip_local_port_range' && \
                  touch /run/netns/stale && exec \"$@\"";
    let named = |arguments: &[&str]| {
        let mut command = command("unshare");
        command.args(["--net", "--mount", "sh", "-c", script, "sh", PROGRAM]).args(arguments);
        command.stdin(Stdio::null()).output().unwrap()
    };
    let output = named(&["scan", "--netns", "blue", "--format", "json"]);
    if stderr(&output).contains("unshare: ") || stderr(&output).contains("mount: ") {
        return not_tested(stderr(&output));
    }
    let scan = json(&output);
    assert_eq!(scan["ephemeral"]["last"], 40_063);
    assert_eq!(scan["host"]["network_namespace_name"], "blue");
    // This namespace has no process; only its mount keeps it alive.
    assert!(stdout(&named(&["scan", "--netns", "all"])).contains("\nnamespace blue (net "));
    assert_refused(&named(&["scan", "--netns", "stale"]), 2, "'stale' is not a network namespace");
    let unknown = named(&["scan", "--netns", "red"]);
    assert_refused(&unknown, 2, "unknown network namespace 'red'");
}
