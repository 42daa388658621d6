//! Owners that are not visible, as the built program reports them: from another pid namespace, from
//! a user namespace, without the right capability.

use std::{
    net::TcpListener,
    process::{Command, Output},
};

use rustix::process::Uid;
use serde_json::{Value, json};

use crate::{
    namespace::{in_new_namespace, is_linux_at_least},
    outputs::{PROGRAM, command, program},
    processes::{Sleeper, alone, not_tested},
};

/// Runs the program under `unshare FLAGS`. None: the right to do so is missing.
fn run_in(flags: &[&str], arguments: &[&str]) -> Option<Output> {
    let probe = Command::new("unshare").args(flags).arg("true").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        not_tested(&format!("no right to unshare {}", flags.join(" ")));
        return None;
    }
    Some(command("unshare").args(flags).arg(PROGRAM).args(arguments).output().unwrap())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn scan_in(flags: &[&str]) -> Option<Value> {
    let output = run_in(flags, &["scan", "--format", "json"])?;
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Runs `body` while a process of this pid namespace, and no other, holds a listener on
/// 127.0.0.1:8080.
fn with_holder(body: impl FnOnce() + Send) {
    let _alone = alone();
    in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap().into();
        let _holder = Sleeper::holding(&listener);
        drop(listener);
        body();
    });
}

/// Returns the gap about owners. Before Linux 6.8 there is also one about bound sockets.
fn missing_owners(scan: &Value) -> &Value {
    let missing = scan["missing"].as_array().unwrap();
    missing.iter().find(|gap| gap["what"] == "owners").unwrap_or(&Value::Null)
}

const PID_NAMESPACE: [&str; 5] = ["--pid", "--fork", "--kill-child", "--mount", "--mount-proc"];

#[test]
fn from_another_pid_namespace_the_owner_is_hidden_and_the_answer_partial() {
    with_holder(|| {
        let Some(scan) = scan_in(&PID_NAMESPACE) else { return };
        assert_eq!(scan["complete"], false);
        assert_eq!(scan["sockets"][0]["owner"]["kind"], "hidden");
        let missing = missing_owners(&scan);
        assert_eq!(missing["count"], 1);
        let why = "processes of other pid namespaces are not visible here";
        assert_eq!(missing["why"], why);
        let remedy = missing["remedy"].as_str().unwrap();
        for part in ["host's pid namespace", "--pid=host", "hostPID: true", "kubectl debug"] {
            assert!(remedy.contains(part), "{remedy}");
        }
        let strict = run_in(&PID_NAMESPACE, &["scan", "--strict"]).unwrap();
        assert_eq!(strict.status.code(), Some(1));
        let metrics = ["diagnose", "--sample", "0", "--format", "prometheus"];
        let metrics = run_in(&PID_NAMESPACE, &metrics).unwrap();
        let metrics = text(&metrics.stdout);
        assert!(metrics.contains("\nportscope_hidden_owner_sockets 1\n"), "{metrics}");
        let explained = run_in(&PID_NAMESPACE, &["explain", "8080"]).unwrap();
        assert!(!text(&explained.stdout).contains("no process"), "{}", text(&explained.stdout));
        assert!(text(&explained.stderr).contains(why), "{}", text(&explained.stderr));
    });
}

#[test]
fn in_a_user_namespace_a_foreign_user_is_unmapped_and_the_remedy_is_not_root() {
    with_holder(|| {
        let Some(_of_user) = listener_of(1000, 8081) else {
            return not_tested("no right to make a socket as another user");
        };
        let flags = ["--user", "--map-root-user"];
        let Some(scan) = scan_in(&flags) else { return };
        let [first, second] = [&scan["sockets"][0], &scan["sockets"][1]];
        assert_eq!((&first["uid"], &first["user"]), (&json!(0), &json!("root")));
        let overflow = std::fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap();
        let overflow: u32 = overflow.trim().parse().unwrap();
        assert_eq!((&second["uid"], &second["user"]), (&json!(overflow), &Value::Null));
        assert_eq!(missing_owners(&scan)["remedy"], "run in the host's user namespace");

        let table = run_in(&flags, &["scan"]).unwrap();
        assert!(text(&table.stdout).contains(" unmapped user "), "{}", text(&table.stdout));
        assert!(!text(&table.stderr).contains("run as root"), "{}", text(&table.stderr));
        let csv = run_in(&flags, &["scan", "--format", "csv"]).unwrap();
        let row = text(&csv.stdout).lines().find(|line| line.contains(",8081,")).unwrap();
        assert!(row.contains(&format!(",{overflow},,")), "{row}");
    });
}

