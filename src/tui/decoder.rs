//! Decodes bytes from a terminal into keys, gestures and answers. Reads nothing itself.
//!
//! crossterm 0.29 has a decoder, too, but it panics on some garbage, waits forever for the end of a
//! paste, stalls on input of more than 1 KiB and spins once the terminal is gone (crossterm#793).

use std::{str, time::Duration};

use crate::app::{Gesture, Key};

/// Maximum length of a sequence, in bytes. All known sequences are shorter; longer ones are
/// garbage.
const MAX_SEQUENCE_LENGTH: usize = 64;
/// Maximum number of characters passed on from a paste. No text field takes more.
const MAX_PASTE_LENGTH: usize = 256;
const ESCAPE: u8 = 0x1b;
const CONTROL_C: u8 = 0x03;
const BELL: u8 = 0x07;
/// CAN and SUB cancel any control string (ECMA-48, and the VT500's parser).
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
/// String terminator (ST) as one byte.
const TERMINATOR: u8 = 0x9c;
/// Ends a bracketed paste.
const PASTE_END: &[u8] = b"\x1b[201~";

/// Time limit for the remaining bytes of a key, enough for a slow line. After it, a lone ESC is the
/// Escape key.
const REST_OF_KEY: Duration = Duration::from_millis(40);
/// Time limit for the rest of an answer or control string, which may arrive in several parts.
const REST_OF_STRING: Duration = Duration::from_millis(500);
const REST_OF_PASTE: Duration = Duration::from_secs(2);

/// An input from the terminal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input {
    Key(Key),
    /// A character of a paste; never a command.
    Pasted(char),
    /// Column and row are counted from 0.
    Mouse {
        gesture: Gesture,
        column: u16,
        row: u16,
    },
    /// The red, green and blue of the terminal's background, each 0 to 1.
    Background([f32; 3]),
    /// The terminal's device attributes (DA1). Nearly all terminals answer this request, most of
    /// them after all earlier requests.
    Attributes,
}

impl Input {
    /// Returns whether only the last of several consecutive inputs of this kind matters.
    pub fn is_motion(&self) -> bool {
        matches!(self, Self::Mouse { gesture: Gesture::Hover | Gesture::Drag, .. })
    }
}

/// The result of decoding the start of the input.
enum DecodeStep {
    /// The number of bytes decoded, and their input. None: the bytes have no meaning here.
    Done(usize, Option<Input>),
    /// The number of bytes that begin a sequence, control string or paste, and the state for the
    /// bytes that follow.
    Begin(usize, InputState),
    /// More bytes are needed.
    More,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default)]
enum InputState {
    #[default]
    Keys,
    /// A control sequence that has no meaning here.
    Sequence,
    String(StringKind),
    /// A paste. At most `left` more characters of its first non-empty line are passed on.
    Paste {
        left: usize,
    },
}

/// Kind of a control string (OSC, DCS, APC, PM or SOS), which ends with a terminator.
#[derive(Clone, Copy, Debug)]
struct StringKind {
    /// Whether the string is an OSC string, which may be an answer. BEL ends it, too.
    is_command: bool,
    /// Whether a single byte (C1) began the string. If so, the single-byte ST ends it, too.
    is_c1: bool,
}

/// Decodes input. Keeps the bytes of an input that is not complete yet.
#[derive(Default)]
pub struct Decoder {
    pending: Vec<u8>,
    state: InputState,
    /// The first `MAX_SEQUENCE_LENGTH` bytes of the current control string.
    command: Vec<u8>,
}

impl Decoder {
    /// How long to wait for more bytes before the caller calls `give_up`; None: no input has begun.
    pub fn timeout(&self) -> Option<Duration> {
        match self.state {
            InputState::Keys if self.pending.is_empty() => None,
            InputState::Keys if self.pending.len() <= 2 => Some(REST_OF_KEY),
            InputState::Keys | InputState::Sequence | InputState::String(_) => Some(REST_OF_STRING),
            InputState::Paste { .. } => Some(REST_OF_PASTE),
        }
    }

