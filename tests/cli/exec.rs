//! `exec`: real programs that receive real sockets, in a private network namespace.
#![expect(clippy::print_stdout, reason = "a receiver tells what it was given")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use listenfd::ListenFd;

use crate::{
    namespace::{self, in_new_namespace},
    outputs::{PROGRAM, command, program, stderr, stdout},
    processes::{Sleeper, not_tested},
};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Set if this test binary runs as the program that receives the sockets.
const RECEIVER: &str = "PORTSCOPE_TEST_RECEIVER";

/// Returns `portscope exec OPTIONS -- COMMAND`. `options` is one string, `command` a list of words.
fn exec(options: &str, command: &[&str]) -> Command {
    let mut program = program();
    program.arg("exec").args(options.split_whitespace()).arg("--").args(command);
    program.stdin(Stdio::null());
    program
}

fn run(options: &str, command: &[&str]) -> Output {
    exec(options, command).output().unwrap()
}

fn shell(script: &str, words: &[&str]) -> Output {
    Command::new("sh").args(["-c", script]).args(words).output().unwrap()
}

fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("exec");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name);
    let _ = fs::remove_file(&file);
    file
}

/// Connects as soon as a program listens on the port.
fn connect(port: u16) -> TcpStream {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < deadline, "port {port}: {error}"),
        }
        std::thread::yield_now();
    }
}

/// Returns the command that runs the ignored test `role` of this binary as the receiver.
fn as_receiver<'a>(binary: &'a str, role: &'a str) -> [&'a str; 5] {
    [binary, "--ignored", "--exact", "--nocapture", role]
}

fn this_binary() -> String {
    std::env::current_exe().unwrap().to_str().unwrap().to_owned()
}

fn is_receiver() -> bool {
    std::env::var_os(RECEIVER).is_some()
}

#[test]
#[ignore = "the receiver of the tests below"]
fn receiver_that_answers() {
    if !is_receiver() {
        return;
    }
    let mut given = ListenFd::from_env();
    assert_eq!(given.len(), 2);
    let listener = given.take_tcp_listener(0).unwrap().unwrap();
    let socket = given.take_udp_socket(1).unwrap().unwrap();
    listener.accept().unwrap().0.write_all(b"from listenfd").unwrap();
    let mut datagram = [0; 64];
    let (length, sender) = socket.recv_from(&mut datagram).unwrap();
    datagram.make_ascii_uppercase();
    socket.send_to(&datagram[..length], sender).unwrap();
}

const PYTHON_RECEIVER: &str = "
import os, socket
assert os.environ['LISTEN_PID'] == str(os.getpid())
listener, datagrams = socket.socket(fileno=3), socket.socket(fileno=4)
assert listener.getsockname()[1] == int(os.environ['PORT']) == datagrams.getsockname()[1]
connection, _ = listener.accept()
connection.sendall(b'from python')
connection.close()
data, sender = datagrams.recvfrom(64)
datagrams.sendto(data.upper(), sender)
";

/// Asserts that a receiver on port 50000 answers over TCP and UDP.
#[track_caller]
fn assert_it_serves(mut started: Child, greeting: &str) {
    let mut received = String::new();
    connect(50_000).read_to_string(&mut received).unwrap();
    assert_eq!(received, greeting);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    client.send_to(b"ping", "127.0.0.1:50000").unwrap();
    let mut answer = [0; 8];
    let length = client.recv(&mut answer).unwrap();
    assert_eq!(&answer[..length], b"PING");
    assert!(started.wait().unwrap().success());
}

#[test]
fn a_listenfd_receiver_accepts_a_connection_and_a_datagram_on_the_sockets_it_is_given() {
    in_new_namespace(|| {
        let binary = this_binary();
        let mut command = exec(
            "--protocol both --range 50000",
            &as_receiver(&binary, "exec::receiver_that_answers"),
        );
        let started = command.env(RECEIVER, "1").stdout(Stdio::null()).spawn().unwrap();
        assert_it_serves(started, "from listenfd");
    });
}

