//! `portscope serve` and clients in other pid namespaces, where pids have other meanings.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
};

use crate::{
    folder::Folder,
    lease_server::{self, LeaseHolder, Server, parse, until},
    namespace::in_new_namespace,
    outputs::PROGRAM,
};

/// If this variable is set, the test binary is a client of the socket that it names, and reads the
/// pids to send from standard input.
const SOCKET: &str = "PORTSCOPE_TEST_SOCKET";

const OPTIONS: [&str; 5] = ["--range", "20000-20003", "--quarantine", "0", "--trace"];

/// Not a test: the client that `Container` starts. Sends one request for each line of standard
/// input.
#[test]
fn client() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let pid = if line == "self" { std::process::id().to_string() } else { line };
        let mut stream = UnixStream::connect(&socket).unwrap();
        writeln!(stream, "{pid}").unwrap();
        let port = parse(&lease_server::answer(&mut stream));
        eprintln!("answer {}", port.unwrap_or_default());
    }
}

/// A pid namespace with three processes: pid 1 is a shell, 2 a sleep(1), 3 a client.
struct Container {
    process: Child,
    reported: BufReader<std::process::ChildStderr>,
}

impl Container {
    /// Starts the container. None: the right to do so is missing.
    fn start(socket: &std::path::Path) -> Option<Self> {
        if !may_unshare() {
            return None;
        }
        let script = "sleep 1000 </dev/null >/dev/null 2>&1 & exec 4<&0; \"$0\" --exact serve_namespaces::client \
                      --nocapture <&4 & echo ready >&2; exec 4<&-; wait";
        let mut process = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .env(SOCKET, socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let reported = BufReader::new(process.stderr.take().unwrap());
        Some(Self { process, reported })
    }

    /// Returns the port that the client gets if it sends `pid`.
    fn lease(&mut self, pid: &str) -> Option<u16> {
        let stdin = self.process.stdin.as_mut().unwrap();
        stdin.write_all(format!("{pid}\n").as_bytes()).unwrap();
        loop {
            let mut line = String::new();
            assert!(self.reported.read_line(&mut line).unwrap() > 0, "the client has ended");
            if let Some((_, port)) = line.trim_end().rsplit_once("answer ") {
                return port.parse().ok().filter(|&port| port != 0);
            }
        }
    }

    /// Returns the pid, as seen here, of the process that has this pid in the container.
    fn here(&self, pid: u32) -> u32 {
        let mut found = Vec::new();
        below(self.process.id(), &mut found);
        let is_it = |&found: &u32| {
            let status = fs::read_to_string(format!("/proc/{found}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            line.is_some_and(|line| {
                line.ends_with(&format!("\t{pid}")) && line.matches('\t').count() > 1
            })
        };
        found.into_iter().find(is_it).unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Collects all descendants of a process.
fn below(pid: u32, found: &mut Vec<u32>) {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in children.split_ascii_whitespace().map(|child| child.parse().unwrap()) {
        found.push(child);
        below(child, found);
    }
}

/// Whether this process may create a pid namespace. If not, prints that, or panics if `CI` is set.
fn may_unshare() -> bool {
    let probe = Command::new("unshare").args(["--pid", "--fork", "true"]).output();
    let may = probe.is_ok_and(|output| output.status.success());
    assert!(may || std::env::var_os("CI").is_none(), "CI needs the right to unshare --pid");
    if !may {
        eprintln!("not tested here: no right to unshare --pid");
    }
    may
}

#[test]
fn a_pid_of_a_container_is_translated_to_the_host_pid() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &OPTIONS);
        let Some(mut container) = Container::start(&folder.path("s")) else { return };
        // The client itself, its parent, and another process of the container.
        for (asked, inside) in [("self", 3), ("1", 1), ("2", 2)] {
            let port = container.lease(asked).unwrap();
            let holder = format!("[{}]", container.here(inside));
            let is_reported =
                |line: &str| line.contains(&format!("port {port} · ")) && line.ends_with(&holder);
            until("it is told", || server.reported().lines().any(is_reported));
        }
        drop(container);
        let released = || server.reported().matches("released: its process has exited").count();
        until("all come back", || released() == 3);
        let holder = LeaseHolder::new();
        assert_eq!((0..5).filter_map(|_| server.lease(holder.pid())).count(), 4);
    });
}

#[test]
fn a_pid_unknown_in_the_clients_namespace_leases_no_port() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &OPTIONS);
        let Some(mut container) = Container::start(&folder.path("s")) else { return };
        let holder = LeaseHolder::new();
        // These processes exist here, but not in the container.
        for pid in [holder.pid(), std::process::id(), server.pid()] {
            assert_eq!(container.lease(&pid.to_string()), None, "{pid}");
        }
        let reported =
            format!("pid {} refused: the client is in another pid namespace", holder.pid());
        until("it is told", || server.reported().contains(&reported));
        assert_eq!((0..5).filter_map(|_| server.lease(holder.pid())).count(), 4);
    });
}

#[test]
fn a_client_of_a_namespace_that_is_not_visible_gets_no_port() {
    in_new_namespace(|| {
        if !may_unshare() {
            return;
        }
        let folder = Folder::new();
        let mut program = Command::new("unshare");
        let flags = ["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", PROGRAM];
        program.args(flags);
        let server = Server::start_by(program, &folder.path("s"), &OPTIONS);
        for pid in [1, 2, 3, std::process::id()] {
            assert_eq!(server.lease(pid), None, "{pid}");
        }
        let reported = "the client is in a pid namespace that is not visible here";
        until("it is told", || server.reported().matches(reported).count() == 4);
    });
}

#[test]
fn a_server_that_sees_proc_of_another_namespace_does_not_start() {
    in_new_namespace(|| {
        if !may_unshare() {
            return;
        }
        let folder = Folder::new();
        let mut program = Command::new("unshare");
        program.args(["--pid", "--fork", "--kill-child", PROGRAM, "serve", "--socket"]);
        let output = program.arg(folder.path("s")).output().unwrap();
        let reported = String::from_utf8(output.stderr).unwrap();
        assert!(reported.contains("/proc shows another pid namespace"), "{reported}");
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(folder.names(), [""; 0]);
    });
}