    /// Decodes bytes and passes all complete inputs to `take`. Stops and returns false when `take`
    /// returns false.
    pub fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(Input) -> bool) -> bool {
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(bytes);
        let mut rest = pending.as_slice();
        let mut wanted = true;
        while wanted && !rest.is_empty() {
            let Some((length, input)) = self.step(rest) else { break };
            rest = rest.get(length..).unwrap_or_default();
            wanted = input.is_none_or(&mut take);
        }
        let taken = pending.len() - rest.len();
        pending.drain(..taken);
        self.pending = pending;
        wanted
    }

    /// Ends the wait for more bytes: a lone ESC is the Escape key, any other incomplete input is
    /// discarded.
    pub fn give_up(&mut self) -> Option<Input> {
        let is_key = matches!(self.state, InputState::Keys) && self.pending == [ESCAPE];
        self.pending.clear();
        self.state = InputState::Keys;
        is_key.then_some(Input::Key(Key::Escape))
    }

    /// Returns how many bytes were decoded, and their input. None: more bytes are needed. `bytes`
    /// must not be empty.
    fn step(&mut self, bytes: &[u8]) -> Option<(usize, Option<Input>)> {
        match self.state {
            InputState::Keys => match decode(bytes) {
                DecodeStep::Done(length, input) => Some((length, input)),
                DecodeStep::Begin(length, state) => {
                    self.state = state;
                    self.command.clear();
                    Some((length, None))
                }
                DecodeStep::More if bytes.len() < MAX_SEQUENCE_LENGTH => None,
                DecodeStep::More => {
                    self.state = InputState::Sequence;
                    Some((2, None))
                }
            },
            InputState::Sequence => Some((self.skip_sequence(bytes), None)),
            InputState::String(kind) => self.read_string(kind, bytes),
            InputState::Paste { left } => self.read_paste(left, bytes),
        }
    }

    fn skip_sequence(&mut self, bytes: &[u8]) -> usize {
        let Some(end) = bytes.iter().position(|byte| !(0x20..0x40).contains(byte)) else {
            return bytes.len();
        };
        self.state = InputState::Keys;
        end + usize::from((0x40..0x7f).contains(&bytes[end]))
    }

    /// Reads a control string. None of its bytes is a key, except that Ctrl-C always works.
    fn read_string(&mut self, kind: StringKind, bytes: &[u8]) -> Option<(usize, Option<Input>)> {
        let is_special = |&byte: &u8| match byte {
            ESCAPE | CONTROL_C | CANCEL | SUBSTITUTE => true,
            BELL => kind.is_command,
            TERMINATOR => kind.is_c1,
            _ => false,
        };
        let text = bytes.iter().position(is_special).unwrap_or(bytes.len());
        if text > 0 {
            let room = MAX_SEQUENCE_LENGTH.saturating_sub(self.command.len());
            self.command.extend_from_slice(&bytes[..text.min(room)]);
            return Some((text, None));
        }
        let length = match bytes {
            [ESCAPE] => return None,
            [ESCAPE, b'\\', ..] => 2,
            [ESCAPE, ..] => {
                // ESC without the terminator: the string is no answer, and the next bytes are still
                // part of it, even if they look like a key.
                self.command.resize(MAX_SEQUENCE_LENGTH, ESCAPE);
                return Some((1, None));
            }
            [CONTROL_C, ..] => 0,
            _ => 1,
        };
        self.state = InputState::Keys;
        let is_whole = matches!(bytes[0], ESCAPE | BELL | TERMINATOR);
        let is_answer = kind.is_command && is_whole && self.command.len() < MAX_SEQUENCE_LENGTH;
        let answer = || background(str::from_utf8(&self.command).ok()?);
        Some((length, if is_answer { answer() } else { None }))
    }

    fn read_paste(&mut self, left: usize, bytes: &[u8]) -> Option<(usize, Option<Input>)> {
        if bytes.starts_with(PASTE_END) {
            self.state = InputState::Keys;
            return Some((PASTE_END.len(), None));
        }
        if PASTE_END.starts_with(bytes) {
            return None;
        }
        let DecodeStep::Done(length, input) = decode_char(bytes) else { return None };
        let pasted = match input {
            Some(Input::Key(Key::Char('\r' | '\n'))) if left < MAX_PASTE_LENGTH => {
                self.state = InputState::Paste { left: 0 };
                None
            }
            Some(Input::Key(Key::Char(c))) if left > 0 && !c.is_control() => {
                self.state = InputState::Paste { left: left - 1 };
                Some(Input::Pasted(c))
            }
            _ => None,
        };
        Some((length, pasted))
    }
}

