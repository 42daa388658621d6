//! Signals, turned into words for the loop. What they mean is decided there.

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

use crate::tui::watchdog::{Ending, Reason};

pub use ending::EndingSignals;
pub use signal_hook::consts::SIGUSR1;

const ENDING: [i32; 4] = [SIGTERM, SIGHUP, SIGINT, SIGQUIT];

/// What came since the loop looked last. Flags, because a full channel must not lose them.
#[derive(Default)]
pub struct Arrived {
    stop: AtomicBool,
    resized: AtomicBool,
    continued: AtomicBool,
}

impl Arrived {
    /// SIGWINCH. The size may be as before and the picture gone, if it went and came back.
    pub fn take_resized(&self) -> bool {
        self.resized.swap(false, Ordering::SeqCst)
    }

    /// SIGTSTP: somebody wants us to stop.
    pub fn take_stop(&self) -> bool {
        self.stop.swap(false, Ordering::SeqCst)
    }

    /// SIGCONT: we were stopped, and the terminal is not as we left it.
    pub fn take_continued(&self) -> bool {
        self.continued.swap(false, Ordering::SeqCst)
    }
}

/// Starts the thread. After each signal it calls `nudge`, which must not block.
///
/// A signal that is ignored from the start (nohup) stays ignored.
pub fn watch(
    arrived: Arc<Arrived>,
    ending: Arc<Ending>,
    nudge: impl Fn() + Send + 'static,
) -> io::Result<()> {
    let ignored = ignored_signals().unwrap_or(0);
    let wanted = ENDING.into_iter().chain([SIGTSTP, SIGCONT, SIGWINCH]);
    let mut signals = Signals::new(wanted.filter(|signal| ignored >> (signal - 1) & 1 == 0))?;
    let watch = move || {
        for signal in signals.forever() {
            match signal {
                SIGTSTP => arrived.stop.store(true, Ordering::SeqCst),
                SIGCONT => arrived.continued.store(true, Ordering::SeqCst),
                ending_one if ENDING.contains(&ending_one) => {
                    ending.call(Reason::Signal(ending_one));
                }
                _ => arrived.resized.store(true, Ordering::SeqCst),
            }
            nudge();
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop)
}

/// Ends the program by `signal`, so that whoever waits for it sees what happened.
pub fn die_by(signal: i32) -> ! {
    let _ = low_level::emulate_default_handler(signal);
    low_level::exit(128 + signal);
}

/// Ctrl-Z: asks the whole process group to stop, as the terminal would. For us that is a signal
/// like any other, so the way to stop is one.
pub fn ask_group_to_stop() {
    // Fails only if there is no such group, and we are in it.
    let _ = kill_current_process_group(rustix::process::Signal::TSTP);
}

/// Stops this process until SIGCONT. SIGSTOP, because SIGTSTP is dropped in an orphaned group.
pub fn stop_here() {
    // raise() goes to this very thread, which therefore does not run on.
    let _ = low_level::raise(SIGSTOP);
}

/// Held ports are descriptors: as many as we may have.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Fails where the hard limit is over fs.nr_open; then the soft one has to do.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// `SigIgn` of proc_pid_status(5): bit n - 1 stands for signal n. sigaction(2) would need unsafe.
fn ignored_signals() -> Option<u64> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let status = rustix::fs::open("/proc/self/status", flags, Mode::empty()).ok()?;
    let mut text = [0; 8192];
    let length = rustix::io::read(&status, &mut text[..]).ok()?;
    let text = String::from_utf8_lossy(text.get(..length)?);
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}
