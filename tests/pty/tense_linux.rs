//! The level of a real destination that is intermittently full, on the screen and in `diagnose`, in
//! a private network namespace.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use socket2::SockRef;

use crate::{
    namespace::{in_another_namespace, in_new_namespace, set_sysctl},
    outputs::{in_one_line, program},
    pty::{Session, TIMEOUT},
};

const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 5000);

/// A destination with 64 ports, and connections to it.
struct Load {
    listener: TcpListener,
    held: Vec<[TcpStream; 2]>,
}

impl Load {
    fn new() -> Self {
        set_sysctl("ip_local_port_range", "40000 40063");
        Self { listener: TcpListener::bind(SERVER).unwrap(), held: Vec::new() }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn open(&mut self, connections: usize) {
        for _ in 0..connections {
            let client = TcpStream::connect(self.address()).unwrap();
            self.held.push([client, self.listener.accept().unwrap().0]);
        }
    }

    /// Closes the newest connections by resets, so that their ports are free at once.
    fn close(&mut self, connections: usize) {
        for [client, server] in self.held.drain(self.held.len() - connections..) {
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            drop((client, server));
        }
    }

    fn fails(&self) -> bool {
        match TcpStream::connect(self.address()) {
            Ok(client) => {
                SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
                drop((client, self.listener.accept().unwrap()));
                false
            }
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::AddrNotAvailable, "{error}");
                true
            }
        }
    }
}

fn shows_failing(contents: &str) -> bool {
    contents.contains("!! FAILING") || contents.contains("!! EXHAUSTED")
}

/// Runs in `at_once`.
pub fn the_screen_shows_failing_or_exhausted_whenever_connect_fails() {
    in_new_namespace(|| {
        let mut load = Load::new();
        load.open(64);
        let mut session = Session::start(&["--theme", "dark"]);
        session.wait_for_text("!! EXHAUSTED");
        // The destination has ports left most of the time, but none at some moments between the
        // scans.
        let deadline = Instant::now() + 2 * TIMEOUT;
        let (mut failures, mut frames_with_ports) = (0, 0);
        while failures < 30 || frames_with_ports < 3 {
            assert!(Instant::now() < deadline, "{failures} failures, {frames_with_ports} frames");
            load.close(3);
            session.read_for(Duration::from_millis(430));
            assert!(!load.fails());
            load.open(3);
            assert!(load.fails());
            failures += 1;
            session.read_for(Duration::from_millis(60));
            let contents = session.contents();
            assert!(shows_failing(&contents), "{contents}");
            frames_with_ports += usize::from(contents.contains("!! FAILING"));
        }
        load.close(3);
        session.wait_for_text("!! FAILING");
        session.wait_for("a sentence", |screen| {
            let words = in_one_line(&screen.contents());
            words.contains("connect() fails intermittently with EADDRNOTAVAIL (\"Cannot ")
                && words.contains("requested address\")")
                && words.contains("left, full at ")
        });
        // The list of destinations is selected; that of the findings is the last one.
        session.send(b"lll\r");
        session.wait_for("when no port was left", |screen| {
            let words = in_one_line(&screen.contents());
            words.contains("no port was left at ") && words.contains(" scans, most recently ")
        });
        session.assert_ends_by(b"q");
    });
}

fn diagnose(arguments: &str) -> Output {
    let arguments = arguments.split_whitespace();
    let mut command = program();
    command.arg("diagnose").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn json(arguments: &str) -> Value {
    let output = diagnose(&format!("--format json {arguments}"));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_short_sample_near_the_limit_is_reported_as_insufficient() {
    in_new_namespace(|| {
        let mut load = Load::new();
        load.open(63);
        for sample in ["0", "0.1"] {
            let output = diagnose(&format!("--sample {sample}"));
            let text = String::from_utf8(output.stdout).unwrap();
            let words = in_one_line(&text);
            assert!(words.contains("connect() may already fail intermittently"), "{text}");
            assert!(words.contains("Run portscope diagnose --sample 60 to check."), "{text}");
            assert!(!words.contains("TIME-WAIT in waves"), "nothing is in TIME-WAIT: {text}");
        }
        load.close(3);
        let output = diagnose("--sample 0");
        let text = String::from_utf8(output.stdout).unwrap();
        let words = in_one_line(&text);
        assert!(!words.contains("--sample 60"), "{text}");
        assert!(words.contains("Once no port is left"), "{text}");
    });
}

/// Runs in `at_once`.
pub fn a_longer_sample_scans_each_second_and_counts_full_scans() {
    // Not with descriptors of the thread's own: those that a child has copied are found first.
    in_another_namespace(|| {
        let mut load = Load::new();
        load.open(64);
        let one = json("--sample 0");
        let row = &one["destinations"][0];
        assert_eq!((&row["scans"], &row["full_scans"]), (&1.into(), &1.into()));
        assert_eq!(row["last_full_seconds_ago"], 0.0);
        assert_eq!(row["level"], "EXHAUSTED");
        let ranges = one["ranges"].as_array().unwrap();
        let full: Vec<_> = ranges.iter().map(|range| range["full_scans"].as_u64()).collect();
        assert_eq!(full, [Some(1), Some(0)], "of TCP and UDP");
        assert_eq!(ranges[1]["last_full_seconds_ago"], Value::Null);

        let running = program()
            .args(["diagnose", "--sample", "3", "--format", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Waits long enough for its first scan: another run, started later, has scanned twice.
        json("--sample 0.5");
        load.close(4);
        let output = running.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let several: Value = serde_json::from_slice(&output.stdout).unwrap();
        let row = &several["destinations"][0];
        assert_eq!(row["level"], "FAILING");
        // A scan a second; fewer on a busy machine, where each may cost 5 % of a core.
        let scans = row["scans"].as_u64().unwrap();
        assert!((2..=4).contains(&scans), "{row}");
        assert!((1..scans).contains(&row["full_scans"].as_u64().unwrap()), "{row}");
        assert!(row["last_full_seconds_ago"].as_f64().unwrap() > 0.9, "{row}");
        assert_eq!(several["status"], "critical");
        // Until its exec(), the other run held copies of our descriptors, too.
        let is_ours = |owner: &Value| owner["pid"] == std::process::id();
        let owners = row["owners"].as_array().unwrap();
        assert!(owners.iter().any(is_ours), "the last scan has owners: {row}");
        let finding = &several["findings"][0];
        assert_eq!(finding["rule"], "destination-exhausted");
        let meaning = finding["meaning"].as_str().unwrap();
        assert!(meaning.starts_with("connect() fails intermittently with "), "{meaning}");
    });
}