/// Decodes the first input of `bytes`, which must not be empty.
fn decode(bytes: &[u8]) -> DecodeStep {
    let key = |key| DecodeStep::Done(1, Some(Input::Key(key)));
    match bytes[0] {
        ESCAPE => decode_escape(bytes),
        b'\r' | b'\n' => key(Key::Enter),
        b'\t' => key(Key::Tab),
        0x7f | 0x08 => key(Key::Backspace),
        control @ 0x01..=0x1a => key(Key::Ctrl(char::from(control - 1 + b'a'))),
        0x00..0x20 => DecodeStep::Done(1, None),
        // C1 controls as single bytes. No UTF-8 character begins with one of them.
        0x9b => DecodeStep::Begin(1, InputState::Sequence),
        0x90 | 0x98 | 0x9d | 0x9e | 0x9f => {
            let kind = StringKind { is_command: bytes[0] == 0x9d, is_c1: true };
            DecodeStep::Begin(1, InputState::String(kind))
        }
        _ => decode_char(bytes),
    }
}

fn decode_char(bytes: &[u8]) -> DecodeStep {
    let head = bytes.get(..4).unwrap_or(bytes);
    let valid = match str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(error) if error.error_len().is_none() => return DecodeStep::More,
        Err(_) => "",
    };
    match valid.chars().next() {
        Some(c) => DecodeStep::Done(c.len_utf8(), Some(Input::Key(Key::Char(c)))),
        None => DecodeStep::Done(1, None),
    }
}

/// Decodes a sequence that begins with ESC (ECMA-48, 5.3 and 5.4, and xterm's ctlseqs).
fn decode_escape(bytes: &[u8]) -> DecodeStep {
    match bytes.get(1) {
        None => DecodeStep::More,
        Some(b'[') => decode_control_sequence(bytes),
        Some(b'O') => match bytes.get(2) {
            None => DecodeStep::More,
            Some(0x00..0x20) => DecodeStep::Done(2, None),
            Some(&last) => DecodeStep::Done(3, named_key(last, false).map(Input::Key)),
        },
        // Alt with one of these keys sends the same bytes, but no more bytes follow them.
        Some(byte @ (b']' | b'P' | b'X' | b'^' | b'_')) => DecodeStep::Begin(
            2,
            InputState::String(StringKind { is_command: *byte == b']', is_c1: false }),
        ),
        // The control character is decoded separately, so that Ctrl-C always works.
        Some(0x00..0x20 | 0x7f) => DecodeStep::Done(1, Some(Input::Key(Key::Escape))),
        // Alt with a key. No command uses Alt.
        Some(_) => match decode(&bytes[1..]) {
            DecodeStep::Done(length, _) => DecodeStep::Done(1 + length, None),
            DecodeStep::Begin(length, state) => DecodeStep::Begin(1 + length, state),
            DecodeStep::More => DecodeStep::More,
        },
    }
}

/// Parses `11;rgb:RRRR/GGGG/BBBB`, with one to four hex digits each, or `rgba` with an alpha value
/// (ctlseqs, OSC 11). None: the text is anything else.
fn background(text: &str) -> Option<Input> {
    let color = text.strip_prefix("11;rgb")?;
    let mut parts = color.strip_prefix("a:").or(color.strip_prefix(':'))?.split('/').map(share);
    Some(Input::Background([parts.next()??, parts.next()??, parts.next()??]))
}

/// Returns hex digits as a share (0 to 1) of the largest number with as many digits. None: the text
/// is not one to four hex digits.
fn share(digits: &str) -> Option<f32> {
    let largest = [0xf, 0xff, 0xfff, 0xffff_u16].get(digits.len().checked_sub(1)?)?;
    Some(f32::from(u16::from_str_radix(digits, 16).ok()?) / f32::from(*largest))
}

