//! Sets up the terminal for the TUI, and restores it once, from the first thread that requests it.
//! Does not compose frames.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    env,
    io::{self, Write as _},
    os::fd::OwnedFd,
    panic::{self, PanicHookInfo},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    io::Errno,
    process::getpgrp,
    stdio::{stdin, stdout},
    termios::{
        OptionalActions, QueueSelector, Termios, isatty, tcflush, tcgetattr, tcgetpgrp,
        tcgetwinsize, tcsetattr,
    },
    thread::nanosleep,
};

use crate::{
    domain::Text,
    host::signals,
    tui::watchdog::{Ending, Exit},
};

/// Enters the alternate screen and saves the cursor position of the main screen. Sent twice, it
/// would overwrite that position.
const TAKE_SCREEN: &[u8] = b"\x1b[?1049h";
const HIDE_CURSOR: &[u8] = b"\x1b[?25l";
/// Enables reports of all mouse motion, in SGR encoding (xterm's ctlseqs, "Mouse Tracking"). A
/// terminal that does not support every mode uses the last one that it supports.
const TAKE_MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1002h\x1b[?1003h\x1b[?1006h";
const GIVE_MOUSE: &[u8] = b"\x1b[?1006l\x1b[?1003l\x1b[?1002l\x1b[?1000l";
/// Makes the terminal mark pasted text, so that no character of it is decoded as a command (xterm's
/// ctlseqs, "Bracketed Paste Mode").
const TAKE_PASTES: &[u8] = b"\x1b[?2004h";
/// Ends a synchronized update, resets paste mode and colours, shows the cursor, leaves the
/// alternate screen.
const GIVE_BACK: &[u8] = b"\x1b[?2026l\x1b[?2004l\x1b[0m\x1b[?25h\x1b[?1049l";
/// Begin and end a synchronized update: the terminal shows a frame only when it is complete.
const BEGIN_FRAME: &[u8] = b"\x1b[?2026h";
const END_FRAME: &[u8] = b"\x1b[?2026l";
/// How long to wait for a terminal that does not read. After that, `take` fails, and `restore`
/// discards the unread output.
const TIMEOUT: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Maximum number of times that a fault handler waits `WAIT` (1 ms) for another thread to finish
/// its write.
const MAX_WAITS: u32 = 100;
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
/// Maximum columns and rows, more than any real terminal has. Cells beyond them are not drawn.
const MAX_COLUMNS: u16 = 2000;
const MAX_ROWS: u16 = 1000;

/// Returns why the TUI cannot run here; None: it can.
pub fn refuse_reason() -> Option<String> {
    let because = if !isatty(stdin()) {
        "standard input is not a terminal"
    } else if !isatty(stdout()) {
        "standard output is not a terminal"
    } else if env::var_os("TERM").is_some_and(|term| term == "dumb") {
        "a terminal with TERM=dumb cannot move the cursor"
    } else {
        return None;
    };
    Some(because.to_owned())
}

/// The terminal on standard input and output.
pub struct Terminal {
    /// The modes before `take`.
    cooked: Termios,
    output: OwnedFd,
    /// Whether writing to `output` never blocks. False only if it could not be opened again.
    never_blocks: bool,
    /// Whether the terminal reports mouse events while the TUI uses it.
    mouse: AtomicBool,
    /// Whether the TUI uses the terminal: set by `take`, cleared by `give_back`.
    is_taken: AtomicBool,
    /// Held during each write of a frame and during `take`, so that neither writes after the
    /// terminal was restored.
    writing: Mutex<()>,
}

impl Terminal {
    /// Opens the terminal. Changes nothing yet. Errors: standard input is not a terminal, or no
    /// descriptor is left.
    pub fn open(mouse: bool) -> io::Result<Self> {
        let cooked = tcgetattr(stdin())?;
        // Opened again, because O_NONBLOCK on the descriptor itself would affect the shell as well.
        let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let reopened = rustix::fs::open("/dev/fd/1", flags, Mode::empty());
        let never_blocks = reopened.is_ok();
        let output = reopened.or_else(|_| rustix::io::fcntl_dupfd_cloexec(stdout(), 3))?;
        Ok(Self {
            cooked,
            output,
            never_blocks,
            mouse: AtomicBool::new(mouse),
            is_taken: AtomicBool::new(false),
            writing: Mutex::new(()),
        })
    }

    /// Enters raw mode and the alternate screen, and enables mouse reports if `mouse` is set. Also
    /// called when the program returns to the foreground (`fg`). Errors: the terminal is gone or
    /// does not read.
    pub fn take(&self) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut raw = self.cooked.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        if !self.is_taken.swap(true, Ordering::SeqCst) {
            self.write_for_a_while(TAKE_SCREEN)?;
        }
        self.write_for_a_while(HIDE_CURSOR)?;
        self.write_for_a_while(TAKE_PASTES)?;
        if self.has_mouse() { self.write_for_a_while(TAKE_MOUSE) } else { Ok(()) }
    }

    /// Turns the terminal's mouse reports on or off.
    pub fn set_mouse(&self, reports: bool, ending: &Ending) -> io::Result<()> {
        self.mouse.store(reports, Ordering::SeqCst);
        self.send(if reports { TAKE_MOUSE } else { GIVE_MOUSE }, ending)
    }

    /// Whether the terminal reports the mouse while the TUI uses it.
    pub fn has_mouse(&self) -> bool {
        self.mouse.load(Ordering::SeqCst)
    }

    /// Undoes `take`, once. Allocates nothing. If `never_blocks`, ends within a second, and waits
    /// until a thread that is restoring the terminal has finished, because the caller may end the
    /// program next.
    pub fn give_back(&self) {
        // If writes can block, the lock is not taken: a blocked writer would never release it.
        let _alone =
            self.never_blocks.then(|| self.writing.lock().unwrap_or_else(PoisonError::into_inner));
        if self.is_taken.swap(false, Ordering::SeqCst) {
            self.restore();
        }
    }

    /// Like `give_back`, but for a fault handler: the faulting thread may hold the lock itself.
    fn give_back_at_fault(&self) {
        let alone = self.wait_for_lock();
        if self.is_taken.swap(false, Ordering::SeqCst) || alone.is_none() {
            self.restore();
        }
    }

    /// Waits for the lock. None: the writing thread did not finish in time.
    fn wait_for_lock(&self) -> Option<MutexGuard<'_, ()>> {
        for _ in 0..MAX_WAITS {
            match self.writing.try_lock() {
                Ok(lock) => return Some(lock),
                Err(TryLockError::Poisoned(lock)) => return Some(lock.into_inner()),
                Err(TryLockError::WouldBlock) => drop(nanosleep(&WAIT)),
            }
        }
        None
    }

    fn restore(&self) {
        // In the background, tcsetattr() would stop this process with SIGTTOU, and the shell has
        // already set its own modes.
        let owns_terminal = is_in_foreground();
        if owns_terminal {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &self.cooked);
        }
        let give = || self.write_for_a_while(GIVE_MOUSE).and(self.write_for_a_while(GIVE_BACK));
        if give().is_err() {
            let _ = tcflush(&self.output, QueueSelector::OFlush);
            let _ = give();
        }
        if owns_terminal && self.has_mouse() {
            // Mouse reports that are still unread would be typed into the shell.
            let _ = tcflush(stdin(), QueueSelector::IFlush);
        }
    }

    /// Returns the columns and rows to draw, at least 1 each: a pty without a size reports 0.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        let size = tcgetwinsize(&self.output)?;
        Ok((size.ws_col.clamp(1, MAX_COLUMNS), size.ws_row.clamp(1, MAX_ROWS)))
    }

    /// Writes a frame as one synchronized update. Errors: see `send`.
    pub fn draw(&self, frame: &[u8], ending: &Ending) -> io::Result<()> {
        for part in [BEGIN_FRAME, frame, END_FRAME] {
            self.send(part, ending)?;
        }
        Ok(())
    }

    /// Writes all bytes. Stops early if the terminal is given back, or if the program must end
    /// (`ending`) while the terminal does not read. Errors: the terminal is gone.
    pub fn send(&self, mut rest: &[u8], ending: &Ending) -> io::Result<()> {
        while !rest.is_empty() {
            match self.write_if_taken(rest) {
                Ok(None) => return Ok(()),
                Ok(Some(written)) => rest = rest.get(written..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let room = PollFd::new(&self.output, PollFlags::OUT);
                    let mut waited = [room, ending.poll_fd()];
                    ignore_interruption(poll(&mut waited, None))?;
                    if ending.is_called() {
                        return Ok(());
                    }
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn write_if_taken(&self, bytes: &[u8]) -> Result<Option<usize>, Errno> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_taken.load(Ordering::SeqCst) {
            return Ok(None);
        }
        rustix::io::write(&self.output, bytes).map(Some)
    }

    fn write_for_a_while(&self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match rustix::io::write(&self.output, rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let mut room = [PollFd::new(&self.output, PollFlags::OUT)];
                    if ignore_interruption(poll(&mut room, Some(&TIMEOUT)))? == 0 {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// Restores the terminal when dropped.
pub struct TerminalGuard<'a>(pub &'a Terminal);

impl Drop for TerminalGuard<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// Whether this process may change the terminal: its process group is in the foreground, or there
/// is no job control.
pub fn is_in_foreground() -> bool {
    tcgetpgrp(stdin()).map_or(true, |group| group == getpgrp())
}

/// Returns how many descriptors poll(2) found ready; an interruption counts as one.
fn ignore_interruption(result: Result<usize, Errno>) -> Result<usize, Errno> {
    if result == Err(Errno::INTR) { Ok(1) } else { result }
}

/// The terminal that a fault handler restores.
static AT_FAULT: OnceLock<Arc<Terminal>> = OnceLock::new();

/// Makes every fault (SIGSEGV, SIGABRT after a failed allocation, …) restore the terminal before it
/// ends the program.
pub fn restore_at_fault(terminal: Arc<Terminal>) {
    let _ = AT_FAULT.set(terminal);
    signals::before_a_fault_ends_us(|| {
        if let Some(terminal) = AT_FAULT.get() {
            terminal.give_back_at_fault();
        }
    });
}

/// Makes every panic, in any thread, restore the terminal, print its message, and then end the
/// program.
pub fn restore_on_panic(
    terminal: Arc<Terminal>,
    ending: Arc<Ending>,
    wake_loop: impl Fn() + Send + Sync + 'static,
) {
    panic::set_hook(Box::new(move |panic| {
        terminal.give_back();
        report_bug(panic);
        ending.call(Exit::Panicked);
        wake_loop();
    }));
}

/// Prints the panic. Errors are ignored: if stderr is gone, the message cannot be shown anywhere.
fn report_bug(panic: &PanicHookInfo) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    let message = Text::scrub(panic.payload_as_str().unwrap_or("no message"));
    let mut stderr = io::stderr().lock();
    let text = format!("portscope: internal error: thread '{name}' panicked{place}: {message}");
    let _ = writeln!(stderr, "{text}");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let _ = writeln!(stderr, "{backtrace}");
    }
}
