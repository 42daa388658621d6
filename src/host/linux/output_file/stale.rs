//! Removes temporary files that killed runs left in a folder. Keeps those of runs that still write.

use std::{
    fs::File,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags, openat, unlinkat},
    io::Errno,
    process::{Pid, test_kill_process},
};

use crate::host::linux::{parse_digits, users};

/// Minimum age of a file to remove. A run in another pid namespace, whose pid cannot be checked,
/// may be writing to the same folder. It modifies its file more often than this.
const MIN_AGE: Duration = Duration::from_mins(1);
/// Maximum number of entries examined: a huge folder must not delay a report.
const MAX_ENTRIES: usize = 10_000;

/// Returns the name of a temporary file of this process.
pub fn name(number: u32) -> String {
    format!(".portscope-{}-{number}.tmp", std::process::id())
}

/// Removes temporary files of ended runs from the folder. Ignores errors.
pub fn remove(folder: &OwnedFd) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(entries) =
        openat(folder, c".", flags, Mode::empty()).and_then(|folder| Dir::read_from(&folder))
    else {
        return;
    };
    for entry in entries.take(MAX_ENTRIES).flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().ok().and_then(pid_of) else { continue };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(folder, name, flags, Mode::empty()).map(File::from);
        if has_ended(pid) && found.is_ok_and(|found| is_old_and_ours(&found)) {
            let _ = unlinkat(folder, name, AtFlags::empty());
        }
    }
}

/// Parses the pid in `.portscope-PID-NUMBER.tmp`.
fn pid_of(name: &str) -> Option<u32> {
    let (pid, number) = name.strip_prefix(".portscope-")?.strip_suffix(".tmp")?.split_once('-')?;
    parse_digits(number).and_then(|_| parse_digits(pid))
}

/// Returns whether the process has ended. Our own pid counts as ended: this process has no
/// temporary file yet, so a file with its pid was left by an earlier run.
fn has_ended(pid: u32) -> bool {
    let is_ours = pid == std::process::id();
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    is_ours || process.is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

fn is_old_and_ours(found: &File) -> bool {
    let Ok(metadata) = found.metadata() else { return false };
    let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    metadata.is_file()
        && metadata.uid() == users::effective()
        && age.is_some_and(|age| age >= MIN_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_temporary_file_names_contain_a_pid() {
        assert_eq!(pid_of(".portscope-812-0.tmp"), Some(812));
        assert_eq!(pid_of(&name(7)), Some(std::process::id()));
        for other in [
            ".portscope-812.tmp",
            ".portscope--0.tmp",
            ".portscope-812-0.tmp~",
            ".portscope-812-x.tmp",
            ".portscope-+812-0.tmp",
            "portscope-812-0.tmp",
        ] {
            assert_eq!(pid_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_running_process_has_not_ended() {
        assert!(!has_ended(1));
        assert!(has_ended(u32::MAX));
    }
}
