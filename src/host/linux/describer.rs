//! Name, command line, user and start of processes, through sysinfo, and their unit. Not which
//! sockets they hold.

use std::{ffi::OsString, os::unix::ffi::OsStrExt as _};

use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use crate::{
    domain::{Process, Text},
    host::{
        Describer,
        linux::{tenant, unit},
    },
};

/// Bytes of a command line that are shown; it can have megabytes.
const COMMAND_LIMIT: usize = 4096;

/// Reads the processes asked for, all anew each time: a pid may have come to mean another process,
/// or its process may have become another program.
///
/// May block: /proc/PID/cmdline waits for the memory lock of its process.
pub struct ProcDescriber;

impl ProcDescriber {
    pub fn new() -> Self {
        Self
    }
}

impl Default for ProcDescriber {
    fn default() -> Self {
        Self::new()
    }
}

impl Describer for ProcDescriber {
    fn describe(&mut self, pids: &[u32]) -> Vec<Process> {
        let pids: Vec<Pid> = pids.iter().map(|&pid| Pid::from_u32(pid)).collect();
        // Not kept from one time to the next: it forgets no process on its own.
        let Ok(mut system) = System::new() else { return Vec::new() };
        let kind = ProcessRefreshKind::nothing()
            .with_cmd(UpdateKind::OnlyIfNotSet)
            .with_user(UpdateKind::OnlyIfNotSet)
            .without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, kind);
        pids.iter().filter_map(|&pid| system.process(pid)).map(description).collect()
    }

    fn started(&mut self, pid: u32) -> Option<u64> {
        tenant::started(pid)
    }
}

fn description(process: &sysinfo::Process) -> Process {
    let name = Text::scrub(process.name().as_bytes());
    let is_zombie = process.status() == ProcessStatus::Zombie;
    Process {
        pid: process.pid().as_u32(),
        command: command(process.cmd(), process.name().as_bytes(), is_zombie),
        name,
        // The effective one, as ps(1) shows it.
        uid: process.effective_user_id().map(|uid| **uid),
        started: Some(process.start_time()),
        unit: unit::read(process.pid().as_u32()),
    }
}

/// The arguments separated by spaces; of a kernel thread, a zombie and whoever wiped them the name
/// in brackets, as ps(1) does.
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
