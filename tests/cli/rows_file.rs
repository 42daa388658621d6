//! `W` on the Sockets screen writes the rows to a file as `scan` prints them, and no other file.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;

use crate::{
    folder::Folder,
    namespace::in_new_namespace,
    outputs::{json, program, stdout},
    processes,
    pty::Session,
};

fn scanned(words: &[&str]) -> std::process::Output {
    processes::output_of(program().args([&["scan", "--filter", ":8080"], words].concat()))
}

/// Types the name of the file into the prompt, and waits for what the footer reports.
fn write(session: &mut Session, file: &Path, reported: &str) {
    session.send(b"W");
    session.wait_for_text("write to");
    session.send(format!("\x15{}\r", file.display()).as_bytes());
    session.wait_for_text(reported);
}

#[test]
fn rows_are_written_as_scan_prints_them() {
    in_new_namespace(|| {
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40001 40009").unwrap();
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _other = TcpListener::bind("127.0.0.1:8081").unwrap();
        let _client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let _server = listener.accept().unwrap();
        let folder = Folder::new();
        let mut session = Session::start_sized(120, 30, &[]);
        session.send(b"3");
        session.wait_for_text(&format!("[{}]", std::process::id()));
        session.send(b"/:8080\r");
        session.wait_for_text("3 of 4 sockets");

        let csv = folder.path("rows.csv");
        write(&mut session, &csv, "wrote 3 sockets to ");
        let printed = scanned(&["--format", "csv"]);
        assert_eq!(fs::read_to_string(&csv).unwrap(), stdout(&printed));

        // The order is that of the screen: s is by the next column, S reverses.
        session.send(b"S");
        let other = folder.path("rows.json");
        write(&mut session, &other, "rows.json");
        let written: Value = serde_json::from_str(&fs::read_to_string(&other).unwrap()).unwrap();
        let printed = json(&scanned(&["--json", "--sort", "local", "--reverse"]));
        assert_eq!(written["schema"], "portscope.scan/1");
        assert_eq!(written["sockets"], printed["sockets"]);

        session.send(b"c");
        session.wait_for_text("by state");
        let groups = folder.path("groups.csv");
        write(&mut session, &groups, "wrote 1 group to ");
        let printed = scanned(&["--format", "csv", "--group", "owner"]);
        assert_eq!(fs::read_to_string(&groups).unwrap(), stdout(&printed));

        // A file of portscope is replaced; a link and another file are not.
        write(&mut session, &groups, "wrote 1 group to ");
        let (victim, link) = (folder.path("victim.csv"), folder.path("link.csv"));
        fs::write(&victim, "mine").unwrap();
        symlink(&victim, &link).unwrap();
        for file in [&victim, &link] {
            let name = file.file_name().unwrap().to_str().unwrap();
            write(&mut session, file, &format!("/{name}: "));
            assert!(session.contents().contains("could not write "), "{}", session.contents());
            assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        }
        // A pipe whose reader does not read would block the screen.
        let pipe = folder.path("pipe.csv");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let _reader = fs::File::options().read(true).write(true).open(&pipe).unwrap();
        write(&mut session, &pipe, "a pipe or a device");
        session.assert_ends_by(b"q");
    });
}