#[test]
fn a_python_receiver_accepts_a_connection_and_a_datagram_on_the_sockets_it_is_given() {
    if Command::new("python3").arg("--version").output().is_err() {
        return not_tested("there is no python3");
    }
    in_new_namespace(|| {
        let command = ["python3", "-c", PYTHON_RECEIVER];
        let started = exec("--protocol both --range 50000", &command).spawn().unwrap();
        assert_it_serves(started, "from python");
    });
}

#[test]
#[ignore = "the receiver of the tests below"]
fn receiver_that_describes() {
    if !is_receiver() {
        return;
    }
    // `ListenFd` removes its variables from the environment, so it is read before.
    let environment: Vec<_> = std::env::vars().collect();
    let mut given = ListenFd::from_env();
    for number in 0..given.len() {
        let (name, port) = if let Ok(listener) = given.take_tcp_listener(number) {
            let listener = listener.unwrap();
            assert!(rustix::net::sockopt::socket_acceptconn(&listener).unwrap());
            ("tcp", listener.local_addr().unwrap().port())
        } else {
            let socket = given.take_udp_socket(number).unwrap().unwrap();
            ("udp", socket.local_addr().unwrap().port())
        };
        println!("@{name} {port}");
    }
    for (key, value) in environment {
        println!("@{key} {value}");
    }
}

/// Returns the sockets that the receiver got, in their order, and its environment.
fn described(options: &str) -> (Vec<(String, String)>, BTreeMap<String, String>) {
    let binary = this_binary();
    let mut command = exec(options, &as_receiver(&binary, "exec::receiver_that_describes"));
    command.env(RECEIVER, "1").stdout(Stdio::piped());
    let started = command.spawn().unwrap();
    let pid = started.id().to_string();
    let output = started.wait_with_output().unwrap();
    let lines = stdout(&output).lines().filter_map(|line| line.split_once('@')?.1.split_once(' '));
    let (sockets, environment): (Vec<_>, _) = lines
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .partition(|(key, _)| key == "tcp" || key == "udp");
    let environment = BTreeMap::from_iter(environment);
    assert_eq!(environment["LISTEN_PID"], pid, "it is the same process");
    assert_eq!(environment["LISTEN_FDS"], sockets.len().to_string());
    let names: Vec<&str> = sockets.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(environment["LISTEN_FDNAMES"], names.join(":"));
    assert_eq!(environment["PORT"], sockets[0].1);
    (sockets, environment)
}

#[test]
fn sockets_are_passed_in_contract_order_and_described_in_the_environment() {
    in_new_namespace(|| {
        for (protocol, names) in
            [("tcp", &["tcp"][..]), ("udp", &["udp"]), ("both", &["tcp", "udp"])]
        {
            for count in [1, 2, 3, 20] {
                let (sockets, environment) =
                    described(&format!("--protocol {protocol} --count {count} --strategy bitmap"));
                let ports: Vec<&str> =
                    (1..=count).map(|n| &*environment[&format!("PORT_{n}")]).collect();
                assert!(!environment.contains_key(&format!("PORT_{}", count + 1)));
                assert_eq!(BTreeSet::from_iter(&ports).len(), count, "they differ");
                let expected = ports.iter().flat_map(|port| names.iter().map(move |n| (*n, *port)));
                let sockets = sockets.iter().map(|(name, port)| (&**name, &**port));
                assert!(sockets.eq(expected), "{protocol} {count}: {environment:?}");
            }
        }
    });
}

