//! `--filter` of `scan` and `diagnose`: which sockets and destinations are reported, and how a filter
//! is refused.

use std::{
    collections::BTreeSet,
    fs,
    net::{TcpListener, TcpStream},
};

use serde_json::Value;

use crate::{
    namespace::in_new_namespace,
    outputs::{json, stderr},
    scan_sockets::{CLIENT, SERVER, TCP, UDP, listed, run, set, with_sockets},
};

#[test]
fn connection_that_waits_for_accept_has_the_user_of_its_listener() {
    in_new_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let of_server =
            |filter: &str| listed(&["scan", "--filter", &format!("sport = :8080 and {filter}")]);
        let all: BTreeSet<String> = [TCP, SERVER].map(String::from).into();
        assert_eq!(of_server("user 0"), all);
        assert_eq!(of_server("user 4000000"), BTreeSet::new());
        assert_eq!(of_server("not user 4000000"), all);
    });
}

#[test]
fn filter_selects_sockets_by_expressions_and_bare_words() {
    with_sockets(|| {
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        let name = name.trim_end().to_uppercase();
        let pid = std::process::id();
        let all = &[TCP, UDP, CLIENT, SERVER][..];
        for (filter, sockets) in [
            ("", all),
            (":8080", &[TCP, CLIENT, SERVER][..]),
            ("sport = :8080", &[TCP, SERVER]),
            ("dst 127.0.0.1", &[CLIENT, SERVER]),
            ("state established sport < 10000", &[SERVER]),
            ("listen", &[TCP, UDP]),
            ("state listening", &[TCP]),
            ("udp or to 127.0.0.1:8080", &[UDP, CLIENT]),
            ("not listen", &[CLIENT, SERVER]),
            (name.as_str(), all),
            (&format!("pid {pid} and not tcp"), &[UDP]),
            ("user 4000000", &[]),
            ("nosuchprogram", &[]),
        ] {
            assert_eq!(listed(&["scan", "--filter", filter]), set(sockets), "{filter}");
        }
    });
}

#[test]
fn filter_limits_the_other_selections() {
    with_sockets(|| {
        let pid = format!("pid {}", std::process::id());
        for (words, sockets) in [
            (&["scan", "-t", "--filter", "listen"][..], &[TCP][..]),
            (&["scan", "8080", "--filter", "state established"], &[SERVER]),
            (&["scan", "--range", "8000-8100", "--filter", "127.0.0.1"], &[TCP, UDP, SERVER]),
            (&["scan", &pid, "--filter", "udp"], &[UDP]),
            (&["scan", "--no-owners", "--filter", "udp or dport = :8080"], &[UDP, CLIENT]),
        ] {
            assert_eq!(listed(words), set(sockets), "{words:?}");
        }
        for (words, reported) in [
            (&["scan", "--filter", ":9999"][..], "socket matches the filter"),
            (&["scan", "8080", "--filter", "udp"], "socket on port 8080 matches the filter"),
        ] {
            let output = run(words);
            assert_eq!(output.status.code(), Some(0), "{words:?}");
            assert!(stderr(&output).contains(reported), "{words:?}: {}", stderr(&output));
        }
    });
}

#[test]
fn part_that_is_not_understood_is_underlined() {
    for (filter, reported) in [
        (
            "stat time-wait",
            "portscope: invalid value for --filter: stat: did you mean state?\n  \
             stat time-wait\n  ^^^^\n",
        ),
        (
            "nginx and dst db.example",
            "portscope: invalid value for --filter: db.example is no address, and portscope looks up \
             no host names\n  nginx and dst db.example\n                ^^^^^^^^^^\n",
        ),
        (
            ":80 or",
            "portscope: invalid value for --filter: expected a condition, such as nginx or :8080\n  :80 or\n        ^\n",
        ),
        (
            "\u{1b}[2J",
            "portscope: invalid value for --filter: the word has a character that cannot be \
             printed\n  \\u{1b}[2J\n  ^^^^^^^^^\n",
        ),
    ] {
        for (command, code) in [("scan", 2), ("diagnose", 3)] {
            let output = run(&[command, "--filter", filter]);
            assert_eq!(output.status.code(), Some(code), "{filter}");
            assert_eq!(stderr(&output), reported, "{filter}");
            assert_eq!(output.stdout, b"", "{filter}");
        }
    }
    for (words, reported) in [
        (&["scan", "--filter", "age > 1m"][..], "age cannot be used in --filter"),
        (&["scan", "--no-owners", "--filter", "nginx"], "--no-owners cannot be used with"),
        (&["scan", "--filter", "fwmark 1"], "portscope does not know the marks"),
        (
            &["diagnose", "--filter", "udp", "--format", "prometheus"],
            "--filter cannot be used with",
        ),
    ] {
        let error = run(words);
        assert!(stderr(&error).contains(reported), "{words:?}: {}", stderr(&error));
    }
}

#[test]
fn diagnose_reports_the_destinations_of_matching_sockets() {
    with_sockets(|| {
        let diagnosed =
            |filter: &str| json(&run(&["diagnose", "--sample", "0", "--json", "--filter", filter]));
        let all = diagnosed("127.0.0.1");
        assert_eq!(all["destinations_total"], 1, "{all}");
        assert_eq!(all["filter"], "127.0.0.1");
        let destination = &all["destinations"][0];
        assert_eq!(destination["used"], 1, "the only port of the range: {destination}");
        assert_eq!(all["status"], "critical");
        // The range has no port left, whatever the filter is.
        let none = diagnosed("dst 10.0.0.5");
        assert_eq!(none["destinations_total"], 0, "{none}");
        let about = |finding: &Value| finding["about"]["kind"].as_str().unwrap().to_owned();
        let kinds: BTreeSet<String> =
            none["findings"].as_array().unwrap().iter().map(about).collect();
        assert!(kinds.is_subset(&["machine", "range"].map(str::to_owned).into()), "{none}");
        assert_eq!(none["ranges"][0]["occupied"], 1, "{none}");
    });
}
