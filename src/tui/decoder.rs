//! Bytes from a terminal, turned into keys, gestures and answers. Reads nothing itself.
//!
//! crossterm 0.29 has a decoder, too, but it panics at some garbage, waits for ever for the end of a
//! paste, stalls at input of more than 1 KiB and spins once the terminal is gone (crossterm#793).

use std::str;

use crate::app::{Gesture, Key};

/// Longer sequences than any we know are garbage.
const LONGEST: usize = 32;
const ESCAPE: u8 = 0x1b;

/// What came from the terminal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input {
    Key(Key),
    /// Both counted from 0.
    Mouse {
        gesture: Gesture,
        column: u16,
        row: u16,
    },
    /// The background's red, green and blue, each 0 to 1.
    Background([f32; 3]),
    /// What the terminal can do (DA1): every terminal answers that, and after what was asked before.
    Attributes,
}

impl Input {
    /// Of these only the last one of a row counts.
    pub fn is_motion(&self) -> bool {
        matches!(self, Self::Mouse { gesture: Gesture::Hover | Gesture::Drag, .. })
    }
}

/// What the bytes so far begin with.
enum Step {
    /// So many bytes mean this, or nothing that we know.
    Done(usize, Option<Input>),
    More,
}

/// Holds what is not complete yet.
#[derive(Default)]
pub struct Decoder {
    pending: Vec<u8>,
}

impl Decoder {
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Hands all inputs that are complete to `take`, until that returns false.
    pub fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(Input) -> bool) -> bool {
        self.pending.extend_from_slice(bytes);
        let mut rest = self.pending.as_slice();
        let mut wanted = true;
        while wanted && !rest.is_empty() {
            let (length, input) = match decode(rest) {
                Step::Done(length, input) => (length, input),
                Step::More if rest.len() < LONGEST => break,
                Step::More => (1, None),
            };
            rest = rest.get(length..).unwrap_or_default();
            wanted = input.is_none_or(&mut take);
        }
        let taken = self.pending.len() - rest.len();
        self.pending.drain(..taken);
        wanted
    }

    /// Nothing more came: a lone ESC is the key, anything else was cut off.
    pub fn give_up(&mut self) -> Option<Input> {
        let is_key = self.pending == [ESCAPE];
        self.pending.clear();
        is_key.then_some(Input::Key(Key::Escape))
    }
}

/// `bytes` is not empty.
fn decode(bytes: &[u8]) -> Step {
    let key = |key| Step::Done(1, Some(Input::Key(key)));
    match bytes[0] {
        ESCAPE => decode_escape(bytes),
        b'\r' | b'\n' => key(Key::Enter),
        b'\t' => key(Key::Tab),
        0x7f | 0x08 => key(Key::Backspace),
        control @ 0x01..=0x1a => key(Key::Ctrl(char::from(control - 1 + b'a'))),
        0x00..0x20 => Step::Done(1, None),
        _ => decode_char(bytes),
    }
}

fn decode_char(bytes: &[u8]) -> Step {
    let head = bytes.get(..4).unwrap_or(bytes);
    let valid = match str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(error) if error.error_len().is_none() => return Step::More,
        Err(_) => "",
    };
    match valid.chars().next() {
        Some(c) => Step::Done(c.len_utf8(), Some(Input::Key(Key::Char(c)))),
        None => Step::Done(1, None),
    }
}

/// ECMA-48, 5.3 and 5.4, and xterm's ctlseqs.
fn decode_escape(bytes: &[u8]) -> Step {
    match bytes.get(1) {
        None => Step::More,
        Some(b'[') => decode_control_sequence(bytes),
        Some(b'O') => match bytes.get(2) {
            None => Step::More,
            Some(0x00..0x20) => Step::Done(2, None),
            Some(&last) => Step::Done(3, named_key(last, false).map(Input::Key)),
        },
        Some(b']') => decode_command(bytes),
        // Ctrl-C must always be Ctrl-C.
        Some(0x00..0x20 | 0x7f) => Step::Done(1, Some(Input::Key(Key::Escape))),
        // With Alt: no command of ours.
        Some(_) => match decode(&bytes[1..]) {
            Step::Done(length, _) => Step::Done(1 + length, None),
            Step::More => Step::More,
        },
    }
}

