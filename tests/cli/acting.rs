//! `portscope free`, `wait` and `reserve`: what they print, change and return.

use std::{
    fs,
    net::TcpListener,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    process::{Child, Output, Stdio},
};

use crate::{
    namespace::{in_new_namespace, set_sysctl},
    outputs::{assert_refused, in_one_line, json, keys, program, stderr, stdout},
    processes::{Sleeper, not_tested},
};

fn run(arguments: &str) -> Output {
    program().args(arguments.split(' ')).stdin(Stdio::null()).output().unwrap()
}

fn start(arguments: &[&str]) -> Child {
    program().args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

fn listed() -> String {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports").unwrap()
}

/// Starts a process that listens on the port.
fn holder(port: u16) -> Sleeper {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    Sleeper::holding(&OwnedFd::from(listener))
}

fn is_alive(sleeper: &mut Sleeper) -> bool {
    sleeper.child().try_wait().unwrap().is_none()
}

#[test]
fn free_changes_nothing_without_yes() {
    in_new_namespace(|| {
        let mut sleeper = holder(8080);
        for arguments in ["free 8080", "free 8080/tcp --dry-run", "free 8080 --hard"] {
            let output = run(arguments);
            let text = in_one_line(stdout(&output));
            assert!(text.starts_with("TCP 8080 is held by sleep["), "{text}");
            // In a container, processes outside are not visible.
            let end = ["process", "visible process"].map(|process| {
                format!("End the process (SIGTERM): frees it. No other {process} holds the socket.")
            });
            assert!(end.iter().any(|end| text.contains(end)), "{text}");
            assert!(text.contains(&format!("$ kill -TERM {}", sleeper.pid())), "{text}");
            assert!(text.contains("the port stays in use (BOUND) until sleep["), "{text}");
            assert!(text.contains("Nothing was changed. --yes sends SIG"), "{text}");
            assert_eq!(output.status.code(), Some(0), "{arguments}");
        }
        assert!(is_alive(&mut sleeper));
    });
}

/// The situation of socket activation with `User=`: the process that passed the socket on keeps it,
/// and a user may not see its descriptors.
#[test]
fn free_promises_nothing_if_a_process_that_is_not_visible_may_hold_the_socket() {
    const NOBODY: u32 = 65_534;
    in_new_namespace(|| {
        let kept = OwnedFd::from(TcpListener::bind("127.0.0.1:8080").unwrap());
        let Some(sleeper) = Sleeper::of_user(NOBODY, &kept) else {
            return not_tested("no process of another user can be started");
        };
        let of_user = |arguments: &str| {
            let mut command = program();
            command.args(arguments.split(' ')).stdin(Stdio::null()).uid(NOBODY);
            command.output()
        };
        let Ok(output) = of_user("free 8080/tcp --json") else {
            return not_tested("another user cannot run the program");
        };
        let document = json(&output);
        let end = &document["protocols"][0]["actions"][0];
        assert_eq!(end["processes"][0]["pid"], sleeper.pid(), "{document}");
        assert_eq!(
            (&end["frees"], &end["because"]),
            (&"unknown".into(), &"a process that is not visible here may hold it, too".into())
        );
        assert_eq!(output.status.code(), Some(1));
        let text = in_one_line(stdout(&of_user("explain 8080").unwrap()));
        assert!(!text.contains("free at once"), "{text}");
        assert!(text.contains("A process that is not visible here may hold a socket"), "{text}");
    });
}

#[test]
fn free_with_yes_ends_the_process_and_verifies_that_the_port_is_free() {
    in_new_namespace(|| {
        let mut sleeper = holder(8080);
        let output = run("free 8080 --yes");
        let text = in_one_line(stdout(&output));
        assert!(text.contains("] ended ") && text.ends_with("TCP 8080 is free."), "{text}");
        assert_eq!(output.status.code(), Some(0));
        assert!(!is_alive(&mut sleeper));
        let output = run("free 8080");
        assert!(stdout(&output).starts_with("TCP 8080 is not in use"), "{}", stdout(&output));
        assert_eq!(output.status.code(), Some(0));
    });
}

#[test]
fn free_with_yes_also_ends_the_connections_that_remain() {
    in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _client = std::net::TcpStream::connect("127.0.0.1:8080").unwrap();
        let accepted = listener.accept().unwrap().0;
        let _one = Sleeper::holding(&OwnedFd::from(listener));
        let _other = Sleeper::holding(&OwnedFd::from(accepted));
        let shown = json(&run("free 8080/tcp --json"));
        let plan = &shown["protocols"][0]["plan"];
        assert_eq!((&plan["frees"], &plan["then_drain"]), (&"yes".into(), &true.into()), "{shown}");
        let done = json(&run("free 8080/tcp --json --yes --hard"));
        assert_eq!(done["protocols"][0]["result"]["free"], true, "{done}");
    });
}

