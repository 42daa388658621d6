//! Matches sockets with the processes that hold their inodes. Does not read /proc.

mod backlog;
mod departed;
mod held_inodes;
#[cfg(test)]
mod tests;
mod unread;

use crate::domain::{Errno, Gap, Holder, Snapshot, Socket, gap::MissingPrivilege, owner::Span};

use self::backlog::Backlog;
pub(in crate::domain) use self::backlog::ListenerUids;
pub use self::{departed::Departed, held_inodes::HeldInodes, unread::UnreadHolders};

/// The result of a walk over the processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    pub held: HeldInodes,
    /// Processes with at least one descriptor that portscope has no permission to see.
    pub unreadable: Vec<UnreadableProcess>,
    /// Whether `/proc` omits other users' processes (`hidepid=`).
    pub hides_processes: bool,
    /// Whether `/proc` shows a pid namespace other than the initial one, so that it omits the
    /// processes outside it.
    pub hides_namespaces: bool,
    /// Threads that may have a descriptor table of their own, which was not read. None: there are
    /// none.
    pub unread_threads: Option<UnreadThreads>,
    /// Socket inodes that this walk did not find and no earlier walk searched for: opened or closed
    /// during the walk, or held by a process that is not visible. Ascending.
    pub undecided: Vec<u32>,
    /// What portscope lacks, other than being root, to see all processes. None: it runs neither as
    /// root nor in a user namespace, or the walk found a holder of each socket.
    pub missing_privilege: Option<MissingPrivilege>,
    /// The uid that the kernel shows for uids that the user namespace of portscope does not map;
    /// None: it maps all, or the walk found a holder of each socket.
    pub unmapped_uid: Option<u32>,
    /// The error if reading `/proc` itself failed, or if reading a process failed for a reason
    /// other than permission.
    pub failed: Option<Errno>,
}

/// Threads whose descriptor tables were not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadThreads {
    pub threads: u32,
    /// The reason. None: the tables have too many descriptors. EFBIG: a process has too many tables.
    pub error: Option<Errno>,
}

impl Holders {
    /// Clears the result for the next walk; keeps the buffers.
    pub fn clear(&mut self) {
        let Self { mut held, mut unreadable, mut undecided, .. } = std::mem::take(self);
        held.clear();
        unreadable.clear();
        undecided.clear();
        *self = Self { held, unreadable, undecided, ..Self::default() };
    }

    /// Returns whether every descriptor table of the machine was read.
    pub fn show_all(&self) -> bool {
        self.unreadable.is_empty() && !self.are_partial()
    }

    /// Returns whether processes or threads may be missing, besides the unreadable ones.
    fn are_partial(&self) -> bool {
        self.hides_processes
            || self.hides_namespaces
            || self.unread_threads.is_some()
            || self.failed.is_some()
    }
}

/// A process whose descriptors portscope has no permission to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadableProcess {
    pub pid: u32,
    /// None: the uid could not be read either, or the kernel may show it for an unmapped user.
    pub uid: Option<u32>,
}

/// Sets the holder of each socket and `Snapshot::unread_holders`, and adds a gap if owners may be
/// missing.
///
/// The snapshot must be sorted (`Snapshot::sort`): the sockets of one port must be adjacent.
pub fn attribute(snapshot: &mut Snapshot, holders: &Holders) {
    let Snapshot { sockets, pids, gaps, unread_holders, .. } = snapshot;
    unread_holders.set(holders);
    let unreadable_holders = UnreadableHolders::of(holders);
    let mut pool = PidPool { pids, last: None };
    let mut backlog = Backlog::default();
    for port in sockets.chunk_by_mut(Socket::shares_port) {
        let mut has_backlog = false;
        for socket in port.iter_mut() {
            has_backlog |= socket.is_in_backlog();
            socket.holder = match socket.inode.map(|inode| (inode, holders.held.pids(inode))) {
                Some((_, pids @ [_, ..])) => Holder::Process(pool.span(pids)),
                Some((inode, _)) if holders.undecided.binary_search(&inode).is_ok() => {
                    Holder::Unresolved
                }
                Some(_) if unreadable_holders.may_hold(socket) => Holder::Hidden,
                Some(_) => Holder::Nobody,
                // No inode: the socket is in TIME-WAIT, the kernel has detached it from its file
                // (`sock_orphan`), or it is in a backlog and has no file yet.
                None => Holder::Kernel,
            };
        }
        if has_backlog {
            backlog.assign(port, pool.pids);
        }
    }
    let hidden = sockets.iter().filter(|s| s.holder == Holder::Hidden).count() as u32;
    gaps.extend(gap(holders, hidden));
}

