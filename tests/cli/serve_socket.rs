//! The socket of `portscope serve`: which files it refuses to replace, which it replaces, and which
//! it leaves behind.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            fs::{MetadataExt as _, symlink},
            net::{SocketAddr, UnixDatagram, UnixListener, UnixStream},
            process::ExitStatusExt as _,
        },
    },
    path::Path,
    process::{Command, Stdio},
};

use rustix::{
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with},
    process::Signal,
};

use crate::{
    folder::Folder,
    lease_server::{LeaseHolder, Server, answer, parse, until},
    namespace::{self, in_another_namespace, in_new_namespace},
    outputs::{PROGRAM, program},
};

const RANGE: [&str; 2] = ["--range", "20000-20063"];

/// Returns the error line and the exit code of a server that does not start.
fn refusal(socket: &Path, options: &[&str]) -> (String, Option<i32>) {
    let mut command = program();
    let output = command.arg("serve").arg("--socket").arg(socket).args(options).output().unwrap();
    assert!(output.stdout.is_empty());
    let reported = String::from_utf8(output.stderr).unwrap();
    assert!(reported.starts_with("portscope: ") && reported.lines().count() == 1, "{reported}");
    (reported, output.status.code())
}

#[track_caller]
fn assert_refused(socket: &Path, words: &str) {
    let (reported, code) = refusal(socket, &RANGE);
    assert!(reported.contains(words), "{reported}");
    assert_eq!(code, Some(2));
}

/// Whether this process, and thus the processes that it starts, ignore the signal.
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

#[test]
fn a_signal_ends_the_server_and_removes_its_files() {
    in_new_namespace(|| {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
            if is_ignored(signal) {
                eprintln!(
                    "not tested here: {signal:?} is ignored (nohup), and so it is by a server"
                );
                continue;
            }
            let folder = Folder::new();
            let mut server = Server::start(&folder.path("s"), &RANGE);
            let holder = LeaseHolder::new();
            assert!(server.lease(holder.pid()).is_some());
            assert_eq!(folder.names(), ["s", "s.lock"]);
            server.signal(signal);
            assert_eq!(server.wait().signal(), Some(signal.as_raw()));
            assert_eq!(folder.names(), [""; 0]);
        }
    });
}

#[test]
fn the_socket_mode_follows_the_umask() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let _server = Server::start(&folder.path("s"), &RANGE);
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let umask = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
        let umask = u32::from_str_radix(umask.trim(), 8).unwrap();
        let mode = fs::symlink_metadata(folder.path("s")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o666 & !umask);
    });
}

#[test]
fn the_socket_of_a_killed_server_is_replaced_and_its_ports_are_free() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let holder = LeaseHolder::new();
        for _ in 0..3 {
            let mut server = Server::start(&folder.path("s"), &RANGE);
            assert_eq!((0..64).filter_map(|_| server.lease(holder.pid())).count(), 64);
            server.signal(Signal::KILL);
            server.wait();
            assert_eq!(folder.names(), ["s", "s.lock"]);
        }
    });
}

#[test]
fn a_second_server_is_refused_and_the_first_continues() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &RANGE);
        for _ in 0..3 {
            assert_refused(&folder.path("s"), "another portscope serves at");
        }
        assert!(server.lease(LeaseHolder::new().pid()).is_some());
        assert_eq!(folder.names(), ["s", "s.lock"]);
    });
}

#[test]
fn of_many_servers_started_after_a_kill_exactly_one_serves() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let mut killed = Server::start(&folder.path("s"), &RANGE);
        killed.signal(Signal::KILL);
        killed.wait();
        let start = || {
            let mut command = program();
            command.arg("serve").arg("--socket").arg(folder.path("s")).args(RANGE);
            command.stderr(std::process::Stdio::null()).spawn().unwrap()
        };
        let mut many: Vec<_> = (0..8).map(|_| start()).collect();
        let mut refused = 0;
        until("all but one are refused", || {
            many.retain_mut(|process| match process.try_wait().unwrap() {
                None => true,
                Some(status) => {
                    assert_eq!(status.code(), Some(2));
                    refused += 1;
                    false
                }
            });
            refused == 7
        });
        let mut stream = None;
        until("it serves", || {
            stream = UnixStream::connect(folder.path("s")).ok();
            stream.is_some()
        });
        let mut stream = stream.unwrap();
        let holder = LeaseHolder::new();
        writeln!(stream, "{}", holder.pid()).unwrap();
        assert!(parse(&answer(&mut stream)).is_some());
        many[0].kill().unwrap();
        many[0].wait().unwrap();
    });
}