#[test]
fn free_in_json_has_each_action_with_its_effect() {
    in_new_namespace(|| {
        let sleeper = holder(8080);
        let shown = json(&run("free 8080 --json"));
        assert_eq!(shown["schema"], "portscope.free/1");
        let [tcp, udp] = shown["protocols"].as_array().unwrap().as_slice() else { panic!() };
        assert_eq!((&udp["in_use"], &udp["plan"]), (&false.into(), &serde_json::Value::Null));
        let actions = tcp["actions"].as_array().unwrap();
        let effects: Vec<_> =
            actions.iter().map(|row| (row["action"].as_str(), row["frees"].as_str())).collect();
        let expected = [("end", "yes"), ("end", "yes"), ("close", "no"), ("wait", "unknown")];
        assert_eq!(effects, expected.map(|(action, frees)| (Some(action), Some(frees))));
        assert_eq!(actions[0]["command"], format!("kill -TERM {}", sleeper.pid()));
        assert!(keys(&actions[0]).is_superset(&["because", "restart", "refusal"].into()));
        assert_eq!(tcp["plan"]["action"], 0);
        assert_eq!(tcp["result"], serde_json::Value::Null);
    });
}

#[test]
fn free_exits_with_1_if_nothing_frees_the_port() {
    in_new_namespace(|| {
        // Held by the process that runs this test and by another one.
        let listener = OwnedFd::from(TcpListener::bind("127.0.0.1:8080").unwrap());
        let sleeper = Sleeper::spawn(
            std::process::Command::new("env")
                .args(["--ignore-signal=TERM", "sleep", "1000"])
                .stdin(Stdio::from(listener)),
        );
        let is_ignoring = || {
            let status = fs::read_to_string(format!("/proc/{}/status", sleeper.pid())).unwrap();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
            u64::from_str_radix(mask, 16).unwrap() & 0x4000 != 0
        };
        while !is_ignoring() {
            std::thread::yield_now();
        }
        for arguments in ["free 8080", "free 8080 --yes"] {
            let output = run(arguments);
            let text = in_one_line(stdout(&output));
            assert!(text.contains("No action frees TCP 8080 now: sleep["), "{text}");
            assert!(text.contains("] ignores SIGTERM"), "{text}");
            assert_eq!(output.status.code(), Some(1), "{arguments}");
        }
        assert_eq!(run("free 8080 --yes --hard").status.code(), Some(0));
    });
}

#[test]
fn nothing_is_done_if_the_report_cannot_be_written() {
    in_new_namespace(|| {
        let mut sleeper = holder(8080);
        for arguments in [
            "free 8080 --yes --output /nonexistent/report",
            "free 8080 --yes --output /proc",
            "reserve 8080 --yes --output /nonexistent/report",
        ] {
            let output = run(arguments);
            assert!(stderr(&output).contains("could not write /"), "{}", stderr(&output));
            assert!(!output.status.success(), "{arguments}");
        }
        assert!(is_alive(&mut sleeper));
        assert_eq!(listed(), "\n");
    });
}

#[test]
fn process_that_has_the_port_on_tcp_and_udp_is_ended_once() {
    in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:8080").unwrap();
        let _sleeper = Sleeper::spawn(
            std::process::Command::new("sleep")
                .arg("1000")
                .stdin(OwnedFd::from(listener))
                .stdout(OwnedFd::from(socket)),
        );
        let output = run("free 8080 --yes");
        let text = in_one_line(stdout(&output));
        assert_eq!(text.matches("] ended ").count(), 1, "one signal: {text}");
        assert!(
            text.contains("TCP 8080 is free.") && text.ends_with("UDP 8080 is free."),
            "{text}"
        );
        assert_eq!(output.status.code(), Some(0));
    });
}

#[test]
fn reserve_without_rights_says_so_only_if_there_is_something_to_change() {
    in_new_namespace(|| {
        set_sysctl("ip_local_reserved_ports", "8079");
        let of_user = |arguments: &str| {
            let mut command = program();
            command.args(arguments.split(' ')).stdin(Stdio::null()).uid(65_534).gid(65_534);
            command.output()
        };
        let Ok(output) = of_user("reserve 8079") else {
            return not_tested("another user cannot run the program");
        };
        for (arguments, words) in [
            ("reserve 8079", output),
            ("reserve 8079 --yes", of_user("reserve 8079 --yes").unwrap()),
        ] {
            assert!(stdout(&words).contains("nothing to change"), "{}", stdout(&words));
            assert_eq!((stderr(&words), words.status.code()), ("", Some(0)), "{arguments}");
        }
        for arguments in ["reserve 8080", "reserve 8080 --yes"] {
            let output = of_user(arguments).unwrap();
            let text = stdout(&output);
            assert!(!text.contains("--yes makes the change"), "{arguments}: {text}");
            assert!(
                text.contains("Nothing was changed: ") && text.contains("CAP_NET_ADMIN"),
                "{text}"
            );
            assert!(text.contains("$ sysctl -w"), "{text}");
            assert_eq!(output.status.code(), Some(1), "{arguments}");
        }
        let document = json(&of_user("reserve 8080 --yes --json").unwrap());
        assert_eq!((&document["changed"], &document["complete"]), (&false.into(), &true.into()));
        assert!(document["refusal"].as_str().unwrap().contains("CAP_NET_ADMIN"), "{document}");
        assert_eq!(document["missing"], serde_json::json!([]));
        assert_eq!(listed(), "8079\n");
    });
}

