//! Wraps text to a number of terminal columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Splits text into pieces of at most `width` columns; a `width` below 2 counts as 2.
pub fn pieces(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        let takes = c.width().unwrap_or(0);
        if used + takes > width.max(2) {
            lines.push(String::new());
            used = 0;
        }
        used += takes;
        if let Some(line) = lines.last_mut() {
            line.push(c);
        }
    }
    lines
}

/// Wraps text between words. Splits only words that are longer than a line. A number and its `%`
/// are one word.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in unbroken(text) {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.extend(pieces(&word, width)),
        }
    }
    lines
}

/// Splits text into words; a `%` belongs to the word before it.
fn unbroken(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match words.last_mut() {
            Some(last) if word.starts_with('%') => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}
