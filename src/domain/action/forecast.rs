//! Combines the fates of the sockets of a port to a forecast, in sentences.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    Socket, State,
    action::{
        ActionForecast, ActionInput, EndSignal, Frees, Permission, PortAction, ProcessIdentity,
        TermReaction, command,
        fate::{self, SocketFate},
        named, protection, restart,
    },
    availability,
    notation::counted,
};

/// Maximum number of processes that a sentence names.
const MAX_NAMED: usize = 4;

pub fn of(input: &ActionInput<'_>, action: &PortAction) -> ActionForecast {
    match action {
        PortAction::End { processes, signal, .. } => of_end(input, processes, *signal),
        PortAction::Close(sockets) => of_close(input, sockets),
        PortAction::Drain { sockets, .. } => of_drain(input, action, sockets),
        PortAction::Reserve => of_reserve(input),
        PortAction::Wait => of_wait(input),
    }
}

/// Returns the fates of the sockets on the port if these processes receive the signal.
pub fn fates_of_end(
    input: &ActionInput<'_>,
    processes: &[ProcessIdentity],
    signal: EndSignal,
) -> Vec<SocketFate> {
    let ended: BTreeSet<u32> = processes
        .iter()
        .map(|process| process.pid)
        .filter(|&pid| ends(reaction(input, pid), signal) != Some(false))
        .collect();
    let is_doubtful = |pid: u32| ends(reaction(input, pid), signal).is_none();
    let fate = |socket: &Socket| {
        let fate = fate::of_end(input, socket, &ended);
        let holders = input.snapshot.owner(socket).pids();
        let is_kept = matches!(fate, SocketFate::HeldBy(_) | SocketFate::Untouched);
        match holders.iter().find(|&&pid| ended.contains(&pid) && is_doubtful(pid)) {
            Some(_) if !is_kept && !socket.is_closed_by_process() => SocketFate::Unknown(
                "it blocks SIGTERM, and may or may not wait for it (sigwait(), signalfd())",
            ),
            _ => fate,
        }
    };
    input.sockets().iter().map(fate).collect()
}

/// Returns whether the signal ends a process that reacts so. None: unknown. A handler is assumed to
/// end it.
fn ends(reaction: TermReaction, signal: EndSignal) -> Option<bool> {
    match (signal, reaction) {
        (EndSignal::Kill, _) | (_, TermReaction::Ends | TermReaction::Handles) => Some(true),
        (_, TermReaction::Ignores | TermReaction::IsStopped) => Some(false),
        (_, TermReaction::Blocks | TermReaction::Unknown) => None,
    }
}

fn reaction(input: &ActionInput<'_>, pid: u32) -> TermReaction {
    input.facts_of(pid).map_or(TermReaction::Unknown, |facts| facts.reaction)
}

fn of_end(
    input: &ActionInput<'_>,
    processes: &[ProcessIdentity],
    signal: EndSignal,
) -> ActionForecast {
    let fates = fates_of_end(input, processes, signal);
    let (frees, mut because) = combined(input, &fates);
    let pids: BTreeSet<u32> = processes.iter().map(|process| process.pid).collect();
    if let Some(words) = unmoved(input, &pids, signal) {
        because = words;
    } else if frees == Frees::Yes {
        let other = if input.snapshot.unread_holders.is_empty() {
            "no other process"
        } else {
            "no other visible process"
        };
        because = match fates.len() {
            1 => format!("{other} holds the socket"),
            count => format!("{other} holds the {count} sockets on the port"),
        };
    }
    let others: BTreeSet<u32> = fates.iter().flat_map(held_by).copied().collect();
    ActionForecast {
        frees,
        because,
        program_sees: seen_signal(input, &pids, signal),
        other_holders: others.difference(&pids).copied().collect(),
        restart: Some(restart::sentence(input, &pids, signal)),
        closed_seconds: longest(&fates),
        command: command::end(&pids, signal),
        permission: permission_to_end(input, &pids),
    }
}

