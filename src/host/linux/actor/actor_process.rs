//! What every process of an actor does: it has a name, waits, and ends with the process that
//! started it.

use std::{
    ffi::CString,
    io,
    num::NonZeroU64,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fd::{AsFd, OwnedFd},
    io::Errno,
    process::Signal,
};

/// A shorter wait spins, because a sleep would end too late.
const MIN_SLEEP: Duration = Duration::from_micros(200);

/// Sets the process name that `ps -o comm` shows. Ignores errors.
pub fn set_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// Reduces the timer slack of this thread to 1 ns. By default, its timers can be up to 50
/// microseconds late (PR_SET_TIMERSLACK, prctl(2)). Ignores errors.
pub fn reduce_timer_slack() {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// Makes the kernel kill this process when the thread that started it ends. Call it after
/// `private_namespace::make`, because a change of credentials cancels this (PR_SET_PDEATHSIG,
/// prctl(2)). `wait` detects the end of the starting process too, because the other end of standard
/// input is then closed.
///
/// Errors: the process that started this one has already ended.
pub fn end_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    wait_until(Instant::now())
}

/// As [`wait`], for nothing but the deadline.
pub fn wait_until(deadline: Instant) -> io::Result<()> {
    wait(Some(deadline), None).map(drop)
}

/// Waits until `deadline` (None: without end), or until `watched` is readable. Returns whether it
/// is.
///
/// Errors: `BrokenPipe` if the other end of standard input is closed, because the process that
/// started this one has ended.
pub fn wait(deadline: Option<Instant>, watched: Option<&OwnedFd>) -> io::Result<bool> {
    let stdin = io::stdin();
    loop {
        let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let is_short = left.is_some_and(|left| left < MIN_SLEEP);
        let mut entries = [
            PollFd::new(&stdin, PollFlags::empty()),
            PollFd::from_borrowed_fd(watched.map_or(stdin.as_fd(), AsFd::as_fd), PollFlags::IN),
        ];
        let used = &mut entries[..=usize::from(watched.is_some())];
        poll_all(used, if is_short { Some(Duration::ZERO) } else { left })?;
        if entries[0].revents().contains(PollFlags::HUP) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if entries[1].revents().contains(PollFlags::IN) {
            return Ok(true);
        }
        while is_short && deadline.is_some_and(|end| Instant::now() < end) {
            std::hint::spin_loop();
        }
        if deadline.is_some_and(|end| Instant::now() >= end) {
            return Ok(false);
        }
    }
}

/// Returns which events of `asked` happened on the descriptor within `wait`, and any hang-up or
/// error. Empty: none did, or a signal arrived.
pub fn poll(descriptor: impl AsFd, asked: PollFlags, wait: Duration) -> io::Result<PollFlags> {
    let mut entry = [PollFd::new(&descriptor, asked)];
    poll_all(&mut entry, Some(wait))?;
    Ok(entry[0].revents())
}

/// Without `wait`, waits without end. A signal is no error.
fn poll_all(entries: &mut [PollFd<'_>], wait: Option<Duration>) -> io::Result<()> {
    let timeout = wait.and_then(|wait| Timespec::try_from(wait).ok());
    match rustix::event::poll(entries, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
