//! A real Prometheus and a real node_exporter on loopback, in the namespace of the thread that
//! starts them. Asserts nothing of what they tell.

#![allow(dead_code, reason = "each test binary uses a part of this file")]

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

const EXPORTER: u16 = 9100;
const PROMETHEUS: u16 = 9090;
/// Two cores may be busy with the rest of the tests.
const PATIENCE: Duration = Duration::from_mins(1);

/// Dropping it ends both programs and removes what they stored.
pub struct Fleet {
    programs: Vec<Child>,
    folder: PathBuf,
}

impl Fleet {
    /// Scrapes and judges each second by those rules; alerts wait a second where `rules` says minutes.
    /// None: Debian's programs are not here.
    pub fn start(rules: &Path) -> Option<Self> {
        if !is_installed("prometheus") || !is_installed("prometheus-node-exporter") {
            return None;
        }
        let folder = std::env::temp_dir().join(format!("portscope-fleet-{}", std::process::id()));
        fs::create_dir_all(folder.join("textfile")).expect("a folder of ours");
        let mut fleet = Self { programs: Vec::new(), folder };
        fleet.write("rules.yml", &impatient(&fs::read_to_string(rules).expect("the rules")));
        fleet.write("prometheus.yml", &fleet.configuration());
        fleet.run(&[
            "prometheus-node-exporter",
            "--log.level=error",
            "--collector.disable-defaults",
            "--collector.textfile",
            &format!("--collector.textfile.directory={}/textfile", fleet.folder.display()),
            &format!("--web.listen-address=127.0.0.1:{EXPORTER}"),
        ]);
        fleet.run(&[
            "prometheus",
            "--log.level=error",
            &format!("--config.file={}/prometheus.yml", fleet.folder.display()),
            &format!("--storage.tsdb.path={}/data", fleet.folder.display()),
            &format!("--web.listen-address=127.0.0.1:{PROMETHEUS}"),
        ]);
        until("node_exporter answers", || get(EXPORTER, "/metrics").is_some());
        until("Prometheus is ready", || get(PROMETHEUS, "/-/ready").is_some());
        Some(fleet)
    }

    /// Where node_exporter reads ours.
    pub fn file(&self) -> PathBuf {
        self.folder.join("textfile/portscope.prom")
    }

    fn configuration(&self) -> String {
        let rules = self.folder.join("rules.yml");
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n\
             - job_name: node\n  \
               static_configs: [{{targets: ['127.0.0.1:{EXPORTER}']}}]\n",
            rules.display()
        )
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).expect("a folder of ours");
    }

    /// It ends with the thread that starts it, however that ends (prctl(2), PR_SET_PDEATHSIG).
    fn run(&mut self, command: &[&str]) {
        let program = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("util-linux");
        self.programs.push(program);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for program in &mut self.programs {
            let _ = program.kill();
            let _ = program.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Alerts that fire now.
pub fn firing() -> Vec<Value> {
    let alerts = ask("/api/v1/alerts").map(|mut answer| answer["alerts"].take());
    let alerts = alerts.and_then(|alerts| alerts.as_array().cloned()).unwrap_or_default();
    alerts.into_iter().filter(|alert| alert["state"] == "firing").collect()
}

/// Samples of an instant query.
pub fn query(expression: &str) -> Vec<Value> {
    let answer = ask(&format!("/api/v1/query?query={}", percent_encoded(expression)));
    let answer = answer.unwrap_or_else(|| panic!("Prometheus refuses: {expression}"));
    answer["result"].as_array().cloned().unwrap_or_default()
}

/// Values of a label in those series.
pub fn values(label: &str, series: &str) -> Vec<Value> {
    let series = percent_encoded(series);
    let answer = ask(&format!("/api/v1/label/{label}/values?match[]={series}"));
    answer.and_then(|answer| answer.as_array().cloned()).unwrap_or_default()
}

pub fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stderr(Stdio::null()).output();
    found.is_ok_and(|output| output.status.success())
}

/// Asks until it is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// How long alerts wait is held by the rules' own unit tests.
fn impatient(rules: &str) -> String {
    let wait = |line: &str| match line.trim_start().strip_prefix("for: ") {
        Some(_) => "        for: 1s".to_owned(),
        None => line.to_owned(),
    };
    rules.lines().map(|line| wait(line) + "\n").collect()
}

/// The data of Prometheus' answer; None: there is none, or an error.
fn ask(path: &str) -> Option<Value> {
    let mut answer: Value = serde_json::from_str(&get(PROMETHEUS, path)?).ok()?;
    (answer["status"] == "success").then(|| answer["data"].take())
}

/// By HTTP/1.0: the answer ends with the connection. None: nobody answers, or with an error.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.split(' ').nth(1).is_some_and(|code| code == "200").then(|| body.to_owned())
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    encoded
}
