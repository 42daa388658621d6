//! Ends a process by a signal, and reads how it reacts to SIGTERM. Does not wait for the process,
//! unless asked to.

use std::{os::fd::OwnedFd, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, test_kill_process},
};

use crate::{
    domain::action::{
        EndSignal, Permission, ProcessFacts, ProcessIdentity, Protection, TermReaction,
    },
    host::{
        actions::{ActionError, EndingProcess},
        linux::{actions::supervisor, bounded_file, owners, peer, process_status},
    },
};

/// Maximum size in bytes of /proc/PID/status, which may list many groups.
const MAX_STATUS_BYTES: u64 = 1 << 20;

/// What a signal to a process of another user needs.
const CAP_KILL: &str = "CAP_KILL";

/// Reads what the end of a process depends on. None: it has ended, or is not visible.
pub fn facts(pid: u32) -> Option<ProcessFacts> {
    let started = process_status::find(pid)?.started;
    let status = bounded_file::read(format!("/proc/{pid}/status"), MAX_STATUS_BYTES).ok()?;
    let status = String::from_utf8_lossy(&status);
    let protection = if is_first(&status) {
        Some(Protection::FirstOfNamespace)
    } else {
        supervisor::is_user_manager(pid).then_some(Protection::UserManager)
    };
    Some(ProcessFacts {
        identity: ProcessIdentity { pid, started },
        reaction: reaction(&status),
        supervisor: supervisor::find(pid, parent(&status), is_first(&status)),
        protection,
        permission: permission(pid),
    })
}

/// Sends the signal, if the process with this pid has this start time and holds a socket with one of
/// the inodes, which are ascending: the pid may have been reused before its start time was read. The
/// descriptor is opened first: it never refers to a later process with the same pid.
pub fn end(
    process: ProcessIdentity,
    signal: EndSignal,
    inodes: &[u32],
) -> Result<Box<dyn EndingProcess>, ActionError> {
    let failed = |errno: Errno| match errno {
        Errno::SRCH => ActionError::Ended,
        Errno::PERM => ActionError::Denied(CAP_KILL),
        errno => ActionError::failed("signal the process", errno.into()),
    };
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).ok_or(ActionError::Ended)?;
    // A pid of /proc would mean another process here.
    if !peer::proc_is_ours().unwrap_or(false) {
        return Err(ActionError::Unsupported("/proc shows the pids of another pid namespace"));
    }
    let descriptor = pidfd_open(pid, PidfdFlags::empty()).map_err(failed)?;
    match process_status::read_stat(process.pid) {
        Err(error) => return Err(ActionError::failed("read /proc/PID/stat", error.into())),
        Ok(None) => return Err(ActionError::Ended),
        Ok(Some(found)) if found.started != process.started => return Err(ActionError::Replaced),
        Ok(Some(_)) => {}
    }
    // Whoever may not signal it need not be able to read its descriptors.
    test_kill_process(pid).map_err(failed)?;
    match owners::holds_one_of(process.pid, inodes) {
        Ok(true) => {}
        Ok(false) => return Err(ActionError::NotHolder),
        Err(errno) => {
            return Err(ActionError::failed("read the descriptors of the process", errno));
        }
    }
    let signal = match signal {
        EndSignal::Term => Signal::TERM,
        EndSignal::Kill => Signal::KILL,
    };
    pidfd_send_signal(&descriptor, signal).map_err(failed)?;
    Ok(Box::new(SignalledProcess(descriptor)))
}

/// A process that received a signal; its pidfd is readable once it has ended.
struct SignalledProcess(OwnedFd);

impl EndingProcess for SignalledProcess {
    fn wait(&mut self, timeout: Duration) -> bool {
        let timeout = Timespec::try_from(timeout).ok();
        let mut waited = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut waited, timeout.as_ref()).is_ok_and(|ready| ready > 0)
    }
}