/// Decodes `ESC [ parameters final`.
fn decode_control_sequence(bytes: &[u8]) -> DecodeStep {
    let body = &bytes[2..];
    let Some(end) = body.iter().position(|byte| !(0x20..0x40).contains(byte)) else {
        return DecodeStep::More;
    };
    let length = 2 + end + 1;
    let parameters = str::from_utf8(&body[..end]).unwrap_or_default();
    let following = &body[end + 1..];
    match body[end] {
        _ if length > MAX_SEQUENCE_LENGTH => DecodeStep::Begin(2, InputState::Sequence),
        b'~' if parameters == "200" => {
            DecodeStep::Begin(length, InputState::Paste { left: MAX_PASTE_LENGTH })
        }
        // A mouse report without SGR encoding: three bytes follow.
        b'M' if end == 0 => match following {
            [button, column, row, ..] => {
                DecodeStep::Done(length + 3, old_gesture(*button, *column, *row))
            }
            _ => DecodeStep::More,
        },
        // A function key of the Linux console: one byte follows.
        b'[' if following.is_empty() => DecodeStep::More,
        b'[' => DecodeStep::Done(length + 1, None),
        last @ (b'M' | b'm') => DecodeStep::Done(length, gesture(parameters, last)),
        b'c' if parameters.starts_with('?') => DecodeStep::Done(length, Some(Input::Attributes)),
        last @ 0x40..0x7f => {
            DecodeStep::Done(length, sequence_key(parameters, last).map(Input::Key))
        }
        // Not part of a sequence: this byte begins something else.
        _ => DecodeStep::Done(length - 1, None),
    }
}

/// Decodes `number;modifiers final`. Modifiers are a bit set plus one; bit 0 is Shift.
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
        // Enter on the keypad.
        b'M' => Key::Enter,
        b'Z' => Key::BackTab,
        _ => return None,
    })
}

/// Decodes a mouse report in SGR encoding (1006): `<button;column;row`, with positions counted from
/// 1. The final byte `m` means a release.
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

/// Decodes a mouse report in X10 encoding: button, column and row as one byte each, increased by
/// 32, with positions counted from 1. Button 3 is the release of any button.
fn old_gesture(button: u8, column: u8, row: u8) -> Option<Input> {
    let gesture = match button.checked_sub(32)? {
        release if without_modifiers(u16::from(release)) == 3 => Gesture::Release,
        button => meant_by(u16::from(button))?,
    };
    let at = |byte: u8| byte.checked_sub(33).map(u16::from);
    Some(Input::Mouse { gesture, column: at(column)?, row: at(row)? })
}

/// Returns the gesture of the left button, of the wheel, or of motion (bit 5) with the left button
/// or without a button. None: the report is of another button.
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

