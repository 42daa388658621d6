//! Writes paragraphs with a hanging indent, wrapped at the width of the page. Splits no word.

use std::io::{self, Write as _};

use crate::report::page::{Emphasis, Page, columns_of};

/// Replaces a space at which no line ends. Texts have no control characters.
const FIXED_SPACE: &str = "\0";

/// Writes `text` after `first`. Further lines are indented by the width of `first`.
pub fn write(first: &str, text: &str, page: &mut Page<'_>) -> io::Result<()> {
    write_emphasized(first, Emphasis::Plain, text, page)
}

/// Same as [`write`], with emphasis on `first`.
pub fn write_emphasized(
    first: &str,
    emphasis: Emphasis,
    text: &str,
    page: &mut Page<'_>,
) -> io::Result<()> {
    let first = page.readable(first).into_owned();
    let text = page.readable(text).into_owned();
    let indent = columns_of(&first);
    let label = first.trim_end();
    let spaces = indent - columns_of(label);
    let mut line = format!("{}{}", page.emphasized(label, emphasis), " ".repeat(spaces));
    let mut column = indent;
    for word in text.replace(" %", &format!("{FIXED_SPACE}%")).split_whitespace() {
        let word = word.replace(FIXED_SPACE, " ");
        let width = columns_of(&word);
        if column > indent && column + 1 + width > page.width() {
            writeln!(page, "{}", line.trim_end())?;
            line = " ".repeat(indent);
            column = indent;
        }
        if column > indent {
            line.push(' ');
            column += 1;
        }
        line.push_str(&word);
        column += width;
    }
    writeln!(page, "{}", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::PageStyle;

    fn written(width: usize, text: &str) -> String {
        let mut out = Vec::new();
        let style = PageStyle { width: Some(width), ..PageStyle::default() };
        write("do: ", text, &mut Page::new(&mut out, style)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_wrap_at_the_width_with_a_hanging_indent() {
        for width in [20, 80, 100] {
            let text = written(width, &"word ".repeat(40));
            assert!(text.lines().all(|line| line.chars().count() <= width));
            assert!(text.lines().skip(1).all(|line| line.starts_with("    word")));
            assert_eq!(text.split_whitespace().count(), 41);
        }
    }

    #[test]
    fn a_number_and_its_percent_sign_stay_on_one_line() {
        assert_eq!(written(16, "in use: 98.8 %"), "do: in use:\n    98.8 %\n");
    }
}
