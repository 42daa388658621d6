//! `scan --sort`, `--reverse` and `--group`: the order of the sockets, and what each group counts.

use std::{
    fs,
    net::{TcpListener, TcpStream, UdpSocket},
    process::Output,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    namespace::{in_new_namespace, set_sysctl},
    outputs::{self, assert_refused, program, stderr, stdout},
    processes,
};

fn run(typed: &str) -> Output {
    processes::output_of(program().args(typed.split_whitespace()))
}

fn json(typed: &str) -> Value {
    outputs::json(&run(&format!("{typed} --json")))
}

/// Waits until the main table of the caller's namespace has a socket in TIME-WAIT.
fn wait_for_time_wait() {
    let end = Instant::now() + Duration::from_secs(10);
    let has_one = || {
        let table = fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
        table.lines().any(|line| line.split_whitespace().nth(3) == Some("06"))
    };
    while !has_one() {
        assert!(Instant::now() < end, "the closed connection is not in TIME-WAIT");
        std::thread::yield_now();
    }
}

/// Runs `body` while this process has: listeners on 127.0.0.1:8080 and 8081; three connections to
/// 8080 and one to 8081, from ports 40001 to 40004; a UDP socket on 127.0.0.1:8085; and another
/// connection to 8080, from 40005, is in TIME-WAIT.
fn with_sockets(body: impl FnOnce() + Send) {
    in_new_namespace(|| {
        set_sysctl("tcp_tw_reuse", "0");
        let listeners =
            ["127.0.0.1:8080", "127.0.0.1:8081"].map(|address| TcpListener::bind(address).unwrap());
        let connect = |port: u16, listener: &TcpListener| {
            set_sysctl("ip_local_port_range", &format!("{port} {port}"));
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (client, listener.accept().unwrap().0)
        };
        let (client, server) = connect(40_005, &listeners[0]);
        drop(client);
        drop(server);
        wait_for_time_wait();
        let _open = [(40_001, 0), (40_002, 0), (40_003, 0), (40_004, 1)]
            .map(|(port, at)| connect(port, &listeners[at]));
        set_sysctl("ip_local_port_range", "40001 40005");
        let _udp = UdpSocket::bind("127.0.0.1:8085").unwrap();
        body();
    });
}

/// Returns `[name, sockets, listen, established, time_wait, other, ports]` of each group.
fn groups(scan: &Value) -> Vec<Value> {
    let keys = ["name", "sockets", "listen", "established", "time_wait", "other", "ports"];
    let groups = scan["groups"].as_array().unwrap().iter();
    groups.map(|group| keys.iter().map(|key| group[key].clone()).collect()).collect()
}

#[test]
fn groups_count_sockets_states_and_ephemeral_ports() {
    with_sockets(|| {
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        let name = name.trim_end();
        for (typed, expected) in [
            (
                "--group state",
                json!([
                    ["ESTABLISHED", 8, 0, 8, 0, 0, 4],
                    ["LISTEN", 2, 2, 0, 0, 0, 0],
                    ["TIME-WAIT", 1, 0, 0, 1, 0, 1],
                    ["UNCONNECTED", 1, 0, 0, 0, 1, 0],
                ]),
            ),
            (
                "--group port --sort name --filter :8080 --range 8000-9000",
                json!([["8080", 4, 1, 3, 0, 0, 0]]),
            ),
            ("--group owner --filter established", json!([[name, 8, 0, 8, 0, 0, 4]])),
            ("--group owner --filter time-wait", json!([["kernel", 1, 0, 0, 1, 0, 1]])),
            (
                "--group destination --range ephemeral",
                json!(
                    [["127.0.0.1:8080", 4, 0, 3, 1, 0, 4], ["127.0.0.1:8081", 1, 0, 1, 0, 0, 1],]
                ),
            ),
            (
                "--group destination --range ephemeral --sort ports --reverse",
                json!(
                    [["127.0.0.1:8081", 1, 0, 1, 0, 0, 1], ["127.0.0.1:8080", 4, 0, 3, 1, 0, 4],]
                ),
            ),
        ] {
            let scan = json(&format!("scan {typed}"));
            assert_eq!(scan["schema"], "portscope.groups/1");
            assert_eq!(Value::from(groups(&scan)), expected, "{typed}");
        }
    });
}

