//! Checks metrics, rules, dashboard and units with the real programs that read them: Debian's
//! Prometheus, promtool, node_exporter and systemd-analyze.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use socket2::{Domain, SockRef, Socket, Type};

use crate::{
    folder::Folder,
    grafana::{self, Dashboard},
    namespace::{in_new_namespace, set_sysctl},
    prometheus_host::{PrometheusHost, are_there, asset},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_portscope");
/// The name that this process has in its tests.
const NAME: &str = "payments-api";
const SERVER: &str = "127.0.0.1:5000";

/// Connections to a listener that accepts none, so that each needs only one descriptor.
struct Load {
    clients: Vec<TcpStream>,
    _listener: Socket,
}

impl Load {
    fn of(connections: usize) -> Self {
        // The name of the main thread is that of the process; other threads may change it.
        fs::write("/proc/self/comm", NAME).unwrap();
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SERVER.parse::<SocketAddr>().unwrap().into()).unwrap();
        listener.listen(1024).unwrap();
        let clients = (0..connections).map(|_| TcpStream::connect(SERVER).unwrap()).collect();
        Self { clients, _listener: listener }
    }

    fn ports(&self) -> impl Iterator<Item = u16> {
        self.clients.iter().map(|client| client.local_addr().unwrap().port())
    }

    /// Closes the connections by resets, so that no port is in TIME-WAIT.
    fn drain(self) {
        for client in self.clients {
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
}

#[test]
fn an_exhausted_destination_fires_and_resolves_an_alert_with_its_owner() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 40063");
        let Some(prometheus_host) = PrometheusHost::start(&rules_without_delay()) else { return };
        let name = "PortscopeDestinationExhausted";
        assert_not_firing(&prometheus_host, name);

        let load = Load::of(64);
        let refused = TcpStream::connect(SERVER).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AddrNotAvailable);
        let alert = wait_until_firing(&prometheus_host, name);
        assert_eq!(alert["labels"], labels(name, "critical"));
        let reported = &alert["annotations"];
        let summary = "127.0.0.1:9100 has 0 of 64 ports left towards 127.0.0.1 port 5000";
        assert_eq!(reported["summary"], summary);
        let description = reported["description"].as_str().unwrap();
        let owner = format!("64 of the sockets are those of {NAME}.");
        assert!(description.contains(&owner), "{description}");
        wait_until_firing(&prometheus_host, "PortscopeRangeExhausted");

        load.drain();
        resolves(&prometheus_host, name);
        resolves(&prometheus_host, "PortscopeRangeExhausted");
    });
}

#[test]
fn a_slow_zone_fires_an_alert_and_resolves_when_it_drains() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 41199");
        let Some(prometheus_host) = PrometheusHost::start(&rules_without_delay()) else { return };
        let name = "PortscopeSlowZone";
        assert_not_firing(&prometheus_host, name);

        let load = Load::of(620);
        assert_eq!(load.ports().filter(|port| port.is_multiple_of(2)).count(), 600);
        let alert = wait_until_firing(&prometheus_host, name);
        let mut wanted = labels(name, "warning");
        wanted["rule"] = "slow-zone".into();
        assert_eq!(alert["labels"], wanted);
        assert_eq!(prometheus_host.alert("PortscopeDestinationExhausted"), None);

        load.drain();
        resolves(&prometheus_host, name);
    });
}

/// Returns the rules with `for: 1s` in each alert. promtool tests the real durations.
fn rules_without_delay() -> String {
    let rules = fs::read_to_string(asset("prometheus/portscope.rules.yml")).unwrap();
    let shorten_duration = |line: &str| match line.split_once("for: ") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: 1s\n"),
        _ => format!("{line}\n"),
    };
    let prompt: String = rules.lines().map(shorten_duration).collect();
    let differs = |(ours, prompt): &(&str, &str)| ours != prompt;
    for (ours, prompt) in rules.lines().zip(prompt.lines()).filter(differs) {
        assert!(ours.trim().starts_with("for: ") && prompt.trim() == "for: 1s", "{ours}");
    }
    assert_eq!(rules.lines().count(), prompt.lines().count());
    prompt
}

/// Waits for the metrics of a host on which nothing is wrong, and asserts that the alert is
/// inactive.
fn assert_not_firing(prometheus_host: &PrometheusHost, alert: &str) {
    prometheus_host.measure_until("metrics", |prometheus_host| {
        prometheus_host.query("portscope_build_info").pop()
    });
    assert_eq!(prometheus_host.query("node_textfile_scrape_error == 0").len(), 1);
    assert_eq!(prometheus_host.alert(alert), None);
}

