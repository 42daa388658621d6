//! `portscope serve`: the portserver protocol, with raw clients and with the Python client, and how
//! ports become free again.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv6Addr, TcpListener, UdpSocket},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    folder::Folder,
    lease_server::{LeaseHolder, Server, answer, end, parse, until},
    namespace::in_new_namespace,
};

const EVERYWHERE: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

#[test]
fn each_request_gets_another_port_which_can_be_bound_on_both_protocols() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000-20063"]);
        let (one, other) = (LeaseHolder::new(), LeaseHolder::new());
        let ports: BTreeSet<u16> =
            (0..64).map(|n| server.lease([&one, &other][n % 2].pid()).unwrap()).collect();
        assert_eq!(ports.len(), 64);
        assert!(ports.iter().all(|port| (20_000..=20_063).contains(port)), "{ports:?}");
        for &port in &ports {
            let _tcp = TcpListener::bind((EVERYWHERE, port)).unwrap();
            let _udp = UdpSocket::bind((EVERYWHERE, port)).unwrap();
        }
        assert_eq!(server.lease(one.pid()), None);
        until("it is told", || {
            server.reported().contains("no port left for class normal: 64 leased")
        });
    });
}

#[test]
fn a_port_in_use_on_one_protocol_is_not_leased() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let _tcp = TcpListener::bind(("127.0.0.1", 20_001)).unwrap();
        let _udp = UdpSocket::bind(("::1", 20_002)).unwrap();
        let server = Server::start(&folder.path("s"), &["--range", "20000-20003"]);
        let holder = LeaseHolder::new();
        let mut ports: Vec<u16> = (0..4).filter_map(|_| server.lease(holder.pid())).collect();
        ports.sort_unstable();
        assert_eq!(ports, [20_000, 20_003]);
    });
}

#[test]
fn a_pid_that_cannot_hold_a_lease_gets_no_answer() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000-20003", "--trace"]);
        let mut gone = LeaseHolder::new();
        gone.kill();
        let zombie = gone.pid();
        until("a zombie", || server.lease(zombie).is_none());
        // None of these processes gets a lease: they do not exist, or do not end before the server.
        for pid in [0, 1, server.pid(), 4_194_305, u32::MAX] {
            assert_eq!(server.lease(pid), None, "{pid}");
        }
        until("it is told", || {
            server.reported().contains("pid 4294967295 refused: no such process")
        });
    });
}

#[test]
fn a_line_without_newline_is_accepted_after_shutdown() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000"]);
        let holder = LeaseHolder::new();
        let mut stream = server.connect();
        stream.write_all(holder.pid().to_string().as_bytes()).unwrap();
        assert_eq!(end(&mut stream), b"20000\n");
    });
}

/// Runs in `at_once`.
pub fn a_pid_without_newline_is_answered_after_a_delay() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000-20003"]);
        let holder = LeaseHolder::new();
        let pid = holder.pid().to_string();
        for line in [pid.clone(), format!("{pid}\r"), format!("{pid} ")] {
            // Sooner than the server closes a client that sends nothing.
            let begin = Instant::now();
            assert!(parse(&server.ask(line.as_bytes())).is_some(), "{line:?}");
            assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        }
        assert!(parse(&server.ask(format!("{pid}\r\n").as_bytes())).is_some());
    });
}

#[test]
fn a_pid_received_in_pieces_is_assembled() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000", "--trace"]);
        let holder = LeaseHolder::new();
        let pid = holder.pid().to_string();
        let mut stream = server.connect();
        // A space is not a complete request, even if the pid follows later.
        stream.write_all(b" ").unwrap();
        stream.write_all(pid.as_bytes()).unwrap();
        assert_eq!(answer(&mut stream), b"20000\n");
        let reported = format!("port 20000 · sleep[{pid}]\n");
        until("it is told", || server.reported().contains(&reported));
    });
}

#[test]
fn a_kernel_thread_gets_no_port() {
    in_new_namespace(|| {
        let threads = kernel_threads();
        if threads.is_empty() {
            eprintln!("not tested here: no kernel thread to be seen");
            return;
        }
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000", "--trace"]);
        for pid in threads {
            assert_eq!(server.lease(pid), None, "{pid}");
            let refused = format!("pid {pid} refused: a lease of pid {pid} would never end");
            let reported = format!("{refused}: kernel threads do not exit\n");
            until("it is told", || server.reported().contains(&reported));
        }
        assert_eq!(server.lease(LeaseHolder::new().pid()), Some(20_000));
    });
}

/// Returns kthreadd and some of its children.
fn kernel_threads() -> Vec<u32> {
    let is_thread = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let has_line = |wanted: &str| status.lines().any(|line| line == wanted);
        has_line("Kthread:\t1") || has_line("Name:\tkthreadd") || has_line("PPid:\t2")
    };
    (2..100).filter(is_thread).take(8).collect()
}

#[test]
fn sigusr1_prints_statistics_without_ending_the_server() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let options = ["--range", "20000-20009", "--quarantine", "60"];
        let server = Server::start(&folder.path("s"), &options);
        let (mut one, other) = (LeaseHolder::new(), LeaseHolder::new());
        server.signal(Signal::USR1);
        let none = "ports: 0 leased, 10 free, 0 in quarantine; clients: 0 waiting; since start: 0 \
                    leased, 0 released, 0 returned, 0 refused, 0 invalid, 0 closed";
        until("it is told", || server.reported().contains(none));
        for holder in [&one, &other, &other] {
            assert!(server.lease(holder.pid()).is_some());
        }
        assert_eq!(server.lease(1), None);
        assert_eq!(server.ask(b"x\n"), b"");
        one.kill();
        let _silent = server.connect();
        let some = "ports: 2 leased, 7 free, 1 in quarantine; clients: 1 waiting; since start: 3 \
                    leased, 1 released, 0 returned, 1 refused, 1 invalid, 0 closed";
        until("it is told", || {
            server.signal(Signal::USR1);
            server.reported().contains(some)
        });
        assert!(server.lease(other.pid()).is_some());
    });
}

