//! A client from its connection to its line. Leases nothing.

use std::time::{Duration, Instant};

use crate::{
    engine::lease_server::line::{self, LONGEST, NotAPid},
    host::linux::lease_socket::{Client, Heard},
};

/// Bytes that are read, as the portserver does: more than a line may have, for what is left unread
/// makes the close a reset (unix(7)).
const ROOM: usize = 100;

/// A pid without its newline counts as the line once nothing follows it for so long: the portserver
/// takes what the first read returns, and some clients send no newline.
const QUIET: Duration = Duration::from_millis(500);

pub struct Waiting {
    pub client: Client,
    pub since: Instant,
    said: [u8; ROOM],
    length: usize,
    /// When its last bytes came.
    heard: Instant,
}

/// What a client has said so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// Not its whole line.
    Nothing,
    Line(Result<u32, NotAPid>),
    /// It left without a word.
    Goodbye,
}

impl Waiting {
    pub fn new(client: Client, since: Instant) -> Self {
        Self { client, since, said: [0; ROOM], length: 0, heard: since }
    }

    /// A line ends with a newline, with more bytes than it may have, or where the client says no
    /// more.
    pub fn hear(&mut self, now: Instant) -> Said {
        match self.client.hear(&mut self.said[self.length..]) {
            Heard::Nothing => return Said::Nothing,
            Heard::End if self.length == 0 => return Said::Goodbye,
            Heard::End => {}
            Heard::Bytes(length) => {
                self.length += length;
                self.heard = now;
                if self.length <= LONGEST && !self.said[..self.length].contains(&b'\n') {
                    return Said::Nothing;
                }
            }
        }
        Said::Line(self.line())
    }

    /// When what it said counts as its line if nothing follows. None: it is no pid yet.
    pub fn complete_at(&self) -> Option<Instant> {
        self.line().is_ok().then_some(self.heard + QUIET)
    }

    /// What it said so far, as a line.
    pub fn line(&self) -> Result<u32, NotAPid> {
        line::parse(&self.said[..self.length])
    }
}