#[test]
fn other_environment_variables_are_kept_and_inherited_listen_variables_removed() {
    in_new_namespace(|| {
        let of = |output: &Output| {
            let is_ours = |line: &str| {
                ["PORT=", "PORT_1=", "LISTEN_", "_="].iter().any(|ours| line.starts_with(ours))
            };
            let lines = stdout(output).lines().filter(|line| !is_ours(line));
            lines.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let mut program = exec("--protocol udp", &["env"]);
        for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "PORT"] {
            program.env(name, "stale");
        }
        let output = program.output().unwrap();
        assert!(!stdout(&output).contains("stale"), "{}", stdout(&output));
        assert!(stdout(&output).contains("LISTEN_FDNAMES=udp\n"));
        assert_eq!(of(&output), of(&command("env").output().unwrap()));
    });
}

#[test]
fn exit_code_and_signal_of_the_program_are_returned() {
    in_new_namespace(|| {
        for code in [0, 1, 42, 75, 127] {
            let output = run("", &["sh", "-c", &format!("exit {code}")]);
            assert_eq!(output.status.code(), Some(code));
            assert_eq!(stderr(&output), "");
        }
        for signal in [9, 15] {
            let output = run("", &["sh", "-c", &format!("kill -{signal} $$")]);
            assert_eq!(output.status.signal(), Some(signal));
        }
    });
}

#[test]
fn exec_without_a_port_exits_with_75() {
    in_new_namespace(|| {
        let made = file("started");
        let touch = ["touch", made.to_str().unwrap()];
        let _taken = TcpListener::bind("0.0.0.0:50000").unwrap();
        let full = run("--range 50000", &touch);
        assert_eq!(full.status.code(), Some(75));
        // Until its exec(), a process that another test starts holds copies of our descriptors,
        // too.
        let holder = format!("[{}]", std::process::id());
        let reported = stderr(&full);
        let is_reported =
            reported.starts_with("portscope: 50000 is in use by ") && reported.contains(&holder);
        assert!(is_reported && reported.lines().count() == 1, "{reported}");
        let two = run("--range 50000-50001 --count 2 --max-attempts 3", &touch);
        assert_eq!(two.status.code(), Some(75));
        assert!(stderr(&two).contains("1 of 2 ports of the range is free"), "{}", stderr(&two));
        namespace::set_sysctl("ip_local_reserved_ports", "50002");
        let reserved = run("--range 50002", &touch);
        assert_eq!(reserved.status.code(), Some(75));
        assert!(stderr(&reserved).contains("--ignore-reserved"));
        assert!(!made.exists());
        assert_eq!(run("--range 50000-50001 --strategy bitmap", &touch).status.code(), Some(0));
        assert!(made.exists());
    });
}

#[test]
fn a_missing_program_exits_with_127_and_a_non_executable_one_with_126() {
    in_new_namespace(|| {
        let plain = file("plain");
        fs::write(&plain, "text").unwrap();
        for (program, code, reported) in [
            ("portscope-no-such-program", 127, "'portscope-no-such-program' not found in PATH"),
            ("/nowhere/\u{1b}x", 127, "'/nowhere/\\u{1b}x': No such file"),
            (plain.to_str().unwrap(), 126, "Permission denied"),
            ("/", 126, "Permission denied"),
        ] {
            let output = run("", &[program]);
            assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
            assert!(stderr(&output).contains(reported), "{}", stderr(&output));
            assert_eq!(stderr(&output).matches('\n').count(), 1);
        }
    });
}

#[test]
fn bad_usage_is_2_in_one_line_and_nothing_is_started() {
    for (arguments, reported) in [
        ("exec", "portscope exec -- ./server"),
        ("exec --", "portscope exec -- ./server"),
        ("exec sh", "portscope exec -- sh"),
        ("exec sh -- true", "unexpected argument 'sh': put COMMAND after --"),
        ("exec --format json -- true", "exec has no option '--format'"),
        ("exec --output x -- true", "exec has no option '--output'"),
        ("exec --count 0 -- true", "1 to 65535"),
        ("exec --count 2 --range 9 -- true", "for --count: expected 1 (range 9 has 1 port)"),
        ("exec --range 0 -- true", "1 to 65535"),
        ("exec --strategy best -- true", "random"),
        ("exec --netns nowhere -- true", "unknown network namespace 'nowhere'"),
        ("--ascii exec", "must come first"),
    ] {
        let output = program().args(arguments.split(' ')).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(stderr(&output).contains(reported), "{arguments}: {}", stderr(&output));
        assert_eq!(stderr(&output).matches('\n').count(), 1);
    }
}

