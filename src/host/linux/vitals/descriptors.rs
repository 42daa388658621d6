//! Reads the number of open descriptors, and its limit, of the processes with the most sockets.

use std::{
    cmp::Reverse,
    fmt::Write as _,
    fs, io,
    time::{Duration, Instant},
};

use crate::{
    domain::{DescriptorUse, Errno, Gap, Holder, Snapshot},
    host::linux::vitals::{text, unread},
};

/// Maximum number of processes whose descriptors are read.
const MAX_PROCESSES: usize = 32;
const REFRESH: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct DescriptorReader {
    found: Vec<DescriptorUse>,
    /// The last error of a process that could not be read.
    refusal: Option<Errno>,
    read_at: Option<Instant>,
    /// Buffer for a refresh: the pids of the owners, once for each of their sockets.
    pids: Vec<u32>,
    path: String,
}

impl DescriptorReader {
    pub(super) fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        snapshot: &Snapshot,
        gaps: &mut Vec<Gap>,
    ) -> Vec<DescriptorUse> {
        if self.read_at.is_none_or(|at| at.elapsed() >= REFRESH) {
            self.read_at = Some(Instant::now());
            self.refresh(buffer, snapshot);
        }
        let gap =
            |error| unread("limits of open files", "/proc/PID/limits and /proc/PID/fd", error);
        gaps.extend(self.refusal.map(gap));
        self.found.clone()
    }

    fn refresh(&mut self, buffer: &mut Vec<u8>, snapshot: &Snapshot) {
        self.found.clear();
        self.refusal = None;
        for pid in self.largest(snapshot) {
            match self.of(pid, buffer) {
                Ok(row) => self.found.push(row),
                // The process has ended.
                Err(Errno::ENOENT | Errno::ESRCH) => {}
                Err(error) => self.refusal = Some(error),
            }
        }
        let parts = |row: &DescriptorUse| u64::from(row.open) * 1_000_000 / row.limit.max(1);
        self.found.sort_by_key(|row| Reverse(parts(row)));
    }

    /// Returns the pids with the most sockets, at most `MAX_PROCESSES`.
    fn largest(&mut self, snapshot: &Snapshot) -> Vec<u32> {
        let pids = &mut self.pids;
        pids.clear();
        for socket in &snapshot.sockets {
            if matches!(socket.holder, Holder::Process(_)) {
                pids.extend_from_slice(snapshot.owner(socket).pids());
            }
        }
        pids.sort_unstable();
        let mut counts: Vec<(usize, u32)> =
            pids.chunk_by(|a, b| a == b).map(|equal| (equal.len(), equal[0])).collect();
        counts.sort_unstable_by_key(|&(sockets, pid)| (Reverse(sockets), pid));
        counts.iter().take(MAX_PROCESSES).map(|&(_, pid)| pid).collect()
    }

    fn of(&mut self, pid: u32, buffer: &mut Vec<u8>) -> Result<DescriptorUse, Errno> {
        let limits = text(self.path(pid, "limits"), buffer)?;
        let [limit, hard_limit] = parse_limits(limits).ok_or(Errno::EBADMSG)?;
        let open = count(self.path(pid, "fd"))?;
        Ok(DescriptorUse { pid, open, limit, hard_limit })
    }

    fn path(&mut self, pid: u32, name: &str) -> &str {
        self.path.clear();
        write!(self.path, "/proc/{pid}/{name}").expect("a String takes all text");
        &self.path
    }
}

/// Returns the number of entries: the size of the directory since Linux 6.2. On older kernels the
/// size is 0, and the entries are counted.
fn count(path: &str) -> io::Result<u32> {
    match fs::metadata(path)?.len() {
        0 => Ok(fs::read_dir(path)?.count() as u32),
        size => Ok(size.try_into().unwrap_or(u32::MAX)),
    }
}

/// Parses the soft and the hard limit in `Max open files  1024  524288  files`; `u64::MAX`:
/// unlimited.
fn parse_limits(text: &str) -> Option<[u64; 2]> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut limits = line.split_ascii_whitespace().map(|word| match word {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    Some([limits.next()??, limits.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_open_files_are_the_soft_and_the_hard_one() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max processes             96365                96365            processes\n\
                    Max open files            1024                 524288               files\n";
        assert_eq!(parse_limits(text), Some([1024, 524_288]));
        let unlimited = "Max open files   unlimited   unlimited   files";
        assert_eq!(parse_limits(unlimited), Some([u64::MAX; 2]));
        for bad in ["", "Max open files", "Max open files 1 many", "Max processes 1 1"] {
            assert_eq!(parse_limits(bad), None, "{bad}");
        }
    }
}
