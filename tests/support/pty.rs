//! Runs the real program in a pseudo terminal and parses its screen with vt100. Reads only on
//! request.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part of this file; a panic is how a test fails"
)]

use std::{
    fs,
    io::{self, Write},
    num::NonZeroU16,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use portable_pty::{
    Child, CommandBuilder, ExitStatus, MasterPty, PtySize, SlavePty, native_pty_system,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_setfl},
    process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit, setrlimit},
    termios::{LocalModes, tcgetattr},
};

/// Timeout: longer than anything takes on a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(20);
/// Time within which the program must end.
pub const TWO_SECONDS: Duration = Duration::from_secs(2);

const PROGRAM: &str = env!("CARGO_BIN_EXE_portscope");

pub struct Session {
    child: Box<dyn Child + Send + Sync>,
    writer: Option<Box<dyn Write + Send>>,
    master: Option<Box<dyn MasterPty + Send>>,
    /// Keeps the terminal's modes readable after the program has ended.
    _slave: Box<dyn SlavePty + Send>,
    parser: vt100::Parser,
    /// All bytes that the program has written.
    pub bytes: Vec<u8>,
}

/// How the program ended, and how long that took.
pub struct Ended {
    pub status: ExitStatus,
    pub took: Duration,
}

impl Session {
    /// Starts the program with `arguments` in a terminal of 80x24.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = CommandBuilder::new(PROGRAM);
        command.args(arguments);
        Self::spawn(command, "xterm-256color")
    }

    /// Same as `start`, in a terminal of another type.
    pub fn start_in(term: &str, arguments: &[&str]) -> Self {
        let mut command = CommandBuilder::new(PROGRAM);
        command.args(arguments);
        Self::spawn(command, term)
    }

    /// Starts a shell script in which `$0` is the program.
    pub fn start_script(script: &str) -> Self {
        let mut command = CommandBuilder::new("/bin/sh");
        command.args(["-c", script, PROGRAM]);
        Self::spawn(command, "xterm-256color")
    }

    fn spawn(mut command: CommandBuilder, term: &str) -> Self {
        // SIGQUIT must not leave a core file behind.
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        setrlimit(Resource::Core, none).expect("a limit can always be lowered");
        command.env_clear();
        for (name, value) in [("TERM", term), ("PATH", "/usr/bin:/bin"), ("HOME", "/")] {
            command.env(name, value);
        }
        command.cwd("/");
        let pair = native_pty_system().openpty(pty_size(80, 24)).unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        fcntl_setfl(borrow(&pair.master), OFlags::RDWR | OFlags::NONBLOCK).unwrap();
        Self {
            child,
            writer: Some(pair.master.take_writer().unwrap()),
            master: Some(pair.master),
            _slave: pair.slave,
            parser: vt100::Parser::default(),
            bytes: Vec::new(),
        }
    }

    /// Types, and meanwhile reads, as a terminal does.
    pub fn send(&mut self, typed: &[u8]) {
        let deadline = Instant::now() + TIMEOUT;
        let mut rest = typed;
        while !rest.is_empty() {
            assert!(Instant::now() < deadline, "what is typed is not read\n{}", self.contents());
            let writer = self.writer.as_mut().expect("the terminal is still there");
            match writer.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            // A program that waits until its frame is read does not read its input.
            self.read_for(Duration::from_millis(1));
        }
    }

    /// Types without reading: the keys wait in the buffer of the terminal.
    pub fn type_unread(&mut self, typed: &[u8]) {
        let writer = self.writer.as_mut().expect("the terminal is still there");
        writer.write_all(typed).expect("so few keys have room");
    }

    /// Starts with true colour and `--theme dark`, which sends no query: this terminal would not
    /// answer one.
    pub fn start_sized(columns: u16, rows: u16, arguments: &[&str]) -> Self {
        let fixed = ["--theme", "dark", "--color", "truecolor"];
        let mut session = Self::start(&[&fixed, arguments].concat());
        session.wait_for_frame();
        session.resize(columns, rows);
        session.wait_for("a frame of that size", |screen| {
            let shown = screen.rows(0, columns).last().unwrap_or_default();
            screen.contents().contains("portscope") && shown.contains("quit")
        });
        session
    }

    #[track_caller]
    pub fn wait_for_frame(&mut self) {
        self.wait_for("a frame", |screen| {
            let contents = screen.contents();
            screen.alternate_screen() && contents.contains("portscope") && contents.contains("Map")
        });
    }

    /// Returns the frames since that byte, each without the sequences that begin and end it.
    pub fn frames_since(&self, byte: usize) -> Vec<&[u8]> {
        let mut frames = Vec::new();
        let mut rest = &self.bytes[byte..];
        while let Some(start) = find(rest, b"\x1b[?2026h") {
            rest = &rest[start + 8..];
            let end = find(rest, b"\x1b[?2026l").unwrap_or(rest.len());
            frames.push(&rest[..end]);
        }
        frames
    }

    /// Resizes the terminal; the kernel notifies the program.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.master().resize(pty_size(columns, rows)).unwrap();
        let size = |n| NonZeroU16::new(n).expect("vt100 knows no empty screen");
        self.parser.screen_mut().set_size(size(rows), size(columns));
    }

    /// Same as `resize`, but the parsed screen keeps its size.
    pub fn resize_unseen(&self, columns: u16, rows: u16) {
        self.master().resize(pty_size(columns, rows)).unwrap();
    }

    /// Sends a signal by its number: Rust has no names for real-time signals.
    pub fn signal_by_number(&self, signal: i32) {
        #[expect(unsafe_code, reason = "sent to another process, whose handlers are not ours")]
        self.signal(unsafe { Signal::from_raw_unchecked(signal) });
    }

    /// Limits the memory of the program to its present size.
    pub fn stop_giving_memory(&self) {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let size = line.and_then(|size| size.trim().trim_end_matches(" kB").parse::<u64>().ok());
        let limit = size.expect("a process that runs has a size") * 1024;
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        prlimit(Some(self.pid()), Resource::As, limit).unwrap();
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Closes the terminal.
    pub fn hang_up(&mut self) {
        self.writer = None;
        self.master = None;
    }

    /// Fills the terminal's buffer until the program can write nothing further.
    pub fn stop_reading(&mut self) {
        let deadline = Instant::now() + TIMEOUT;
        let mut unchanged_since = Instant::now();
        let mut written = self.written();
        let mut columns = 150;
        while unchanged_since.elapsed() < Duration::from_millis(500) {
            assert!(Instant::now() < deadline, "it writes on and on: {written} bytes");
            columns = 351 - columns;
            self.resize(columns, 100);
            std::thread::yield_now();
            if self.written() != written {
                written = self.written();
                unchanged_since = Instant::now();
            }
        }
    }

    /// Reads until the screen meets the condition.
    #[track_caller]
    pub fn wait_for(&mut self, wanted: &str, is_met: impl Fn(&vt100::Screen) -> bool) {
        self.wait_until(wanted, |session| is_met(session.parser.screen()));
    }

    #[track_caller]
    pub fn wait_for_text(&mut self, text: &str) {
        self.wait_for(text, |screen| screen.contents().contains(text));
    }

    /// Reads until the condition is true.
    #[track_caller]
    pub fn wait_until(&mut self, wanted: &str, is_met: impl Fn(&mut Self) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !is_met(self) {
            assert!(Instant::now() < deadline, "not seen: {wanted}\n{}", self.contents());
            self.read_for(Duration::from_millis(20));
        }
    }

    /// Types the keys, which must end the program with success. The terminal is as before.
    #[track_caller]
    pub fn assert_ends_by(&mut self, keys: &[u8]) {
        self.send(keys);
        let ended = self.wait_for_end();
        assert!(ended.status.success(), "{:?} {}", ended.status, self.afterwards());
        self.assert_given_back();
    }

    /// Reads, as long as there is a terminal, until the program has ended.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> Ended {
        let started = Instant::now();
        loop {
            self.read_for(Duration::from_millis(5));
            if let Some(status) = self.child.try_wait().unwrap() {
                let took = started.elapsed();
                self.read_for(Duration::ZERO);
                return Ended { status, took };
            }
            assert!(started.elapsed() < TIMEOUT, "still there\n{}", self.contents());
        }
    }

    /// Waits, without reading, until the program has ended.
    #[track_caller]
    pub fn wait_for_end_unread(&mut self) -> Ended {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Ended { status, took: started.elapsed() };
            }
            assert!(started.elapsed() < TIMEOUT, "still there");
            std::thread::yield_now();
        }
    }

    /// Reads what the program has written, and waits `time` for further output.
    pub fn read_for(&mut self, time: Duration) {
        let Some(master) = &self.master else { return };
        let fd = borrow(master);
        let deadline = Instant::now() + time;
        let mut buffer = [0; 16_384];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).expect("short enough");
            let mut readable = [PollFd::new(&fd, PollFlags::IN)];
            match poll(&mut readable, Some(&left)) {
                Ok(0) => return,
                Ok(_) => {}
                Err(_) => continue,
            }
            let Ok(length @ 1..) = rustix::io::read(fd, &mut buffer[..]) else { return };
            self.bytes.extend_from_slice(&buffer[..length]);
            self.parser.process(&buffer[..length]);
        }
    }

    /// Reads at most `count` bytes, and nothing for the rest of `time`.
    pub fn read_some(&mut self, count: usize, time: Duration) {
        let deadline = Instant::now() + time;
        let mut buffer = vec![0; count];
        if let Ok(length) = rustix::io::read(borrow(self.master()), &mut buffer) {
            self.bytes.extend_from_slice(&buffer[..length]);
            self.parser.process(&buffer[..length]);
        }
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
    }

    pub fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    pub fn contents(&self) -> String {
        self.screen().contents()
    }

    /// Returns what was written after the last switch back to the main screen.
    pub fn afterwards(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        text.rsplit("\u{1b}[?1049l").next().unwrap_or_default().to_owned()
    }

    pub fn count(&self, sequence: &[u8]) -> usize {
        self.bytes.windows(sequence.len()).filter(|window| *window == sequence).count()
    }

    /// Whether the terminal has line mode and echo, as a shell expects.
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(borrow(self.master())).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Asserts that the terminal is as before the program, and was restored as often as it was
    /// changed.
    #[track_caller]
    pub fn assert_given_back(&self) {
        let screen = self.screen();
        assert!(!screen.alternate_screen(), "still on the alternate screen");
        assert!(!screen.hide_cursor(), "the cursor is hidden");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert!(!screen.bracketed_paste(), "pastes are still marked");
        assert!(self.is_cooked(), "still in raw mode");
        let (taken, given) = (self.count(b"\x1b[?1049h"), self.count(b"\x1b[?1049l"));
        assert_eq!(taken, given, "taken and given back");
    }

    /// Returns the state letter of proc_pid_stat(5): `T` is stopped.
    pub fn state(&self) -> char {
        let stat = self.proc("stat");
        stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).unwrap_or('?')
    }

    /// Returns the CPU time so far, user and system, in clock ticks of 10 ms.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        // utime and stime are fields 14 and 15; field 2 is the name.
        fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// Returns the bytes that write(2) has accepted so far.
    pub fn written(&self) -> u64 {
        let io = self.proc("io");
        let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
        line.and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// Returns the resident memory in KiB.
    pub fn resident(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|size| size.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.pid().as_raw_nonzero());
        fs::read_to_string(path).unwrap_or_default()
    }

    fn pid(&self) -> Pid {
        let pid = self.child.process_id().expect("it was started");
        Pid::from_raw(pid.cast_signed()).expect("no process has pid 0")
    }

    #[expect(clippy::borrowed_box, reason = "the trait object itself is 'static")]
    fn master(&self) -> &Box<dyn MasterPty + Send> {
        self.master.as_ref().expect("the terminal is still there")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A failed test must leave no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::borrowed_box, reason = "the trait object itself is 'static")]
fn borrow(master: &Box<dyn MasterPty + Send>) -> BorrowedFd<'_> {
    let raw = master.as_raw_fd().expect("a pty has a descriptor");
    #[expect(unsafe_code, reason = "the master lives as long as this borrow")]
    unsafe {
        BorrowedFd::borrow_raw(raw)
    }
}

fn find(bytes: &[u8], sequence: &[u8]) -> Option<usize> {
    bytes.windows(sequence.len()).position(|window| window == sequence)
}

fn pty_size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}