#[test]
fn a_socket_of_another_program_is_not_removed_or_connected_to() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let listener = UnixListener::bind(folder.path("s")).unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_refused(&folder.path("s"), "another program listens at");
        // Nor is the socket replaced if a killed server has left a lock.
        fs::write(folder.path("s.lock"), "").unwrap();
        assert_refused(&folder.path("s"), "another program listens at");
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        drop(listener);
        // A child process of another test may have a copy until it calls exec().
        let path = folder.path("s").display().to_string();
        let listed = || fs::read_to_string("/proc/thread-self/net/unix").unwrap();
        until("no copy is left", || !listed().contains(&path));
        assert_refused(
            &folder.path("s"),
            "no portscope of this user is known to have created it: remove it",
        );
        assert_eq!(folder.names(), ["s", "s.lock"]);
    });
}

#[test]
fn an_empty_lock_does_not_allow_to_remove_a_socket_without_visible_listener() {
    in_new_namespace(|| {
        let folder = Folder::new();
        // A socket of another network namespace, which /proc/net/unix does not list here.
        let hidden = in_another_namespace(|| UnixListener::bind(folder.path("s")).unwrap());
        let Some(_hidden) = hidden else { return };
        fs::write(folder.path("s.lock"), "").unwrap();
        assert_refused(
            &folder.path("s"),
            "no portscope of this user is known to have created it: remove it",
        );
        assert_eq!(folder.names(), ["s", "s.lock"]);
        assert!(UnixStream::connect(folder.path("s")).is_ok());
    });
}

#[test]
fn a_lock_that_records_another_socket_does_not_allow_its_removal() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let mut server = Server::start(&folder.path("s"), &RANGE);
        server.signal(Signal::KILL);
        server.wait();
        let lock = fs::read_to_string(folder.path("s.lock")).unwrap();
        assert!(lock.starts_with("portscope serve lock 1\nsocket "), "{lock}");
        // The inode number may be reused, as on ext4.
        fs::remove_file(folder.path("s")).unwrap();
        drop(UnixListener::bind(folder.path("s")).unwrap());
        let made = fs::symlink_metadata(folder.path("s")).unwrap().ino();
        assert_refused(&folder.path("s"), "remove it, or use another --socket");
        assert_eq!(folder.names(), ["s", "s.lock"]);
        assert_eq!(fs::symlink_metadata(folder.path("s")).unwrap().ino(), made);
        // Nor does a copied lock suffice.
        fs::copy(folder.path("s.lock"), folder.path("t.lock")).unwrap();
        drop(UnixListener::bind(folder.path("t")).unwrap());
        assert_refused(&folder.path("t"), "remove it, or use another --socket");
        assert_eq!(folder.names(), ["s", "s.lock", "t", "t.lock"]);
    });
}

#[test]
fn datagram_and_not_yet_listening_sockets_count_as_in_use() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let _datagram = UnixDatagram::bind(folder.path("d")).unwrap();
        let flags = SocketFlags::CLOEXEC;
        let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let address = SocketAddrUnix::new(folder.path("s")).unwrap();
        rustix::net::bind(&stream, &address).unwrap();
        for name in ["d", "s"] {
            assert_refused(&folder.path(name), "another program listens at");
        }
        assert_eq!(folder.names(), ["d", "s"]);
    });
}

