//! The last attempts and who held the ports they met. Not the figures.

use std::collections::VecDeque;

use crate::{
    allocator::Attempt,
    domain::{Outcome, Owner, Snapshot, Socket, State, StateClass},
};

/// How many attempts are kept: more than any screen shows.
const KEPT: usize = 200;

/// What the latest snapshot said of a port that an attempt met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderSeen {
    /// Nobody to name: the port was bound, or refused for another reason than its use.
    NoneNeeded,
    /// This run holds it.
    Us,
    /// No port was named, and the machine had none to choose.
    NoneChosen,
    Socket {
        state: State,
        who: Who,
    },
    /// The snapshot is older than the attempt and has no socket there.
    NotSeenYet,
    /// A later scan had none either.
    NotSeen,
}

/// `Owner` without the snapshot: the first pid stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Process { pid: u32, others: u32 },
    Departed { pid: u32 },
    Backlog { pid: u32 },
    Kernel,
    Hidden,
    Nobody,
    NotAsked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Counted from 1 within the run.
    pub allocation: u64,
    pub attempt: Attempt,
    pub holder: HolderSeen,
}

/// Oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    entries: VecDeque<LogEntry>,
    /// A scan was asked for and has not come yet.
    awaits_scan: bool,
}

impl Log {
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &LogEntry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// `newest`: the allocation of the last of these attempts.
    pub(super) fn add(
        &mut self,
        attempts: &[Attempt],
        newest: u64,
        held: &[u16],
        snapshot: Option<&Snapshot>,
    ) {
        let begun = attempts.iter().skip(1).filter(|attempt| attempt.number == 1).count() as u64;
        let mut allocation = newest.saturating_sub(begun);
        for (index, attempt) in attempts.iter().enumerate() {
            allocation += u64::from(index > 0 && attempt.number == 1);
            let holder = holder_of(attempt, held, snapshot);
            self.entries.push_back(LogEntry { allocation, attempt: *attempt, holder });
        }
        let surplus = self.entries.len().saturating_sub(KEPT);
        self.entries.drain(..surplus);
    }

    /// True once for the attempts whose holder no scan has shown; the next one answers.
    pub(super) fn wants_scan(&mut self) -> bool {
        let is_open = self.entries.iter().any(|e| e.holder == HolderSeen::NotSeenYet);
        is_open && !std::mem::replace(&mut self.awaits_scan, true)
    }

    /// A newer snapshot: who was not seen yet is either in it or was never seen.
    pub(super) fn look_again(&mut self, snapshot: &Snapshot) {
        self.awaits_scan = false;
        for entry in &mut self.entries {
            if entry.holder == HolderSeen::NotSeenYet {
                let seen = socket_met(&entry.attempt, snapshot);
                entry.holder = seen.unwrap_or(HolderSeen::NotSeen);
            }
        }
    }
}

fn holder_of(attempt: &Attempt, held: &[u16], snapshot: Option<&Snapshot>) -> HolderSeen {
    if attempt.outcome() != Outcome::InUse {
        return HolderSeen::NoneNeeded;
    }
    if attempt.port == 0 {
        return HolderSeen::NoneChosen;
    }
    if held.binary_search(&attempt.port).is_ok() {
        return HolderSeen::Us;
    }
    snapshot.and_then(|s| socket_met(attempt, s)).unwrap_or(HolderSeen::NotSeenYet)
}

fn socket_met(attempt: &Attempt, snapshot: &Snapshot) -> Option<HolderSeen> {
    let sockets = snapshot.on_port(attempt.refusal?.protocol, attempt.port);
    let socket = sockets.iter().min_by_key(|s| StateClass::of(s.state))?;
    Some(HolderSeen::Socket { state: socket.state, who: who(snapshot, socket) })
}

fn who(snapshot: &Snapshot, socket: &Socket) -> Who {
    let owner = snapshot.owner(socket);
    let first = owner.pids().first().copied();
    match (owner, first) {
        (Owner::Process(pids), Some(pid)) => Who::Process { pid, others: pids.len() as u32 - 1 },
        (Owner::Departed(_), Some(pid)) => Who::Departed { pid },
        (Owner::Backlog(_), Some(pid)) => Who::Backlog { pid },
        (Owner::Kernel | Owner::Departed(_), _) => Who::Kernel,
        (Owner::Hidden, _) => Who::Hidden,
        (Owner::NotAsked | Owner::Unresolved, _) => Who::NotAsked,
        (Owner::Nobody | Owner::Process(_) | Owner::Backlog(_), _) => Who::Nobody,
    }
}
