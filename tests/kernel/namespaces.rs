//! `portscope scan` compared with a constant population of about 5,000 sockets of every kind, and
//! with `ss`.

use crate::{mixture, namespace, outputs::program, population, processes};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use population::{Population, Row};
use serde_json::Value;

/// The owner of each row of a scan without owners.
const NOT_ASKED: &str = "";

/// What `ss` shows of a socket, in portscope's terms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    protocol: String,
    state: String,
    local: SocketAddr,
    remote: Option<SocketAddr>,
}

#[test]
fn a_scan_lists_exactly_the_existing_sockets() {
    processes::in_process_of_its_own("namespaces::role_scan_of_a_population");
}

#[test]
#[ignore = "a role: its descriptors are inherited by every process that starts meanwhile"]
fn role_scan_of_a_population() {
    if !processes::is_in_role() {
        return;
    }
    population::raise_descriptor_limit().unwrap();
    namespace::in_new_namespace(|| {
        let started = Instant::now();
        let population = mixture::build().unwrap();
        eprintln!("built {} sockets in {:?}", population.rows().len(), started.elapsed());
        print_counts(population.rows());
        let Some(before) = settle(&population) else { return };

        let scanned = scan(&[]);
        let without_owners = scan(&["--no-owners"]);
        let after = ss().expect("ss answered before");

        assert_same("two runs of ss", &before, &after);
        let built: Vec<Row> = population.rows().iter().map(unowned).collect();
        assert_same("what was built, and the scan without owners", &built, &without_owners);
        assert_same("what was built, and the scan", population.rows(), &scanned);
        let listed = visible_to_ss(&scanned);
        assert_same("ss, and the scan without bound-inactive sockets", &after, &listed);
        eprintln!("scan {}, ss {}, all in {:?}", scanned.len(), after.len(), started.elapsed());
    });
}

/// Waits until `ss` lists what was built, because FINs and their acknowledgements take some time.
/// None: `ss` is not installed.
fn settle(population: &Population) -> Option<Vec<Line>> {
    let expected = visible_to_ss(population.rows());
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let listed = ss()?;
        if listed == expected {
            return Some(listed);
        }
        if Instant::now() > deadline {
            assert_same("what was built, and ss", &expected, &listed);
        }
        thread::yield_now();
    }
}

/// `ss` of iproute2 6.1 cannot list bound-inactive sockets at all.
fn visible_to_ss(rows: &[Row]) -> Vec<Line> {
    let mut lines: Vec<Line> = rows
        .iter()
        .filter(|row| row.state != "BOUND")
        .map(|row| Line {
            protocol: row.protocol.clone(),
            state: row.state.clone(),
            local: row.local,
            remote: row.remote,
        })
        .collect();
    lines.sort_unstable();
    lines
}

/// Runs `ss`. Prints a message and returns None if iproute2 is not installed.
fn ss() -> Option<Vec<Line>> {
    let output = match Command::new("ss").arg("-Htuna").output() {
        Ok(output) => output,
        Err(error) if std::env::var_os("CI").is_some() => panic!("CI needs ss: {error}"),
        Err(error) => {
            eprintln!("not tested here: no ss ({error})");
            return None;
        }
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Line> = text.lines().map(parse_line).collect();
    lines.retain(|line| line.state != "BOUND");
    lines.sort_unstable();
    Some(lines)
}

fn parse_line(line: &str) -> Line {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let &[protocol, state, _, _, local, remote, ..] = fields.as_slice() else {
        panic!("ss said {line:?}")
    };
    Line {
        protocol: protocol.to_owned(),
        state: state_of(protocol, state).to_owned(),
        local: parse_endpoint(local).unwrap_or_else(|| panic!("ss said {line:?}")),
        remote: parse_endpoint(remote),
    }
}

fn state_of<'a>(protocol: &str, state: &'a str) -> &'a str {
    match (protocol, state) {
        ("udp", "UNCONN") => "UNCONNECTED",
        ("udp", "ESTAB") => "CONNECTED",
        (_, "UNCONN") => "BOUND",
        (_, "ESTAB") => "ESTABLISHED",
        (_, "SYN-RECV") => "SYN-RECEIVED",
        (_, other) => other,
    }
}

