//! The input thread: reads what is typed and clicked. Not what it means.

use std::{
    io,
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    stdio::stdin,
};

use crate::tui::{
    decoder::{Decoder, Input},
    watchdog::{Ending, Reason},
};

/// The rest of a sequence comes within this time, even through a slow line; an ESC alone is a key.
const REST: Timespec = Timespec { tv_sec: 0, tv_nsec: 40_000_000 };

/// Starts the thread. `send` may block; false: nobody listens any more.
pub fn listen(
    ending: Arc<Ending>,
    mut send: impl FnMut(Input) -> bool + Send + 'static,
) -> io::Result<()> {
    let listen = move || {
        let mut decoder = Decoder::default();
        while let Continue(()) = wait_and_read(&ending, &mut decoder, &mut send) {}
    };
    thread::Builder::new().name("input".to_owned()).spawn(listen).map(drop)
}

fn wait_and_read(
    ending: &Ending,
    decoder: &mut Decoder,
    mut send: impl FnMut(Input) -> bool,
) -> ControlFlow<()> {
    let terminal = stdin();
    let mut watched = [PollFd::new(&terminal, PollFlags::IN), ending.poll_fd()];
    let patience = decoder.is_waiting().then_some(REST);
    let goes_on = match poll(&mut watched, patience.as_ref()) {
        Err(Errno::INTR) => true,
        Err(_) => false,
        Ok(0) => decoder.give_up().is_none_or(send),
        Ok(_) if ending.is_called() => false,
        Ok(_) => {
            let mut buffer = [0; 1024];
            match rustix::io::read(terminal, &mut buffer[..]) {
                Ok(length @ 1..) => decoder.feed(&buffer[..length], &mut send),
                Err(Errno::INTR | Errno::AGAIN) => true,
                // Both an end of file and EIO: the other side of the terminal is gone.
                Ok(0) | Err(_) => {
                    ending.call(Reason::TerminalGone);
                    false
                }
            }
        }
    };
    if goes_on { Continue(()) } else { Break(()) }
}
