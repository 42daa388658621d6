//! Starts the process of an actor, reads its output lines and ends it. Does not parse the lines.

use std::{
    io::{self, Read as _},
    path::Path,
    process::{ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{event::PollFlags, fd::OwnedFd};

use crate::host::{
    ActorProcess, ChildInput,
    actor::{Actor, ActorRole},
    linux::actor::actor_process,
};

/// Time for the holder of a race to end its own children before it is killed.
const GRACE: Duration = Duration::from_millis(500);

/// Maximum number of bytes read without a newline. A line holds some numbers or one sentence.
const MAX_LINE_LENGTH: usize = 1024;

/// A child process. Dropping it ends the process, after `grace` at the latest.
pub struct Child {
    process: std::process::Child,
    lines: Option<Lines>,
    /// Time that the process gets to end its own children and to exit after its standard input is
    /// closed.
    grace: Duration,
}

impl Child {
    /// Starts a process with pipes as standard input and output.
    pub fn start(program: &Path, actor: &Actor) -> io::Result<Self> {
        let mut process =
            command(program, actor).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let has_children = matches!(actor.role, ActorRole::RaceHolder(_));
        let grace = if has_children { GRACE } else { Duration::ZERO };
        let lines = process.stdout.take().map(Lines::of);
        Ok(Self { process, lines, grace })
    }

    /// Starts a process with `socket` as standard input, its only connection to this process.
    pub fn start_with(program: &Path, actor: &Actor, socket: OwnedFd) -> io::Result<Self> {
        let process =
            command(program, actor).stdin(Stdio::from(socket)).stdout(Stdio::null()).spawn()?;
        Ok(Self { process, lines: None, grace: Duration::ZERO })
    }

    fn has_ended_by_itself(&mut self) -> bool {
        let deadline = Instant::now() + self.grace;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.receive(left) {
                Ok(ChildInput::Line(_)) if !left.is_zero() => {}
                Ok(ChildInput::End) => return true,
                _ => return false,
            }
        }
    }
}

impl ActorProcess for Child {
    fn receive(&mut self, wait: Duration) -> io::Result<ChildInput> {
        self.lines.as_mut().map_or(Ok(ChildInput::End), |lines| lines.next(wait))
    }
}

impl Drop for Child {
    /// Ends the process and waits for it, so that it does not become a zombie.
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        if self.grace.is_zero() || !self.has_ended_by_itself() {
            // Succeeds if the process has ended; an error is ignored.
            let _ = self.process.kill();
        }
        drop(self.lines.take());
        let _ = self.process.wait();
    }
}

fn command(program: &Path, actor: &Actor) -> Command {
    let mut command = Command::new(program);
    command.arg("run-actor").args(actor.words()).stderr(Stdio::null());
    command
}

/// Reads lines from a pipe, with a timeout for each.
struct Lines {
    pipe: ChildStdout,
    bytes: Vec<u8>,
    /// Index in `bytes` at which the next line begins.
    start: usize,
}

impl Lines {
    fn of(pipe: ChildStdout) -> Self {
        Self { pipe, bytes: Vec::new(), start: 0 }
    }

    fn next(&mut self, wait: Duration) -> io::Result<ChildInput> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(line) = self.take() {
                return Ok(ChildInput::Line(line));
            }
            if self.bytes.len() > MAX_LINE_LENGTH {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if actor_process::poll(&self.pipe, PollFlags::IN, left)?.is_empty() {
                if Instant::now() >= deadline {
                    return Ok(ChildInput::Nothing);
                }
            } else if self.read()? == 0 {
                return Ok(ChildInput::End);
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
