//! Reads files up to a limit, so that a huge one costs neither time nor memory.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// Reads at most `limit` bytes.
pub fn read(path: impl AsRef<Path>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Like `read`, but without a last line that the limit cut in two, because a number in it might be
/// wrong; a single line is kept. Empty if the file cannot be read.
pub fn read_lines(path: impl AsRef<Path>, limit: u64) -> Vec<u8> {
    let mut bytes = read(path, limit).unwrap_or_default();
    bytes.truncate(whole_lines(&bytes, limit));
    bytes
}

/// Returns the length of the lines that the limit did not cut.
fn whole_lines(bytes: &[u8], limit: u64) -> usize {
    let is_cut = bytes.len() as u64 >= limit;
    let end = bytes.iter().rposition(|&byte| byte == b'\n').filter(|_| is_cut);
    end.unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_truncated_by_the_size_limit_is_skipped() {
        assert_eq!(whole_lines(b"a 6100/tcp\na 61", 15), 10);
        assert_eq!(whole_lines(b"a:x:1000:\na:x", 13), 9);
        assert_eq!(whole_lines(b"a 1/tcp\nb 2/tcp", 1 << 20), 15);
        assert_eq!(whole_lines(b"a:x:1:\nb:x:2:", 1 << 20), 13);
    }
}
