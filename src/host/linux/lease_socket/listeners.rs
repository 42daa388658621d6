//! Finds Unix sockets that are in use, from /proc/net/unix. Opens none of them.

use std::{
    ffi::OsStr,
    fs,
    io::{self, BufRead as _, BufReader},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
};

/// `SS_CONNECTED` in the column `St`. An accepted connection shows the path of its listener.
const CONNECTED: u8 = 3;
/// `SOCK_DGRAM`. Such a socket receives without listening, whether it is connected or not.
const DATAGRAM: &[u8] = b"0002";

/// Returns whether a process has a socket bound to `path`; accepted connections do not count. Does
/// not find sockets of other network namespaces. A socket bound by a relative path counts if its
/// last component is the same. Errors: /proc/net/unix cannot be read.
pub fn is_in_use(path: &Path) -> io::Result<bool> {
    let wanted = identity(path);
    let table = BufReader::new(fs::File::open("/proc/thread-self/net/unix")?);
    for line in table.split(b'\n') {
        let line = line?;
        let Some(other) = bound_at(&line) else { continue };
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

/// Returns the path to which a socket is bound. None: the socket has no path, has an abstract name
/// (which begins with `@`), or is a connected one that is not a datagram socket. A path may contain
/// blanks. Fields of the line (proc_pid_net(5)): `Num: RefCount Protocol Flags Type St Inode Path`.
fn bound_at(line: &[u8]) -> Option<&Path> {
    let mut rest = line;
    let mut fields = [&line[..0]; 7];
    for field in &mut fields {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|&byte| byte == b' ')?;
        (*field, rest) = rest.split_at(end);
    }
    let [_, _, _, _, kind, state, _] = fields;
    // The heading has no number in this column.
    let state = u8::from_str_radix(str::from_utf8(state).ok()?, 16).ok()?;
    let path = rest.strip_prefix(b" ")?;
    let is_path = !path.is_empty() && !path.starts_with(b"@");
    let receives_from_clients = kind == DATAGRAM || state != CONNECTED;
    (receives_from_clients && is_path).then(|| Path::new(OsStr::from_bytes(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_distinguished_from_connections_and_unnamed_sockets() {
        for bound in [
            "0000000000000000: 00000002 00000000 00010000 0001 01  7331 /run/a b.sock",
            "0000000000000000: 00000002 00000000 00000000 0001 01  7331 /run/a b.sock",
            "0000000000000000: 00000002 00000000 00000000 0002 01  7331 /run/a b.sock",
            "0000000000000000: 00000002 00000000 00000000 0002 03  7331 /run/a b.sock",
        ] {
            assert_eq!(bound_at(bound.as_bytes()), Some(Path::new("/run/a b.sock")), "{bound}");
        }
        for other in [
            "Num       RefCount Protocol Flags    Type St Inode Path",
            "0000000000000000: 00000003 00000000 00000000 0001 03 45632 /run/a.sock",
            "0000000000000000: 00000003 00000000 00010000 0001 01 45632",
            "0000000000000000: 00000003 00000000 00010000 0001 01 45632 @/tmp/x",
            "",
        ] {
            assert_eq!(bound_at(other.as_bytes()), None, "{other}");
        }
    }
}
