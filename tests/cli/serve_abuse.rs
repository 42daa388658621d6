//! `portscope serve` with clients that violate the protocol: none stops it, none costs a port.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    folder::Folder,
    lease_server::{LeaseHolder, Server, answer, parse, until},
    namespace::in_new_namespace,
};

/// Time after which the server disconnects a client without a complete line.
const DEADLINE: Duration = Duration::from_secs(5);

#[test]
fn an_invalid_request_is_closed_without_answer_and_leases_no_port() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000-20003", "--trace"]);
        let holder = LeaseHolder::new();
        let pid = holder.pid();
        for line in [
            b"\n".to_vec(),
            b"-1\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            b"99999999999999999\n".to_vec(),
            b"000000000000000000000000000000000000000001\n".to_vec(),
            format!("{pid:020}\n").into_bytes(),
            format!("{pid}\n{pid}\n").into_bytes(),
            format!("+{pid}\n").into_bytes(),
            b"\x00\xff\xfe\x1b[2J\n".to_vec(),
            vec![0; 65_536],
        ] {
            let mut stream = server.connect();
            // The server may have closed the connection before everything was written.
            let _ = stream.write_all(&line);
            let _ = stream.shutdown(Shutdown::Write);
            assert_eq!(answer(&mut stream), b"", "{line:?}");
        }
        until("it is told", || server.reported().contains("invalid pid '-1'"));
        assert!(!server.reported().contains('\u{1b}'));
        assert_eq!((0..5).filter_map(|_| server.lease(pid)).count(), 4);
    });
}

/// Runs in `at_once`.
pub fn silent_clients_are_closed_after_5_seconds_and_delay_nobody() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000-20003"]);
        let holder = LeaseHolder::new();
        let begin = Instant::now();
        let mut silent = server.connect();
        let mut half_line_client = server.connect();
        half_line_client.write_all(b" ").unwrap();
        // Two bytes per second do not extend the time.
        let mut slow = server.connect();
        let byte_by_byte = thread::spawn(move || {
            while slow.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(500));
            }
            begin.elapsed()
        });
        assert!(server.lease(holder.pid()).is_some());
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        for stream in [&mut silent, &mut half_line_client] {
            assert_eq!(answer(stream), b"");
            let took = begin.elapsed();
            assert!(took >= DEADLINE && took < DEADLINE * 2, "{took:?}");
        }
        assert!(byte_by_byte.join().unwrap() < DEADLINE * 2);
        assert_eq!((0..4).filter_map(|_| server.lease(holder.pid())).count(), 3);
    });
}

#[test]
fn clients_with_incomplete_or_invalid_requests_delay_nobody() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000-20099"]);
        let holder = LeaseHolder::new();
        let unfinished: Vec<UnixStream> = (0..400)
            .map(|_| {
                let mut stream = server.connect();
                stream.write_all(b"4194304").unwrap();
                stream
            })
            .collect();
        let useless: Vec<UnixStream> = (0..400)
            .map(|number| {
                let mut stream = server.connect();
                writeln!(stream, "{}", [1, 2, server.pid(), u32::MAX][number % 4]).unwrap();
                stream
            })
            .collect();
        for _ in 0..50 {
            let begin = Instant::now();
            assert!(server.lease(holder.pid()).is_some());
            assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        }
        for mut stream in unfinished.into_iter().chain(useless) {
            assert_eq!(answer(&mut stream), b"");
        }
        assert_eq!((0..100).filter_map(|_| server.lease(holder.pid())).count(), 50);
    });
}

#[test]
fn thousands_of_silent_connections_take_few_descriptors_and_others_are_served() {
    in_new_namespace(|| {
        raise_descriptor_limit();
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000-20099"]);
        let holder = LeaseHolder::new();
        let mut silent = Vec::new();
        for number in 0..3000 {
            silent.push(server.connect());
            if number % 500 == 499 {
                assert!(server.lease(holder.pid()).is_some());
                let descriptors = server.descriptors();
                assert!(descriptors < 560, "{descriptors} after {number}");
            }
        }
        // The oldest clients were closed first.
        assert_eq!(silent[0].read(&mut [0]).unwrap(), 0);
        let last = silent.last_mut().unwrap();
        writeln!(last, "{}", holder.pid()).unwrap();
        assert!(parse(&answer(last)).is_some());
        drop(silent);
        until("all are closed", || server.descriptors() < 40);
        assert_eq!((0..100).filter_map(|_| server.lease(holder.pid())).count(), 100 - 7);
    });
}

/// Runs in `at_once`.
pub fn a_server_with_few_descriptors_serves_on_among_silent_connections() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000-20099"]);
        let few = rustix::process::Rlimit { current: Some(24), maximum: Some(24) };
        let pid = rustix::process::Pid::from_raw(server.pid().cast_signed()).unwrap();
        rustix::process::prlimit(Some(pid), rustix::process::Resource::Nofile, few).unwrap();
        let holder = LeaseHolder::new();
        let _silent: Vec<UnixStream> = (0..100).map(|_| server.connect()).collect();
        let mut leased = 0;
        until("all are leased", || {
            leased += u32::from(server.lease(holder.pid()).is_some());
            leased == 100
        });
    });
}

#[test]
fn a_client_that_left_before_its_answer_costs_no_port() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let options = ["--range", "20000", "--quarantine", "0", "--trace"];
        let server = Server::start(&folder.path("s"), &options);
        let holder = LeaseHolder::new();
        for round in 1..=20 {
            // Stopped, so that the client is gone before its request is read.
            server.stop();
            let mut stream = server.connect();
            writeln!(stream, "{}", holder.pid()).unwrap();
            drop(stream);
            server.signal(Signal::CONT);
            let given_back = || server.reported().matches("returned").count();
            until("it is given back", || given_back() == round);
        }
        until("it is leased", || server.lease(holder.pid()) == Some(20_000));
    });
}

#[test]
fn a_late_reader_gets_its_answer() {
    in_new_namespace(|| {
        let folder = Folder::new();
        let server = Server::start(&folder.path("s"), &["--range", "20000-20099"]);
        let holder = LeaseHolder::new();
        let mut late: Vec<UnixStream> = (0..50)
            .map(|_| {
                let mut stream = server.connect();
                writeln!(stream, "{}", holder.pid()).unwrap();
                stream
            })
            .collect();
        let mut ports: Vec<u16> = (0..50).map(|_| server.lease(holder.pid()).unwrap()).collect();
        ports.extend(late.iter_mut().map(|stream| parse(&answer(stream)).unwrap()));
        ports.sort_unstable();
        assert!(ports.into_iter().eq(20_000..=20_099));
    });
}

fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