#[test]
fn groups_sum_to_the_sockets_if_each_socket_has_one_group() {
    with_sockets(|| {
        let all = json("scan")["sockets"].as_array().unwrap().len();
        for group in ["owner", "destination", "state", "port", "user", "unit", "container"] {
            let scan = json(&format!("scan --group {group}"));
            let counted = scan["groups"].as_array().unwrap().iter();
            let sum: u64 = counted.map(|group| group["sockets"].as_u64().unwrap()).sum();
            assert_eq!((sum, &scan["sockets"]), (all as u64, &json!(all)), "{group}: {scan}");
            assert_eq!(scan["group_by"], group);
        }
    });
}

#[test]
fn groups_are_the_same_in_text_csv_and_json() {
    with_sockets(|| {
        let scan = json("scan --group destination");
        let text = run("scan --group destination");
        let header = "DESTINATION     SOCKETS LISTEN ESTABLISHED TIME-WAIT OTHER PORTS";
        assert_eq!(stdout(&text).lines().next(), Some(header), "{}", stdout(&text));
        assert_eq!(stdout(&text).lines().count(), groups(&scan).len() + 1);
        let table = run("scan --group destination --format csv");
        let mut lines = stdout(&table).lines();
        let header = "kind,name,sockets,listen,established,time_wait,other,ports";
        assert_eq!(lines.next(), Some(header));
        for ((line, row), group) in
            lines.zip(stdout(&text).lines().skip(1)).zip(scan["groups"].as_array().unwrap())
        {
            let counts = ["sockets", "listen", "established", "time_wait", "other", "ports"];
            let counts = counts.map(|key| group[key].to_string());
            let [kind, name] = ["kind", "name"].map(|key| group[key].as_str().unwrap());
            assert_eq!(line, format!("{kind},{name},{}", counts.join(",")));
            let words: Vec<&str> = row.split_whitespace().collect();
            assert_eq!(words[words.len() - counts.len()..], counts.each_ref().map(String::as_str));
            assert!(row.starts_with(name), "{row}");
        }
        assert_eq!(stderr(&text), "");
    });
}

/// Returns the local ports of the sockets, in the order in which they are printed.
fn ports(typed: &str) -> Vec<u64> {
    let scan = json(typed);
    let sockets = scan["sockets"].as_array().unwrap().iter();
    sockets.map(|socket| socket["local"]["port"].as_u64().unwrap()).collect()
}

#[test]
fn sockets_are_sorted_by_a_column_and_reversed() {
    with_sockets(|| {
        let columns = ["state", "local", "remote", "owner", "user", "unit", "queue", "protocol"];
        for column in columns {
            let sorted = ports(&format!("scan --sort {column}"));
            let mut reversed = ports(&format!("scan --sort {column} --reverse"));
            reversed.reverse();
            assert_eq!(sorted, reversed, "{column}");
            assert_eq!(sorted.len(), 12, "{column}");
        }
        assert_eq!(ports("scan"), ports("scan --sort local"));
        let states = ports("scan --sort state --filter !established");
        assert_eq!(states, [8080, 8081, 40005, 8085]);
        // The port of the peer decides, because all have the same address.
        let servers = "scan --sort remote --range 8080 --filter established";
        let mut by_peer = ports("scan --range 40001-40004 --filter dport=:8080");
        by_peer.sort_unstable();
        let remotes: Vec<u64> = json(servers)["sockets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|socket| socket["remote"]["port"].as_u64().unwrap())
            .collect();
        assert_eq!(remotes, by_peer);
        let lines = run("scan --sort state --reverse -u -t --format csv");
        let first = stdout(&lines).lines().nth(1).unwrap();
        assert!(first.starts_with("udp,ipv4,UNCONNECTED,127.0.0.1,8085,"), "{first}");
    });
}

#[test]
fn impossible_orders_and_groups_are_refused() {
    for (typed, words) in [
        ("--sort age", "age cannot be used in --sort"),
        ("--sort sockets", "--sort sockets requires --group"),
        ("--sort user --group user", "--sort user cannot be used with --group: expected sockets"),
        ("--group owner --no-owners", "--no-owners cannot be used with --group owner"),
        ("--sort size", "invalid value 'size' for --sort: expected one of state, local, remote"),
        ("--group none", "invalid value 'none' for --group: expected one of owner, destination"),
        ("--group state --format csv --netns all", "--format csv cannot be used with --netns all"),
    ] {
        assert_refused(&run(&format!("scan {typed}")), 2, words);
    }
}
