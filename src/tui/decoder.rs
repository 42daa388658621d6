//! Bytes from a terminal, turned into keys and clicks. Reads nothing itself.
//!
//! crossterm 0.29 has a decoder, too, but it panics at some garbage, waits for ever for the end of a
//! paste, stalls at input of more than 1 KiB and spins once the terminal is gone (crossterm#793).

use std::str;

use crate::app::{Gesture, Key};

/// Longer sequences than any we know are garbage.
const LONGEST: usize = 32;
const ESCAPE: u8 = 0x1b;

/// What came from the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    Key(Key),
    /// Both counted from 0.
    Mouse {
        gesture: Gesture,
        column: u16,
        row: u16,
    },
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
        // Ctrl-C must always be Ctrl-C.
        Some(0x00..0x20 | 0x7f) => Step::Done(1, Some(Input::Key(Key::Escape))),
        // With Alt: no command of ours.
        Some(_) => match decode(&bytes[1..]) {
            Step::Done(length, _) => Step::Done(1 + length, None),
            Step::More => Step::More,
        },
    }
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
            [button, column, row, ..] => Step::Done(length + 3, old_click(*button, *column, *row)),
            _ => Step::More,
        },
        // Function keys of the Linux console: one byte follows.
        b'[' if following.is_empty() => Step::More,
        b'[' => Step::Done(length + 1, None),
        b'M' => Step::Done(length, click(parameters)),
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

/// SGR coding, `<button;column;row`, from 1: the press of the left button, with or without Shift,
/// Alt or Control.
fn click(parameters: &str) -> Option<Input> {
    let mut numbers = parameters.strip_prefix('<')?.split(';').map(|n| n.parse::<u16>().ok());
    let (button, column, row) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let is_left = button & !0b1_1100 == 0;
    let at = |n: u16| n.checked_sub(1);
    is_left.then_some(Input::Mouse { gesture: Gesture::Press, column: at(column)?, row: at(row)? })
}

/// A byte each, from 32; places count from 1.
fn old_click(button: u8, column: u8, row: u8) -> Option<Input> {
    let at = |byte: u8| byte.checked_sub(33).map(u16::from);
    (button == 32).then_some(Input::Mouse {
        gesture: Gesture::Press,
        column: at(column)?,
        row: at(row)?,
    })
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
            Input::Mouse { .. } => panic!("a click"),
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
            b"\x1b[?1;2c",
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
    fn only_the_press_of_the_left_button_is_a_click() {
        let click = Input::Mouse { gesture: Gesture::Press, column: 2, row: 300 };
        assert_eq!(decode_all(&[b"\x1b[<0;3;301M"]), [click]);
        assert_eq!(decode_all(&[b"\x1b[<4;3;301M"]), [click], "with Shift");
        assert_eq!(
            decode_all(&[b"\x1b[M !\""]),
            [Input::Mouse { gesture: Gesture::Press, column: 0, row: 1 }]
        );
        for bytes in [&b"\x1b[<0;3;301m"[..], b"\x1b[<2;3;3M", b"\x1b[<64;3;3M", b"\x1b[<32;3;3M"] {
            assert_eq!(decode_all(&[bytes]), [], "{bytes:?}");
        }
        for bytes in [&b"\x1b[<0;0;1M"[..], b"\x1b[<0;99999;1M", b"\x1b[<;;M", b"\x1b[M \x01\x02"] {
            assert_eq!(decode_all(&[bytes]), [], "{bytes:?}");
        }
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
            bytes in prop::collection::vec(prop::sample::select(b"\x1b[O<;12MmA~\xc3\xa9q\x03".to_vec()), 0..24),
            at in 0_usize..24,
        ) {
            let at = at.min(bytes.len());
            let (head, tail) = bytes.split_at(at);
            prop_assert_eq!(decode_all(&[&bytes]), decode_all(&[head, tail]));
        }
    }
}
