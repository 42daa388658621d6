//! The way from a machine that runs out of ports to an alert, by the real parts: our file,
//! node_exporter, Prometheus, our rules and our dashboard; and the checkers of these and of the units.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/prometheus.rs"]
mod prometheus;

use std::{
    fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output, Stdio},
};

use namespace::in_new_namespace;
use prometheus::{Fleet, is_installed, until};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_portscope");
const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/prometheus");
const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/systemd");
const SERVER: &str = "127.0.0.1:5000";
/// Ports of the range in which connect() gets slow before it fails: from 1,024 on we tell.
const WIDE: u32 = 1200;

/// Says why nothing was tested, or panics when `CI` is set.
fn not_tested(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI needs this: {why}");
    eprintln!("not tested here: {why}");
}

/// Both ends of each connection.
type Connections = Vec<(TcpStream, TcpStream)>;

/// So many, or as many as there are ports; dropped they leave no TIME-WAIT.
fn connect(listener: &TcpListener, most: usize) -> Connections {
    let mut connections = Connections::new();
    while connections.len() < most
        && let Ok(stream) = TcpStream::connect(SERVER)
    {
        let reset = Some(std::time::Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(&stream, reset).unwrap();
        connections.push((stream, listener.accept().unwrap().0));
    }
    connections
}

/// As the timer does, but without its pauses.
fn run_portscope(file: &Path) {
    let mut command = Command::new(PROGRAM);
    command.args(["diagnose", "--sample", "0.1", "--format", "prometheus", "--output"]);
    let output = command.arg(file).output().unwrap();
    assert!(output.stderr.is_empty() || said(&output).contains("partial"), "{}", said(&output));
    assert!(matches!(output.status.code(), Some(0..=2)), "{}", said(&output));
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].concat().escape_ascii().to_string()
}

/// The alert of that name about our server, once it fires.
fn fired(fleet: &Fleet, name: &str) -> Value {
    let mut found = None;
    until(&format!("{name} fires"), || {
        run_portscope(&fleet.file());
        found = alert(name);
        found.is_some()
    });
    found.unwrap()
}

fn resolved(fleet: &Fleet, name: &str) {
    until(&format!("{name} resolves"), || {
        run_portscope(&fleet.file());
        alert(name).is_none()
    });
}

fn alert(name: &str) -> Option<Value> {
    prometheus::firing().into_iter().find(|alert| alert["labels"]["alertname"] == name)
}

fn assert_is_about_our_server(alert: &Value) {
    let labels = &alert["labels"];
    let of = |label: &str| labels[label].as_str().unwrap_or_default().to_owned();
    let wanted = ["127.0.0.1:9100", "node", "tcp", "127.0.0.1", "127.0.0.1", "5000"];
    let found = ["instance", "job", "protocol", "source", "destination", "port"].map(of);
    assert_eq!(found, wanted, "{labels}");
}

#[test]
fn a_real_prometheus_alerts_while_ports_run_out_and_no_longer_when_they_are_back() {
    in_new_namespace(|| {
        let rules = format!("{ASSETS}/portscope.rules.yml");
        let Some(fleet) = Fleet::start(Path::new(&rules)) else {
            return not_tested("prometheus and prometheus-node-exporter are not installed");
        };
        raise_descriptor_limit();
        exhaust_a_destination(&fleet);
        walk_half_of_the_range(&fleet);
    });
}

fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

fn exhaust_a_destination(fleet: &Fleet) {
    namespace::set_sysctl("ip_local_port_range", "40000 40063");
    let listener = TcpListener::bind(SERVER).unwrap();
    let connections = connect(&listener, usize::MAX);
    assert_eq!(TcpStream::connect(SERVER).unwrap_err().raw_os_error(), Some(99), "EADDRNOTAVAIL");

    let exhausted = fired(fleet, "PortscopeDestinationExhausted");
    assert_is_about_our_server(&exhausted);
    assert_eq!(exhausted["labels"]["severity"], "critical");
    let told = exhausted["annotations"]["description"].as_str().unwrap();
    assert!(told.contains("64 of the sockets are those of fleet-"), "{told}");
    fired(fleet, "PortscopeRangeExhausted");
    every_query_of_the_dashboard_returns_data();

    drop(connections);
    TcpStream::connect(SERVER).unwrap();
    resolved(fleet, "PortscopeDestinationExhausted");
    resolved(fleet, "PortscopeRangeExhausted");
}

