//! Writes paragraphs with a hanging indent, wrapped at 100 columns. Splits no word.

use std::io::{self, Write};

const WIDTH: usize = 100;

/// Writes `text` after `first`. Further lines are indented by the width of `first`.
pub fn write(first: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    let indent = first.chars().count();
    let mut line = first.to_owned();
    let mut column = indent;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > indent && column + 1 + width > WIDTH {
            writeln!(out, "{}", line.trim_end())?;
            line = " ".repeat(indent);
            column = indent;
        }
        if column > indent {
            line.push(' ');
            column += 1;
        }
        line.push_str(word);
        column += width;
    }
    writeln!(out, "{}", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wrap_before_column_100_with_a_hanging_indent() {
        let mut out = Vec::new();
        write("do: ", &"word ".repeat(40), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(text.lines().skip(1).all(|line| line.starts_with("    word")));
        assert_eq!(text.split_whitespace().count(), 41);
    }
}