/// ESC ] text, then BEL or ESC \: the answer to a question. One that comes too late must not be typed.
fn decode_command(bytes: &[u8]) -> Step {
    let body = &bytes[2..];
    let Some(end) = body.iter().position(|byte| !(0x20..0x7f).contains(byte)) else {
        return Step::More;
    };
    let answer = || background(str::from_utf8(&body[..end]).ok()?);
    match body[end..] {
        [0x07, ..] => Step::Done(2 + end + 1, answer()),
        [ESCAPE, b'\\', ..] => Step::Done(2 + end + 2, answer()),
        [ESCAPE] => Step::More,
        // Not part of it: what stands there begins something else.
        _ => Step::Done(2 + end, None),
    }
}

/// `11;rgb:RRRR/GGGG/BBBB`, one to four hex digits each; maybe `rgba` and an alpha (ctlseqs, OSC 11).
fn background(text: &str) -> Option<Input> {
    let color = text.strip_prefix("11;rgb")?;
    let mut parts = color.strip_prefix("a:").or(color.strip_prefix(':'))?.split('/').map(share);
    Some(Input::Background([parts.next()??, parts.next()??, parts.next()??]))
}

/// Of the largest number with so many digits.
fn share(digits: &str) -> Option<f32> {
    let largest = [0xf, 0xff, 0xfff, 0xffff_u16].get(digits.len().checked_sub(1)?)?;
    Some(f32::from(u16::from_str_radix(digits, 16).ok()?) / f32::from(*largest))
}

/// ESC [ parameters final.
fn decode_control_sequence(bytes: &[u8]) -> Step {
    let body = &bytes[2..];
    let Some(end) = body.iter().position(|byte| !(0x20..0x40).contains(byte)) else {
        return Step::More;
    };
    let length = 2 + end + 1;
    let parameters = str::from_utf8(&body[..end]).unwrap_or_default();
    let following = &body[end + 1..];
    match body[end] {
        // The mouse without SGR coding: three bytes follow.
        b'M' if end == 0 => match following {
            [button, column, row, ..] => {
                Step::Done(length + 3, old_gesture(*button, *column, *row))
            }
            _ => Step::More,
        },
        // Function keys of the Linux console: one byte follows.
        b'[' if following.is_empty() => Step::More,
        b'[' => Step::Done(length + 1, None),
        last @ (b'M' | b'm') => Step::Done(length, gesture(parameters, last)),
        b'c' if parameters.starts_with('?') => Step::Done(length, Some(Input::Attributes)),
        last @ 0x40..0x7f => Step::Done(length, sequence_key(parameters, last).map(Input::Key)),
        // Not part of a sequence: what stands there begins something else.
        _ => Step::Done(length - 1, None),
    }
}

/// `number;modifiers final`; modifiers are one more than a bit set whose bit 0 is Shift.
fn sequence_key(parameters: &str, last: u8) -> Option<Key> {
    let mut numbers = parameters.split(';').map(|number| number.parse::<u16>().ok());
    let number = numbers.next().flatten();
    let shift = numbers.next().flatten().is_some_and(|set| set.wrapping_sub(1) & 1 == 1);
    match (last, number) {
        (b'~', Some(1 | 7)) => Some(Key::Home),
        (b'~', Some(4 | 8)) => Some(Key::End),
        (b'~', Some(5)) => Some(Key::PageUp),
        (b'~', Some(6)) => Some(Key::PageDown),
        _ => named_key(last, shift),
    }
}

fn named_key(last: u8, shift: bool) -> Option<Key> {
    Some(match last {
        b'A' if shift => Key::ShiftUp,
        b'B' if shift => Key::ShiftDown,
        b'C' if shift => Key::ShiftRight,
        b'D' if shift => Key::ShiftLeft,
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        // The keypad's.
        b'M' => Key::Enter,
        b'Z' => Key::BackTab,
        _ => return None,
    })
}

/// SGR coding (1006), `<button;column;row`, places from 1; `m` ends it for a release.
fn gesture(parameters: &str, last: u8) -> Option<Input> {
    let mut numbers = parameters.strip_prefix('<')?.split(';').map(|n| n.parse::<u16>().ok());
    let (button, column, row) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let gesture = match (last, meant_by(button)?) {
        (b'M', gesture) => gesture,
        (_, Gesture::Press) => Gesture::Release,
        _ => return None,
    };
    let at = |n: u16| n.checked_sub(1);
    Some(Input::Mouse { gesture, column: at(column)?, row: at(row)? })
}

