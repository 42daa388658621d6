//! `scan` with a port, an endpoint or a process, and with the options of `ss`.

use std::{collections::BTreeSet, fs, process::Output};

use serde_json::Value;

use crate::{
    namespace::in_new_namespace,
    outputs::stderr,
    scan_sockets::{self, CLIENT, SERVER, TCP, UDP, set, with_sockets},
};

fn run(typed: &str) -> Output {
    scan_sockets::run(&typed.split_whitespace().collect::<Vec<_>>())
}

fn listed(typed: &str) -> BTreeSet<String> {
    scan_sockets::listed(&typed.split_whitespace().collect::<Vec<_>>())
}

#[test]
fn options_of_ss_select_sockets() {
    with_sockets(|| {
        let all = set(&[TCP, UDP, CLIENT, SERVER]);
        for (options, sockets) in [
            ("-t", set(&[TCP, CLIENT, SERVER])),
            ("-u", set(&[UDP])),
            ("-tu", all.clone()),
            ("-l", set(&[TCP, UDP])),
            ("-tlnp", set(&[TCP])),
            ("-lun", set(&[UDP])),
            ("-a", all.clone()),
            ("-tan", set(&[TCP, CLIENT, SERVER])),
            ("-la", all.clone()),
            ("-n", all.clone()),
            ("-p", all),
            ("--listening --tcp", set(&[TCP])),
        ] {
            assert_eq!(listed(&format!("scan {options}")), sockets, "{options}");
        }
    });
}

#[test]
fn argument_selects_ports_or_an_endpoint_or_a_process() {
    with_sockets(|| {
        let all = set(&[TCP, UDP, CLIENT, SERVER]);
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        let name = name.trim_end();
        let pid = std::process::id();
        for (argument, sockets) in [
            ("8080", set(&[TCP, SERVER])),
            (":8080", set(&[TCP, SERVER])),
            ("8080/tcp", set(&[TCP, SERVER])),
            ("8080/udp", set(&[])),
            ("8080-8085", set(&[TCP, SERVER, UDP])),
            ("8080-8085/udp", set(&[UDP])),
            // Local and remote.
            ("127.0.0.1:8080", set(&[TCP, SERVER, CLIENT])),
            (name, all.clone()),
            (&name.to_uppercase(), all.clone()),
            (&format!("-l {}", name.split_at(3).0), set(&[TCP, UDP])),
            (&format!("pid {pid}"), all),
            (&format!("-u pid {pid}"), set(&[UDP])),
        ] {
            assert_eq!(listed(&format!("scan {argument}")), sockets, "{argument}");
        }
        assert_eq!(run(&format!("scan -u 8080 pid {pid}")).status.code(), Some(2));
    });
}

#[test]
fn unknown_process_is_reported_with_exit_code_1() {
    with_sockets(|| {
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        let name = name.trim_end();
        let wrong = format!("{}x", name.split_at(name.len() - 1).0);
        let output = run(&format!("scan {wrong}"));
        assert_eq!(output.status.code(), Some(1));
        let message = format!("process named '{wrong}' has a socket; nearest: {name}\n");
        assert!(stderr(&output).ends_with(&message), "{}", stderr(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
        let output = run("scan pid 4194303");
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("pid 4194303 has no"), "{}", stderr(&output));
    });
}

#[test]
fn ports_and_endpoints_without_a_socket_are_reported() {
    with_sockets(|| {
        for (typed, reported) in [
            ("9999", "no socket on port 9999"),
            ("9000-9999", "no socket on ports 9000-9999"),
            ("127.0.0.1:9999", "no socket has the endpoint 127.0.0.1:9999"),
            ("8080/udp", "no UDP socket on port 8080"),
            ("-u 8080", "no UDP socket on port 8080"),
            ("-l 40001", "no listening or unconnected socket on port 40001"),
            ("8080 --range 1-100", "no socket on port 8080 within --range"),
            ("9999 --json", "no socket on port 9999"),
        ] {
            let output = run(&format!("scan {typed}"));
            assert_eq!(output.status.code(), Some(0), "{typed}");
            // A kernel that does not list all sockets shows only that none is visible.
            let message = stderr(&output).replace("no visible ", "no ");
            let is_reported = message.lines().any(|line| line == format!("portscope: {reported}"));
            assert!(is_reported, "{typed}: {message}");
        }
        for typed in ["scan 8080", "scan -l", "scan -l --range 9000-9999"] {
            assert!(!stderr(&run(typed)).contains("socket on"), "{typed}");
        }
    });
}

#[test]
fn invalid_arguments_of_scan_are_refused() {
    for (typed, reported) in [
        ("scan -x", "scan has no option '-x': see 'portscope scan --help'"),
        ("scan -t --protocol udp", "--tcp cannot be used with --protocol"),
        ("scan --json --format csv", "--json cannot be used with --format"),
        ("scan nginx --no-owners", "--no-owners cannot be used with the name or pid"),
        ("scan 9-8", "invalid range '9-8': expected 8-9"),
        ("scan localhost:80", "names are not looked up"),
        ("scan 80 443", "unexpected argument '443': see 'portscope scan --help'"),
        ("explain 80-90", "expected one port, 1 to 65535"),
    ] {
        let output = run(typed);
        assert_eq!(output.status.code(), Some(2), "{typed}");
        assert!(stderr(&output).contains(reported), "{typed}: {}", stderr(&output));
    }
}

#[test]
fn json_is_short_for_format_json() {
    in_new_namespace(|| {
        for command in
            ["scan", "diagnose --sample 0", "explain 8080", "pick --range 8080", "lab --runs 1"]
        {
            let short = run(&format!("{command} --json"));
            let parsed: Value = serde_json::from_slice(&short.stdout).unwrap();
            assert!(parsed["schema"].is_string(), "{command}");
        }
    });
}