/// Returns why SIGTERM does not end a process. None: it does, or that is unknown.
fn unmoved(input: &ActionInput<'_>, pids: &BTreeSet<u32>, signal: EndSignal) -> Option<String> {
    let is_unmoved = |pid: &&u32| ends(reaction(input, **pid), signal) == Some(false);
    let pid = *pids.iter().find(is_unmoved)?;
    let why = match reaction(input, pid) {
        TermReaction::IsStopped => "is stopped, and receives SIGTERM only when it continues",
        _ => "ignores SIGTERM",
    };
    Some(format!("{} {why}", named(input, pid)))
}

/// Describes what the processes do with the signal.
fn seen_signal(input: &ActionInput<'_>, pids: &BTreeSet<u32>, signal: EndSignal) -> Option<String> {
    let handling: BTreeSet<u32> =
        pids.iter().copied().filter(|&pid| reaction(input, pid) == TermReaction::Handles).collect();
    match signal {
        EndSignal::Kill => Some("the program ends at once, without saving anything".to_owned()),
        EndSignal::Term if handling.is_empty() => None,
        EndSignal::Term => {
            let who = names(input, &handling);
            Some(match handling.len() {
                1 => format!("{who} handles SIGTERM: it may need time to end, or go on"),
                _ => format!("{who} handle SIGTERM: they may need time to end, or go on"),
            })
        }
    }
}

fn permission_to_end(input: &ActionInput<'_>, pids: &BTreeSet<u32>) -> Permission {
    let mut permissions = pids.iter().filter_map(|&pid| Some(&input.facts_of(pid)?.permission));
    let refused = permissions.clone().find(|permission| permission.refusal().is_some());
    let unknown = permissions.find(|permission| **permission == Permission::Unknown);
    refused.or(unknown).cloned().unwrap_or(Permission::Granted)
}

fn of_close(input: &ActionInput<'_>, closed: &[Socket]) -> ActionForecast {
    let cookies: BTreeSet<Option<u64>> = closed.iter().map(|socket| socket.cookie).collect();
    let is_closed = |socket: &Socket| cookies.contains(&socket.cookie);
    let mut listeners = input.sockets().iter().filter(|socket| socket.state == State::Listen);
    // The queue of the only listener ends with it.
    let ends_queue = listeners.next().is_some_and(is_closed) && listeners.next().is_none();
    let fates: Vec<SocketFate> = input
        .sockets()
        .iter()
        .map(|socket| match is_closed(socket) {
            true => fate::of_destroy(input, socket),
            false if ends_queue && socket.is_in_backlog() => SocketFate::Released,
            false => beside(input, socket),
        })
        .collect();
    let (frees, because) = combined(input, &fates);
    let stays = closed
        .iter()
        .find(|socket| fate::of_destroy(input, socket) == SocketFate::StaysBound)
        .map(|socket| stays_bound(input, socket));
    let because = stays.unwrap_or(because);
    ActionForecast {
        frees,
        because,
        program_sees: closed.iter().find_map(seen_close),
        other_holders: Vec::new(),
        restart: None,
        closed_seconds: longest(&fates),
        command: command::close(closed),
        permission: input.facts.may_close.clone(),
    }
}

/// Returns the fate of a socket beside the one that an action concerns.
fn beside(input: &ActionInput<'_>, socket: &Socket) -> SocketFate {
    if socket.is_closed_by_process() {
        return SocketFate::KeptByKernel { seconds: fate::seconds(socket) };
    }
    match input.snapshot.owner(socket).pids() {
        [] => SocketFate::Untouched,
        pids => SocketFate::HeldBy(pids.to_vec()),
    }
}

fn stays_bound(input: &ActionInput<'_>, socket: &Socket) -> String {
    let pids: BTreeSet<u32> = input.snapshot.owner(socket).pids().iter().copied().collect();
    let who = if pids.is_empty() { "its process".to_owned() } else { names(input, &pids) };
    match socket.state {
        State::Bound => {
            format!("only {who} can release it: the kernel does not close a socket in BOUND")
        }
        State::Unconnected | State::Connected => {
            format!(
                "the program bound this port by number: the port stays in use until {who} closes the socket"
            )
        }
        _ => format!(
            "the program bound this port by number: the port stays in use (BOUND) until {who} closes the socket"
        ),
    }
}

