//! Reads user names and the effective user of this process. Reads the names from /etc/passwd alone,
//! because a name service may hang and must not block portscope.

use std::fs;

use crate::{
    domain::{Text, Users},
    host::linux::bounded_file,
};

/// Maximum number of bytes read of the file.
const LIMIT: u64 = 4 * 1024 * 1024;

/// Default of kernel.overflowuid.
const OVERFLOW_UID: u32 = 65_534;

/// Reads the user names. There are none if the file cannot be read; uids are then shown as numbers.
pub fn read() -> Users {
    let users = parse(&bounded_file::read_lines("/etc/passwd", LIMIT));
    let unmapped = unmapped();
    users.with_unmapped(
        unmapped.map(|unmapped| unmapped.uid),
        unmapped.is_some_and(|unmapped| unmapped.is_mapped),
    )
}

/// The uid that the kernel shows for uids that this process's user namespace does not map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmapped {
    pub uid: u32,
    /// Whether the namespace also maps this uid.
    pub is_mapped: bool,
}

/// Returns the uid shown for unmapped uids. None: this process's user namespace maps all uids, as
/// the initial one does, or the map cannot be read.
pub fn unmapped() -> Option<Unmapped> {
    let map = fs::read_to_string("/proc/thread-self/uid_map").ok()?;
    let uid = fs::read_to_string("/proc/sys/kernel/overflowuid");
    let uid = uid.ok().and_then(|text| text.trim_ascii().parse().ok()).unwrap_or(OVERFLOW_UID);
    unmapped_by(&map, uid)
}

/// Parses the map, whose lines are `INSIDE OUTSIDE LENGTH` (user_namespaces(7)). `uid` is the
/// overflow uid. None: all uids are mapped.
fn unmapped_by(map: &str, uid: u32) -> Option<Unmapped> {
    let ranges: Vec<(u32, u32)> = map
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(|number| number.parse().ok());
            Some((numbers.next()??, numbers.nth(1)??))
        })
        .collect();
    let is_mapped = ranges.iter().any(|&(first, length)| uid.wrapping_sub(first) < length);
    (ranges != [(0, u32::MAX)]).then_some(Unmapped { uid, is_mapped })
}

/// Returns the effective uid of this process.
pub fn effective() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Parses the lines of passwd(5) that have a name and a uid; others are skipped.
fn parse(passwd: &[u8]) -> Users {
    passwd.split(|&byte| byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<(u32, Text)> {
    let mut fields = line.split(|&byte| byte == b':');
    let (name, _password, uid) = (fields.next()?, fields.next()?, fields.next()?);
    let is_entry = !name.is_empty() && !matches!(name[0], b'#' | b'+' | b'-');
    let uid = std::str::from_utf8(uid).ok()?.parse().ok()?;
    is_entry.then(|| (uid, Text::scrub(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(users: &Users, uid: u32) -> Option<&str> {
        users.name(uid).map(Text::as_str)
    }

    #[test]
    fn a_uid_has_the_first_name_given_to_it() {
        let users = parse(b"root:x:0:0::/root:/bin/sh\ntoor:x:0:0:::\nann:x:1000:1000:::");
        assert_eq!(name(&users, 0), Some("root"));
        assert_eq!(name(&users, 1000), Some("ann"));
        assert_eq!(name(&users, 1), None);
    }

    #[test]
    fn lines_without_an_entry_are_skipped() {
        let users = parse(b"\n#old:x:1:1\n+nis:x:2:\n:x:3:3\nword\nbad:x:four:4\nok:x:5:5\n");
        assert_eq!(users, [(5, Text::scrub("ok"))].into_iter().collect());
    }

    #[test]
    fn escape_sequences_in_a_name_are_scrubbed() {
        let users = parse(b"\x1b[2J\xff:x:7:7\n");
        assert_eq!(name(&users, 7), Some("\\u{1b}[2J\\xff"));
    }

    #[test]
    fn a_user_namespace_with_partial_mapping_has_an_unmapped_uid() {
        let unmapped = |map| unmapped_by(map, 65_534).map(|unmapped| unmapped.is_mapped);
        assert_eq!(unmapped("         0          0 4294967295\n"), None);
        assert_eq!(unmapped("0 1000 1\n"), Some(false));
        assert_eq!(unmapped("0 1000 1\n1 100000 65536\n"), Some(true));
        assert_eq!(unmapped("0 0 65534\n65535 65535 100\n"), Some(false));
        assert_eq!(unmapped(""), Some(false), "nothing is mapped yet");
    }

    #[test]
    fn uid_0_is_named_root() {
        assert_eq!(name(&read(), 0), Some("root"));
    }
}
