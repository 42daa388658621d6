//! Wraps text to a number of terminal columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The characters after which a long word may be split.
const JOINTS: [char; 7] = ['/', '.', '_', '-', ',', ':', ' '];

/// Splits text into pieces of at most `width` columns; a `width` below 2 counts as 2. Splits after a
/// space or a punctuation mark if there is one in the second half of the piece.
pub fn pieces(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for c in text.chars() {
        let last = lines.len() - 1;
        if lines[last].width() + c.width().unwrap_or(0) > width.max(2) {
            let joint = lines[last].rfind(JOINTS).map_or(0, |at| at + 1);
            let is_late = lines[last].get(..joint).unwrap_or_default().width() > width / 2;
            let rest = if is_late { lines[last].split_off(joint) } else { String::new() };
            lines.push(rest);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_word_is_split_after_a_mark_near_the_end() {
        assert_eq!(pieces("/root/.pyenv/bin/python3", 15), ["/root/.pyenv/", "bin/python3"]);
        assert_eq!(pieces("a.bcdefghij", 8), ["a.bcdefg", "hij"]);
        assert_eq!(
            wrapped("(net.ipv4.ip_local_reserved_ports)", 32),
            ["(net.ipv4.ip_local_reserved_", "ports)"]
        );
    }
}