/// Runs in `at_once`.
pub fn a_port_is_reclaimed_after_its_process_ended_unless_it_is_in_use() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let options = ["--range", "20000", "--quarantine", "0", "--trace"];
        let server = Server::start(&folder.path("s"), &options);
        let (mut one, other) = (LeaseHolder::new(), LeaseHolder::new());
        assert_eq!(server.lease(one.pid()), Some(20_000));
        // Holds the port, as a child of the lease holder could.
        let child = UdpSocket::bind((EVERYWHERE, 20_000)).unwrap();
        one.kill();
        let begin = Instant::now();
        // Longer than the interval between checks of the lease holders.
        while begin.elapsed() < Duration::from_millis(1500) {
            assert_eq!(server.lease(other.pid()), None);
            thread::sleep(Duration::from_millis(20));
        }
        drop(child);
        until("it comes back", || server.lease(other.pid()) == Some(20_000));
        let reported = "port 20000 released: its process has exited";
        until("it is told", || server.reported().contains(reported));
    });
}

/// Runs in `at_once`.
pub fn ports_are_reclaimed_without_requests() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000-20009", "--trace"]);
        let mut holder = LeaseHolder::new();
        let port = server.lease(holder.pid()).unwrap();
        holder.kill();
        let released = format!("port {port} released");
        until("it is released", || server.reported().contains(&released));
    });
}

/// Runs in `at_once`.
pub fn a_released_port_is_quarantined_before_it_is_leased_again() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let options = ["--range", "20000", "--quarantine", "1.5"];
        let server = Server::start(&folder.path("s"), &options);
        let (mut one, other) = (LeaseHolder::new(), LeaseHolder::new());
        assert_eq!(server.lease(one.pid()), Some(20_000));
        let killed = Instant::now();
        one.kill();
        until("it is leased again", || server.lease(other.pid()).is_some());
        assert!(killed.elapsed() >= Duration::from_millis(1500), "{:?}", killed.elapsed());
    });
}

/// Runs in `at_once`.
pub fn a_drained_port_stays_bound_until_no_late_datagram_arrives() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let options = ["--range", "20000", "--drain", "1", "--trace"];
        let server = Server::start(&folder.path("s"), &options);
        let (mut one, other) = (LeaseHolder::new(), LeaseHolder::new());
        assert_eq!(server.lease(one.pid()), Some(20_000));
        one.kill();
        until("it is released", || server.reported().contains("port 20000 released"));
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let begin = Instant::now();
        let mut last = begin;
        while begin.elapsed() < Duration::from_secs(2) {
            sender.send_to(b"stray", "127.0.0.1:20000").unwrap();
            last = Instant::now();
            assert_eq!(server.lease(other.pid()), None);
            assert!(TcpListener::bind((EVERYWHERE, 20_000)).is_err());
            thread::sleep(Duration::from_millis(50));
        }
        until("it is leased again", || server.lease(other.pid()).is_some());
        assert!(last.elapsed() >= Duration::from_secs(1), "{:?}", last.elapsed());
    });
}

/// A client that gets a port from portpicker, binds it, and keeps it.
const PYTHON: &str = "
import portpicker, socket, sys
port = portpicker.pick_unused_port()
tcp = socket.create_server(('', port))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('', port))
print(port, flush=True)
sys.stdin.read()
";

/// Whether the real client is installed. If not, prints that, or panics if `CI` is set.
fn has_portpicker() -> bool {
    let found = Command::new("python3").args(["-c", "import portpicker"]).output();
    let has_it = found.is_ok_and(|output| output.status.success());
    assert!(has_it || std::env::var_os("CI").is_none(), "CI needs python3 and its portpicker");
    if !has_it {
        eprintln!("not tested here: python3 has no portpicker (set PYTHONPATH)");
    }
    has_it
}

fn python(server: &Server) -> Child {
    Command::new("python3")
        .args(["-c", PYTHON])
        .env("PORTSERVER_ADDRESS", &server.socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn sixteen_unmodified_clients_of_portpicker_at_once_get_a_port_each() {
    if !has_portpicker() {
        return;
    }
    in_new_namespace(|| {
        let folder = Folder::new();
        // As many ports as clients, so that a port leased twice or lost would be noticed.
        let options = ["--range", "20000-20015", "--quarantine", "0"];
        let server = Server::start(&folder.path("s"), &options);
        let mut clients: Vec<Child> = (0..16).map(|_| python(&server)).collect();
        let ports: BTreeSet<u16> = clients
            .iter_mut()
            .map(|client| {
                let mut line = String::new();
                BufReader::new(client.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
                line.trim().parse().unwrap_or_else(|_| panic!("{line:?}: {}", complaint(client)))
            })
            .collect();
        assert_eq!(ports, (20_000..=20_015).collect());
        let holder = LeaseHolder::new();
        assert_eq!(server.lease(holder.pid()), None);
        for mut client in clients {
            drop(client.stdin.take());
            assert_eq!(complaint(&mut client), "");
            assert!(client.wait().unwrap().success());
        }
        let mut back = BTreeSet::new();
        until("all come back", || {
            back.extend(server.lease(holder.pid()));
            back.len() == 16
        });
    });
}

fn complaint(client: &mut Child) -> String {
    let mut reported = String::new();
    client.stderr.take().unwrap().read_to_string(&mut reported).unwrap();
    reported
}