/// Parses the output of `ls`: the number and kind of each descriptor, except that of the folder
/// itself.
fn descriptors(listed: &str) -> BTreeMap<u32, String> {
    let lines = listed.lines().filter_map(|line| line.split_once(" -> "));
    lines
        .filter(|(_, target)| !target.ends_with("/fd"))
        .map(|(line, target)| {
            let kind = target.split(':').next().unwrap();
            (line.rsplit(' ').next().unwrap().parse().unwrap(), kind.to_owned())
        })
        .collect()
}

const LIST: [&str; 3] = ["ls", "-l", "/proc/self/fd"];

#[test]
fn the_program_inherits_only_the_callers_descriptors_and_the_sockets() {
    in_new_namespace(|| {
        let plain = Command::new("ls").args(&LIST[1..]).stdin(Stdio::null()).output().unwrap();
        let callers = descriptors(stdout(&plain));
        for (options, count) in
            [("", 1), ("--count 9", 9), ("--count 9 --protocol both --trace", 18)]
        {
            let output = run(options, &LIST);
            let has = descriptors(stdout(&output));
            let expected: BTreeSet<u32> = callers.keys().copied().chain(3..3 + count).collect();
            assert_eq!(has.keys().copied().collect::<BTreeSet<_>>(), expected, "{options}");
            assert!((3..3 + count).all(|number| has[&number] == "socket"), "{has:?}");
        }
    });
}

#[test]
fn a_descriptor_in_the_socket_range_is_replaced_and_others_are_inherited() {
    in_new_namespace(|| {
        let script = "exec 3</dev/zero 4</dev/zero 6</dev/zero 9</dev/zero; exec \"$0\" \"$@\"";
        for (options, replaced) in [("--protocol tcp", 3..4), ("--count 2 --protocol both", 3..7)] {
            let output = shell(
                script,
                &[&[PROGRAM, "exec"], &*options.split(' ').collect::<Vec<_>>(), &["--"], &LIST]
                    .concat(),
            );
            let has = descriptors(stdout(&output));
            for number in [3, 4, 5, 6, 9] {
                let is_socket = has.get(&number).is_some_and(|kind| kind == "socket");
                assert_eq!(is_socket, replaced.contains(&number), "{options}: {has:?}");
            }
            assert_eq!(has[&9], "/dev/zero");
        }
    });
}

#[test]
fn sockets_never_replace_closed_standard_streams() {
    in_new_namespace(|| {
        let list = file("closed");
        let script = "exec \"$0\" exec --protocol both -- sh -c 'ls -l /proc/self/fd > \"$0\"' \"$1\" <&- >&- 2>&-";
        let output = shell(script, &[PROGRAM, list.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0));
        let has = descriptors(&fs::read_to_string(&list).unwrap());
        for (number, kind) in [(0, "/dev/null"), (2, "/dev/null"), (3, "socket"), (4, "socket")] {
            assert_eq!(has[&number], kind, "{has:?}");
        }
        assert!(has[&1].ends_with("closed"));
    });
}

/// A server that accepts one connection and closes it before the client does. Prints a line when it
/// is ready.
const CLOSES_FIRST: &str = "
import socket
print(flush=True)
connection, _ = socket.socket(fileno=3).accept()
connection.close()
";

/// As `CLOSES_FIRST`, but binds PORT itself.
const BINDS_AND_CLOSES_FIRST: &str = "
import os, socket
listener = socket.create_server(('', int(os.environ['PORT'])))
print(flush=True)
connection, _ = listener.accept()
connection.close()
";

