//! What a walk over the processes did not read, and which sockets may be held there, too.

use crate::domain::{Holders, Owner, ProcessTable, Snapshot, Socket, UnreadableProcess};

/// The part of the machine that a walk did not read. A socket with a visible holder may have another
/// one there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadHolders {
    /// By pid, ascending.
    processes: Vec<UnreadableProcess>,
    /// Whether `/proc` omits processes.
    omits_processes: bool,
    /// Whether the walk failed, or threads of readable processes were not read.
    any_process: bool,
}

impl UnreadHolders {
    pub fn of(holders: &Holders) -> Self {
        let mut unread = Self::default();
        unread.set(holders);
        unread
    }

    /// Takes over what this walk did not read; keeps the buffer.
    pub(super) fn set(&mut self, holders: &Holders) {
        self.processes.clone_from(&holders.unreadable);
        self.processes.sort_unstable_by_key(|process| process.pid);
        self.omits_processes = holders.hides_processes || holders.hides_namespaces;
        self.any_process = holders.unread_threads.is_some() || holders.failed.is_some();
    }

    pub(in crate::domain) fn clear(&mut self) {
        self.processes.clear();
        (self.omits_processes, self.any_process) = (false, false);
    }

    /// Returns whether the walk read all processes.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty() && !self.omits_processes && !self.any_process
    }

    /// Returns whether the process was not read and may have created a socket of this user.
    fn may_create(&self, pid: u32, uid: u32) -> bool {
        let found = self.processes.binary_search_by_key(&pid, |process| process.pid);
        let process = found.ok().and_then(|at| self.processes.get(at));
        process.is_some_and(|process| process.uid.is_none_or(|of| of == uid))
    }
}

impl Snapshot {
    /// Returns whether a socket with visible holders has traces of another one that was not read.
    ///
    /// A socket usually is shared because the process that created it passed it on (fork(), socket
    /// activation). So the result is true if no visible holder has the user who created the socket,
    /// or if the parent of a holder has that user and was not read. False does not prove that the
    /// visible holders are all: see `UnreadHolders::is_empty`.
    pub fn may_have_unread_holder(&self, socket: &Socket, processes: &ProcessTable) -> bool {
        let Owner::Process(pids) = self.owner(socket) else { return false };
        if self.unread_holders.is_empty() {
            return false;
        }
        let creator = socket.uid.filter(|&uid| !self.machine.users.is_unmapped(uid));
        let Some(creator) = creator.filter(|_| !self.unread_holders.any_process) else {
            return true;
        };
        let mut holders = pids.iter().filter_map(|&pid| processes.get(pid));
        let has_unread_parent = holders.clone().any(|process| {
            let parent = process.parent.as_ref();
            parent.is_some_and(|parent| self.unread_holders.may_create(parent.pid, creator))
        });
        has_unread_parent || holders.all(|process| process.uid != Some(creator))
    }
}