#[test]
fn a_lock_or_socket_of_another_user_is_not_touched() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let owned = |name: &str| {
            let path = folder.path(name);
            std::os::unix::fs::lchown(&path, Some(65_534), None).is_ok()
        };
        fs::write(folder.path("a.lock"), "portscope serve lock 1\n").unwrap();
        let mut server = Server::start(&folder.path("b"), &RANGE);
        server.signal(Signal::KILL);
        server.wait();
        if !owned("a.lock") || !owned("b") {
            eprintln!("not tested here: no right to give files away");
            return;
        }
        assert_refused(&folder.path("a"), "is not a portscope lock of this user");
        assert_refused(&folder.path("b"), "remove it, or use another --socket");
        assert_eq!(folder.names(), ["a.lock", "b", "b.lock"]);
    });
}

#[test]
fn socket_names_are_limited_to_107_bytes() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let room = 107 - folder.path("").as_os_str().len();
        let (longest, too_long) = ("a".repeat(room), "a".repeat(room + 1));
        assert_eq!(folder.path(&too_long).as_os_str().len(), 108);
        assert_refused(&folder.path(&too_long), "107 bytes");
        let name = format!("@{}", "a".repeat(108));
        assert_refused(Path::new(&name), "107 bytes");
        assert_eq!(folder.names(), [""; 0]);
        let server = Server::start(&folder.path(&longest), &RANGE);
        assert!(server.lease(LeaseHolder::new().pid()).is_some());
        let name = format!("@{}", "a".repeat(107));
        let _abstract = Server::start(Path::new(&name), &RANGE);
        let address = SocketAddr::from_abstract_name("a".repeat(107)).unwrap();
        assert!(UnixStream::connect_addr(&address).is_ok());
    });
}

#[test]
fn few_descriptors_are_enough_or_the_error_names_the_limit() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let holder = LeaseHolder::new();
        let mut served = 0;
        for limit in 4..=20 {
            let socket = folder.path(&format!("s{limit}"));
            let command =
                format!("ulimit -n {limit}; exec \"$0\" serve --socket \"$1\" --range 20000");
            let mut process = Command::new("sh");
            process.args(["-c", &command, PROGRAM]).arg(&socket).stdin(Stdio::null());
            let mut process = process.stderr(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            let mut reported = BufReader::new(process.stderr.take().unwrap());
            reported.read_line(&mut line).unwrap();
            if line.contains("PORTSERVER_ADDRESS=") {
                served += 1;
                let mut stream = UnixStream::connect(&socket).unwrap();
                writeln!(stream, "{}", holder.pid()).unwrap();
                assert_eq!(parse(&answer(&mut stream)), Some(20_000), "{limit}");
                process.kill().unwrap();
                process.wait().unwrap();
            } else if line.contains("error while loading shared libraries") {
                // Too few descriptors even for the dynamic loader, if the test's process passed one
                // on.
                process.wait().unwrap();
                assert_eq!(served, 0);
            } else {
                assert!(line.contains("ulimit -n"), "{limit}: {line}");
                assert_eq!(process.wait().unwrap().code(), Some(2), "{limit}: {line}");
                assert_eq!(served, 0, "{limit}: a smaller limit was enough");
                assert!(!socket.exists());
            }
        }
        assert!(served > 0);
    });
}

#[test]
fn a_file_that_is_not_a_socket_is_not_removed() {
    in_new_namespace(|| {
        let folder = Folder::new();
        fs::write(folder.path("file"), "precious").unwrap();
        fs::create_dir(folder.path("dir")).unwrap();
        symlink(folder.path("nowhere"), folder.path("link")).unwrap();
        let _listener = UnixListener::bind(folder.path("real")).unwrap();
        symlink(folder.path("real"), folder.path("to-socket")).unwrap();
        let names = folder.names();
        for name in ["file", "dir", "link", "to-socket"] {
            assert_refused(&folder.path(name), "exists and is not a socket");
        }
        assert_refused(&folder.path("none/s"), "No such file or directory");
        // A backslash is shown as two, not as four.
        assert_refused(&folder.path("no\\ne/s"), "/no\\\\ne/s.lock: No such file");
        assert_refused(&folder.path(&"a".repeat(108)), "107 bytes");
        assert_eq!(folder.names(), names);
        assert_eq!(fs::read_to_string(folder.path("file")).unwrap(), "precious");
    });
}