/// Creates a listener in a thread of that user.
fn listener_of(uid: u32, port: u16) -> Option<TcpListener> {
    std::thread::scope(|scope| {
        let made = scope.spawn(|| {
            let user = Uid::from_raw(uid);
            rustix::thread::set_thread_res_uid(user, user, user).ok()?;
            Some(TcpListener::bind(("127.0.0.1", port)).unwrap())
        });
        made.join().unwrap()
    })
}

#[test]
fn root_without_capabilities_gets_a_matching_remedy() {
    let _alone = alone();
    in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap().into();
        let Some(_holder) = Sleeper::of_user(1000, &listener) else {
            return not_tested("no right to start a process of another user");
        };
        drop(listener);
        let drop_them = ["--bounding-set=-sys_ptrace,-dac_read_search,-dac_override", PROGRAM];
        let output = command("setpriv").args(drop_them).args(["scan", "--strict"]).output();
        let Ok(output) = output else { return not_tested("setpriv(1) is missing") };
        let reported = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{reported}");
        assert!(reported.contains("although running as root"), "{reported}");
        assert!(reported.contains("grant CAP_SYS_PTRACE"), "{reported}");
        assert!(!reported.contains("run as root"), "{reported}");
    });
}

/// Runs the program with another file mounted over `path`. None: the right to do so is missing.
fn run_without(path: &str, arguments: &[&str]) -> Option<Output> {
    let script = r#"mount --bind /dev/null "$0" && exec "$@""#;
    let may = Command::new("unshare").args(["--mount", "sh", "-c", script, path, "true"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        not_tested("no right to mount over a file of /proc");
        return None;
    }
    let mut command = command("unshare");
    command.args(["--mount", "sh", "-c", script, path, PROGRAM]).args(arguments);
    Some(command.output().unwrap())
}

#[test]
fn an_unknown_start_time_is_omitted() {
    let _alone = alone();
    in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap().into();
        let _holder = Sleeper::holding(&listener);
        drop(listener);
        let explain = ["explain", "8080", "--format", "json"];
        let started = |output: &Output| {
            let reported: Value = serde_json::from_slice(&output.stdout).unwrap();
            reported["protocols"][0]["holders"][0]["started"].clone()
        };
        let usual = program().args(explain).output().unwrap();
        assert!(started(&usual).as_str().unwrap().starts_with("20"));
        let Some(without) = run_without("/proc/stat", &explain) else { return };
        assert_eq!(started(&without), Value::Null);
        let reported = run_without("/proc/stat", &["explain", "8080", "--why"]).unwrap();
        let reported = text(&reported.stdout);
        assert!(reported.contains("; start unknown; "), "{reported}");
        assert!(!reported.contains("Started: "), "{reported}");
        assert!(reported.contains("Open since: unknown"), "{reported}");
    });
}

#[test]
fn an_owner_without_a_readable_name_makes_the_answer_partial() {
    let _alone = alone();
    in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap().into();
        let holder = Sleeper::holding(&listener);
        drop(listener);
        let stat = format!("/proc/{}/stat", holder.pid());
        let Some(scan) = run_without(&stat, &["scan", "--format", "json"]) else { return };
        let scan: Value = serde_json::from_slice(&scan.stdout).unwrap();
        let owner = &scan["sockets"][0]["owner"];
        let nameless = json!([{ "pid": holder.pid(), "name": null }]);
        assert_eq!((&owner["kind"], &owner["processes"]), (&json!("process"), &nameless));
        assert_eq!(scan["complete"], false);
        let missing = scan["missing"].as_array().unwrap();
        let names = missing.iter().find(|gap| gap["what"] == "process names").unwrap();
        assert_eq!(names["why"], "/proc/PID/stat of 1 process cannot be read (EBADMSG)");
        for command in [&["scan", "--strict"][..], &["explain", "8080", "--strict"]] {
            let strict = run_without(&stat, command).unwrap();
            let reported = text(&strict.stderr);
            assert_eq!(strict.status.code(), Some(1), "{reported}");
            assert!(reported.contains("portscope: partial: process names missing"), "{reported}");
        }
        let health = ["diagnose", "--sample", "0", "--format", "json"];
        let health = run_without(&stat, &health).unwrap();
        let health: Value = serde_json::from_slice(&health.stdout).unwrap();
        assert_eq!(health["complete"], false);
        // Missing names do not make the counts doubtful. Before Linux 6.8 another gap does.
        if is_linux_at_least((6, 8)) {
            assert_eq!(health["status"], "ok");
        }
    });
}
