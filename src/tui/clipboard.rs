//! Encodes text for the terminal's clipboard (OSC 52 of xterm's ctlseqs). Does not choose the text
//! and does not learn whether the terminal accepts it.

/// Maximum number of bytes of text. Encoded, they stay below the 100,000 bytes that many terminals
/// accept in one sequence.
const MAX_TEXT: usize = 65_536;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns the sequence that sets the clipboard to this text, and whether it contains all lines; if
/// not, it contains the first ones, as far as `MAX_TEXT` has room for them. Control characters other
/// than the line feed are left out, because they would act on the program that the text is pasted
/// into.
pub(super) fn sequence(text: &str) -> (Vec<u8>, bool) {
    let (mut kept, mut is_whole) = (String::new(), true);
    for line in text.split_inclusive('\n') {
        let printable = line.chars().filter(|&c| c == '\n' || !c.is_control());
        let length = kept.len();
        kept.extend(printable);
        if kept.len() > MAX_TEXT {
            kept.truncate(length);
            is_whole = false;
            break;
        }
    }
    let mut bytes = b"\x1b]52;c;".to_vec();
    bytes.extend(base64(kept.as_bytes()));
    bytes.push(b'\x07');
    (bytes, is_whole)
}

/// Encodes bytes in base64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> Vec<u8> {
    let group = |group: &[u8]| {
        let byte = |index| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let digit = |index: usize| {
            if index <= group.len() {
                DIGITS[(bits >> (18 - 6 * index) & 63) as usize]
            } else {
                b'='
            }
        };
        [digit(0), digit(1), digit(2), digit(3)]
    };
    bytes.chunks(3).flat_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_follows_the_examples_of_rfc_4648() {
        let examples = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (text, encoded) in examples {
            assert_eq!(base64(text.as_bytes()), encoded.as_bytes());
        }
    }

    #[test]
    fn control_characters_are_left_out() {
        assert_eq!(sequence("a\x1b]0;x\x07\nb\u{9b}"), sequence("a]0;x\nb"));
    }

    #[test]
    fn long_text_is_cut_after_a_whole_line() {
        let line = format!("{}\n", "é".repeat(500));
        let (bytes, is_whole) = sequence(&line.repeat(100));
        assert_eq!(bytes, sequence(&line.repeat(MAX_TEXT / line.len())).0);
        assert!(!is_whole && bytes.len() < 100_000);
        assert_eq!(sequence(&"x".repeat(MAX_TEXT + 1)), (sequence("").0, false));
    }
}
