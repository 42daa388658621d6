//! Finds network namespaces that a mount keeps alive, from /proc/self/mountinfo. Opens none of
//! them.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use crate::{
    domain::Text,
    host::{HostError, linux::netns::NAMED},
};

/// Inode numbers and mount points, in the order of the mounts.
pub(super) struct Mounts(Vec<(u64, PathBuf)>);

/// Reads which network namespaces are mounted in this process's mount namespace.
pub(super) fn read() -> Result<Mounts, HostError> {
    let path = "/proc/self/mountinfo";
    let table = fs::read(path).map_err(|error| HostError::new(&format!("read {path}"), error))?;
    Ok(Mounts(table.split(|&byte| byte == b'\n').filter_map(parse_line).collect()))
}

impl Mounts {
    /// Returns the namespace's name in /run/netns; None: it has none.
    pub(super) fn name_of(&self, id: u64) -> Option<Text> {
        let points = self.0.iter().filter(|(of, _)| *of == id).map(|(_, point)| point);
        let mut names = points.filter_map(|point| {
            let is_named = NAMED.iter().any(|folder| point.parent() == Some(Path::new(folder)));
            is_named.then(|| Text::scrub(point.file_name().unwrap_or_default().as_bytes()))
        });
        names.next()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Path)> {
        self.0.iter().map(|(id, point)| (*id, point.as_path()))
    }
}

/// Returns the inode number and the mount point of a line of proc_pid_mountinfo(5) whose file
/// system is nsfs: `36 35 0:4 net:[4026532250] /run/netns/blue rw shared:9 - nsfs nsfs rw`.
fn parse_line(line: &[u8]) -> Option<(u64, PathBuf)> {
    let mut fields = line.split(|&byte| byte == b' ');
    let id = parse_link(str::from_utf8(fields.nth(3)?).ok()?)?;
    let point = unescape(fields.next()?);
    let kind = fields.skip_while(|&field| field != b"-").nth(1)?;
    (kind == b"nsfs").then(|| (id, OsString::from_vec(point).into()))
}

/// Parses `net:[4026531833]`.
pub(super) fn parse_link(text: &str) -> Option<u64> {
    text.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// Decodes blank, tab, newline and backslash, which are written `\040`, `\011`, `\012`, `\134`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| byte == b'\\').and_then(octal);
        plain.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    plain
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_namespace_has_an_inode_and_a_path() {
        let line = b"36 35 0:4 net:[4026532250] /run/netns/a\\040b\\134 rw shared:9 - nsfs nsfs rw";
        let (id, point) = parse_line(line).unwrap();
        assert_eq!((id, point.to_str()), (4_026_532_250, Some("/run/netns/a b\\")));
        let mounts = Mounts(vec![(id, point)]);
        assert_eq!(mounts.name_of(id), Some(Text::scrub("a b\\")));
        assert_eq!(mounts.name_of(1), None);
    }

    #[test]
    fn other_mounts_are_ignored() {
        for line in [
            &b""[..],
            b"36 35 0:4 mnt:[4026532250] /x rw - nsfs nsfs rw",
            b"36 35 0:4 net:[4026532250] /x rw - tmpfs tmpfs rw",
            b"36 35 0:4 net:[x] /x rw - nsfs nsfs rw",
            b"36 35 0:4 / /proc rw,relatime - proc proc rw",
        ] {
            assert_eq!(parse_line(line), None, "{}", String::from_utf8_lossy(line));
        }
    }
}
