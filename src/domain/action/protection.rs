//! Which processes are never ended, and why.

use std::collections::BTreeSet;

use crate::domain::{
    action::{ActionInput, named},
    availability::stop_command,
};

/// The name of systemd as a process.
const SYSTEMD: &str = "systemd";

/// Why a process is never ended, apart from its pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It is the service manager of a user (`systemd --user`), with which the session ends.
    UserManager,
    /// It is the first process of another pid namespace, with which all others of it end.
    FirstOfNamespace,
}

/// Returns whether the process may be ended: it is not this process, not process 1, without which the
/// machine stops, and not protected.
pub fn is_endable(input: &ActionInput<'_>, pid: u32) -> bool {
    let is_protected = || input.facts_of(pid).is_some_and(|facts| facts.protection.is_some());
    pid > 1 && pid != input.facts.own_pid && !is_protected()
}

/// Says why a process is never ended, and what to do instead. None: it may be ended.
pub fn words(input: &ActionInput<'_>, pid: u32) -> Option<String> {
    let who = named(input, pid);
    let is_systemd = input.processes.get(pid).is_some_and(|found| found.name.as_str() == SYSTEMD);
    if pid == 1 {
        return Some(if is_systemd {
            socket_activation(who.as_str(), "")
        } else {
            format!("{who} holds a socket on it, and process 1 is never ended")
        });
    }
    if pid == input.facts.own_pid {
        return Some(format!("{who} is this program, which does not end itself"));
    }
    Some(match input.facts_of(pid)?.protection? {
        Protection::UserManager => socket_activation(who.as_str(), "--user "),
        Protection::FirstOfNamespace => {
            let stop = stop_command(&BTreeSet::from([pid]), input.processes);
            let stop = stop.map(|command| format!(": `{command}` stops it instead"));
            format!(
                "{who} is the first process of a container, which would end with it{}",
                stop.unwrap_or_default()
            )
        }
    })
}

/// Returns why none of the processes on the port may be ended. None: one may, or there is none.
pub fn of_all_holders(input: &ActionInput<'_>) -> Option<String> {
    let holders = input.holders();
    let is_any_endable = holders.iter().any(|&pid| is_endable(input, pid));
    holders.iter().find_map(|&pid| words(input, pid)).filter(|_| !is_any_endable)
}

fn socket_activation(who: &str, user: &str) -> String {
    format!(
        "{who}, the service manager, holds a socket on it (socket activation): stop its socket unit \
         instead (systemctl {user}list-sockets)"
    )
}
