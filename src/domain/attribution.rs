//! Joins sockets with the processes that hold their inodes. Not the walk that finds these.

mod backlog;
mod departed;
#[cfg(test)]
mod tests;

use std::io;

use crate::domain::{Gap, Holder, Snapshot, Socket, owner::Span};

use self::backlog::Backlog;
pub use self::departed::Departed;

/// What a walk over the processes found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// (socket inode, pid), ascending, no pair twice.
    pub pairs: Vec<(u32, u32)>,
    /// Processes with at least one descriptor that we may not see.
    pub unreadable: Vec<UnreadableProcess>,
    /// Other users' processes do not even appear in `/proc` (`hidepid=`).
    pub hides_processes: bool,
    /// `/proc` itself, or one process for another reason than permission, could not be walked.
    pub failed: Option<io::ErrorKind>,
}

impl Holders {
    /// Makes room for the next walk; keeps the buffers.
    pub fn clear(&mut self) {
        self.pairs.clear();
        self.unreadable.clear();
        self.hides_processes = false;
        self.failed = None;
    }
}

/// A process whose descriptors we lack the right to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadableProcess {
    pub pid: u32,
    /// None: not even that could be read.
    pub uid: Option<u32>,
}

/// Gives each socket its holder and adds the gaps that remain.
///
/// `Snapshot::sort` comes first: the rows of one port must stand together.
pub fn attribute(snapshot: &mut Snapshot, holders: &Holders) {
    let Snapshot { sockets, pids, gaps, .. } = snapshot;
    let suspects = Suspects::of(holders);
    let mut spans = Spans { pairs: &holders.pairs, known: vec![None; holders.pairs.len()], pids };
    let mut backlog = Backlog::default();
    for port in sockets.chunk_by_mut(|a, b| place(a) == place(b)) {
        let mut has_backlog = false;
        for socket in port.iter_mut() {
            has_backlog |= socket.is_in_backlog();
            socket.holder = match socket.inode.map(|inode| spans.of(inode)) {
                Some(Some(span)) => Holder::Process(span),
                Some(None) if suspects.may_hold(socket) => Holder::Hidden,
                Some(None) => Holder::Nobody,
                // No inode: the kernel's socket has lost its file (sock_orphan), or, in the
                // backlog, has none yet.
                None => Holder::Kernel,
            };
        }
        if has_backlog {
            backlog.assign(port, spans.pids);
        }
    }
    let hidden = sockets.iter().filter(|s| s.holder == Holder::Hidden).count() as u32;
    gaps.extend(gap(holders, hidden));
}

fn place(socket: &Socket) -> (crate::domain::Protocol, u16) {
    (socket.protocol, socket.local.port)
}

/// A walk that failed is told even if nothing seems hidden: further holders may be missing.
fn gap(holders: &Holders, sockets: u32) -> Option<Gap> {
    match holders.failed {
        Some(error) => Some(Gap::OwnersUnreadable { sockets, error }),
        None if sockets == 0 => None,
        None if holders.hides_processes => Some(Gap::OwnersInvisible { sockets }),
        None => Some(Gap::OwnersHidden { sockets, processes: holders.unreadable.len() as u32 }),
    }
}

/// The pids of each inode asked for, put into the pool once.
struct Spans<'a> {
    pairs: &'a [(u32, u32)],
    /// By the place of an inode's first pair.
    known: Vec<Option<Span>>,
    pids: &'a mut Vec<u32>,
}

impl Spans<'_> {
    fn of(&mut self, inode: u32) -> Option<Span> {
        let start = self.pairs.partition_point(|&(held, _)| held < inode);
        let pids = || {
            let of_inode = self.pairs[start..].iter().take_while(|&&(held, _)| held == inode);
            of_inode.map(|&(_, pid)| pid)
        };
        pids().next()?;
        Some(*self.known[start].get_or_insert_with(|| append(self.pids, pids())))
    }
}

fn append(pool: &mut Vec<u32>, pids: impl Iterator<Item = u32>) -> Span {
    let first = pool.len() as u32;
    pool.extend(pids);
    Span { first, length: pool.len() as u32 - first }
}

/// The unreadable processes, asked whether one of them may hold a socket that nobody else shows.
struct Suspects {
    /// Somebody may hold anything: root, an unknown user, or whoever the walk did not come by.
    any_socket: bool,
    /// Ascending.
    uids: Vec<u32>,
}

impl Suspects {
    fn of(holders: &Holders) -> Self {
        let mut uids: Vec<u32> = holders.unreadable.iter().filter_map(|p| p.uid).collect();
        uids.sort_unstable();
        uids.dedup();
        let is_mighty = |uid| matches!(uid, None | Some(0));
        let any_socket = holders.failed.is_some()
            || holders.hides_processes
            || holders.unreadable.iter().any(|process| is_mighty(process.uid));
        Self { any_socket, uids }
    }

    /// A socket that root made may be with any user: daemons open theirs, then change user.
    fn may_hold(&self, socket: &Socket) -> bool {
        self.any_socket
            || match socket.uid {
                Some(uid) if uid != 0 => self.uids.binary_search(&uid).is_ok(),
                _ => !self.uids.is_empty(),
            }
    }
}
