//! The terminal: taken over, and given back once from whatever thread comes first. Not what is drawn.

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
    tui::{
        signals,
        watchdog::{Ending, Reason},
    },
};

/// Alternate screen. Not to be sent twice: it remembers where the cursor of the main screen stood.
const TAKE_SCREEN: &[u8] = b"\x1b[?1049h";
const HIDE_CURSOR: &[u8] = b"\x1b[?25l";
/// Any motion, else what the terminal can tell of it (the last mode it knows holds), in SGR coding
/// (xterm's ctlseqs, "Mouse Tracking").
const TAKE_MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1002h\x1b[?1003h\x1b[?1006h";
const GIVE_MOUSE: &[u8] = b"\x1b[?1006l\x1b[?1003l\x1b[?1002l\x1b[?1000l";
/// Has it mark what is pasted (xterm's ctlseqs, "Bracketed Paste Mode"), which must not act as keys.
const TAKE_PASTES: &[u8] = b"\x1b[?2004h";
/// End of a synchronized update, pastes, plain colours, cursor, main screen.
const GIVE_BACK: &[u8] = b"\x1b[?2026l\x1b[?2004l\x1b[0m\x1b[?25h\x1b[?1049l";
const BEGIN_FRAME: &[u8] = b"\x1b[?2026h";
const END_FRAME: &[u8] = b"\x1b[?2026l";
/// How long a terminal that does not read is given before what it has not read is thrown away.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// How often, and how long each time, the handler of a fault waits for another thread's write.
const MOST_WAITS: u32 = 100;
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
/// Columns and rows of more than any real terminal: what is beyond them is not drawn.
const MOST_COLUMNS: u16 = 2000;
const MOST_ROWS: u16 = 1000;

/// Why the TUI cannot run here, if so.
pub fn refuse_reason() -> Option<String> {
    let because = if !isatty(stdin()) {
        "standard input is not a terminal"
    } else if !isatty(stdout()) {
        "standard output is not a terminal"
    } else if env::var_os("TERM").is_some_and(|term| term == "dumb") {
        "TERM=dumb cannot move a cursor"
    } else {
        return None;
    };
    Some(because.to_owned())
}

/// The terminal on standard input and output.
pub struct Terminal {
    cooked: Termios,
    output: OwnedFd,
    /// Writing to `output` never blocks. False only where it could not be opened anew.
    never_blocks: bool,
    /// It reports the mouse while it is taken.
    mouse: AtomicBool,
    is_taken: AtomicBool,
    /// Keeps frames, and the rest of `take`, from following what gives the terminal back.
    writing: Mutex<()>,
}

impl Terminal {
    /// Changes nothing yet.
    pub fn open(mouse: bool) -> io::Result<Self> {
        let cooked = tcgetattr(stdin())?;
        // Opened anew, for O_NONBLOCK on the descriptor itself would hold for the shell as well.
        let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let anew = rustix::fs::open("/dev/fd/1", flags, Mode::empty());
        let never_blocks = anew.is_ok();
        let output = anew.or_else(|_| rustix::io::fcntl_dupfd_cloexec(stdout(), 3))?;
        Ok(Self {
            cooked,
            output,
            never_blocks,
            mouse: AtomicBool::new(mouse),
            is_taken: AtomicBool::new(false),
            writing: Mutex::new(()),
        })
    }

    /// Raw mode, alternate screen, mouse; also after it was lost to somebody else (`fg`).
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

    /// Has it report the mouse from now on, or keep it for itself.
    pub fn set_mouse(&self, reports: bool, ending: &Ending) -> io::Result<()> {
        self.mouse.store(reports, Ordering::SeqCst);
        self.send(if reports { TAKE_MOUSE } else { GIVE_MOUSE }, ending)
    }

    fn has_mouse(&self) -> bool {
        self.mouse.load(Ordering::SeqCst)
    }

    /// Undoes `take`, once. Allocates nothing and ends within a second whatever the terminal does.
    pub fn give_back(&self) {
        if !self.is_taken.swap(false, Ordering::SeqCst) {
            return;
        }
        // A blocked writer would never let go of the lock.
        let _alone =
            self.never_blocks.then(|| self.writing.lock().unwrap_or_else(PoisonError::into_inner));
        self.restore();
    }

    /// As `give_back`, in the handler of a fault: the thread at fault may hold the lock itself.
    fn give_back_at_fault(&self) {
        let alone = self.wait_for_lock();
        if self.is_taken.swap(false, Ordering::SeqCst) || alone.is_none() {
            self.restore();
        }
    }

    /// None: whoever writes did not finish in time.
    fn wait_for_lock(&self) -> Option<MutexGuard<'_, ()>> {
        for _ in 0..MOST_WAITS {
            match self.writing.try_lock() {
                Ok(lock) => return Some(lock),
                Err(TryLockError::Poisoned(lock)) => return Some(lock.into_inner()),
                Err(TryLockError::WouldBlock) => drop(nanosleep(&WAIT)),
            }
        }
        None
    }

    fn restore(&self) {
        // From the background it would stop us with SIGTTOU, and the shell has its own modes there.
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
            // Clicks on their way would be typed into the shell.
            let _ = tcflush(stdin(), QueueSelector::IFlush);
        }
    }

    /// Columns and rows to draw; never 0, which a pty without a size says.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        let size = tcgetwinsize(&self.output)?;
        Ok((size.ws_col.clamp(1, MOST_COLUMNS), size.ws_row.clamp(1, MOST_ROWS)))
    }

    /// Writes a frame as one synchronized update.
    pub fn draw(&self, frame: &[u8], ending: &Ending) -> io::Result<()> {
        for part in [BEGIN_FRAME, frame, END_FRAME] {
            self.send(part, ending)?;
        }
        Ok(())
    }

    /// Writes all of it, or as much as is written when `ending` is called.
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
                    if ignore_interruption(poll(&mut room, Some(&PATIENCE)))? == 0 {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// Gives the terminal back when dropped.
pub struct Taken<'a>(pub &'a Terminal);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// Whether the terminal is ours to change. Where job control does not exist, it is.
pub fn is_in_foreground() -> bool {
    tcgetpgrp(stdin()).map_or(true, |group| group == getpgrp())
}