/// Returns the gap about owners. If there are several reasons, returns the one that hides most. A
/// failed walk is a gap even if no owner seems hidden: more holders may be missing.
fn gap(holders: &Holders, sockets: u32) -> Option<Gap> {
    if let Some(error) = holders.failed {
        return Some(Gap::OwnersUnreadable { sockets, error });
    }
    if sockets == 0 {
        return None;
    }
    let processes = holders.unreadable.len() as u32;
    Some(match (holders.unread_threads, holders.missing_privilege) {
        _ if holders.hides_namespaces => Gap::OwnersElsewhere { sockets },
        _ if holders.hides_processes => Gap::OwnersInvisible { sockets },
        (Some(UnreadThreads { threads, error }), _) if processes == 0 => {
            Gap::OwnersOfThreads { sockets, threads, error }
        }
        (_, Some(missing_privilege)) => {
            Gap::OwnersRefused { sockets, processes, missing_privilege }
        }
        (_, None) => Gap::OwnersHidden { sockets, processes },
    })
}

/// The pids that were added to the snapshot so far, and the span that was used last.
struct PidPool<'a> {
    pids: &'a mut Vec<u32>,
    last: Option<Span>,
}

impl PidPool<'_> {
    /// Returns a span for `pids`. Reuses the last one: neighbouring sockets often have the same
    /// process.
    fn span(&mut self, pids: &[u32]) -> Span {
        let is_same = |last: &Span| self.pids[backlog::range(*last)] == *pids;
        let span = match self.last.filter(is_same) {
            Some(last) => last,
            None => append(self.pids, pids.iter().copied()),
        };
        self.last = Some(span);
        span
    }
}

fn append(pool: &mut Vec<u32>, pids: impl Iterator<Item = u32>) -> Span {
    let first = pool.len() as u32;
    pool.extend(pids);
    Span { first, length: pool.len() as u32 - first }
}

/// The unreadable processes, which may hold sockets without a visible holder.
struct UnreadableHolders {
    /// Whether they may hold any socket: one of them belongs to root or to an unknown user, or the
    /// walk did not read some process or thread.
    any_socket: bool,
    /// Ascending.
    uids: Vec<u32>,
    unmapped_uid: Option<u32>,
}

impl UnreadableHolders {
    fn of(holders: &Holders) -> Self {
        let unmapped_uid = holders.unmapped_uid;
        let mapped = |uid: Option<u32>| uid.filter(|_| uid != unmapped_uid);
        let known = holders.unreadable.iter().map(|process| mapped(process.uid));
        let mut uids: Vec<u32> = known.clone().flatten().collect();
        uids.sort_unstable();
        uids.dedup();
        let any_socket =
            holders.are_partial() || known.into_iter().any(|uid| matches!(uid, None | Some(0)));
        Self { any_socket, uids, unmapped_uid }
    }

    /// Returns whether an unreadable process may hold the socket. Any user may hold a socket that
    /// root created: daemons open sockets, then change their user. A socket of an unmapped uid may
    /// belong to the host's root.
    fn may_hold(&self, socket: &Socket) -> bool {
        self.any_socket
            || match socket.uid.filter(|_| socket.uid != self.unmapped_uid) {
                Some(uid) if uid != 0 => self.uids.binary_search(&uid).is_ok(),
                _ => !self.uids.is_empty(),
            }
    }
}
