//! What the real program sends to the clipboard of its terminal, in private network namespaces.

use std::net::{TcpListener, TcpStream};

use crate::{namespace::in_new_namespace, pty::Session};

const START: &[u8] = b"\x1b]52;c;";

/// Decodes base64 (RFC 4648), as a terminal does.
fn decoded(encoded: &[u8]) -> String {
    let value = |digit: u8| match digit {
        b'A'..=b'Z' => Some(u32::from(digit - b'A')),
        b'a'..=b'z' => Some(u32::from(digit - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(digit - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        b'=' => None,
        other => panic!("{other} is not a digit of base64"),
    };
    let group = |group: &[u8]| {
        let digits: Vec<u32> = group.iter().filter_map(|&digit| value(digit)).collect();
        let bits =
            digits.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - digits.len()));
        bits.to_be_bytes()[1..digits.len()].to_vec()
    };
    String::from_utf8(encoded.chunks(4).flat_map(group).collect()).unwrap()
}

/// Types the key and returns what the program then sends to the clipboard.
fn copied(session: &mut Session, keys: &[u8]) -> String {
    let before = session.bytes.len();
    session.send(keys);
    let find = |session: &Session| {
        let bytes = &session.bytes[before..];
        let start = bytes.windows(START.len()).position(|part| part == START)? + START.len();
        let length = bytes[start..].iter().position(|&byte| byte == b'\x07')?;
        Some(decoded(&bytes[start..start + length]))
    };
    session.wait_until("the clipboard", |session| {
        session.read_for(std::time::Duration::from_millis(10));
        find(session).is_some()
    });
    session.wait_for_text("sent to the terminal's clipboard: ");
    find(session).unwrap()
}

#[test]
fn the_selected_row_or_port_is_sent_to_the_clipboard() {
    in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:40100").unwrap();
        let _client = TcpStream::connect("127.0.0.1:40100").unwrap();
        let _server = listener.accept().unwrap();
        let mut session = Session::start_sized(100, 30, &["40100"]);
        // The first scan does not search for owners.
        let pid = std::process::id().to_string();
        session.wait_for_text(&format!("[{pid}]"));

        let port = copied(&mut session, b"y");
        for part in ["port 40100\n", "LISTEN", "127.0.0.1:40100", &pid] {
            assert!(port.contains(part), "{part} is not in\n{port}");
        }
        assert!(session.contents().contains("clipboard: port 40100"), "{}", session.contents());

        session.send(b"1");
        session.wait_for_text("Destinations");
        // The list of listeners comes first.
        let destination = copied(&mut session, b"ly");
        assert!(destination.contains("127.0.0.1 → 127.0.0.1:40100\n1 of "), "{destination}");
        assert!(destination.contains(": 1 socket"), "{destination}");

        session.send(b"\x1b[F");
        session.wait_until("a quiet footer", |session| {
            session.read_for(std::time::Duration::from_millis(10));
            !session.contents().contains("clipboard: ")
        });
        let finding = copied(&mut session, b"y");
        for part in ["rule: listener-in-range\n", "do: 1 ", "sysctl -w "] {
            assert!(finding.contains(part), "{part} is not in\n{finding}");
        }
        session.assert_ends_by(b"q");
    });
}
