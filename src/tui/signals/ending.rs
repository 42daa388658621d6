//! The signals that end a program, for one that draws nothing: heard by a descriptor.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use signal_hook::{flag, low_level::pipe};

use super::{ENDING, ignored_signals};

/// From now on these signals end nothing by themselves; the descriptor is readable once one came.
pub struct EndingSignals {
    came: UnixStream,
    /// The last one that came; 0: none.
    last: Arc<AtomicUsize>,
}

impl EndingSignals {
    /// One that is ignored from the start (nohup) stays ignored.
    pub fn listen() -> io::Result<Self> {
        let (came, to_us) = UnixStream::pair()?;
        let last = Arc::<AtomicUsize>::default();
        let ignored = ignored_signals().unwrap_or(0);
        for signal in ENDING.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0) {
            // In this order, so that it is known which one it was when the descriptor tells.
            flag::register_usize(signal, last.clone(), signal as usize)?;
            pipe::register(signal, to_us.try_clone()?)?;
        }
        Ok(Self { came, last })
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