/// Clears the bits for Shift, Alt and Control.
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
    fn keys_of_xterm_and_the_linux_console_are_decoded() {
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
    fn unknown_sequences_are_discarded_completely() {
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
    fn mouse_gestures_are_decoded_in_both_encodings_with_and_without_modifiers() {
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
    fn other_buttons_and_positions_outside_the_screen_are_ignored() {
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
    fn terminal_answers_are_decoded_and_never_treated_as_keys() {
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
    fn no_byte_of_a_control_string_is_a_key() {
        let body = "q 4pf\r\n\t日本\x07\x1b[A\x1bq";
        for begin in ["P", "X", "^", "_", "]"] {
            // BEL ends an OSC.
            let body = if begin == "]" { body.replace('\x07', "") } else { body.to_owned() };
            for body in [&body, &body.repeat(1000), ""] {
                let string = format!("\x1b{begin}{body}\x1b\\");
                assert_eq!(keys(format!("{string}l").as_bytes()), [Key::Char('l')], "{string:?}");
                let bytes: Vec<&[u8]> = string.as_bytes().chunks(1).collect();
                assert_eq!(decode_all(&bytes), [], "{string:?}");
                assert_eq!(keys(format!("\x1b{begin}{body}").as_bytes()), [], "cut off");
            }
            assert_eq!(keys(format!("\x1b{begin}q\x18l").as_bytes()), [Key::Char('l')]);
            assert_eq!(keys(format!("\x1b{begin}q\x1al").as_bytes()), [Key::Char('l')]);
            assert_eq!(keys(format!("\x1b{begin}q\x03").as_bytes()), [Key::Ctrl('c')]);
        }
        for begin in [0x90, 0x98, 0x9d, 0x9e, 0x9f] {
            let string = [&[begin], &b"q4pf"[..], &[TERMINATOR], b"l"].concat();
            assert_eq!(keys(&string), [Key::Char('l')], "{begin:x}");
        }
        assert_eq!(keys(b"\x9b?62;4cl"), [Key::Char('l')]);
    }

    #[test]
    fn a_long_answer_is_not_treated_as_keys() {
        let long = format!("\x1b[?62{}cl", ";22".repeat(500));
        assert_eq!(keys(long.as_bytes()), [Key::Char('l')]);
        let (head, tail) = long.as_bytes().split_at(700);
        assert_eq!(decode_all(&[head, tail]), [Input::Key(Key::Char('l'))]);
    }

    #[test]
    fn pasted_text_is_limited_to_one_line() {
        let pasted = |text: &str| -> String {
            let bytes = format!("\x1b[200~{text}\x1b[201~l");
            let chunks: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
            let mut inputs = decode_all(&chunks);
            assert_eq!(inputs, decode_all(&[bytes.as_bytes()]));
            assert_eq!(inputs.pop(), Some(Input::Key(Key::Char('l'))));
            let text = |input| match input {
                Input::Pasted(c) => c,
                other => panic!("{other:?} was not pasted"),
            };
            inputs.into_iter().map(text).collect()
        };
        assert_eq!(pasted("4pf"), "4pf");
        assert_eq!(pasted("é日\x1b[Aq\x03"), "é日[Aq");
        assert_eq!(pasted("\n8080\r\n9090\n"), "8080");
        assert_eq!(pasted(&"q".repeat(100_000)).len(), MAX_PASTE_LENGTH);
        assert_eq!(pasted("\x1bP\x1b[200~"), "P[200~");
    }

    #[test]
    fn an_unterminated_string_or_paste_times_out() {
        for begin in [&b"\x1bPq"[..], b"\x1b]q", b"\x1b[200~\n", b"\x1b[200~\x1b", b"\x1bP\x1b"] {
            let mut decoder = Decoder::default();
            decoder.feed(begin, |input| panic!("{input:?}"));
            assert!(decoder.timeout().is_some_and(|time| time >= REST_OF_STRING));
            assert_eq!((decoder.give_up(), decoder.timeout()), (None, None));
            let mut keys = Vec::new();
            decoder.feed(b"l", |input| {
                keys.push(input);
                true
            });
            assert_eq!(keys, [Input::Key(Key::Char('l'))]);
        }
    }

    #[test]
    fn keys_after_a_broken_sequence_are_decoded() {
        assert_eq!(keys(b"\x1b[12\x1b[Aq"), [Key::Up, Key::Char('q')]);
        assert_eq!(keys(b"\x1b\x1b[A"), [Key::Escape, Key::Up]);
        assert_eq!(keys(b"\x1b\x1b\x03"), [Key::Escape, Key::Escape, Key::Ctrl('c')]);
        assert_eq!(keys(b"\x1b[<0;1\x03"), [Key::Ctrl('c')]);
        let endless = [b"\x1b[".as_slice(), &[b'1'; 100], b"A\x03"].concat();
        assert_eq!(keys(&endless).last(), Some(&Key::Ctrl('c')));
    }

    #[test]
    fn feed_stops_when_the_consumer_returns_false() {
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
        fn random_bytes_never_panic_and_never_accumulate(bytes: Vec<u8>) {
            let mut decoder = Decoder::default();
            decoder.feed(&bytes, |_| true);
            prop_assert!(decoder.pending.len() < MAX_SEQUENCE_LENGTH);
        }

        #[test]
        fn decoding_does_not_depend_on_chunk_boundaries(
            bytes in prop::collection::vec(prop::sample::select(b"\x1b\x1b[]PO<;0012MmA~\xc3\xa9\x90q\x03\x07\\".to_vec()), 0..24),
            at in 0_usize..24,
        ) {
            let at = at.min(bytes.len());
            let (head, tail) = bytes.split_at(at);
            prop_assert_eq!(decode_all(&[&bytes]), decode_all(&[head, tail]));
        }
    }
}