/// Parses `127.0.0.1%lo:80`, `[::1]:80`, or `*:80` of a dual-stack socket. None: the port is `*`.
fn parse_endpoint(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.rsplit_once(':')?;
    let address = address.split_once('%').map_or(address, |(address, _device)| address);
    let address = match address.trim_matches(['[', ']']) {
        "*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        other => other.parse().ok()?,
    };
    Some(SocketAddr::new(address, port.parse().ok()?))
}

/// Runs the program from this thread, and thus in its namespace, and returns the rows.
fn scan(options: &[&str]) -> Vec<Row> {
    let output = program().args(["scan", "--format", "json"]).args(options).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", output.status);
    eprint!("{complaint}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut rows: Vec<Row> = answer["sockets"].as_array().unwrap().iter().map(row_of).collect();
    rows.sort_unstable();
    rows
}

fn unowned(row: &Row) -> Row {
    Row { owner: NOT_ASKED.to_owned(), pids: Vec::new(), ..row.clone() }
}

fn row_of(socket: &Value) -> Row {
    let word = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{socket}")).to_owned();
    let owner = socket["owner"]["kind"].as_str().unwrap_or(NOT_ASKED).to_owned();
    let processes = socket["owner"]["processes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut pids: Vec<u32> =
        processes.iter().map(|process| process["pid"].as_u64().unwrap() as u32).collect();
    pids.sort_unstable();
    let uid = socket["uid"].as_u64().map(|uid| uid as u32);
    Row {
        protocol: word(&socket["protocol"]),
        state: word(&socket["state"]),
        local: endpoint_of(&socket["local"]).unwrap_or_else(|| panic!("{socket}")),
        remote: endpoint_of(&socket["remote"]),
        family: word(&socket["family"]),
        pids,
        inode: socket["inode"].as_u64(),
        // The format promises no uid for connections that are not accepted.
        uid: uid.filter(|_| !is_in_backlog(socket)),
        owner,
    }
}

fn is_in_backlog(socket: &Value) -> bool {
    socket["inode"].is_null()
        && matches!(socket["state"].as_str(), Some("ESTABLISHED" | "CLOSE-WAIT"))
}

fn endpoint_of(value: &Value) -> Option<SocketAddr> {
    let address = value["address"].as_str()?.parse().ok()?;
    Some(SocketAddr::new(address, u16::try_from(value["port"].as_u64()?).ok()?))
}

/// Asserts that both have the same elements, in any order, and prints the first ones that only one
/// of them has.
#[track_caller]
fn assert_same<T: Ord + Debug>(what: &str, left: &[T], right: &[T]) {
    let mut counts: BTreeMap<&T, i32> = BTreeMap::new();
    for row in left {
        *counts.entry(row).or_default() += 1;
    }
    for row in right {
        *counts.entry(row).or_default() -= 1;
    }
    counts.retain(|_, count| *count != 0);
    let only_left = counts.values().filter(|&&count| count > 0).count();
    for (row, count) in counts.iter().take(20) {
        eprintln!("only in the {}: {row:?}", if *count > 0 { "first" } else { "second" });
    }
    let only_right = counts.len() - only_left;
    assert!(
        counts.is_empty(),
        "{what}: {only_left} are only in the first, {only_right} in the second"
    );
}

fn print_counts(rows: &[Row]) {
    let mut counts: BTreeMap<[&str; 4], usize> = BTreeMap::new();
    for row in rows {
        *counts.entry([&row.protocol, &row.state, &row.family, &row.owner]).or_default() += 1;
    }
    for ([protocol, state, family, owner], count) in counts {
        eprintln!("{count:>6}  {protocol} {state:<12} {family} {owner}");
    }
}
