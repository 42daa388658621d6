//! Reads the line of a connected client. Leases nothing.

use std::time::{Duration, Instant};

use crate::{
    engine::lease_server::line::{self, LONGEST, NotAPid},
    host::linux::lease_socket::{Client, ClientInput},
};

/// Number of bytes read, as in portserver: more than a line may have, because unread bytes turn the
/// close into a reset (unix(7)).
const ROOM: usize = 100;

/// A pid without a newline counts as the line once nothing follows it for this time: portserver
/// takes what the first read returns, and some clients send no newline.
const QUIET: Duration = Duration::from_millis(500);

pub struct Waiting {
    pub client: Client,
    pub since: Instant,
    said: [u8; ROOM],
    length: usize,
    /// Time when its last bytes arrived.
    received: Instant,
}

/// What a client has sent so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// No complete line.
    Nothing,
    Line(Result<u32, NotAPid>),
    /// The client disconnected without sending anything.
    Shutdown,
}

impl Waiting {
    pub fn new(client: Client, since: Instant) -> Self {
        Self { client, since, said: [0; ROOM], length: 0, received: since }
    }

    /// Reads from the client. A line ends with a newline, with more bytes than it may have, or when
    /// the client closes its side.
    pub fn receive(&mut self, now: Instant) -> Said {
        match self.client.receive(&mut self.said[self.length..]) {
            ClientInput::Nothing => return Said::Nothing,
            ClientInput::End if self.length == 0 => return Said::Shutdown,
            ClientInput::End => {}
            ClientInput::Bytes(length) => {
                self.length += length;
                self.received = now;
                if self.length <= LONGEST && !self.said[..self.length].contains(&b'\n') {
                    return Said::Nothing;
                }
            }
        }
        Said::Line(self.line())
    }

    /// Returns when the bytes received so far count as the line if nothing follows; `None` if they
    /// are not a pid yet.
    pub fn complete_at(&self) -> Option<Instant> {
        self.line().is_ok().then_some(self.received + QUIET)
    }

    /// Parses the bytes received so far as a line.
    pub fn line(&self) -> Result<u32, NotAPid> {
        line::parse(&self.said[..self.length])
    }
}
