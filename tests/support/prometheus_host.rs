//! Starts node_exporter and Prometheus, as Debian ships them, for one test in the network namespace
//! of its thread. Does not check their answers.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    folder::Folder,
    processes::{Sleeper, not_tested},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_portscope");
const EXPORTER: &str = "127.0.0.1:9100";
const PROMETHEUS: &str = "127.0.0.1:9090";
/// The directory in which node_exporter looks for files.
const TEXTFILES: &str = "textfiles";
/// Timeout for a run of portscope, a scrape and an evaluation, each a second apart.
const TIMEOUT: Duration = Duration::from_mins(1);

/// One host and the Prometheus that scrapes it. Dropping it ends both processes.
pub struct PrometheusHost {
    // Fields are dropped in this order.
    _daemons: [Sleeper; 2],
    folder: Folder,
}

impl PrometheusHost {
    /// Returns once both answer. Scrapes, and evaluates `rules`, every second. None: a program is
    /// missing.
    pub fn start(rules: &str) -> Option<Self> {
        if !are_there(&["prometheus", "prometheus-node-exporter"]) {
            return None;
        }
        let folder = Folder::new();
        let textfiles = folder.path(TEXTFILES);
        fs::create_dir(&textfiles).unwrap();
        fs::write(folder.path("rules.yml"), rules).unwrap();
        fs::write(folder.path("prometheus.yml"), configuration()).unwrap();
        let exporter = daemon(
            &folder,
            "prometheus-node-exporter",
            &[
                "--collector.disable-defaults",
                "--collector.textfile",
                &format!("--collector.textfile.directory={}", textfiles.display()),
                &format!("--web.listen-address={EXPORTER}"),
            ],
        );
        let prometheus = daemon(
            &folder,
            "prometheus",
            &[
                &format!("--config.file={}", folder.path("prometheus.yml").display()),
                &format!("--storage.tsdb.path={}", folder.path("data").display()),
                &format!("--web.listen-address={PROMETHEUS}"),
                "--log.level=warn",
            ],
        );
        let prometheus_host = Self { _daemons: [prometheus, exporter], folder };
        prometheus_host.until("both answer", || {
            let is_ready = |address, path| get(address, path).is_ok_and(|(code, _)| code == 200);
            (is_ready(EXPORTER, "/metrics") && is_ready(PROMETHEUS, "/-/ready")).then_some(())
        });
        Some(prometheus_host)
    }

    /// Runs what portscope.timer runs; takes about a second.
    fn measure(&self) {
        let mut command = Command::new(PROGRAM);
        command.args(["diagnose", "--format", "prometheus", "--output"]);
        let file = self.folder.path(TEXTFILES).join("portscope.prom");
        let output = command.arg(file).output().unwrap();
        let code = output.status.code().unwrap();
        assert!(code <= 2, "exit code {code}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Measures repeatedly until `find` returns a value.
    #[track_caller]
    pub fn measure_until<T>(&self, what: &str, mut find: impl FnMut(&Self) -> Option<T>) -> T {
        self.until(what, || {
            let found = find(self);
            if found.is_none() {
                self.measure();
            }
            found
        })
    }

    /// Returns the alert as Prometheus reports it; None if it is inactive.
    pub fn alert(&self, name: &str) -> Option<Value> {
        let alerts = self.ask("/api/v1/alerts")["alerts"].take();
        let Value::Array(alerts) = alerts else { panic!("no list: {alerts}") };
        alerts.into_iter().find(|alert| alert["labels"]["alertname"] == name)
    }

    /// Returns the current samples of an expression.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let data = self.ask(&format!("/api/v1/query?query={}", escape(expression)));
        match (&data["resultType"], &data["result"]) {
            (kind, Value::Array(series)) if kind == "vector" => series.clone(),
            (_, sample) => vec![sample.clone()],
        }
    }

    fn ask(&self, path: &str) -> Value {
        let (code, body) = get(PROMETHEUS, path).unwrap();
        assert_eq!(code, 200, "{path}: {body}{}", self.logs());
        serde_json::from_str::<Value>(&body).unwrap()["data"].take()
    }

    #[track_caller]
    fn until<T>(&self, what: &str, mut find: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(found) = find() {
                return found;
            }
            assert!(Instant::now() < deadline, "never: {what}\n{}", self.logs());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the output of the programs.
    fn logs(&self) -> String {
        let files = self.folder.names().into_iter().map(|name| self.folder.path(&name));
        let logs = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
        logs.map(|path| fs::read_to_string(path).unwrap()).collect()
    }
}

/// Whether the programs are installed. If not, prints that, or panics if `CI` is set.
pub fn are_there(programs: &[&str]) -> bool {
    let is_missing = |program: &&&str| Command::new(program).arg("--version").output().is_err();
    let missing = programs.iter().find(is_missing);
    if let Some(program) = missing {
        not_tested(&format!("{program} is not installed"));
    }
    missing.is_none()
}

fn configuration() -> String {
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [rules.yml]\n\
         scrape_configs: [{{job_name: node, static_configs: [{{targets: ['{EXPORTER}']}}]}}]\n"
    )
}

/// Starts a program that the kernel also kills if the thread of the test ends without dropping it.
fn daemon(folder: &Folder, program: &str, options: &[&str]) -> Sleeper {
    let log = File::create(folder.path(&format!("{program}.log"))).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]).args(options).stdin(Stdio::null());
    Sleeper::spawn(command.stdout(log.try_clone().unwrap()).stderr(log))
}

/// Returns the status and the body of an HTTP answer, which ends with the connection.
fn get(address: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let parsed = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
        let code = head.split(' ').nth(1)?.parse().ok()?;
        Some((code, body.to_owned()))
    });
    parsed.ok_or_else(|| io::Error::other(format!("no HTTP: {answer}")))
}

/// Escapes text for a URL.
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() {
            escaped.push(byte.into());
        } else {
            write!(escaped, "%{byte:02X}").unwrap();
        }
        escaped
    })
}

/// Returns the path of a file that is shipped with portscope.
pub fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name)
}
