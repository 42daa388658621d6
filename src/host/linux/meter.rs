//! Measures what this process has used so far: CPU time, elapsed time and memory. Does not measure
//! other processes.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// Measures the time since its creation. `cpu` and `peak_memory` measure the whole process.
pub struct Meter {
    started: Instant,
}

impl Meter {
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Returns the CPU time of all threads of this process, user and system time together.
pub fn cpu() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

/// Returns the peak resident set size, in bytes; None: `/proc` does not show it.
pub fn peak_memory() -> Option<u64> {
    parse_peak(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Parses `VmHWM` of proc_pid_status(5).
fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_read_from_the_status_of_a_process() {
        let status = "Name:\tportscope\nVmPeak:\t   9000 kB\nVmHWM:\t    5120 kB\n";
        assert_eq!(parse_peak(status), Some(5 << 20));
        for broken in ["", "VmHWM:\n", "VmHWM:\t-1 kB\n", "VmHWM:\t99999999999999999999 kB\n"] {
            assert_eq!(parse_peak(broken), None, "{broken:?}");
        }
        assert!(peak_memory().is_some_and(|bytes| bytes > 1 << 16));
    }
}