/// Describes what the program of a closed socket sees (`tcp_abort`, `udp_abort`).
fn seen_close(socket: &Socket) -> Option<String> {
    let words = match socket.state {
        _ if socket.is_closed_by_process() => return None,
        State::Bound | State::SynReceived => return None,
        State::Listen => "accept() fails with EINVAL",
        State::SynSent => "connect() fails with ECONNABORTED",
        State::Unconnected | State::Connected => "recv() fails with ECONNABORTED",
        _ => "the connection fails with ECONNABORTED, for the peer with ECONNRESET",
    };
    Some(words.to_owned())
}

fn of_drain(input: &ActionInput<'_>, action: &PortAction, sockets: &[Socket]) -> ActionForecast {
    let cookies: BTreeSet<Option<u64>> = sockets.iter().map(|socket| socket.cookie).collect();
    let is_drained = |socket: &Socket| cookies.contains(&socket.cookie);
    let fate = |socket: &Socket| {
        if is_drained(socket) { fate::of_destroy(input, socket) } else { beside(input, socket) }
    };
    let fates: Vec<SocketFate> = input.sockets().iter().map(fate).collect();
    let (frees, because) = combined(input, &fates);
    let because = match frees {
        Frees::Yes if lost(sockets).is_none() => {
            "only closed connections use the port; no process uses them".to_owned()
        }
        Frees::Yes => "only closed connections use the port".to_owned(),
        _ => because,
    };
    ActionForecast {
        frees,
        because,
        program_sees: lost(sockets),
        other_holders: Vec::new(),
        restart: None,
        closed_seconds: longest(&fates),
        command: command::drain(input, action),
        permission: input.facts.may_close.clone(),
    }
}

/// Describes which data the end of closed connections may lose. None: none.
fn lost(sockets: &[Socket]) -> Option<String> {
    let undelivered = sockets.iter().filter(|socket| socket.has_undelivered_data());
    let (count, bytes) = undelivered.fold((0_u32, 0_u64), |(count, bytes), socket| {
        (count + 1, bytes + u64::from(socket.undelivered()))
    });
    (count > 0).then(|| {
        format!(
            "the peer may not receive {} of {} that it has not acknowledged yet",
            counted(bytes, "byte"),
            counted(count, "connection"),
        )
    })
}

fn of_reserve(input: &ActionInput<'_>) -> ActionForecast {
    ActionForecast {
        frees: Frees::No,
        because:
            "the sockets on the port keep it; connect() and bind() to port 0 no longer choose \
                  it afterwards"
                .to_owned(),
        program_sees: None,
        other_holders: Vec::new(),
        restart: None,
        closed_seconds: None,
        command: command::reserve(input),
        permission: input.facts.may_reserve.clone(),
    }
}

fn of_wait(input: &ActionInput<'_>) -> ActionForecast {
    let fates: Vec<SocketFate> =
        input.sockets().iter().map(|socket| beside(input, socket)).collect();
    let is_closed = |fate: &SocketFate| matches!(fate, SocketFate::KeptByKernel { .. });
    let time_wait = input.sockets().iter().all(|socket| socket.state == State::TimeWait);
    let seconds = longest(&fates).unwrap_or_default();
    let (frees, because) = match (fates.iter().all(is_closed), time_wait) {
        (true, true) if may_be_unlisted(input) => unlisted(),
        (true, true) => (Frees::Yes, format!("TIME-WAIT ends by itself in at most {seconds}s")),
        (true, false) => {
            (Frees::Unknown, "the kernel waits for the peers of closed connections".to_owned())
        }
        (false, _) => (Frees::Unknown, "its processes decide when they close it".to_owned()),
    };
    ActionForecast {
        frees,
        because,
        program_sees: None,
        other_holders: Vec::new(),
        restart: None,
        closed_seconds: longest(&fates),
        command: command::wait(input),
        permission: Permission::Granted,
    }
}

