//! Receives signals and passes them to the event loop, which decides what to do.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::process::kill_current_process_group;
use signal_hook::{
    consts::{SIGCONT, SIGSTOP, SIGTSTP, SIGWINCH},
    iterator::Signals,
    low_level,
};

use crate::{
    host::signals::{self, USER_SIGNALS},
    tui::watchdog::{Ending, Exit},
};

/// The signals that arrived since the event loop last called `take`. They are flags, because a full
/// channel would lose messages.
#[derive(Default)]
pub struct Arrived {
    /// SIGTSTP: a request to stop.
    pub stop: AtomicBool,
    /// SIGWINCH. The screen content may be lost even if the size is as before.
    pub resized: AtomicBool,
    /// SIGCONT: the process may have been stopped, and other programs may have changed the
    /// terminal.
    pub continued: AtomicBool,
}

/// Returns and clears a flag of `Arrived`.
pub fn take(flag: &AtomicBool) -> bool {
    flag.swap(false, Ordering::SeqCst)
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
    let is_wanted = signals::not_ignored();
    let mut signals = Signals::new([SIGTSTP, SIGCONT, SIGWINCH].into_iter().filter(&is_wanted))?;
    for signal in signals::ending().filter(&is_wanted) {
        // A sandbox may reserve some signals; only those in `USER_SIGNALS` are required.
        let added = signals.add_signal(signal);
        if USER_SIGNALS.contains(&signal) {
            added?;
        }
    }
    let watch = move || {
        for signal in signals.forever() {
            match signal {
                SIGTSTP => arrived.stop.store(true, Ordering::SeqCst),
                SIGCONT => arrived.continued.store(true, Ordering::SeqCst),
                SIGWINCH => arrived.resized.store(true, Ordering::SeqCst),
                ending_one => ending.call(Exit::Signal(ending_one)),
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
