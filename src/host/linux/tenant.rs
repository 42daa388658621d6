//! When a process started, by which it is told from a later one of the same pid. Not who it is.

use std::fs;

/// In ticks since boot; None: there is no such process, or it has ended and waits for its parent to
/// hear of it (it holds nothing any more).
pub fn started(pid: u32) -> Option<u64> {
    parse_started(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) state …`, the start as field 22 (proc_pid_stat(5)). A name may hold any byte.
fn parse_started(stat: &[u8]) -> Option<u64> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X" | "x");
    let started = fields.nth(18)?.parse().ok()?;
    (!is_dead).then_some(started)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &[u8] = b" 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n";

    fn stat(head: &[u8]) -> Vec<u8> {
        [head, TAIL].concat()
    }

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        assert_eq!(parse_started(&stat(b"7 (a) Z 1 \xff) S")), Some(4711));
    }

    #[test]
    fn who_has_ended_has_no_start() {
        assert_eq!(parse_started(&stat(b"7 (sh) Z")), None);
        assert_eq!(started(u32::MAX), None);
        assert_eq!(parse_started(b"7 (sh) S 1"), None);
    }

    #[test]
    fn we_have_started() {
        let ours = started(std::process::id());
        assert!(ours.is_some_and(|ticks| ticks > 0) && ours == started(std::process::id()));
    }
}