/// Size of what poll(2) found; an interruption counts as something.
fn ignore_interruption(result: Result<usize, Errno>) -> Result<usize, Errno> {
    if result == Err(Errno::INTR) { Ok(1) } else { result }
}

/// The terminal that a fault gives back.
static AT_FAULT: OnceLock<Arc<Terminal>> = OnceLock::new();

/// Has every fault (SIGSEGV, SIGABRT after a failed allocation, …) give the terminal back before it
/// ends the program.
pub fn restore_at_fault(terminal: Arc<Terminal>) {
    let _ = AT_FAULT.set(terminal);
    signals::before_a_fault_ends_us(|| {
        if let Some(terminal) = AT_FAULT.get() {
            terminal.give_back_at_fault();
        }
    });
}

/// Has every panic, in whatever thread, give the terminal back before its message is printed, and
/// then end the program.
pub fn restore_on_panic(
    terminal: Arc<Terminal>,
    ending: Arc<Ending>,
    nudge: impl Fn() + Send + Sync + 'static,
) {
    panic::set_hook(Box::new(move |panic| {
        terminal.give_back();
        tell_bug(panic);
        ending.call(Reason::Panic);
        nudge();
    }));
}

/// Nobody can be told when stderr is gone, too.
fn tell_bug(panic: &PanicHookInfo) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    let message = Text::scrub(panic.payload_as_str().unwrap_or("no message"));
    let mut stderr = io::stderr().lock();
    let told = format!("portscope: a bug of ours: thread '{name}' panicked{place}: {message}");
    let _ = writeln!(stderr, "{told}");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let _ = writeln!(stderr, "{backtrace}");
    }
}
