//! Signals whose default action ends the process: lists them, runs a last function before a fault
//! ends the process, and ends the process by a signal. `EndingSignals` catches some of them.

mod ending_signals;

use std::{
    ffi::{c_int, c_void},
    mem::MaybeUninit,
    ops::RangeInclusive,
    ptr,
    sync::OnceLock,
};

use libc::{sigaction, siginfo_t, sigset_t};
use rustix::fs::{Mode, OFlags};

pub use ending_signals::EndingSignals;
pub use libc::SIGUSR1;

/// The signals with which a user ends a program.
pub const USER_SIGNALS: [c_int; 4] = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT];

/// Signals that the kernel or abort(3) raises in the faulting thread, which cannot continue.
const FAULTS: [c_int; 7] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGABRT,
    libc::SIGSYS,
    libc::SIGTRAP,
];
/// Signals that do not end the process by default, and those that cannot be caught (signal(7)).
const NOT_TERMINATING: [c_int; 9] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGCHLD,
    libc::SIGCONT,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGURG,
    libc::SIGWINCH,
];
const STANDARD: RangeInclusive<c_int> = 1..=31;

/// Returns all signals that end the process by default and can be caught, except faults. Includes
/// real-time signals.
pub fn ending() -> impl Iterator<Item = c_int> {
    let all = STANDARD.chain(libc::SIGRTMIN()..=libc::SIGRTMAX());
    all.filter(|signal| !FAULTS.contains(signal) && !NOT_TERMINATING.contains(signal))
}

/// Returns a function that reports whether a signal was not ignored when `not_ignored` was called.
/// With it, callers leave a signal alone that is ignored at the start (nohup). If `SigIgn` cannot
/// be read, no signal counts as ignored.
pub fn not_ignored() -> impl Fn(&c_int) -> bool {
    let ignored = ignored_signals().unwrap_or(0);
    move |signal| ignored >> (signal - 1) & 1 == 0
}

/// Reads `SigIgn` of proc_pid_status(5): bit n - 1 is signal n. sigaction(2) would need unsafe
/// code. None: the file could not be read.
fn ignored_signals() -> Option<u64> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let status = rustix::fs::open("/proc/self/status", flags, Mode::empty()).ok()?;
    let mut text = [0; 8192];
    let length = rustix::io::read(&status, &mut text[..]).ok()?;
    let text = String::from_utf8_lossy(text.get(..length)?);
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

static LAST_ACT: OnceLock<fn()> = OnceLock::new();
/// The handlers that std installs for SIGSEGV and SIGBUS: they report a stack overflow.
static REPORTERS: [OnceLock<sigaction>; 2] = [OnceLock::new(), OnceLock::new()];

/// Runs `act` when a fault, such as a failed allocation, is about to end the process. `act` must be
/// async-signal-safe: no allocation, and no lock that the thread may already hold. Only the first
/// call has an effect.
///
/// A fault signal that is already ignored stays ignored.
pub fn before_a_fault_ends_us(act: fn()) {
    if LAST_ACT.set(act).is_ok() {
        FAULTS.into_iter().for_each(handle);
    }
}

#[expect(unsafe_code, reason = "the structures are initialized; the handler is async-signal-safe")]
fn handle(signal: c_int) {
    unsafe {
        let mut old = MaybeUninit::<sigaction>::zeroed().assume_init();
        if libc::sigaction(signal, ptr::null(), &raw mut old) != 0
            || old.sa_sigaction == libc::SIG_IGN
        {
            return;
        }
        if old.sa_sigaction != libc::SIG_DFL
            && let Some(reporter) = reporter(signal)
        {
            let _ = reporter.set(old);
        }
        let mut new = MaybeUninit::<sigaction>::zeroed().assume_init();
        let handler: extern "C" fn(c_int, *const siginfo_t, *const c_void) = at_fault;
        new.sa_sigaction = handler as usize;
        // Uses std's alternate stack, because the normal one may have overflowed.
        new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigfillset(&raw mut new.sa_mask);
        libc::sigaction(signal, &raw const new, ptr::null_mut());
    }
}

fn reporter(signal: c_int) -> Option<&'static OnceLock<sigaction>> {
    let index = [libc::SIGSEGV, libc::SIGBUS].iter().position(|reported| *reported == signal)?;
    REPORTERS.get(index)
}

#[expect(unsafe_code, reason = "only async-signal-safe calls, with what the kernel handed over")]
extern "C" fn at_fault(signal: c_int, info: *const siginfo_t, _context: *const c_void) {
    if let Some(act) = LAST_ACT.get() {
        act();
    }
    // A positive `si_code` means that the kernel raised the signal. After this handler returns, the
    // faulting instruction runs again and faults again, and std's handler is called.
    let is_real = unsafe { (*info).si_code } > 0;
    match reporter(signal).and_then(OnceLock::get) {
        Some(reporter) if is_real => unsafe {
            libc::sigaction(signal, ptr::from_ref(reporter), ptr::null_mut());
        },
        _ => die_by(signal),
    }
}

/// Ends the process by `signal`, so that its parent sees the cause. Async-signal-safe.
#[expect(unsafe_code, reason = "the structures are initialized; nothing of ours runs on")]
pub fn die_by(signal: c_int) -> ! {
    unsafe {
        let mut default = MaybeUninit::<sigaction>::zeroed().assume_init();
        default.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(signal, &raw const default, ptr::null_mut());
        let mut only = MaybeUninit::<sigset_t>::zeroed().assume_init();
        libc::sigaddset(&raw mut only, signal);
        libc::raise(signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const only, ptr::null_mut());
        // Reached by pid 1 of a pid namespace, which its own signals do not end
        // (pid_namespaces(7)).
        libc::_exit(128 + signal)
    }
}

/// Runs `steps` with all signals blocked in this thread that can be blocked.
#[expect(unsafe_code, reason = "both sets are initialized")]
pub fn without_interruption<T>(steps: impl FnOnce() -> T) -> T {
    unsafe {
        let mut all = MaybeUninit::<sigset_t>::zeroed().assume_init();
        let mut before = all;
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let done = steps();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_that_ends_a_process_is_listed_once() {
        let ending: Vec<c_int> = ending().collect();
        for signal in [libc::SIGTERM, libc::SIGUSR1, libc::SIGXFSZ, libc::SIGPWR, libc::SIGRTMAX()]
        {
            assert!(ending.contains(&signal), "{signal}");
        }
        assert!(!ending.contains(&libc::SIGCHLD) && !ending.contains(&libc::SIGABRT));
        assert_eq!(ending.len(), 31 - 9 - 7 + 31);
    }

    #[test]
    fn without_interruption_runs_the_closure_on_the_same_thread() {
        assert_eq!(
            without_interruption(|| std::thread::current().id()),
            std::thread::current().id()
        );
    }
}