#[test]
fn a_server_that_closed_first_can_restart_on_its_port() {
    in_new_namespace(|| {
        let held = ("--range 50000", CLOSES_FIRST);
        let not_held = ("--range 50000 --no-hold", BINDS_AND_CLOSES_FIRST);
        for (options, script) in [held, not_held].repeat(10) {
            let mut server = exec(options, &["python3", "-c", script]);
            let mut server = server.stdout(Stdio::piped()).spawn().unwrap();
            // An earlier connect() could use a port that the server has in TIME-WAIT. Its SYN would
            // be answered by an ACK, and sent again after a second.
            let mut ready = [0];
            server.stdout.take().unwrap().read_exact(&mut ready).unwrap();
            assert_eq!(connect(50_000).read(&mut [0]).unwrap(), 0, "the server closes");
            assert_eq!(server.wait().unwrap().code(), Some(0), "{options}");
        }
        assert!(TcpListener::bind("0.0.0.0:50000").is_ok(), "std sets SO_REUSEADDR");
    });
}

#[test]
fn a_second_server_is_refused_while_the_first_listens() {
    in_new_namespace(|| {
        let serve = "
import socket
listener = socket.socket(fileno=3)
while True:
    listener.accept()[0].close()
";
        let server = exec("--range 50000", &["python3", "-c", serve]).spawn().unwrap();
        let _server = Sleeper::of(server);
        for _ in 0..20 {
            assert_eq!(connect(50_000).read(&mut [0]).unwrap(), 0, "the server closes");
            let second = run("--range 50000", &["true"]);
            assert_eq!(second.status.code(), Some(75));
            assert!(stderr(&second).contains("50000 is in use by python3["), "{}", stderr(&second));
            assert!(TcpListener::bind("0.0.0.0:50000").is_err(), "nor by SO_REUSEADDR");
        }
    });
}

#[test]
fn connections_of_a_running_server_keep_the_port() {
    in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:50000").unwrap();
        let _client = connect(50_000);
        let _accepted = listener.accept().unwrap();
        drop(listener);
        assert_eq!(run("--range 50000", &["true"]).status.code(), Some(75));
    });
}

#[test]
fn with_no_hold_the_program_binds_the_port_itself() {
    in_new_namespace(|| {
        let bind = "
import os, socket
assert 'LISTEN_FDS' not in os.environ
for name in ['PORT', 'PORT_1']:
    socket.socket().bind(('', int(os.environ[name])))
socket.socket().bind(('', int(os.environ['PORT_2'])))
";
        let command = ["python3", "-c", bind];
        let output = run("--no-hold --count 2", &command);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
        let held =
            run("--count 2", &["python3", "-c", "import os; print(os.environ['LISTEN_FDS'])"]);
        assert_eq!(stdout(&held), "2\n");
        let warned = run("--no-hold --range 40000", &["true"]);
        assert!(stderr(&warned).contains("40000 is in the kernel's ephemeral range"));
    });
}

#[test]
fn a_nested_exec_leaves_no_port_of_the_outer_one_in_the_environment() {
    in_new_namespace(|| {
        let inner = format!("exec {PROGRAM} exec -- env");
        let output = exec("--count 3", &["sh", "-c", &inner])
            .env("PORT_RANGE", "kept")
            .env("PORT_", "kept")
            .output()
            .unwrap();
        let of_ports = |line: &&str| line.starts_with("PORT");
        let mut names: Vec<&str> = stdout(&output)
            .lines()
            .filter(of_ports)
            .map(|line| line.split('=').next().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["PORT", "PORT_", "PORT_1", "PORT_RANGE"]);
    });
}

#[test]
fn few_descriptors_are_enough_for_one_port() {
    in_new_namespace(|| {
        for limit in [16, 32, 64] {
            let script = format!("ulimit -n {limit}; exec \"$0\" exec -- sh -c 'echo $PORT'");
            let output = shell(&script, &[PROGRAM]);
            assert_eq!(output.status.code(), Some(0), "{limit}: {}", stderr(&output));
        }
    });
}