#[test]
fn a_foreign_lock_file_is_not_touched() {
    in_new_namespace(|| {
        let folder = Folder::new();
        fs::write(folder.path("a.lock"), "pid 7").unwrap();
        fs::write(folder.path("e.lock"), vec![b'x'; 1 << 20]).unwrap();
        fs::write(folder.path("f"), "").unwrap();
        fs::hard_link(folder.path("f"), folder.path("f.lock")).unwrap();
        fs::create_dir(folder.path("b.lock")).unwrap();
        symlink(folder.path("nowhere"), folder.path("c.lock")).unwrap();
        let _listener = UnixListener::bind(folder.path("d.lock")).unwrap();
        let names = folder.names();
        for name in ["a", "b", "c", "d", "e", "f"] {
            assert_refused(&folder.path(name), "is not a portscope lock");
        }
        assert_eq!(folder.names(), names);
    });
}

#[test]
fn a_socket_that_replaced_ours_is_not_removed() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let mut server = Server::start(&folder.path("s"), &RANGE);
        fs::remove_file(folder.path("s")).unwrap();
        let _other = UnixListener::bind(folder.path("s")).unwrap();
        server.signal(Signal::TERM);
        server.wait();
        assert_eq!(folder.names(), ["s"]);
    });
}

#[test]
fn an_abstract_name_is_used_by_one_server() {
    in_new_namespace(|| {
        let mut server = Server::start(Path::new("@portscope-test"), &RANGE);
        assert_refused(Path::new("@portscope-test"), "listens at @portscope-test");
        let address = SocketAddr::from_abstract_name("portscope-test").unwrap();
        let mut stream = UnixStream::connect_addr(&address).unwrap();
        let holder = LeaseHolder::new();
        writeln!(stream, "{}", holder.pid()).unwrap();
        assert!(parse(&answer(&mut stream)).is_some());
        server.signal(Signal::TERM);
        server.wait();
        assert!(UnixStream::connect_addr(&address).is_err());
        assert!(!Path::new("@portscope-test.lock").exists());
    });
}

#[test]
fn invalid_options_are_refused_before_files_are_created() {
    let folder = Folder::new();
    for (options, words) in [
        (&["--range", "0-9"][..], "expected 1-9"),
        (&["--range", "9-8"], "expected 8-9"),
        (&["--quarantine", "-1"], "0 to 86400"),
        (&["--drain", "x"], "0 to 86400"),
        (&["--quarantine", "1", "--drain", "1"], "cannot be used with"),
        (&["--seed", "x"], "whole number"),
        (&["--max-attempts", "0"], "1 to"),
        (&["--address", "localhost"], "127.0.0.1"),
        (&["--protocol", "sctp"], "tcp, udp, both"),
        (&["--address", "192.0.2.1", "--socket", "x"], "twice"),
    ] {
        let (reported, code) = refusal(&folder.path("s"), options);
        assert!(reported.contains(words), "{options:?}: {reported}");
        assert_eq!(code, Some(2));
    }
    assert_eq!(folder.names(), [""; 0]);
    assert!(refusal(Path::new(""), &[]).0.contains("expected a path or @NAME"));
    assert!(refusal(Path::new("@"), &[]).0.contains("expected a path or @NAME"));
}

#[test]
fn a_range_that_is_all_reserved_is_refused() {
    in_new_namespace(|| {
        let folder = Folder::new();
        namespace::set_sysctl("ip_local_reserved_ports", "20000-20063");
        assert_refused(&folder.path("s"), "every port of 20000-20063 is reserved");
        let options = [&RANGE[..], &["--ignore-reserved"]].concat();
        let server = Server::start(&folder.path("s"), &options);
        assert!(server.lease(LeaseHolder::new().pid()).is_some());
    });
}
