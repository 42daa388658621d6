//! Whether the process that a port was leased to still is. Knows no leases.

use std::{fs::File, io, io::Read as _};

use rustix::io::Errno;

/// When the process of that pid was started, in ticks since boot. None: there is none, it cannot be
/// seen, or it is a zombie, which has no sockets any more.
pub fn started(pid: u32) -> Option<u64> {
    look(pid).ok().flatten()
}

/// Whether the process of that pid and start still is; one that cannot be looked at now (no
/// descriptor is left) counts as if.
pub fn is_alive(pid: u32, started: u64) -> bool {
    look(pid).map_or(true, |found| found == Some(started))
}

/// Errors: not known, which is not gone.
fn look(pid: u32) -> io::Result<Option<u64>> {
    // The name is at most 64 bytes, the other numbers up to the start at most 20 each.
    let mut text = [0; 1024];
    let read = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut text));
    match read {
        Ok(length) => Ok(parse(&text[..length])),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // It ended between open() and read().
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// proc_pid_stat(5): after the name in brackets, which may hold any byte, come the state (field 3),
/// the number of threads (20) and the start (22).
fn parse(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let mut fields = str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    // A first thread that ended before the others is a zombie in a process that is none.
    let is_gone = matches!(state, "Z" | "X" | "x") && threads <= 1;
    (!is_gone).then_some(started)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(name: &str, state: char, threads: u32) -> Option<u64> {
        let line =
            format!("7 ({name}) {state} 1 7 7 0 -1 0 0 0 0 0 1 2 3 4 20 0 {threads} 0 12345 99 1");
        parse(line.as_bytes())
    }

    #[test]
    fn the_start_is_found_behind_any_name() {
        for name in ["sleep", "a b", ") Z 1 (", "\n", ""] {
            assert_eq!(stat(name, 'S', 1), Some(12_345), "{name}");
        }
    }

    #[test]
    fn a_zombie_is_gone_unless_other_threads_of_it_go_on() {
        assert_eq!(stat("sleep", 'Z', 1), None);
        assert_eq!(stat("server", 'Z', 2), Some(12_345));
    }

    #[test]
    fn a_line_that_is_cut_off_tells_nothing() {
        for line in ["", "7", "7 (", "7 (x)", "7 (x) S 1 2 3"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn this_process_is_alive_since_its_start_and_another_start_is_another_process() {
        let own = std::process::id();
        let since = started(own).unwrap();
        assert!(is_alive(own, since) && !is_alive(own, since + 1));
        assert_eq!(started(0), None);
        assert_eq!(started(u32::MAX), None);
    }
}
