//! Receives signals and passes them to the event loop, which decides what to do.

mod ending;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Resource, getrlimit, kill_current_process_group, setrlimit},
};
use signal_hook::{
    consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGWINCH},
    iterator::Signals,
    low_level,
};

use crate::{
    host::signals as ending_signals,
    tui::watchdog::{Ending, Reason},
};

pub use ending::EndingSignals;
pub use ending_signals::{before_a_fault_ends_us, die_by};
pub use signal_hook::consts::SIGUSR1;

/// The signals with which a user ends a program.
const ENDING: [i32; 4] = [SIGTERM, SIGHUP, SIGINT, SIGQUIT];

/// The signals that arrived since the event loop last checked. They are flags, because a full
/// channel would lose messages.
#[derive(Default)]
pub struct Arrived {
    stop: AtomicBool,
    resized: AtomicBool,
    continued: AtomicBool,
}

impl Arrived {
    /// Whether SIGWINCH arrived. The screen content may be lost even if the size is as before.
    pub fn take_resized(&self) -> bool {
        self.resized.swap(false, Ordering::SeqCst)
    }

    /// Whether SIGTSTP arrived: a request to stop.
    pub fn take_stop(&self) -> bool {
        self.stop.swap(false, Ordering::SeqCst)
    }

    /// Whether SIGCONT arrived: the process may have been stopped, and other programs may have
    /// changed the terminal.
    pub fn take_continued(&self) -> bool {
        self.continued.swap(false, Ordering::SeqCst)
    }
}

/// Starts the thread that receives signals. It calls `wake_loop`, which must not block, after each
/// signal.
///
/// A signal that is ignored at the start (nohup) stays ignored. Errors: a required signal cannot be
/// caught, or no thread can be started.
pub fn watch(
    arrived: Arc<Arrived>,
    ending: Arc<Ending>,
    wake_loop: impl Fn() + Send + 'static,
) -> io::Result<()> {
    let ignored = ignored_signals().unwrap_or(0);
    let is_wanted = |signal: &i32| ignored >> (signal - 1) & 1 == 0;
    let mut signals = Signals::new([SIGTSTP, SIGCONT, SIGWINCH].into_iter().filter(is_wanted))?;
    for signal in ending_signals::ending().filter(is_wanted) {
        // A sandbox may reserve some signals; only those in `ENDING` are required.
        let added = signals.add_signal(signal);
        if ENDING.contains(&signal) {
            added?;
        }
    }
    let watch = move || {
        for signal in signals.forever() {
            match signal {
                SIGTSTP => arrived.stop.store(true, Ordering::SeqCst),
                SIGCONT => arrived.continued.store(true, Ordering::SeqCst),
                SIGWINCH => arrived.resized.store(true, Ordering::SeqCst),
                ending_one => ending.call(Reason::Signal(ending_one)),
            }
            wake_loop();
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop)
}

/// Handles Ctrl-Z: asks the whole process group to stop, as the terminal would. This process gets
/// the signal, too, so it stops in the same way as for an external SIGTSTP.
pub fn ask_group_to_stop() {
    // Fails only if the group does not exist, but this process is in it.
    let _ = kill_current_process_group(rustix::process::Signal::TSTP);
}

/// Stops this process until SIGCONT. Uses SIGSTOP, because the kernel drops SIGTSTP in an orphaned
/// process group.
pub fn stop_process() {
    // raise() signals the calling thread, which therefore stops before the call returns.
    let _ = low_level::raise(SIGSTOP);
}

/// Raises the soft limit of descriptors to the hard limit, because each held port needs
/// descriptors.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Fails if the hard limit is over fs.nr_open; then the soft limit stays.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Reads `SigIgn` of proc_pid_status(5): bit n - 1 is signal n. sigaction(2) would need unsafe
/// code. None: the file could not be read; the callers then catch ignored signals, too.
fn ignored_signals() -> Option<u64> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let status = rustix::fs::open("/proc/self/status", flags, Mode::empty()).ok()?;
    let mut text = [0; 8192];
    let length = rustix::io::read(&status, &mut text[..]).ok()?;
    let text = String::from_utf8_lossy(text.get(..length)?);
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}
