//! Parses the line of a client: a pid in ASCII digits. Reads no socket.

use crate::domain::Text;

/// Maximum length of a line in bytes, including its newline, as in portserver.
pub const MAX_LINE_LENGTH: usize = 20;

/// Error: the line is not a pid. Contains the part of the line that was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid pid '{0}'")]
pub struct NotAPid(pub Text);

/// Returns the pid of a complete line, with or without its newline. ASCII whitespace around the
/// digits is ignored, as in portserver.
///
/// Errors: the line has other characters, no digits, more than `MAX_LINE_LENGTH` bytes, or a number
/// above `u32::MAX`.
pub fn parse(line: &[u8]) -> Result<u32, NotAPid> {
    let digits = line.trim_ascii();
    let is_number = digits.iter().all(u8::is_ascii_digit) && line.len() <= MAX_LINE_LENGTH;
    let number = str::from_utf8(digits).ok().filter(|_| is_number);
    number.and_then(|number| number.parse().ok()).ok_or_else(|| NotAPid(Text::scrub(digits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_a_decimal_pid() {
        for (line, pid) in [("1\n", 1), (" 7 \n", 7), ("007\r\n", 7), ("4294967295", u32::MAX)] {
            assert_eq!(parse(line.as_bytes()), Ok(pid), "{line}");
        }
    }

    #[test]
    fn other_lines_are_rejected() {
        for line in [
            "",
            "\n",
            "-1\n",
            "+1\n",
            "1.0\n",
            "0x1\n",
            "1\n2\n",
            "1 2\n",
            "4294967296\n",
            "\u{663}\n",
            "000000000000000000001\n",
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line}");
        }
        assert_eq!(parse(b"\x1b[2J\xff").unwrap_err().to_string(), "invalid pid '\\u{1b}[2J\\xff'");
    }
}
