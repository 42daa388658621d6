//! Ends the program when the event loop cannot: the terminal is gone, or the loop does not return.

use std::{
    io,
    os::fd::OwnedFd,
    process::ExitCode,
    sync::{Arc, Condvar, Mutex, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
    stdio::stdin,
};

use signal_hook::low_level;

use crate::{host::signals::die_by, tui::terminal::Terminal};

/// Time in which the loop must end normally. Restoring the terminal by force takes less than
/// another second.
const GRACE: Duration = Duration::from_secs(1);
/// 128 + SIGHUP: the exit code when the terminal is gone, even if the signal itself is ignored.
const TERMINAL_GONE: i32 = 129;
/// The exit code of a panic in any thread; Rust uses the same for the main thread.
const PANICKED: i32 = 101;

/// Why the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Quit,
    /// This signal ends the program. `finish` raises it again.
    Signal(i32),
    /// A thread panicked. The message is already on stderr.
    Panicked,
    /// The terminal hung up or could not be written.
    TerminalGone,
}

impl Exit {
    /// Returns the exit code. For a signal it raises the signal again and does not return. Must be
    /// called after the terminal was restored.
    pub fn finish(self) -> ExitCode {
        match self {
            Self::Quit => ExitCode::SUCCESS,
            Self::Signal(signal) => die_by(signal),
            Self::Panicked => ExitCode::from(PANICKED as u8),
            Self::TerminalGone => ExitCode::from(TERMINAL_GONE as u8),
        }
    }
}

/// The request to end the program, visible to all threads.
pub struct Ending {
    reason: OnceLock<Exit>,
    /// Readable from the first call of `call` on.
    called: OwnedFd,
    finished: Mutex<bool>,
    finishing: Condvar,
}

impl Ending {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            reason: OnceLock::new(),
            called: eventfd(0, EventfdFlags::CLOEXEC)?,
            finished: Mutex::new(false),
            finishing: Condvar::new(),
        })
    }

    /// Requests the end of the program. The first call sets the reason.
    pub fn call(&self, reason: Exit) {
        if self.reason.set(reason).is_ok() {
            // Fails only if the counter overflows.
            let _ = rustix::io::write(&self.called, &1u64.to_ne_bytes());
        }
    }

    /// The reason of the first call; None: `call` was not called yet.
    pub fn reason(&self) -> Option<Exit> {
        self.reason.get().copied()
    }

    pub fn is_called(&self) -> bool {
        self.reason().is_some()
    }

    /// Waits up to `time` for the request, and returns whether it was made.
    pub fn is_called_within(&self, time: Duration) -> bool {
        let time = Timespec::try_from(time).expect("a few milliseconds fit");
        // Whatever poll() returns, only the reason counts.
        let _ = poll(&mut [self.poll_fd()], Some(&time));
        self.is_called()
    }

    /// The descriptor to poll together with others.
    pub fn poll_fd(&self) -> PollFd<'_> {
        PollFd::new(&self.called, PollFlags::IN)
    }

    /// Reports to the watchdog that the loop has ended and the terminal is restored.
    pub fn finish(&self) {
        *self.finished.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.finishing.notify_all();
    }

    fn finishes_within(&self, grace: Duration) -> bool {
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.finishing.wait_timeout_while(finished, grace, |finished| !*finished);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Starts the watchdog thread. Errors: no thread can be started.
pub fn watch(terminal: Arc<Terminal>, ending: Arc<Ending>) -> io::Result<()> {
    let watch = move || {
        wait_for_hangup_or(&ending);
        ending.call(Exit::TerminalGone);
        if !ending.finishes_within(GRACE) {
            terminal.give_back();
            die(ending.reason());
        }
    };
    thread::Builder::new().name("watchdog".to_owned()).spawn(watch).map(drop)
}

/// Waits until the terminal hangs up or `ending` is called. poll(2) always reports a hang-up
/// (POLLHUP), and consumes no input.
fn wait_for_hangup_or(ending: &Ending) {
    loop {
        let terminal = stdin();
        let mut watched = [PollFd::new(&terminal, PollFlags::empty()), ending.poll_fd()];
        match poll(&mut watched, None) {
            Ok(_) => return,
            Err(Errno::INTR) => {}
            // Without poll() there is no watchdog, but the program can still end normally.
            Err(_) => thread::park(),
        }
    }
}

fn die(reason: Option<Exit>) -> ! {
    match reason {
        Some(Exit::Signal(signal)) => die_by(signal),
        Some(Exit::Panicked) => low_level::exit(PANICKED),
        _ => low_level::exit(TERMINAL_GONE),
    }
}
