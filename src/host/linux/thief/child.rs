//! A process of a race as seen by the one that started it: its lines, and its end. Not their meaning.

use std::{
    io::{self, Read as _},
    path::Path,
    process::{ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{event::PollFlags, fd::OwnedFd};

use crate::host::linux::thief::ground;

/// Bytes of a line, which holds some numbers or one sentence.
const LONGEST_LINE: usize = 1024;

/// Started by us; ends when this is dropped, at the latest after its grace.
pub struct Child {
    process: std::process::Child,
    lines: Option<Lines>,
    /// To end by itself, and to end its own children, once standard input is closed.
    grace: Duration,
}

/// What came within the time.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Without its end.
    Line(Vec<u8>),
    Nothing,
    /// It has closed its standard output.
    End,
}

impl Child {
    /// With pipes at standard input and output.
    pub fn start(program: &Path, words: &[String], grace: Duration) -> io::Result<Self> {
        let mut process =
            command(program, words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let lines = process.stdout.take().map(Lines::of);
        Ok(Self { process, lines, grace })
    }

    /// With that socket as standard input, and nothing to say but there.
    pub fn start_with(program: &Path, words: &[String], socket: OwnedFd) -> io::Result<Self> {
        let process =
            command(program, words).stdin(Stdio::from(socket)).stdout(Stdio::null()).spawn()?;
        Ok(Self { process, lines: None, grace: Duration::ZERO })
    }

    /// Errors: it cannot be read, or wrote what is no line.
    pub fn hear(&mut self, wait: Duration) -> io::Result<Heard> {
        self.lines.as_mut().map_or(Ok(Heard::End), |lines| lines.next(wait))
    }

    fn has_ended_by_itself(&mut self) -> bool {
        let deadline = Instant::now() + self.grace;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.hear(left) {
                Ok(Heard::Line(_)) if !left.is_zero() => {}
                Ok(Heard::End) => return true,
                _ => return false,
            }
        }
    }
}

impl Drop for Child {
    /// Leaves no zombie.
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        if self.grace.is_zero() || !self.has_ended_by_itself() {
            // Fails only for a process that was waited for.
            let _ = self.process.kill();
        }
        drop(self.lines.take());
        let _ = self.process.wait();
    }
}

fn command(program: &Path, words: &[String]) -> Command {
    let mut command = Command::new(program);
    command.arg("arena").args(words).stderr(Stdio::null());
    command
}

/// Lines out of a pipe, each with a time to wait for it.
struct Lines {
    pipe: ChildStdout,
    bytes: Vec<u8>,
    /// Where in `bytes` the next line begins.
    start: usize,
}

impl Lines {
    fn of(pipe: ChildStdout) -> Self {
        Self { pipe, bytes: Vec::new(), start: 0 }
    }

    fn next(&mut self, wait: Duration) -> io::Result<Heard> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(line) = self.take() {
                return Ok(Heard::Line(line));
            }
            if self.bytes.len() > LONGEST_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end"));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if ground::poll(&self.pipe, PollFlags::IN, left)?.is_empty() {
                if Instant::now() >= deadline {
                    return Ok(Heard::Nothing);
                }
            } else if self.read()? == 0 {
                return Ok(Heard::End);
            }
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let rest = &self.bytes[self.start..];
        if let Some(length) = rest.iter().position(|&byte| byte == b'\n') {
            self.start += length + 1;
            return Some(rest[..length].to_vec());
        }
        self.bytes.drain(..self.start);
        self.start = 0;
        None
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 8192];
        let length = self.pipe.read(&mut chunk)?;
        self.bytes.extend_from_slice(&chunk[..length]);
        Ok(length)
    }
}
