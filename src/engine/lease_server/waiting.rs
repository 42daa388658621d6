//! Reads the line of a connected client. Leases nothing.

use std::time::{Duration, Instant};

use crate::{
    engine::lease_server::line::{self, MAX_LINE_LENGTH, NotAPid},
    host::lease_socket::{Client, ClientInput},
};

/// Maximum number of bytes read from a client, as in portserver. It exceeds the maximum length of a
/// line, because close() with unread bytes resets the connection (unix(7)).
const ROOM: usize = 100;

/// Time after which a pid without a newline counts as a complete line if nothing follows. Some
/// clients send no newline, because portserver uses whatever its first read returns.
const QUIET: Duration = Duration::from_millis(500);

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
        line::parse(&self.bytes[..self.length])
    }
}
