//! Asks the terminal for its background colour before the first frame. Defines no colours.
//!
//! terminal-colorsaurus does the same, but discards keys that are typed while it waits.

use std::{
    env, io,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    stdio::stdin,
};

use crate::{
    tui::{
        decoder::{Decoder, Input},
        terminal::Terminal,
        watchdog::Ending,
    },
    view::Background,
};

/// How long to wait for the answer. The background is assumed to be dark without one.
const TIMEOUT: Duration = Duration::from_millis(300);
/// Requests the background colour (OSC 11, terminated by BEL as urxvt needs it), then the device
/// attributes (DA1); see xterm's ctlseqs. Nearly all terminals answer DA1, so its answer ends the
/// wait also on terminals that do not support OSC 11.
const QUESTION: &[u8] = b"\x1b]11;?\x07\x1b[c";

/// What was read from the terminal during the wait.
#[derive(Default)]
pub struct TerminalAnswer {
    /// None: the terminal did not report it in time.
    pub background: Option<Background>,
    /// Inputs for the app that were typed during the wait.
    pub typed: Vec<Input>,
    /// The decoder, which may hold the beginning of an incomplete input.
    pub decoder: Decoder,
}

/// Asks for the background. Needs raw mode, and must run before anything else reads the input.
/// Errors: the request could not be written to the terminal.
pub fn query_background(terminal: &Terminal, ending: &Ending) -> io::Result<TerminalAnswer> {
    let mut answer = TerminalAnswer::default();
    // GNU screen answers DA1 first, which would end the wait before the colour arrives; Eterm does
    // not answer.
    let term = env::var("TERM").unwrap_or_default();
    if term == "screen" || term.starts_with("screen.") || term == "Eterm" {
        return Ok(answer);
    }
    terminal.send(QUESTION, ending)?;
    let deadline = Instant::now() + TIMEOUT;
    while answer.waits_for_more(deadline, ending) {}
    Ok(answer)
}

impl TerminalAnswer {
    fn waits_for_more(&mut self, deadline: Instant, ending: &Ending) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("less than a second fits");
        let terminal = stdin();
        let mut watched = [PollFd::new(&terminal, PollFlags::IN), ending.poll_fd()];
        match poll(&mut watched, Some(&left)) {
            Err(Errno::INTR) => return true,
            Ok(1..) if !ending.is_called() => {}
            _ => return false,
        }
        let mut buffer = [0; 256];
        // If the terminal has failed, the input thread detects it.
        let Ok(length @ 1..) = rustix::io::read(terminal, &mut buffer[..]) else { return false };
        let mut is_answered = false;
        let Self { background, typed, decoder } = self;
        decoder.feed(&buffer[..length], |input| {
            match input {
                Input::Background(color) => *background = Some(background_of(color)),
                Input::Attributes => is_answered = true,
                input => typed.push(input),
            }
            true
        });
        !is_answered
    }
}

/// Classifies a background by its luma (Rec. 601), computed from gamma-encoded values.
fn background_of([red, green, blue]: [f32; 3]) -> Background {
    let is_light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5;
    if is_light { Background::Light } else { Background::Dark }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dark_and_light_backgrounds_are_classified() {
        let background = |rgb: u32| {
            background_of([16, 8, 0].map(|shift| f32::from((rgb >> shift) as u8) / 255.0))
        };
        // Solarized, Gruvbox, Dracula, plain ones.
        for dark in [0x00_2b36, 0x28_2828, 0x28_2a36, 0, 0x30_0a24] {
            assert_eq!(background(dark), Background::Dark, "{dark:06x}");
        }
        for light in [0xfd_f6e3, 0xfb_f1c7, 0xff_ffff, 0xff_ffdd, 0xc0_c0c0] {
            assert_eq!(background(light), Background::Light, "{light:06x}");
        }
    }
}
