//! Where a text report is written, and how it is laid out: width, colours, characters. Chooses no
//! words.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use unicode_width::UnicodeWidthStr as _;

use crate::domain::{Level, Severity, notation};

/// Width of paragraphs and tables if the width of the terminal is not known.
const DEFAULT_WIDTH: usize = 80;

/// How a text report is laid out. The default suits a pipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageStyle {
    /// Number of columns of the terminal. None: unknown.
    pub width: Option<usize>,
    pub has_color: bool,
    pub is_ascii: bool,
}

/// The output of a report. Texts go through [`readable`](Self::readable); what is written with
/// `Write` is not changed, as JSON and metrics need.
pub struct Page<'a> {
    out: &'a mut dyn Write,
    style: PageStyle,
}

/// Emphasis of a word. A colour only repeats what the word says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emphasis {
    #[default]
    Plain,
    Strong,
    Good,
    Caution,
    Alarm,
}

/// Returns the number of columns that a terminal needs for the text: a character of East Asian
/// scripts has two.
pub fn columns_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

impl<'a> Page<'a> {
    pub fn new(out: &'a mut dyn Write, style: PageStyle) -> Self {
        Self { out, style }
    }

    /// Returns the number of columns that paragraphs and tables may have.
    pub fn width(&self) -> usize {
        self.style.width.unwrap_or(DEFAULT_WIDTH)
    }

    /// Returns the number of columns of the terminal. None: unknown, as in a pipe.
    pub fn known_width(&self) -> Option<usize> {
        self.style.width
    }

    /// Returns the text in the characters that the output can show.
    pub fn readable<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.style.is_ascii { notation::ascii(text) } else { text.into() }
    }

    /// Returns the text with escape codes for its emphasis if the output has colours.
    pub fn emphasized<'t>(&self, text: &'t str, emphasis: Emphasis) -> Cow<'t, str> {
        match emphasis.code() {
            Some(code) if self.style.has_color && !text.is_empty() => {
                format!("\x1b[{code}m{text}\x1b[0m").into()
            }
            _ => text.into(),
        }
    }

    /// Writes one line, however long it is.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        let text = self.readable(text);
        writeln!(self.out, "{text}")
    }
}

impl Write for Page<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Emphasis {
    /// Returns the parameters of SGR (ECMA-48). The terminal's palette has the colours, so that
    /// they are readable on its background.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Good => Some("1;32"),
            Self::Caution => Some("1;33"),
            Self::Alarm => Some("1;31"),
        }
    }
}

impl From<Severity> for Emphasis {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Ok => Self::Good,
            Severity::Notice => Self::Strong,
            Severity::Warning => Self::Caution,
            Severity::Critical => Self::Alarm,
        }
    }
}

impl From<Level> for Emphasis {
    fn from(level: Level) -> Self {
        level.severity().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_ascii_are_used_only_if_the_style_says_so() {
        let mut out = Vec::new();
        let plain = Page::new(&mut out, PageStyle::default());
        assert_eq!(plain.emphasized("OK", Emphasis::Good), "OK");
        assert_eq!((plain.readable("a → b"), plain.width()), ("a → b".into(), 80));
        let style = PageStyle { width: Some(100), has_color: true, is_ascii: true };
        let page = Page::new(&mut out, style);
        assert_eq!(page.emphasized("OK", Emphasis::Good), "\x1b[1;32mOK\x1b[0m");
        assert_eq!((page.readable("a → b"), page.width()), ("a -> b".into(), 100));
    }
}
