//! What is wrong with a filter, and where. Does not parse.

use std::{fmt, ops::Range};

use unicode_width::UnicodeWidthStr as _;

use crate::domain::Text;

/// Number of columns of the filter that `FilterError::marked` shows on each side of the mark.
const CONTEXT: usize = 30;
/// Maximum number of characters of the part that is underlined.
const LONGEST_MARK: usize = 40;

/// The part of a filter that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The bytes of the filter that were not understood. Empty, at the end of the filter:
    /// something is missing there.
    pub span: Range<usize>,
    /// What is wrong, safe to print.
    pub message: Text,
    /// What to write in place of the span, if there is one likely answer.
    pub suggestion: Option<String>,
}

/// Maximum number of characters of a word that a message repeats.
const LONGEST_WORD: usize = 60;

/// Returns the word as a message repeats it: its first characters and `…`, if it is long.
pub(super) fn shown(word: &str) -> String {
    match word.char_indices().nth(LONGEST_WORD) {
        Some((end, _)) => format!("{}…", word.get(..end).unwrap_or_default()),
        None => word.to_owned(),
    }
}

impl FilterError {
    pub(super) fn new(span: Range<usize>, message: impl AsRef<str>) -> Self {
        Self { span, message: Text::around_scrubbed(message), suggestion: None }
    }

    /// Creates the error for a word that is probably misspelt: `stat: did you mean state?`
    pub(super) fn misspelt(span: Range<usize>, word: &str, meant: &str) -> Self {
        let word = Text::scrub_up_to(word.as_bytes(), LONGEST_MARK);
        let mut error = Self::new(span, format!("{word}: did you mean {meant}?"));
        error.suggestion = Some(meant.to_owned());
        error
    }

    /// Returns two lines that show the part of the filter in its surroundings: the filter, and
    /// `^^^` below the part. `text` is the filter that was parsed.
    pub fn marked(&self, text: &str) -> [String; 2] {
        let part = |range: Range<usize>| text.get(range).unwrap_or_default();
        let before: Vec<char> = part(0..self.span.start).chars().collect();
        let after: Vec<char> = part(self.span.end..text.len()).chars().collect();
        let from = before.len().saturating_sub(CONTEXT);
        let start: String = before[from..].iter().collect();
        let end: String = after[..after.len().min(CONTEXT)].iter().collect();
        let mut marked = part(self.span.clone()).chars();
        let wrong: String = marked.by_ref().take(LONGEST_MARK).collect();
        let is_long = marked.next().is_some();
        let end = if is_long { String::new() } else { end };
        let cut = |is_cut: bool| if is_cut { "..." } else { "" };
        let start = format!("{}{}", cut(from > 0), Text::scrub(start));
        let (wrong, end) = (Text::scrub(wrong), Text::scrub(end));
        let end = format!("{end}{}", cut(is_long || after.len() > CONTEXT));
        let width = wrong.as_str().width().max(1);
        [
            format!("{start}{wrong}{end}"),
            format!("{}{}", " ".repeat(start.width()), "^".repeat(width)),
        ]
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

impl std::error::Error for FilterError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_is_underlined_by_its_width() {
        let error = FilterError::new(4..7, "wrong");
        assert_eq!(error.marked("dst 日 x"), ["dst 日 x", "    ^^"].map(String::from));
        let error = FilterError::new(4..4, "missing");
        assert_eq!(error.marked("dst "), ["dst ", "    ^"].map(String::from));
    }
}
