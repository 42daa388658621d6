//! Records the inherited signal settings before Rust's runtime changes them, and restores them for
//! the next program.

use std::{mem::MaybeUninit, sync::OnceLock};

/// Whether SIGPIPE was ignored, and which signals were blocked.
struct Signals {
    ignores_pipe: bool,
    blocked: libc::sigset_t,
}

static SIGNALS: OnceLock<Signals> = OnceLock::new();

/// Calls `record_signals`, which records the signals, before std's runtime starts. The runtime
/// ignores SIGPIPE before it calls `main` (library/std/src/sys/pal/unix/mod.rs).
#[expect(unsafe_code, reason = "the section lists functions that the C library calls at startup")]
#[used]
#[unsafe(link_section = ".init_array")]
static RECORD_SIGNALS: extern "C" fn() = record_signals;

extern "C" fn record_signals() {
    let mut blocked = MaybeUninit::uninit();
    #[expect(unsafe_code, reason = "both calls change no setting, and fill their buffer or fail")]
    let (handler, blocked) = unsafe {
        let mut pipe = MaybeUninit::<libc::sigaction>::uninit();
        if libc::sigaction(libc::SIGPIPE, std::ptr::null(), pipe.as_mut_ptr()) != 0
            || libc::sigprocmask(libc::SIG_BLOCK, std::ptr::null(), blocked.as_mut_ptr()) != 0
        {
            return;
        }
        (pipe.assume_init().sa_sigaction, blocked.assume_init())
    };
    let _ = SIGNALS.set(Signals { ignores_pipe: handler == libc::SIG_IGN, blocked });
}

/// Restores the inherited signal settings for the next program. Call it directly before execve(2),
/// in a forked child or in this process. Without it, the next program would get what std sets
/// before execve(2): the default action of SIGPIPE, and no blocked signals.
///
/// Allocates nothing and takes no lock.
pub fn restore_signals() {
    if let Some(Signals { ignores_pipe, blocked }) = SIGNALS.get() {
        #[expect(unsafe_code, reason = "both are async-signal-safe, and `blocked` is initialized")]
        unsafe {
            if *ignores_pipe {
                libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            }
            libc::sigprocmask(libc::SIG_SETMASK, blocked, std::ptr::null_mut());
        }
    }
}