/// Returns whether this process may signal another one. Sends no signal.
fn permission(pid: u32) -> Permission {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    match pid.map(test_kill_process) {
        Some(Ok(())) => Permission::Granted,
        Some(Err(Errno::PERM)) => Permission::Missing {
            capability: CAP_KILL,
            what: "to signal a process of another user",
        },
        _ => Permission::Unknown,
    }
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let line = status.lines().find(|line| line.strip_prefix(name).is_some())?;
    Some(line.get(name.len()..)?.trim())
}

fn parent(status: &str) -> Option<u32> {
    field(status, "PPid:")?.parse().ok()
}

/// Returns whether the process is the first of another pid namespace, below this one.
fn is_first(status: &str) -> bool {
    let pids = field(status, "NSpid:").unwrap_or_default();
    let mut pids = pids.split_ascii_whitespace().rev();
    pids.next() == Some("1") && pids.next().is_some()
}

/// Parses what SIGTERM does from proc_pid_status(5). The mask of blocked signals is that of the main
/// thread.
fn reaction(status: &str) -> TermReaction {
    const TERM: u64 = 1 << (15 - 1);
    let has_term = |name: &str| {
        let mask = u64::from_str_radix(field(status, name)?, 16).ok()?;
        Some(mask & TERM != 0)
    };
    let masks = (has_term("SigBlk:"), has_term("SigIgn:"), has_term("SigCgt:"));
    let (Some(blocks), Some(ignores), Some(handles)) = masks else { return TermReaction::Unknown };
    let is_stopped = field(status, "State:").is_some_and(|state| state.starts_with(['T', 't']));
    if ignores {
        TermReaction::Ignores
    } else if is_stopped {
        TermReaction::IsStopped
    } else if blocks {
        TermReaction::Blocks
    } else if handles {
        TermReaction::Handles
    } else {
        TermReaction::Ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str, pids: &str, masks: [&str; 3]) -> String {
        let [blocked, ignored, caught] = masks;
        format!(
            "Name:\tx\nState:\t{state}\nPPid:\t7\nNSpid:\t{pids}\nSigBlk:\t{blocked}\n\
             SigIgn:\t{ignored}\nSigCgt:\t{caught}\n"
        )
    }

    #[test]
    fn reaction_to_sigterm_follows_from_the_signal_masks() {
        const NONE: &str = "0000000000000000";
        const TERM: &str = "0000000000004000";
        const OTHERS: &str = "ffffffffffffbfff";
        for (state, pids, masks, expected) in [
            ("S (sleeping)", "9", [OTHERS, OTHERS, OTHERS], TermReaction::Ends),
            ("S (sleeping)", "9", [NONE, TERM, NONE], TermReaction::Ignores),
            ("S (sleeping)", "9", [NONE, NONE, TERM], TermReaction::Handles),
            ("S (sleeping)", "9", [TERM, NONE, TERM], TermReaction::Blocks),
            ("T (stopped)", "9", [NONE, NONE, NONE], TermReaction::IsStopped),
            ("S (sleeping)", "9", ["x", NONE, NONE], TermReaction::Unknown),
        ] {
            assert_eq!(reaction(&status(state, pids, masks)), expected, "{state} {masks:?}");
        }
        assert_eq!(parent(&status("S", "9", [NONE; 3])), Some(7));
        for (pids, expected) in
            [("9", false), ("9 2", false), ("9 1", true), ("9 4 1", true), ("1", false)]
        {
            assert_eq!(is_first(&status("S", pids, [NONE; 3])), expected, "{pids}");
        }
    }

    #[test]
    fn process_with_another_start_time_receives_no_signal() {
        let own = facts(std::process::id()).unwrap();
        let wrong = ProcessIdentity { started: own.identity.started + 1, ..own.identity };
        assert!(matches!(end(wrong, EndSignal::Kill, &[]), Err(ActionError::Replaced)));
        let gone = ProcessIdentity { pid: u32::MAX, started: 1 };
        assert!(matches!(end(gone, EndSignal::Kill, &[]), Err(ActionError::Ended)));
        let holder = end(own.identity, EndSignal::Kill, &[1]);
        assert!(matches!(holder, Err(ActionError::NotHolder)));
        assert_eq!(own.permission, Permission::Granted);
    }
}