fn walk_half_of_the_range(fleet: &Fleet) {
    namespace::set_sysctl("ip_local_port_range", &format!("40000 {}", 40_000 + WIDE - 1));
    let listener = TcpListener::bind("127.0.0.1:5000").unwrap();
    let connections = connect(&listener, WIDE as usize / 2 + 20);
    let slow = fired(fleet, "PortscopeSlowZone");
    assert_is_about_our_server(&slow);
    assert!(alert("PortscopeDestinationExhausted").is_none());
    drop(connections);
    resolved(fleet, "PortscopeSlowZone");
}

fn every_query_of_the_dashboard_returns_data() {
    let dashboard = fs::read_to_string(format!("{ASSETS}/portscope.dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let asked = variables.filter_map(|variable| variable["definition"].as_str());
    for definition in asked {
        let inner = definition.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap();
        let (series, label) = inner.rsplit_once(", ").unwrap();
        assert_eq!(prometheus::values(label, series), ["127.0.0.1:9100"], "{definition}");
    }
    let mut count = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        assert_eq!(panel["type"] == "row", panel["targets"].is_null(), "{}", panel["title"]);
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap().replace("$instance", ".*");
            assert!(!expression.contains('$'), "a variable that Grafana alone knows: {expression}");
            assert!(!prometheus::query(&expression).is_empty(), "no data: {expression}");
            count += 1;
        }
    }
    assert!(count > 20, "the dashboard's panels are not where they were");
}

#[test]
fn promtool_finds_nothing_wrong_with_metrics_rules_and_their_unit_tests() {
    if !is_installed("promtool") {
        return not_tested("promtool is not installed");
    }
    in_new_namespace(|| {
        let listener = TcpListener::bind(SERVER).unwrap();
        let _connections = connect(&listener, 400);
        let arguments = ["diagnose", "--sample", "0.1", "--format", "prometheus"];
        let metrics = Command::new(PROGRAM).args(arguments).output().unwrap().stdout;
        let mut check = Command::new("promtool");
        check.args(["check", "metrics"]).stdin(Stdio::piped());
        let mut check = check.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        check.stdin.take().unwrap().write_all(&metrics).unwrap();
        let check = check.wait_with_output().unwrap();
        assert_eq!((check.status.code(), said(&check).as_str()), (Some(0), ""));
    });
    for arguments in
        [["check", "rules", "portscope.rules.yml"], ["test", "rules", "portscope.rules.test.yml"]]
    {
        let check = Command::new("promtool").args(arguments).current_dir(ASSETS).output().unwrap();
        assert!(check.status.success() && said(&check).contains("SUCCESS"), "{}", said(&check));
    }
}

#[test]
fn every_alert_has_a_unit_test_and_stands_in_the_readme() {
    let rules = fs::read_to_string(format!("{ASSETS}/portscope.rules.yml")).unwrap();
    let tests = fs::read_to_string(format!("{ASSETS}/portscope.rules.test.yml")).unwrap();
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no unit test");
        assert!(readme.contains(&format!("`{alert}`")), "{alert} is not in the README");
    }
}

#[test]
fn systemd_scores_the_service_at_3_or_better() {
    if !is_installed("systemd-analyze") {
        return not_tested("systemd-analyze is not installed");
    }
    let service = format!("{UNITS}/portscope.service");
    let arguments = ["security", "--offline=true", "--no-pager", "--threshold=30", &service];
    let scored = Command::new("systemd-analyze").args(arguments).output().unwrap();
    let table = String::from_utf8_lossy(&scored.stdout);
    let score = table.lines().find(|line| line.contains("Overall exposure level"));
    eprintln!("{}", score.unwrap_or("no score"));
    // Beyond the threshold it fails.
    assert!(scored.status.success() && score.is_some(), "{table}{}", said(&scored));
}
