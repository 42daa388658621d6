//! Escapes text from outside the program when it enters, so that it is safe to print.

use std::{fmt, fmt::Write as _, sync::Arc};

use unicode_width::UnicodeWidthChar;

/// Maximum number of successive combining marks; further ones are shown as escapes. No standard
/// defines this value: Vietnamese needs two.
const MARKS_IN_A_ROW: u32 = 2;

/// Text from outside that is safe to print: it cannot move the cursor, reorder or hide text, or add
/// a line.
///
/// Control, bidi, zero-width and tag characters, and combining marks after the second of a row,
/// appear as escapes such as `\u{9b}`, bytes that are not UTF-8 as `\xff`, and a backslash of the
/// original as `\\`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<str>);

impl Text {
    /// Creates the text from any bytes. Escapes unsafe characters.
    pub fn scrub(raw: impl AsRef<[u8]>) -> Self {
        Self::escaped(raw.as_ref(), "\\\\")
    }

    /// Creates text from the program's own words with scrubbed text among them. As [`Text::scrub`],
    /// but keeps backslashes, which a second scrub would double.
    pub fn around_scrubbed(words: impl AsRef<str>) -> Self {
        Self::escaped(words.as_ref().as_bytes(), "\\")
    }

    /// Escapes unsafe characters, and replaces each backslash by `backslash`.
    fn escaped(raw: &[u8], backslash: &str) -> Self {
        const INFALLIBLE: &str = "writing to a String cannot fail";
        let mut clean = String::with_capacity(raw.len());
        let mut marks = 0;
        for chunk in raw.utf8_chunks() {
            for c in chunk.valid().chars() {
                marks = if c.width() == Some(0) { marks + 1 } else { 0 };
                if c == '\\' {
                    clean.push_str(backslash);
                } else if is_deceptive(c) || marks > MARKS_IN_A_ROW {
                    write!(clean, "{}", c.escape_unicode()).expect(INFALLIBLE);
                } else {
                    clean.push(c);
                }
            }
            for byte in chunk.invalid() {
                write!(clean, "\\x{byte:02x}").expect(INFALLIBLE);
                marks = 0;
            }
        }
        Self(clean.into())
    }

    /// Creates text from the first `limit` bytes, as [`Text::scrub`] does. A `…` marks truncated
    /// text.
    pub fn scrub_up_to(raw: &[u8], limit: usize) -> Self {
        match raw.get(..limit) {
            Some(head) if raw.len() > limit => Self(format!("{}…", Self::scrub(head)).into()),
            _ => Self::scrub(raw),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// Returns whether the character controls a terminal, reorders its text, or is invisible.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_invisible_characters_are_escaped() {
        for (raw, clean) in [
            ("\u{1b}]0;PWN\u{7}", "\\u{1b}]0;PWN\\u{7}"),
            ("a\nb\rc\t", "a\\u{a}b\\u{d}c\\u{9}"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("txt\u{202e}exe", "txt\\u{202e}exe"),
            ("ss\u{200b}hd\u{feff}", "ss\\u{200b}hd\\u{feff}"),
            ("\u{e0041}", "\\u{e0041}"),
            ("back\\slash", "back\\\\slash"),
            ("日本 é ✓", "日本 é ✓"),
        ] {
            assert_eq!(Text::scrub(raw).as_str(), clean);
        }
    }

    #[test]
    fn scrubbed_text_among_words_is_not_scrubbed_twice() {
        let scrubbed = Text::scrub("a\\b\u{1b}c");
        let around = Text::around_scrubbed(format!("open '{scrubbed}'"));
        assert_eq!(around.as_str(), "open 'a\\\\b\\u{1b}c'");
        assert_eq!(Text::around_scrubbed("a\u{1b}").as_str(), "a\\u{1b}");
    }

    #[test]
    fn invalid_utf8_is_shown_as_hex() {
        assert_eq!(Text::scrub(b"a\xff\x9bz").as_str(), "a\\xff\\x9bz");
    }

    #[test]
    fn combining_marks_after_the_second_are_escaped() {
        let scrubbed = Text::scrub(format!("e{}", "\u{301}".repeat(50)));
        assert!(scrubbed.as_str().starts_with("e\u{301}\u{301}\\u{301}"));
        assert_eq!(scrubbed.as_str().matches("\\u{301}").count(), 48);
    }

    #[test]
    fn long_text_is_cut_and_marked() {
        assert_eq!(Text::scrub_up_to(&[b'x'; 9], 4).as_str(), "xxxx…");
        assert_eq!(Text::scrub_up_to(b"xxxx", 4).as_str(), "xxxx");
    }
}
