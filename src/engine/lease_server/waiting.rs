//! Reads and parses the line of a connected client: a pid in ASCII digits. Leases nothing.

use std::time::{Duration, Instant};

use crate::{
    domain::Text,
    host::lease_socket::{Client, ClientInput},
};

/// Maximum length of a line in bytes, including its newline, as in portserver.
const MAX_LINE_LENGTH: usize = 20;

/// Maximum number of bytes read from a client, as in portserver. It exceeds the maximum length of a
/// line, because close() with unread bytes resets the connection (unix(7)).
const ROOM: usize = 100;

/// Time after which a pid without a newline counts as a complete line if nothing follows. Some
/// clients send no newline, because portserver uses whatever its first read returns.
const QUIET: Duration = Duration::from_millis(500);

/// Error: the line is not a pid. Contains the part of the line that was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid pid '{0}'")]
pub struct NotAPid(pub Text);

/// A connected client that sent no complete line yet.
pub struct Waiting {
    pub client: Client,
    /// Time when the client was accepted.
    pub since: Instant,
    bytes: [u8; ROOM],
    length: usize,
    /// Time when the client's last bytes arrived.
    received: Instant,
}

/// What a client has sent so far.
#[derive(Debug, PartialEq, Eq)]
pub enum ReceivedRequest {
    /// No complete line.
    Nothing,
    /// A complete line: its pid, or why it has none.
    Line(Result<u32, NotAPid>),
    /// The client closed the connection without sending anything.
    Shutdown,
}

impl Waiting {
    pub fn new(client: Client, since: Instant) -> Self {
        Self { client, since, bytes: [0; ROOM], length: 0, received: since }
    }

    /// Reads from the client. A line is complete when it contains a newline, when it is longer than
    /// `MAX_LINE_LENGTH`, or when the client closes its side of the connection.
    pub fn receive(&mut self, now: Instant) -> ReceivedRequest {
        match self.client.receive(&mut self.bytes[self.length..]) {
            ClientInput::Nothing => return ReceivedRequest::Nothing,
            ClientInput::End if self.length == 0 => return ReceivedRequest::Shutdown,
            ClientInput::End => {}
            ClientInput::Bytes(length) => {
                self.length += length;
                self.received = now;
                if self.length <= MAX_LINE_LENGTH && !self.bytes[..self.length].contains(&b'\n') {
                    return ReceivedRequest::Nothing;
                }
            }
        }
        ReceivedRequest::Line(self.line())
    }

    /// Returns the time when the bytes received so far count as a complete line if nothing follows;
    /// `None` if they are not a pid.
    pub fn complete_at(&self) -> Option<Instant> {
        self.line().is_ok().then_some(self.received + QUIET)
    }

    /// Parses the bytes received so far as a line.
    pub fn line(&self) -> Result<u32, NotAPid> {
        parse(&self.bytes[..self.length])
    }
}

/// Returns the pid of a complete line, with or without its newline. ASCII whitespace around the
/// digits is ignored, as in portserver.
///
/// Errors: the line has other characters, no digits, more than `MAX_LINE_LENGTH` bytes, or a number
/// above `u32::MAX`.
fn parse(line: &[u8]) -> Result<u32, NotAPid> {
    let digits = line.trim_ascii();
    let is_number = digits.iter().all(u8::is_ascii_digit) && line.len() <= MAX_LINE_LENGTH;
    let number = str::from_utf8(digits).ok().filter(|_| is_number);
    number.and_then(|number| number.parse().ok()).ok_or_else(|| NotAPid(Text::scrub(digits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_a_decimal_pid() {
        for (line, pid) in [("1\n", 1), (" 7 \n", 7), ("007\r\n", 7), ("4294967295", u32::MAX)] {
            assert_eq!(parse(line.as_bytes()), Ok(pid), "{line}");
        }
    }

    #[test]
    fn other_lines_are_rejected() {
        for line in [
            "",
            "\n",
            "-1\n",
            "+1\n",
            "1.0\n",
            "0x1\n",
            "1\n2\n",
            "1 2\n",
            "4294967296\n",
            "\u{663}\n",
            "000000000000000000001\n",
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line}");
        }
        assert_eq!(parse(b"\x1b[2J\xff").unwrap_err().to_string(), "invalid pid '\\u{1b}[2J\\xff'");
    }
}
