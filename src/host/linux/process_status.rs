//! Reads whether a process exists, since when, whether it is a kernel thread, and its name. Does not
//! wait for the process.

use std::{
    fs::{self, File},
    io::{self, Read as _},
};

use crate::{
    domain::{Errno, Text},
    host::Running,
};

/// `PF_KTHREAD` (include/linux/sched.h).
const KERNEL_THREAD: u32 = 0x0020_0000;

/// Finds the process with this pid. None: it does not exist, is not visible or cannot be read now,
/// or is a zombie, which no longer has sockets.
pub fn find(pid: u32) -> Option<Running> {
    read_stat(pid).ok().flatten()
}

/// Reads the name of a process. Does not read its command line, because the process can delay that.
/// None: it has ended, or its name cannot be read.
pub fn name(pid: u32) -> Option<Text> {
    let comm = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(Text::scrub(comm.strip_suffix(b"\n").unwrap_or(&comm)))
}

/// Returns why the process with this pid cannot be read; EBADMSG: its `stat` is malformed. None: it
/// has ended, or it can be read.
pub fn refusal(pid: u32) -> Option<Errno> {
    match read(pid) {
        Ok(Some(stat)) if parse_any(&stat).is_none() => Some(Errno::EBADMSG),
        Ok(_) => None,
        Err(error) => Some(error.into()),
    }
}

/// Returns whether the process with this pid and start time still exists. If it cannot be checked
/// now (for example, because no descriptor is left), it counts as existing.
pub fn is_alive(pid: u32, started: u64) -> bool {
    read_stat(pid).map_or(true, |found| found.is_some_and(|found| found.started == started))
}

/// Finds a process like `find`. Errors: /proc cannot be read now; the process may still exist.
pub fn read_stat(pid: u32) -> io::Result<Option<Running>> {
    Ok(read(pid)?.and_then(|stat| parse(&stat)))
}

/// Reads the first part of /proc/PID/stat. None: there is no such process.
fn read(pid: u32) -> io::Result<Option<Vec<u8>>> {
    // Large enough for the start time: the name has at most 64 bytes, and each number at most 20.
    let mut text = vec![0; 1024];
    let read = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut text));
    match read.map_err(|error| (Errno::from(&error), error)) {
        Ok(length) => {
            text.truncate(length);
            Ok(Some(text))
        }
        // ESRCH: the process ended between open() and read().
        Err((Errno::ENOENT | Errno::ESRCH, _)) => Ok(None),
        Err((_, error)) => Err(error),
    }
}

/// Parses proc_pid_stat(5): after the name in parentheses, which may contain any byte, come the
/// state (field 3), the flags (9), the number of threads (20) and the start time (22). None: the
/// process is a zombie, or the text is malformed.
fn parse(stat: &[u8]) -> Option<Running> {
    let (found, is_gone) = parse_any(stat)?;
    (!is_gone).then_some(found)
}

/// Like `parse`, but also returns whether the process has ended (a zombie) instead of None.
fn parse_any(stat: &[u8]) -> Option<(Running, bool)> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let mut fields = str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let flags: u32 = fields.nth(5)?.parse().ok()?;
    let threads: u32 = fields.nth(10)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    // A main thread that ended before the others is a zombie, but its process is not.
    let is_gone = matches!(state, "Z" | "X" | "x") && threads <= 1;
    Some((Running { started, is_kernel: flags & KERNEL_THREAD != 0 }, is_gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(name: &str, state: char, threads: u32) -> Option<u64> {
        let line =
            format!("7 ({name}) {state} 1 7 7 0 -1 0 0 0 0 0 1 2 3 4 20 0 {threads} 0 12345 99 1");
        parse(line.as_bytes()).map(|found| found.started)
    }

    #[test]
    fn a_kernel_thread_is_recognized_by_its_flags() {
        for (flags, is_kernel) in [("2129984", true), ("69238848", true), ("4194304", false)] {
            let line =
                format!("2 (x) S 0 0 0 0 -1 {flags} 0 0 0 0 0 1 2 3 20 0 1 0 1 9 20 0 1 0 5");
            assert_eq!(parse(line.as_bytes()).map(|found| found.is_kernel), Some(is_kernel));
        }
    }

    #[test]
    fn the_start_time_is_parsed_after_any_process_name() {
        for name in ["sleep", "a b", ") Z 1 (", "\n", ""] {
            assert_eq!(stat(name, 'S', 1), Some(12_345), "{name}");
        }
    }

    #[test]
    fn a_zombie_has_ended_unless_other_threads_run() {
        assert_eq!(stat("sleep", 'Z', 1), None);
        assert_eq!(stat("server", 'Z', 2), Some(12_345));
    }

    #[test]
    fn a_truncated_stat_line_is_rejected() {
        for line in ["", "7", "7 (", "7 (x)", "7 (x) S 1 2 3"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn is_alive_compares_the_start_time() {
        let own = std::process::id();
        let since = find(own).unwrap().started;
        assert!(is_alive(own, since) && !is_alive(own, since + 1));
        assert_eq!(find(0), None);
        assert_eq!(find(u32::MAX), None);
    }
}