/// Combines the fates of all sockets on the port, and explains the result by the first one that
/// decides it.
fn combined(input: &ActionInput<'_>, fates: &[SocketFate]) -> (Frees, String) {
    let keeps = |fate: &&SocketFate| !matches!(fate, SocketFate::Released | SocketFate::Unknown(_));
    // A socket that a process holds says more than one that ends by itself.
    let by_kernel = |fate: &&SocketFate| matches!(fate, SocketFate::KeptByKernel { .. });
    let kept = fates.iter().filter(keeps).find(|fate| !by_kernel(fate));
    let kept = kept.or_else(|| fates.iter().find(keeps));
    if let Some(fate) = kept {
        return (Frees::No, kept_words(input, fates, fate));
    }
    let unknown = fates.iter().find_map(|fate| match fate {
        SocketFate::Unknown(why) => Some((*why).to_owned()),
        _ => None,
    });
    if let Some(why) = unknown {
        return (Frees::Unknown, why);
    }
    if may_be_unlisted(input) {
        return unlisted();
    }
    (Frees::Yes, "no other socket uses the port".to_owned())
}

fn may_be_unlisted(input: &ActionInput<'_>) -> bool {
    availability::may_be_unlisted(input.snapshot, input.protocol, input.port)
}

fn unlisted() -> (Frees, String) {
    (Frees::Unknown, "an unlisted socket may be bound to the port".to_owned())
}

fn kept_words(input: &ActionInput<'_>, fates: &[SocketFate], fate: &SocketFate) -> String {
    match fate {
        SocketFate::HeldBy(_) => held_words(input, fates),
        SocketFate::KeptByKernel { .. } => {
            let closed =
                fates.iter().filter(|fate| matches!(fate, SocketFate::KeptByKernel { .. }));
            let seconds = longest(fates).unwrap_or_default();
            format!(
                "the kernel keeps {} on the port for about {seconds}s; a bind() with SO_REUSEADDR may \
                 succeed before",
                counted(closed.count() as u64, "closed connection")
            )
        }
        SocketFate::StaysBound => "the socket stays bound until its process closes it".to_owned(),
        _ => "another socket uses the port".to_owned(),
    }
}

/// Names the processes that keep the port. Of processes that are never ended, for example one that
/// holds the socket for a service (socket activation), says only why that is so for the first.
fn held_words(input: &ActionInput<'_>, fates: &[SocketFate]) -> String {
    let pids: BTreeSet<u32> = fates.iter().flat_map(held_by).copied().collect();
    let who = names(input, &pids);
    if let Some(words) = pids.iter().find_map(|&pid| protection::words(input, pid)) {
        return words;
    }
    let sockets = input.sockets().iter().zip(fates);
    let kept = sockets.filter(|(_, fate)| matches!(fate, SocketFate::HeldBy(_)));
    let mut states: BTreeMap<State, u32> = BTreeMap::new();
    for (socket, _) in kept {
        *states.entry(socket.state).or_default() += 1;
    }
    let states: Vec<String> = states
        .iter()
        .map(|(state, count)| match count {
            1 => state.to_string(),
            count => format!("{count} × {state}"),
        })
        .collect();
    let verb = if pids.len() == 1 { "keeps" } else { "keep" };
    format!("{who} {verb} the port ({})", states.join(", "))
}

fn held_by(fate: &SocketFate) -> &[u32] {
    match fate {
        SocketFate::HeldBy(pids) => pids,
        _ => &[],
    }
}

/// Returns the longest time that closed connections keep the port. None: there are none.
fn longest(fates: &[SocketFate]) -> Option<u32> {
    let seconds = fates.iter().filter_map(|fate| match fate {
        SocketFate::KeptByKernel { seconds } => Some(*seconds),
        _ => None,
    });
    seconds.max()
}

/// Names up to `MAX_NAMED` processes and counts the others.
pub fn names(input: &ActionInput<'_>, pids: &BTreeSet<u32>) -> String {
    let shown: Vec<String> =
        pids.iter().take(MAX_NAMED).map(|&pid| named(input, pid).to_string()).collect();
    match pids.len().saturating_sub(MAX_NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