/// X10's coding, a byte each, from 32; places count from 1. Whichever button is released is 3.
fn old_gesture(button: u8, column: u8, row: u8) -> Option<Input> {
    let gesture = match button.checked_sub(32)? {
        release if without_modifiers(u16::from(release)) == 3 => Gesture::Release,
        button => meant_by(u16::from(button))?,
    };
    let at = |byte: u8| byte.checked_sub(33).map(u16::from);
    Some(Input::Mouse { gesture, column: at(column)?, row: at(row)? })
}

/// The left button, the wheel, and motion (bit 5) with the left button or none.
fn meant_by(button: u16) -> Option<Gesture> {
    Some(match without_modifiers(button) {
        0 => Gesture::Press,
        32 => Gesture::Drag,
        35 => Gesture::Hover,
        64 => Gesture::WheelUp,
        65 => Gesture::WheelDown,
        _ => return None,
    })
}

/// Shift, Alt and Control.
fn without_modifiers(button: u16) -> u16 {
    button & !0b1_1100
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode_all(parts: &[&[u8]]) -> Vec<Input> {
        let (mut decoder, mut inputs) = (Decoder::default(), Vec::new());
        for part in parts {
            decoder.feed(part, |input| {
                inputs.push(input);
                true
            });
        }
        inputs.extend(decoder.give_up());
        inputs
    }

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let key = |input| match input {
            Input::Key(key) => key,
            other => panic!("{other:?} is no key"),
        };
        decode_all(&[bytes]).into_iter().map(key).collect()
    }

    #[test]
    fn keys_are_known_in_the_codings_of_xterm_and_of_the_linux_console() {
        for (bytes, key) in [
            (&b"\x1b[A"[..], Key::Up),
            (b"\x1bOA", Key::Up),
            (b"\x1b[1;2A", Key::ShiftUp),
            (b"\x1b[1;2D", Key::ShiftLeft),
            (b"\x1b[1;5C", Key::Right),
            (b"\x1b[H", Key::Home),
            (b"\x1b[1~", Key::Home),
            (b"\x1b[4~", Key::End),
            (b"\x1b[5~", Key::PageUp),
            (b"\x1b[6~", Key::PageDown),
            (b"\x1b[Z", Key::BackTab),
            (b"\t", Key::Tab),
            (b"\r", Key::Enter),
            (b"\x7f", Key::Backspace),
            (b"\x03", Key::Ctrl('c')),
            (b"\x1a", Key::Ctrl('z')),
            (b"\x1b", Key::Escape),
            ("é".as_bytes(), Key::Char('é')),
            (b"C", Key::Char('C')),
        ] {
            assert_eq!(keys(bytes), [key], "{bytes:?}");
        }
    }

    #[test]
    fn what_means_nothing_to_us_is_swallowed_whole() {
        for bytes in [
            &b"\x1b[15~"[..],
            b"\x1b[3~",
            b"\x1bq",
            b"\x1b[[A",
            b"\x1b[200~\x1b[201~",
            b"\x1c",
            b"\x1b[12",
            b"\xff",
            b"\xc3",
        ] {
            assert_eq!(decode_all(&[bytes]), [], "{bytes:?}");
        }
    }

    #[test]
    fn gestures_are_known_in_both_codings_with_and_without_modifiers() {
        for (bytes, gesture) in [
            (&b"\x1b[<0;3;90M"[..], Gesture::Press),
            (b"\x1b[<4;3;90M", Gesture::Press),
            (b"\x1b[<0;3;90m", Gesture::Release),
            (b"\x1b[<32;3;90M", Gesture::Drag),
            (b"\x1b[<35;3;90M", Gesture::Hover),
            (b"\x1b[<51;3;90M", Gesture::Hover),
            (b"\x1b[<64;3;90M", Gesture::WheelUp),
            (b"\x1b[<65;3;90M", Gesture::WheelDown),
            (b"\x1b[<81;3;90M", Gesture::WheelDown),
            (b"\x1b[M #z", Gesture::Press),
            (b"\x1b[M##z", Gesture::Release),
            (b"\x1b[M@#z", Gesture::Drag),
            (b"\x1b[MC#z", Gesture::Hover),
            (b"\x1b[M`#z", Gesture::WheelUp),
            (b"\x1b[Ma#z", Gesture::WheelDown),
        ] {
            let input = Input::Mouse { gesture, column: 2, row: 89 };
            assert_eq!(decode_all(&[bytes]), [input], "{bytes:?}");
        }
        let far = Input::Mouse { gesture: Gesture::Press, column: 0, row: 999 };
        assert_eq!(decode_all(&[b"\x1b[<0;1;1000M"]), [far]);
    }

    #[test]
    fn other_buttons_and_places_outside_of_the_screen_are_no_gestures() {
        for bytes in [
            &b"\x1b[<1;3;3M"[..],
            b"\x1b[<2;3;3M",
            b"\x1b[<2;3;3m",
            b"\x1b[<34;3;3M",
            b"\x1b[<35;3;3m",
            b"\x1b[<66;3;3M",
            b"\x1b[<128;3;3M",
            b"\x1b[<0;0;1M",
            b"\x1b[<0;99999;1M",
            b"\x1b[<;;M",
            b"\x1b[0;1;1M",
            b"\x1b[M\"##",
            b"\x1b[M \x01\x02",
            b"\x1b[M\x01##",
        ] {
            assert_eq!(decode_all(&[bytes]), [], "{bytes:?}");
        }
    }

    #[test]
    fn answers_are_known_and_never_typed() {
        let white = Input::Background([1.0; 3]);
        assert_eq!(decode_all(&[b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\"]), [white]);
        assert_eq!(decode_all(&[b"\x1b]11;rgb:ff/ff/ff\x07"]), [white]);
        assert_eq!(decode_all(&[b"\x1b]11;rgba:ffff/ffff/ffff/8000\x07"]), [white]);
        assert_eq!(decode_all(&[b"\x1b[?62;c"]), [Input::Attributes]);
        assert_eq!(decode_all(&[b"\x1b]11;rgb:", b"0/0/0\x1b", b"\\"]).len(), 1);
        for bytes in [&b"\x1b]4;rgb:f/f/f\x07"[..], b"\x1b]11;red\x07", b"\x1b]11;rgb:///\x07"] {
            assert_eq!(decode_all(&[bytes]), [], "{bytes:?}");
        }
        assert_eq!(keys(b"\x1b]11;r\x03"), [Key::Ctrl('c')]);
    }

    #[test]
    fn keys_behind_a_broken_sequence_are_known_again() {
        assert_eq!(keys(b"\x1b[12\x1b[Aq"), [Key::Up, Key::Char('q')]);
        assert_eq!(keys(b"\x1b\x1b[A"), [Key::Escape, Key::Up]);
        assert_eq!(keys(b"\x1b\x1b\x03"), [Key::Escape, Key::Escape, Key::Ctrl('c')]);
        assert_eq!(keys(b"\x1b[<0;1\x03"), [Key::Ctrl('c')]);
        let endless = [b"\x1b[".as_slice(), &[b'1'; 100], b"A\x03"].concat();
        assert_eq!(keys(&endless).last(), Some(&Key::Ctrl('c')));
    }

    #[test]
    fn whoever_has_enough_is_given_no_more() {
        let (mut decoder, mut count) = (Decoder::default(), 0);
        let goes_on = decoder.feed(b"abc", |_| {
            count += 1;
            count < 2
        });
        assert!(!goes_on);
        assert_eq!(count, 2);
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_never_piles_up(bytes: Vec<u8>) {
            let mut decoder = Decoder::default();
            decoder.feed(&bytes, |_| true);
            prop_assert!(decoder.pending.len() < LONGEST);
        }

        #[test]
        fn it_does_not_matter_where_the_bytes_are_cut(
            bytes in prop::collection::vec(prop::sample::select(b"\x1b[]O<;12MmA~\xc3\xa9q\x03\x07\\".to_vec()), 0..24),
            at in 0_usize..24,
        ) {
            let at = at.min(bytes.len());
            let (head, tail) = bytes.split_at(at);
            prop_assert_eq!(decode_all(&[&bytes]), decode_all(&[head, tail]));
        }
    }
}