#[test]
fn the_descriptor_limit_of_the_caller_is_kept_and_too_many_ports_are_refused() {
    in_new_namespace(|| {
        let script =
            "ulimit -Sn 300; exec \"$0\" exec --protocol both --count \"$1\" -- sh -c 'ulimit -Sn'";
        let output = shell(script, &[PROGRAM, "118"]);
        assert_eq!(stdout(&output), "300\n", "{}", stderr(&output));
        let output = shell(script, &[PROGRAM, "119"]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), ""));
        assert!(stderr(&output).contains("request up to 118, or raise ulimit -n"));
    });
}

#[test]
fn signal_dispositions_are_those_of_the_caller() {
    in_new_namespace(|| {
        let status = ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"];
        let hexadecimal = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let masks = |output: &Output| -> Vec<u64> {
            stdout(output).split_whitespace().skip(1).step_by(2).map(hexadecimal).collect()
        };
        let words = [&[PROGRAM, "exec", "--"], &status[..]].concat();
        for trap in ["true", "trap '' HUP PIPE"] {
            let script = format!("{trap}; exec \"$0\" \"$@\"");
            let masks = [&words[..], &status].map(|words| masks(&shell(&script, words)));
            assert_eq!(masks[0].len(), 2, "{masks:x?}");
            assert_eq!(masks[0], masks[1], "with exec, and without it, after {trap}: {masks:x?}");
        }
    });
}

#[test]
fn the_ports_are_free_again_when_the_program_is_killed() {
    in_new_namespace(|| {
        let command = ["sh", "-c", "echo ready; read line"];
        let mut command =
            exec("--protocol both --range 50000-50003 --count 4 --strategy bitmap", &command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut started = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(started.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        for port in 50_000..50_004 {
            assert!(
                UdpSocket::bind(("::", port)).is_err() && TcpListener::bind(("::", port)).is_err()
            );
        }
        started.kill().unwrap();
        started.wait().unwrap();
        for port in 50_000..50_004 {
            UdpSocket::bind(("::", port)).unwrap();
            TcpListener::bind(("::", port)).unwrap();
        }
    });
}

#[test]
fn netns_binds_ports_there_and_runs_the_program_in_the_callers_namespace() {
    in_new_namespace(|| {
        let far = in_new_namespace(|| Sleeper::spawn(Command::new("sleep").arg("1000"))).unwrap();
        let _taken_here = UdpSocket::bind("0.0.0.0:50000").unwrap();
        let here = fs::read_link("/proc/thread-self/ns/net").unwrap();
        let options = format!("--netns {} --range 50000", far.pid());
        let output = run(&options, &["readlink", "/proc/self/ns/net"]);
        assert_eq!(stdout(&output).trim_end(), here.to_str().unwrap(), "{}", stderr(&output));
    });
}

#[test]
fn exec_searches_as_pick_does() {
    in_new_namespace(|| {
        let _taken: Vec<_> =
            (50_000..50_040).map(|port| UdpSocket::bind(("0.0.0.0", port)).unwrap()).collect();
        let reported = |output: &Output| -> Vec<String> {
            // Without the time and the holder, which follow.
            let parts = |line: &str| line.split(" · ").take(3).collect::<Vec<_>>().join(" · ");
            let lines = stderr(output).lines().filter(|line| !line.starts_with("portscope: "));
            lines.map(parts).collect()
        };
        let options = "--protocol both --range 50000-50063 --seed 7 --count 3 --trace";
        let picked = program().arg("pick").args(options.split(' ')).output().unwrap();
        let given = run(options, &["sh", "-c", "echo $PORT_1 $PORT_2 $PORT_3 | tr ' ' '\\n'"]);
        assert_eq!(stdout(&picked), stdout(&given));
        assert_eq!(reported(&picked), reported(&given));
        assert!(reported(&given).len() > 4, "some were taken: {}", stderr(&given));
    });
}
