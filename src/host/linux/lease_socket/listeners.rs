//! Who listens on which Unix socket, from /proc/net/unix. Opens none of them.

use std::{
    ffi::OsStr,
    fs,
    io::{self, BufRead as _, BufReader},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
};

/// `__SO_ACCEPTCON` in the flags of a socket.
const LISTENS: u32 = 1 << 16;

/// Whether somebody is seen to listen on the socket at that path. A listener of another network
/// namespace is not seen; one that gave a relative path counts if its last part is the same.
pub fn has_listener(path: &Path) -> io::Result<bool> {
    let wanted = identity(path);
    let table = BufReader::new(fs::File::open("/proc/thread-self/net/unix")?);
    for line in table.split(b'\n') {
        let line = line?;
        let Some(other) = listening_at(&line) else { continue };
        let is_the_same = if other.is_absolute() {
            other == path || wanted.is_some() && identity(other) == wanted
        } else {
            other.file_name().is_some() && other.file_name() == path.file_name()
        };
        if is_the_same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// `Num: RefCount Protocol Flags Type St Inode Path` (proc_pid_net(5)); a path may have blanks in
/// it, and an abstract name begins with `@`.
fn listening_at(line: &[u8]) -> Option<&Path> {
    let mut rest = line;
    let mut fields = [&line[..0]; 7];
    for field in &mut fields {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|&byte| byte == b' ')?;
        (*field, rest) = rest.split_at(end);
    }
    let flags = u32::from_str_radix(str::from_utf8(fields[3]).ok()?, 16).ok()?;
    let path = rest.strip_prefix(b" ")?;
    let is_path = !path.is_empty() && !path.starts_with(b"@");
    (flags & LISTENS != 0 && is_path).then(|| Path::new(OsStr::from_bytes(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_told_from_one_that_is_connected_or_has_no_path() {
        let listening = "0000000000000000: 00000002 00000000 00010000 0001 01  7331 /run/a b.sock";
        assert_eq!(listening_at(listening.as_bytes()), Some(Path::new("/run/a b.sock")));
        for other in [
            "Num       RefCount Protocol Flags    Type St Inode Path",
            "0000000000000000: 00000003 00000000 00000000 0001 03 45632 /run/a.sock",
            "0000000000000000: 00000003 00000000 00010000 0001 01 45632",
            "0000000000000000: 00000003 00000000 00010000 0001 01 45632 @/tmp/x",
            "",
        ] {
            assert_eq!(listening_at(other.as_bytes()), None, "{other}");
        }
    }
}
