//! The log of the last attempts, with the holder of each port that was in use. Does not count
//! attempts.

use std::collections::VecDeque;

use crate::{
    allocator::Attempt,
    domain::{Outcome, Owner, Snapshot, Socket, State, StateClass},
};

/// Maximum number of attempts that are kept: more than any screen shows.
const MAX_ENTRIES: usize = 200;

/// The holder of the port of an attempt, according to the latest snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderSeen {
    /// The port was bound, or the attempt was refused for a reason other than a port in use.
    NotApplicable,
    /// This run holds the port.
    Us,
    /// The attempt was a bind() to port 0, and the kernel found no port.
    NoneChosen,
    Socket {
        state: State,
        holder_owner: HolderOwner,
    },
    /// The latest snapshot is older than the attempt and shows no socket on the port, or there is
    /// no snapshot yet.
    NotSeenYet,
    /// A snapshot that arrived after the attempt, or the only one of a simulation, shows no socket
    /// on the port.
    NotSeen,
}

/// The owner of a socket, like `Owner` but without a reference to the snapshot. Of several pids
/// only the first is kept; `others` is the number of the others. `NotAsked` includes
/// `Owner::Unresolved`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderOwner {
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
    /// Number of the allocation, counted from 1 within the run.
    pub allocation: u64,
    pub attempt: Attempt,
    pub holder: HolderSeen,
}

/// The last attempts, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptLog {
    entries: VecDeque<LogEntry>,
    /// A scan was requested, and its snapshot has not arrived yet.
    awaits_scan: bool,
}

impl AttemptLog {
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &LogEntry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// Adds attempts, oldest first. `newest` is the number of the allocation to which the last one
    /// belongs. `held`, the ports that this run holds, must be sorted.
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
        let surplus = self.entries.len().saturating_sub(MAX_ENTRIES);
        self.entries.drain(..surplus);
    }

    /// Returns true if the holder of an attempt is unknown and no requested scan is pending. The
    /// caller must then request a scan.
    pub(super) fn wants_scan(&mut self) -> bool {
        let is_open = self.entries.iter().any(|e| e.holder == HolderSeen::NotSeenYet);
        is_open && !std::mem::replace(&mut self.awaits_scan, true)
    }

    /// Resolves unknown holders with a newer snapshot. A holder that the snapshot does not show
    /// becomes `NotSeen`.
    pub(super) fn resolve_holders(&mut self, snapshot: &Snapshot) {
        self.awaits_scan = false;
        for entry in &mut self.entries {
            if entry.holder == HolderSeen::NotSeenYet {
                let met_socket = socket_met(&entry.attempt, snapshot);
                entry.holder = met_socket.unwrap_or(HolderSeen::NotSeen);
            }
        }
    }
}

fn holder_of(attempt: &Attempt, held: &[u16], snapshot: Option<&Snapshot>) -> HolderSeen {
    if attempt.outcome() != Outcome::InUse {
        return HolderSeen::NotApplicable;
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
    Some(HolderSeen::Socket { state: socket.state, holder_owner: holder_owner(snapshot, socket) })
}

fn holder_owner(snapshot: &Snapshot, socket: &Socket) -> HolderOwner {
    let owner = snapshot.owner(socket);
    let first = owner.pids().first().copied();
    match (owner, first) {
        (Owner::Process(pids), Some(pid)) => {
            HolderOwner::Process { pid, others: pids.len() as u32 - 1 }
        }
        (Owner::Departed(_), Some(pid)) => HolderOwner::Departed { pid },
        (Owner::Backlog(_), Some(pid)) => HolderOwner::Backlog { pid },
        (Owner::Kernel | Owner::Departed(_), _) => HolderOwner::Kernel,
        (Owner::Hidden, _) => HolderOwner::Hidden,
        (Owner::NotAsked | Owner::Unresolved, _) => HolderOwner::NotAsked,
        (Owner::Nobody | Owner::Process(_) | Owner::Backlog(_), _) => HolderOwner::Nobody,
    }
}
