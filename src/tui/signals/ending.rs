//! The signals that end a program, and one that asks it for a report, for a program that draws
//! nothing: a descriptor wakes its loop.

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

use super::{ENDING, ignored_signals};

/// From now on these signals end nothing by themselves; the descriptor is readable once one came.
pub struct EndingSignals {
    came: UnixStream,
    /// The last one that came; 0: none.
    last: Arc<AtomicUsize>,
    asked: Arc<AtomicBool>,
}

impl EndingSignals {
    /// `report` asks for a report instead of ending the program. A signal that is ignored from the
    /// start (nohup) stays ignored.
    pub fn listen(report: i32) -> io::Result<Self> {
        let (came, to_us) = UnixStream::pair()?;
        came.set_nonblocking(true)?;
        // One descriptor for all signals; none of them is ever unregistered, which would close it.
        let wake = to_us.into_raw_fd();
        let (last, asked) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let ignored = ignored_signals().unwrap_or(0);
        let ending = ENDING.into_iter().filter(|&signal| signal != report);
        for signal in ending.chain([report]).filter(|signal| ignored >> (signal - 1) & 1 == 0) {
            // The flag first, so that it is known which signal it was when the descriptor wakes.
            if signal == report {
                flag::register(signal, asked.clone())?;
            } else {
                flag::register_usize(signal, last.clone(), signal as usize)?;
            }
            pipe::register_raw(signal, wake)?;
        }
        Ok(Self { came, last, asked })
    }

    /// Makes the descriptor wait for the next signal. What came before is in the flags.
    pub fn clear(&self) {
        let mut bytes = [0; 64];
        while (&self.came).read(&mut bytes).is_ok_and(|length| length == bytes.len()) {}
    }

    /// Whether a report was asked for since the last call.
    pub fn take_report(&self) -> bool {
        self.asked.swap(false, Ordering::SeqCst)
    }

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
