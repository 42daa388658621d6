//! The terminal program in a pseudo terminal that answers queries, as a real one does. For benches.

#![allow(dead_code, reason = "each bench uses a part of this file")]

use std::{
    fs,
    io::{self, Read, Write},
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// 10 ms: `USER_HZ` of proc(5) is 100 on every architecture we build for.
const TICK: Duration = Duration::from_millis(10);

/// Begins each frame ("Synchronized Output", a private mode of DEC's kind).
const BEGIN_FRAME: &[u8] = b"\x1b[?2026h";

type Keyboard = Arc<Mutex<Box<dyn Write + Send>>>;

/// A running program and its screen. Dropping it ends the program.
pub struct Session {
    child: Box<dyn Child + Send + Sync>,
    screen: Arc<Mutex<vt100::Parser>>,
    keyboard: Keyboard,
    output: Arc<Output>,
    started: Instant,
    _master: Box<dyn MasterPty + Send>,
}

/// What the program wrote so far.
#[derive(Default)]
struct Output {
    bytes: AtomicUsize,
    frames: AtomicUsize,
}

impl Session {
    /// Starts `program` without arguments in the network namespace of this thread.
    pub fn start(program: &str, columns: u16, rows: u16) -> io::Result<Self> {
        Self::start_with(program, &[], columns, rows)
    }

    pub fn start_with(
        program: &str,
        arguments: &[&str],
        columns: u16,
        rows: u16,
    ) -> io::Result<Self> {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).map_err(io::Error::other)?;
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        let reader = pty.master.try_clone_reader().map_err(io::Error::other)?;
        let writer = pty.master.take_writer().map_err(io::Error::other)?;
        let screen = Arc::new(Mutex::new(parser(rows, columns)?));
        let (keyboard, output) = (Arc::new(Mutex::new(writer)), Arc::<Output>::default());
        let (shown, typing, reported) =
            (Arc::clone(&screen), Arc::clone(&keyboard), Arc::clone(&output));
        let started = Instant::now();
        let child = pty.slave.spawn_command(command).map_err(io::Error::other)?;
        thread::spawn(move || follow(reader, &typing, &shown, &reported));
        Ok(Self { child, screen, keyboard, output, started, _master: pty.master })
    }

    pub fn press(&self, keys: &str) -> io::Result<()> {
        self.keyboard.lock().unwrap_or_else(PoisonError::into_inner).write_all(keys.as_bytes())
    }

    /// Frames and bytes so far.
    pub fn written(&self) -> (usize, usize) {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (read(&self.output.frames), read(&self.output.bytes))
    }

    /// Time from the start until the screen satisfies `is_there`; None after ten seconds.
    pub fn time_until(&self, is_there: impl Fn(&vt100::Screen) -> bool) -> Option<Duration> {
        while self.started.elapsed() < Duration::from_secs(10) {
            let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
            if is_there(screen.screen()) {
                return Some(self.started.elapsed());
            }
            drop(screen);
            thread::sleep(Duration::from_micros(200));
        }
        None
    }

    pub fn contents(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().contents()
    }

    /// CPU time that the program takes in `span` from now, as a share of one core.
    pub fn cpu_share(&self, span: Duration) -> io::Result<f64> {
        let (before, began) = (self.cpu_time()?, Instant::now());
        thread::sleep(span);
        Ok(self.cpu_time()?.saturating_sub(before).as_secs_f64() / began.elapsed().as_secs_f64())
    }

    /// Fields 14 and 15 of proc_pid_stat(5), counted after the command name, which may hold spaces.
    fn cpu_time(&self) -> io::Result<Duration> {
        let pid = self.child.process_id().ok_or(io::ErrorKind::NotFound)?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = |n| after_name.split_whitespace().nth(n).and_then(|t: &str| t.parse().ok());
        let (user, system): (u32, u32) =
            ticks(11).zip(ticks(12)).ok_or(io::ErrorKind::InvalidData)?;
        Ok(TICK * (user + system))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parser(rows: u16, columns: u16) -> io::Result<vt100::Parser> {
    let size = NonZero::new(rows).zip(NonZero::new(columns));
    let (rows, columns) = size.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(vt100::Parser::new(rows, columns, 0))
}

/// Something in the first row and in the last one.
pub fn is_full_frame(screen: &vt100::Screen) -> bool {
    let columns = screen.size().1.get();
    let mut rows = screen.rows(0, columns);
    let first = rows.next().unwrap_or_default();
    let last = rows.last().unwrap_or_default();
    !first.trim().is_empty() && !last.trim().is_empty()
}

/// Not what stands there before the first scan.
pub fn shows_sockets(screen: &vt100::Screen) -> bool {
    is_full_frame(screen) && !screen.contents().contains("first scan")
}

/// Draws what the program writes; says who we are and which background we have when asked.
fn follow(
    mut reader: impl Read,
    keyboard: &Keyboard,
    screen: &Mutex<vt100::Parser>,
    reported: &Output,
) {
    let mut buffer = vec![0; 65_536];
    // The end of what was read before: a sequence may come in two parts.
    let mut tail = Vec::new();
    while let Ok(length @ 1..) = reader.read(&mut buffer) {
        let bytes = &buffer[..length];
        tail.extend_from_slice(bytes);
        let frames = tail.windows(BEGIN_FRAME.len()).filter(|w| *w == BEGIN_FRAME).count();
        reported.frames.fetch_add(frames, Ordering::Relaxed);
        reported.bytes.fetch_add(length, Ordering::Relaxed);
        tail.drain(..tail.len().saturating_sub(BEGIN_FRAME.len() - 1));
        screen.lock().unwrap_or_else(PoisonError::into_inner).process(bytes);
        for (question, answer) in [
            (&b"\x1b]10;?"[..], &b"\x1b]10;rgb:cccc/cccc/cccc\x1b\\"[..]),
            (b"\x1b]11;?", b"\x1b]11;rgb:0000/0000/0000\x1b\\"),
            (b"\x1b[c", b"\x1b[?62;c"),
            (b"\x1b[6n", b"\x1b[1;1R"),
        ] {
            if bytes.windows(question.len()).any(|window| window == question) {
                let mut keyboard = keyboard.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = keyboard.write_all(answer);
            }
        }
    }
}
