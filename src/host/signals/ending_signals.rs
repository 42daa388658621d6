//! Catches the signals with which a user ends a program, and one that requests a report, for
//! commands without a TUI. A descriptor wakes their event loop.

use std::{
    io::{self, Read as _},
    os::{
        fd::{AsFd, BorrowedFd, IntoRawFd as _},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use signal_hook::{flag, low_level::pipe};

use crate::host::signals::{self, USER_SIGNALS};

/// Catches the signals in `USER_SIGNALS` and the one that requests a report, so that they do not
/// end the process. Its descriptor becomes readable when one of them arrives.
pub struct EndingSignals {
    came: UnixStream,
    /// The last signal that asked the program to end; 0: none.
    last: Arc<AtomicUsize>,
    /// Whether a report was requested.
    asked: Arc<AtomicBool>,
}

impl EndingSignals {
    /// Starts to catch the signals. The signal `report` requests a report instead of ending the
    /// program. A signal that is ignored at the start (nohup) stays ignored. Errors: the descriptor
    /// cannot be created, or a signal cannot be caught.
    pub fn listen(report: i32) -> io::Result<Self> {
        let (came, to_us) = UnixStream::pair()?;
        came.set_nonblocking(true)?;
        // One descriptor for all signals. No handler is ever unregistered, because that would close
        // the descriptor.
        let wake = to_us.into_raw_fd();
        let (last, asked) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let ending = USER_SIGNALS.into_iter().filter(|&signal| signal != report);
        for signal in ending.chain([report]).filter(signals::not_ignored()) {
            // The flag is set first, so that the signal is known when the descriptor wakes the
            // loop.
            if signal == report {
                flag::register(signal, asked.clone())?;
            } else {
                flag::register_usize(signal, last.clone(), signal as usize)?;
            }
            pipe::register_raw(signal, wake)?;
        }
        Ok(Self { came, last, asked })
    }

    /// Reads the descriptor until it is empty, so that it is not readable before the next signal.
    /// The flags still record the earlier signals.
    pub fn clear(&self) {
        let mut bytes = [0; 64];
        while (&self.came).read(&mut bytes).is_ok_and(|length| length == bytes.len()) {}
    }

    /// Whether a report was requested since the last call.
    pub fn take_report(&self) -> bool {
        self.asked.swap(false, Ordering::SeqCst)
    }

    /// The last signal that asked the program to end; None: none has arrived.
    pub fn last(&self) -> Option<i32> {
        match self.last.load(Ordering::SeqCst) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }
}

impl AsFd for EndingSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.came.as_fd()
    }
}
