//! Daily questions on the Sockets screen, key by key, in private network namespaces: who is on a port,
//! the sockets of a program, TIME-WAIT to a destination, what listens, free a port.

use std::{
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
};

use crate::{namespace::in_new_namespace, pty::Session};

/// A process that holds a socket as its standard input. It is killed when dropped.
struct SocketHolder(Child);

impl SocketHolder {
    fn of(socket: TcpListener) -> Self {
        let input = Stdio::from(OwnedFd::from(socket));
        Self(Command::new("sleep").arg("1000").stdin(input).spawn().unwrap())
    }

    /// Whether the process has ended.
    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for SocketHolder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn daily_questions_about_sockets_are_answered() {
    in_new_namespace(|| {
        let mut holder = SocketHolder::of(TcpListener::bind("0.0.0.0:8080").unwrap());
        let server = TcpListener::bind("127.0.0.1:5432").unwrap();
        for _ in 0..3 {
            let client = TcpStream::connect("127.0.0.1:5432").unwrap();
            let (accepted, _) = server.accept().unwrap();
            drop(client);
            drop(accepted);
        }
        let mut session = Session::start_sized(80, 24, &[]);
        session.wait_for_text("Listening");

        // What listens here? The sockets of a program; only TIME-WAIT to a destination; who is on
        // 8080? Ctrl-U empties the line first.
        for (filter, count, shown) in [
            ("listen", "2 of 5 sockets", "0.0.0.0:8080"),
            ("sleep", "1 of 5 sockets", "sleep["),
            ("state time-wait dst 127.0.0.1:5432", "3 of 5 sockets", "ss -tuan state time-wait"),
            (":8080", "1 of 5 sockets", "sleep 1000"),
        ] {
            session.send(format!("/\x15{filter}\r").as_bytes());
            session.wait_for_text(count);
            session.wait_for_text(shown);
        }

        // End it.
        session.send(b"x");
        session.wait_for_text("End the process (SIGTERM)");
        session.wait_for_text("y do it");
        assert!(!holder.has_ended(), "the dialog changes nothing");
        session.send(b"y");
        session.wait_for_text("TCP 8080 is free.");
        assert!(holder.has_ended());
        session.send(b"\x1b");
        session.wait_for("the closed dialog", |screen| !screen.contents().contains("Esc close"));
        session.assert_ends_by(b"q");
    });
}

#[test]
fn read_only_changes_nothing() {
    in_new_namespace(|| {
        let mut holder = SocketHolder::of(TcpListener::bind("0.0.0.0:8080").unwrap());
        let mut session = Session::start_sized(80, 24, &["--read-only"]);
        session.wait_for_text("Listening");
        session.send(b"/:8080\r");
        session.wait_for_text("1 of 1 socket");
        session.send(b"x");
        session.wait_for_text("copy the command");
        session.send(b"y");
        session.wait_for_text("nothing is done with --read-only");
        assert!(!holder.has_ended());
        session.send(b"\x1b");
        session.wait_for("the closed dialog", |screen| !screen.contents().contains("Esc close"));
        session.assert_ends_by(b"q");
    });
}
