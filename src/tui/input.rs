//! The input thread: reads keys and mouse reports. Does not act on them.

use std::{io, sync::Arc, thread};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    stdio::stdin,
};

use crate::tui::{
    decoder::{Decoder, Input},
    watchdog::{Ending, Exit},
};

/// Starts the input thread, which first sends `typed`, the inputs that were read earlier. `send`
/// may block; it returns false when the receiver is gone. Errors: no thread can be started.
pub fn listen(
    ending: Arc<Ending>,
    typed: Vec<Input>,
    mut decoder: Decoder,
    mut send: impl FnMut(Input) -> bool + Send + 'static,
) -> io::Result<()> {
    let listen = move || {
        if typed.into_iter().all(&mut send) {
            while wait_and_read(&ending, &mut decoder, &mut send) {}
        }
    };
    thread::Builder::new().name("input".to_owned()).spawn(listen).map(drop)
}

/// Reads what has arrived, or waits for it. Returns false when nothing more can be read or sent.
fn wait_and_read(ending: &Ending, decoder: &mut Decoder, send: impl FnMut(Input) -> bool) -> bool {
    let terminal = stdin();
    let mut watched = [PollFd::new(&terminal, PollFlags::IN), ending.poll_fd()];
    let timeout = decoder.timeout().and_then(|time| Timespec::try_from(time).ok());
    match poll(&mut watched, timeout.as_ref()) {
        Err(Errno::INTR) => true,
        Err(_) => false,
        Ok(0) => decoder.give_up().is_none_or(send),
        Ok(_) if ending.is_called() => false,
        Ok(_) => {
            let mut buffer = [0; 1024];
            match rustix::io::read(terminal, &mut buffer[..]) {
                Ok(length @ 1..) => pass_on(&buffer[..length], decoder, send),
                Err(Errno::INTR | Errno::AGAIN) => true,
                // An end of file and EIO both mean that the other side of the terminal is gone.
                Ok(0) | Err(_) => {
                    ending.call(Exit::TerminalGone);
                    false
                }
            }
        }
    }
}

/// Passes inputs on. Of consecutive motions of one gesture only the last is sent, so that the mouse
/// does not delay keys. Returns false when the receiver is gone.
fn pass_on(bytes: &[u8], decoder: &mut Decoder, mut send: impl FnMut(Input) -> bool) -> bool {
    let mut motion = None;
    let goes_on = decoder.feed(bytes, |input| {
        if input.is_motion() && motion.is_none_or(|held| is_same_gesture(held, input)) {
            motion = Some(input);
            return true;
        }
        let next = if input.is_motion() { motion.replace(input) } else { motion.take() };
        next.is_none_or(&mut send) && (input.is_motion() || send(input))
    });
    goes_on && motion.is_none_or(send)
}

fn is_same_gesture(one: Input, other: Input) -> bool {
    let gesture = |input| match input {
        Input::Mouse { gesture, .. } => Some(gesture),
        _ => None,
    };
    gesture(one) == gesture(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Gesture, Key};

    #[test]
    fn consecutive_mouse_motions_are_coalesced() {
        let bytes =
            b"\x1b[<35;1;1M\x1b[<35;2;1Ma\x1b[<35;3;1M\x1b[<32;4;1M\x1b[<32;5;1M\x1b[<0;5;1m";
        let mut passed = Vec::new();
        let goes_on = pass_on(bytes, &mut Decoder::default(), |input| {
            passed.push(input);
            true
        });
        let mouse = |gesture, column| Input::Mouse { gesture, column, row: 0 };
        assert!(goes_on);
        assert_eq!(
            passed,
            [
                mouse(Gesture::Hover, 1),
                Input::Key(Key::Char('a')),
                mouse(Gesture::Hover, 2),
                mouse(Gesture::Drag, 4),
                mouse(Gesture::Release, 4),
            ]
        );
    }

    #[test]
    fn presses_and_wheel_events_are_not_coalesced() {
        let mut count = 0;
        pass_on(&b"\x1b[<64;1;1M".repeat(9), &mut Decoder::default(), |_| {
            count += 1;
            true
        });
        assert_eq!(count, 9);
    }
}
