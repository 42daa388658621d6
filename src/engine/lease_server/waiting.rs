//! A client from its connection to its line. Leases nothing.

use std::{io, time::Instant};

use crate::{
    engine::lease_server::line::{self, LONGEST, NotAPid},
    host::linux::lease_socket::{Client, Heard},
};

pub struct Waiting {
    pub client: Client,
    pub since: Instant,
    /// One byte more than a line may have, so that a longer one is known.
    said: [u8; LONGEST + 1],
    length: usize,
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
        Self { client, since, said: [0; LONGEST + 1], length: 0 }
    }

    /// A line ends with a newline, with more bytes than it may have, or where the client says no
    /// more.
    pub fn hear(&mut self) -> Said {
        match self.client.hear(&mut self.said[self.length..]) {
            Heard::Nothing => return Said::Nothing,
            Heard::End if self.length == 0 => return Said::Goodbye,
            Heard::End => {}
            Heard::Bytes(length) => {
                self.length += length;
                let is_full = self.length == self.said.len();
                if !is_full && !self.said[..self.length].contains(&b'\n') {
                    return Said::Nothing;
                }
            }
        }
        Said::Line(line::parse(&self.said[..self.length]))
    }

    pub fn answer(&self, port: u16) -> io::Result<()> {
        self.client.tell(format!("{port}\n").as_bytes())
    }
}
