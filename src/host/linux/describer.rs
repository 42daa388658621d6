//! Describes processes: name, command line, user, start time and parent through sysinfo, the
//! working directory, and the systemd unit or container. Does not find their sockets.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::ffi::OsStrExt as _,
};

use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use crate::{
    domain::{Errno, ParentProcess, Process, Text},
    host::{
        Describer,
        linux::{process_status, unit},
    },
};

/// Maximum number of bytes shown of a command line, which can be megabytes long.
const COMMAND_LIMIT: usize = 4096;

/// Reads all requested processes again on each call, because a pid may have been reused, or the
/// process may have executed another program.
///
/// May block: /proc/PID/cmdline waits for the memory lock of its process.
pub struct ProcDescriber;

impl Describer for ProcDescriber {
    fn describe(&mut self, pids: &[u32]) -> Vec<Process> {
        let pids: Vec<Pid> = pids.iter().map(|&pid| Pid::from_u32(pid)).collect();
        // Creates a `System` for each call, because a `System` keeps processes that have ended.
        let Ok(mut system) = System::new() else { return Vec::new() };
        let kind = ProcessRefreshKind::nothing()
            .with_cmd(UpdateKind::OnlyIfNotSet)
            .with_user(UpdateKind::OnlyIfNotSet)
            .without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, kind);
        let boot = boot_time();
        let found = pids.iter().filter_map(|&pid| system.process(pid));
        found.map(|process| description(process, boot)).collect()
    }

    fn refusal(&mut self, pid: u32) -> Option<Errno> {
        process_status::refusal(pid)
    }
}

fn description(process: &sysinfo::Process, boot: Option<u64>) -> Process {
    let pid = process.pid().as_u32();
    let name = Text::scrub(process.name().as_bytes());
    let is_zombie = process.status() == ProcessStatus::Zombie;
    let is_known = !process.cmd().is_empty() || is_readable(pid);
    Process {
        pid,
        command: is_known.then(|| command(process.cmd(), process.name().as_bytes(), is_zombie)),
        name,
        // The effective uid, as ps(1) shows it.
        uid: process.effective_user_id().map(|uid| **uid),
        // If sysinfo cannot read the boot time, it computes a wrong start time without an error.
        started: boot.map(|_| process.start_time()).filter(|started| Some(*started) >= boot),
        unit: unit::read(pid),
        directory: directory(pid),
        parent: parent(process),
    }
}

/// Returns the current working directory. None: it cannot be read.
fn directory(pid: u32) -> Option<Text> {
    let path = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    Some(Text::scrub_up_to(path.as_os_str().as_bytes(), COMMAND_LIMIT))
}

/// Returns the parent. None: the parent is not in the pid namespace of this /proc.
fn parent(process: &sysinfo::Process) -> Option<ParentProcess> {
    let pid = process.parent()?.as_u32();
    (pid != 0).then(|| ParentProcess { pid, name: process_status::name(pid) })
}

/// Returns whether the command line can be read. sysinfo does not distinguish an empty one from an
/// unreadable one.
fn is_readable(pid: u32) -> bool {
    File::open(format!("/proc/{pid}/cmdline")).is_ok()
}

/// Returns the boot time in seconds since 1970: `btime` of proc_stat(5). None: it cannot be read.
fn boot_time() -> Option<u64> {
    let lines = BufReader::new(File::open("/proc/stat").ok()?).lines().map_while(Result::ok);
    boot_time_in(lines)
}

fn boot_time_in(mut lines: impl Iterator<Item = String>) -> Option<u64> {
    lines.find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

/// Joins the arguments with spaces. Without arguments (a kernel thread, a zombie, a process that
/// erased them) returns the name in brackets, as ps(1) does.
fn command(arguments: &[OsString], name: &[u8], is_zombie: bool) -> Text {
    let mut line = Vec::new();
    for argument in arguments {
        if !line.is_empty() {
            line.push(b' ');
        }
        line.extend_from_slice(argument.as_bytes());
        if line.len() > COMMAND_LIMIT {
            break;
        }
    }
    if line.is_empty() {
        let suffix: &[u8] = if is_zombie { b"] <defunct>" } else { b"]" };
        line = [b"[", name, suffix].concat();
    }
    Text::scrub_up_to(&line, COMMAND_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_is_parsed_or_none() {
        let of = |text: &str| boot_time_in(text.lines().map(str::to_owned));
        assert_eq!(of("cpu  1 2\nbtime 1798000000\nprocesses 9\n"), Some(1_798_000_000));
        for unknown in ["", "cpu  1 2\n", "btime \n", "btime x\n"] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }
}