#[test]
fn invalid_arguments_are_refused_with_what_is_accepted() {
    for (arguments, reported) in [
        ("free", "missing argument <PORT>: see 'portscope free --help'"),
        ("free nginx", "expected one port, 1 to 65535, as in 8080 or 8080/tcp"),
        ("free 0", "invalid port '0': expected 1 to 65535"),
        ("free 8080 --dry-run --yes", "--dry-run cannot be used with --yes"),
        ("wait nginx", "expected PORT, PORT free, PORT listening or available > N"),
        ("wait 8080/sctp", "expected 8080/tcp or 8080/udp"),
        ("wait 70000", "invalid port '70000': expected 1 to 65535"),
        ("wait 8080 --timeout -1", "expected 0 to 86400 seconds"),
        ("reserve 0", "invalid ports '0': expected ports 1 to 65535"),
        ("reserve 9-8", "expected 8-9, the lower port first"),
        ("reserve 1,x", "invalid ports 'x': expected PORT or FIRST-LAST"),
    ] {
        assert_refused(&run(arguments), 2, reported);
    }
}

#[test]
fn wait_ends_when_the_port_is_free_or_listening() {
    in_new_namespace(|| {
        let output = run("wait 8080 --timeout 0");
        assert_eq!((stdout(&output), output.status.code()), ("port 8080 is free\n", Some(0)));
        let waiting = start(&["wait", "8080/tcp", "listening", "--timeout", "30"]);
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let output = waiting.wait_with_output().unwrap();
        assert_eq!(stdout(&output), "a socket listens on TCP 8080\n");
        assert_eq!(
            stdout(&run("wait 8080/TCP listening --timeout 0")),
            "a socket listens on TCP 8080\n"
        );
        let output = run("wait 8080 --timeout 0.1");
        assert_eq!((stdout(&output), output.status.code()), ("", Some(1)));
        assert!(stderr(&output).starts_with("portscope: gave up after "), "{}", stderr(&output));
        let waiting = start(&["wait", "8080", "--timeout", "30", "--json"]);
        drop(listener);
        let document = json(&waiting.wait_with_output().unwrap());
        assert_eq!(
            (&document["met"], &document["schema"]),
            (&true.into(), &"portscope.wait/1".into())
        );
    });
}

#[test]
fn wait_for_available_ports_counts_those_of_the_ephemeral_range() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 40009");
        let _held = TcpListener::bind("127.0.0.1:40003").unwrap();
        let wait = |condition| {
            program().args(["wait", condition, "--timeout", "0"]).output().unwrap().status.code()
        };
        assert_eq!(wait("available >= 9"), Some(0));
        assert_eq!(wait("available > 9"), Some(1));
        assert_eq!(wait("available/udp > 9"), Some(0));
    });
}

#[test]
fn reserve_shows_the_difference_and_changes_the_list_with_yes() {
    in_new_namespace(|| {
        set_sysctl("ip_local_reserved_ports", "8079");
        let output = run("reserve 8080,9000-9010");
        let text = stdout(&output);
        assert!(text.contains("added    8080,9000-9010\n"), "{text}");
        assert!(text.contains("\n    net.ipv4.ip_local_reserved_ports = 8079-8080,9000-9010\n"));
        assert!(text.contains("Nothing was changed."), "{text}");
        assert_eq!((listed().as_str(), output.status.code()), ("8079\n", Some(0)));
        let document = json(&run("reserve 8080,9000-9010 --yes --json"));
        assert_eq!(document["changed"], true, "{document}");
        assert_eq!(listed(), "8079-8080,9000-9010\n");
        run("reserve 9005 --remove --yes");
        assert_eq!(listed(), "8079-8080,9000-9004,9006-9010\n");
        let document = json(&run("reserve 8080 --yes --json"));
        assert_eq!(document["changed"], false, "{document}");
    });
}

#[test]
fn concurrent_reserve_commands_lose_no_entry() {
    in_new_namespace(|| {
        for round in 0..15u16 {
            let ports = [0, 1, 2].map(|number| (20_000 + round * 10 + number * 2).to_string());
            let running = ports.map(|port| start(&["reserve", &port, "--yes"]));
            for child in running {
                assert!(child.wait_with_output().unwrap().status.success());
            }
        }
        let document = json(&run("reserve 20000 --json"));
        assert_eq!(document["before"].as_array().unwrap().len(), 45, "{document}");
    });
}