/// Returns the labels of an alert about the server.
fn labels(name: &str, severity: &str) -> Value {
    json!({
        "alertname": name, "severity": severity, "instance": "127.0.0.1:9100", "job": "node",
        "protocol": "tcp", "source": "127.0.0.1", "destination": "127.0.0.1", "port": "5000",
    })
}

fn wait_until_firing(prometheus_host: &PrometheusHost, name: &str) -> Value {
    let is_firing = |alert: &Value| alert["state"] == "firing";
    prometheus_host
        .measure_until(name, |prometheus_host| prometheus_host.alert(name).filter(is_firing))
}

fn resolves(prometheus_host: &PrometheusHost, name: &str) {
    let is_gone =
        |prometheus_host: &PrometheusHost| prometheus_host.alert(name).is_none().then_some(());
    prometheus_host.measure_until(&format!("{name} resolves"), is_gone);
}

#[test]
fn every_query_of_the_dashboard_has_an_answer() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 40063");
        let Some(prometheus_host) = PrometheusHost::start(&rules_without_delay()) else { return };
        let load = Load::of(64);
        let text = fs::read_to_string(asset("prometheus/portscope.dashboard.json")).unwrap();
        let dashboard = Dashboard::parse(&text);
        assert!(dashboard.expressions().len() > 10 && !dashboard.variables().is_empty());
        for are_all_chosen in [false, true] {
            let chosen = dashboard.choose(&prometheus_host, are_all_chosen);
            for expression in dashboard.expressions() {
                let expression = grafana::replace(expression, &chosen);
                let answer = |prometheus_host: &PrometheusHost| {
                    prometheus_host.query(&expression).into_iter().find(is_number)
                };
                prometheus_host.measure_until(&format!("an answer to {expression}"), answer);
            }
        }
        load.drain();
    });
}

fn is_number(sample: &Value) -> bool {
    sample["value"][1] != "NaN"
}

#[test]
fn promtool_finds_nothing_wrong_with_metrics_rules_and_their_unit_tests() {
    if !are_there(&["promtool"]) {
        return;
    }
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 40063");
        let load = Load::of(64);
        for arguments in ["diagnose", "diagnose --netns all --sample 0"] {
            let mut command = Command::new(PROGRAM);
            command.args(arguments.split(' ')).args(["--format", "prometheus"]);
            let metrics = command.output().unwrap().stdout;
            assert!(
                str::from_utf8(&metrics).unwrap().contains("\nportscope_destination_findings{")
            );
            clean(&promtool(&["check", "metrics"], &metrics));
        }
        load.drain();
    });
    let rules = asset("prometheus/portscope.rules.yml");
    clean(&promtool(&["check", "rules", "--lint-fatal", rules.to_str().unwrap()], b""));
    let tests = asset("prometheus/portscope.rules.test.yml");
    clean(&promtool(&["test", "rules", tests.to_str().unwrap()], b""));
}

#[test]
fn every_alert_has_a_unit_test_and_is_in_the_readme() {
    let rules = fs::read_to_string(asset("prometheus/portscope.rules.yml")).unwrap();
    let tests = fs::read_to_string(asset("prometheus/portscope.rules.test.yml")).unwrap();
    let readme = fs::read_to_string(asset("../README.md")).unwrap();
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no unit test");
        assert!(readme.contains(&format!("`{alert}`")), "{alert} is not in the README");
    }
}

fn promtool(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn clean(output: &Output) {
    let reported =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && reported.1.is_empty(), "{}\n{}", reported.0, reported.1);
}

#[test]
fn systemd_units_are_valid_and_sandboxed() {
    if !are_there(&["systemd-analyze"]) {
        return;
    }
    let service = asset("systemd/portscope.service");
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager", "--threshold=30"]).arg(&service);
    clean(&command.output().unwrap());

    // systemd-analyze checks that the program to start exists.
    let folder = Folder::new();
    let text = fs::read_to_string(&service).unwrap();
    assert!(text.contains("ExecStart=/usr/bin/portscope "));
    let text = text.replace("/usr/bin/portscope", PROGRAM);
    fs::write(folder.path("portscope.service"), text).unwrap();
    fs::copy(asset("systemd/portscope.timer"), folder.path("portscope.timer")).unwrap();
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no"]);
    command.args(["portscope.service", "portscope.timer"].map(|name| folder.path(name)));
    clean(&command.output().unwrap());
}
