//! Finds which processes hold which socket inodes, by a walk over /proc. Does not describe the
//! processes.

pub(super) mod hidepid;
mod kcmp;
mod pid_namespace;
mod rings;
mod table;
mod threads;

use std::cell::OnceCell;

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, PROC_SUPER_MAGIC},
    io::Errno,
    thread::CapabilitySet,
};

use crate::{
    domain::{self, Holders, Socket, UnreadThreads, UnreadableProcess, gap::MissingPrivilege},
    host::{
        OwnerDepth,
        linux::{ascending, users},
    },
};

pub(super) use table::SocketDescriptor;
use table::{Found, Path, ProcTables, each_number, open_directory};
use threads::{Thread, has_several};

/// Buffer size in bytes for the directory entries of one getdents64(2).
const DIRECTORY_BUFFER: usize = 32 * 1024;

/// Walks /proc/PID/fd when necessary and remembers what it found.
///
/// The descriptor tables of single threads (unshare(CLONE_FILES)) and the fixed files of io_uring
/// are searched if an inode is in no process's table, once for each such inode. `find_descriptors`
/// always searches them; a `Full` walk also does while some threads are unread.
#[derive(Default)]
pub struct OwnerFinder {
    holders: Holders,
    found: Found,
    /// Inodes that were searched for everywhere and not found; ascending.
    not_found: Vec<u32>,
    /// Threads that a search found to have a table of their own with sockets. Each walk reads these
    /// tables.
    split: Vec<Thread>,
    unread_threads: Option<UnreadThreads>,
    /// See `Holders::unmapped_uid`.
    unmapped_uid: OnceCell<Option<u32>>,
    /// True if no walk before the last one was completed.
    is_first: bool,
    has_walked: bool,
    walks: u64,
    searches: u64,
}

impl OwnerFinder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the current holders. `Incremental` walks only if `sockets` have an unknown inode, or
    /// if the last walk failed. `Skip` never walks.
    pub fn find(&mut self, depth: OwnerDepth, sockets: &[Socket]) -> &Holders {
        let is_due = match depth {
            OwnerDepth::Skip => false,
            OwnerDepth::Incremental => self.knows_too_little(sockets),
            OwnerDepth::Full => true,
        };
        if is_due {
            let reads_threads = depth == OwnerDepth::Full && self.unread_threads.is_some();
            self.walk(sockets, reads_threads);
        }
        &self.holders
    }

    /// Like a full `find`, but always reads the tables of all threads, and returns where each
    /// socket is held.
    pub(super) fn find_descriptors(&mut self, sockets: &[Socket]) -> Vec<SocketDescriptor> {
        self.found.socket_descriptors = Some(Vec::new());
        self.walk(sockets, true);
        self.found.socket_descriptors.take().unwrap_or_default()
    }

    pub(super) fn holders(&self) -> &Holders {
        &self.holders
    }

    /// Returns how many walks were made. Each costs time for every descriptor of the machine.
    pub fn walks(&self) -> u64 {
        self.walks
    }

    /// Returns how many walks also searched the tables of single threads.
    pub fn searches(&self) -> u64 {
        self.searches
    }

    /// Returns the inodes that the first completed walk did not find, ascending. Later calls return
    /// none. Only another listing of the sockets shows whether these inodes were closed during the
    /// walk.
    pub(super) fn take_unconfirmed(&mut self) -> Vec<u32> {
        let is_first = std::mem::take(&mut self.is_first);
        if is_first { self.not_found.clone() } else { Vec::new() }
    }

    /// Moves inodes that are no longer listed to `undecided`: they were closed during the walk.
    pub(super) fn drop_closed(&mut self, mut is_listed: impl FnMut(u32) -> bool) {
        let undecided = &mut self.holders.undecided;
        undecided.extend(self.not_found.extract_if(.., |&mut inode| !is_listed(inode)));
        undecided.sort_unstable();
    }

    /// Returns whether another walk is due: the last one failed, or an inode is neither held nor in
    /// `not_found`. An inode that was searched for everywhere (a kernel socket, a descriptor in
    /// flight) causes no further walk. An inode that only one walk did not find causes another.
    fn knows_too_little(&self, sockets: &[Socket]) -> bool {
        let is_known = |inode| self.holds(inode) || self.is_unfound(inode);
        let mut inodes = sockets.iter().filter_map(|socket| socket.inode);
        self.holders.failed.is_some() || inodes.any(|inode| !is_known(inode))
    }

    fn walk(&mut self, sockets: &[Socket], reads_threads: bool) {
        self.walks += 1;
        self.is_first = !self.has_walked;
        let before = std::mem::take(&mut self.holders.undecided);
        self.holders.clear();
        self.found.clear();
        let outcome = self.read_proc();
        let mut missing = self.missing(sockets);
        let outcome = outcome.and_then(|proc| {
            if reads_threads || missing.iter().any(|&inode| self.is_due(inode, &before)) {
                self.unread_threads = self.search_elsewhere(&proc)?;
                missing.retain(|&inode| !self.holds(inode));
            }
            Ok(())
        });
        self.holders.failed = self.holders.failed.or(outcome.err().map(domain::Errno::from));
        self.decide(missing, &before);
    }

    fn read_proc(&mut self) -> rustix::io::Result<OwnedFd> {
        let proc = open_directory(CWD, "/proc")?;
        if rustix::fs::fstatfs(&proc)?.f_type != PROC_SUPER_MAGIC {
            // An empty directory instead of /proc would look like a machine without processes.
            return Err(Errno::NOENT);
        }
        self.holders.hides_namespaces = pid_namespace::hides_processes(&proc);
        let hides = hidepid::hides_processes(&proc);
        let walked = self.walk_processes(&proc);
        self.holders.held.add(&mut self.found.pairs);
        walked?;
        self.holders.hides_processes = hides?;
        Ok(proc)
    }

    /// Visits every process, even after a holder is found: a socket may have several.
    fn walk_processes(&mut self, proc: &OwnedFd) -> rustix::io::Result<()> {
        let mut buffer: Vec<u8> = Vec::with_capacity(2 * DIRECTORY_BUFFER);
        let (processes, rest) = buffer.spare_capacity_mut().split_at_mut(DIRECTORY_BUFFER);
        let mut table = ProcTables { proc, buffer: rest };
        each_number(proc, processes, |pid| {
            self.visit(&mut table, pid);
            Ok(())
        })?;
        let found = &mut self.found;
        self.split.retain(|thread| table.read(thread.pid, Some(thread.tid), found).is_ok());
        Ok(())
    }

    fn visit(&mut self, table: &mut ProcTables<'_>, pid: u32) {
        match table.read(pid, None, &mut self.found) {
            // No descriptor: the main thread may have ended while other threads still run.
            Ok(0) if has_several(table.proc, pid) => self.visit_threads(table, pid),
            Ok(_) | Err(Errno::NOENT | Errno::SRCH) => {}
            Err(Errno::ACCESS | Errno::PERM) => self.visit_refusing(table, pid),
            Err(errno) => {
                self.holders.failed = self.holders.failed.or(Some(errno.into()));
            }
        }
    }

    /// Handles a process whose table cannot be read. If the main thread of a process of this user
    /// has ended, its own table is refused, but those of the other threads are not.
    fn visit_refusing(&mut self, table: &mut ProcTables<'_>, pid: u32) {
        let Some(mut process) = unreadable(table.proc, pid) else { return };
        if process.uid == Some(users::effective()) && threads::has_ended(table.proc, pid) {
            return self.visit_threads(table, pid);
        }
        // The kernel shows this uid for any unmapped user.
        process.uid = process.uid.filter(|_| process.uid != self.unmapped_uid());
        self.holders.unreadable.push(process);
    }

    /// Reads the thread tables of a process whose main thread no longer has a table.
    fn visit_threads(&mut self, table: &mut ProcTables<'_>, pid: u32) {
        let read = threads::read_all(table, pid, &mut self.found);
        if let Err(Errno::ACCESS | Errno::PERM | Errno::FBIG) = read {
            self.holders.unreadable.extend(unreadable(table.proc, pid));
        }
    }

    /// Searches the tables of single threads and the fixed files of io_uring. Returns the threads
    /// that could not be read; None: there are none.
    fn search_elsewhere(&mut self, proc: &OwnedFd) -> rustix::io::Result<Option<UnreadThreads>> {
        self.searches += 1;
        let known = self.holders.unreadable.iter().map(|process| process.pid).collect();
        let mut search = threads::ThreadSearch::new(known, &mut self.found, &mut self.split);
        search.run(proc)?;
        let unread = search.unread();
        let rings = rings::read(proc, &mut self.found);
        self.holders.held.add(&mut self.found.pairs);
        rings.map(|()| unread)
    }

    /// Assigns each inode that the walk did not find to `not_found` or `undecided`; none if the
    /// walk failed.
    fn decide(&mut self, missing: Vec<u32>, before: &[u32]) {
        if !missing.is_empty() {
            self.holders.missing_privilege = missing_privilege();
            self.holders.unmapped_uid = self.unmapped_uid();
        }
        self.has_walked |= self.holders.failed.is_none();
        if self.holders.failed.is_some() {
            return self.not_found.clear();
        }
        let is_settled = |inode: &u32| self.is_due(*inode, before) || self.is_unfound(*inode);
        let (not_found, undecided) = missing.into_iter().partition(is_settled);
        (self.not_found, self.holders.undecided) = (not_found, undecided);
        self.holders.unread_threads = self.unread_threads;
    }

    /// Returns whether to search everywhere for a missing inode, which happens once per inode: if
    /// no earlier walk was completed, for each missing inode; later, for each one that the previous
    /// walk did not find either (`before`).
    fn is_due(&self, inode: u32, before: &[u32]) -> bool {
        (self.is_first || before.binary_search(&inode).is_ok()) && !self.is_unfound(inode)
    }

    fn is_unfound(&self, inode: u32) -> bool {
        self.not_found.binary_search(&inode).is_ok()
    }

    /// Returns the inodes of `sockets` that were not found; ascending.
    fn missing(&self, sockets: &[Socket]) -> Vec<u32> {
        let inodes = sockets.iter().filter_map(|socket| socket.inode);
        ascending(inodes.filter(|&inode| !self.holds(inode)))
    }

    fn holds(&self, inode: u32) -> bool {
        self.holders.held.contains(inode)
    }

    fn unmapped_uid(&self) -> Option<u32> {
        *self.unmapped_uid.get_or_init(|| users::unmapped().map(|unmapped| unmapped.uid))
    }
}

/// Returns whether the process holds a socket with one of the inodes, which are ascending: by its own
/// table, by that of a thread or by an io_uring.
///
/// Errors: a table cannot be read, and none of those that can be read has such a socket.
pub(super) fn holds_one_of(pid: u32, inodes: &[u32]) -> Result<bool, domain::Errno> {
    let proc = open_directory(CWD, "/proc")?;
    let mut buffer: Vec<u8> = Vec::with_capacity(DIRECTORY_BUFFER);
    let mut table = ProcTables { proc: &proc, buffer: buffer.spare_capacity_mut() };
    let mut found = Found::default();
    let holds =
        |found: &Found| found.pairs.iter().any(|(inode, _)| inodes.binary_search(inode).is_ok());
    let mut read = table.read(pid, None, &mut found).map(drop);
    if holds(&found) {
        return Ok(true);
    }
    if has_several(&proc, pid) {
        let of_threads = threads::read_all(&mut table, pid, &mut found);
        // A main thread that has ended has no table to read.
        read = if threads::has_ended(&proc, pid) { of_threads } else { read.and(of_threads) };
    }
    read = read.and(rings::read(&proc, &mut found));
    match read {
        _ if holds(&found) => Ok(true),
        Ok(()) | Err(Errno::NOENT | Errno::SRCH) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Describes a process whose table is unreadable. None: the process has ended; readlinkat(2) may
/// return EACCES for such a process, too.
fn unreadable(proc: &OwnedFd, pid: u32) -> Option<UnreadableProcess> {
    match rustix::fs::statat(proc, Path::of(pid, None, "").as_c_str(), AtFlags::empty()) {
        Ok(stat) => Some(UnreadableProcess { pid, uid: Some(stat.st_uid) }),
        Err(Errno::NOENT | Errno::SRCH) => None,
        Err(_) => Some(UnreadableProcess { pid, uid: None }),
    }
}

/// Returns what this process lacks to read all tables. None: it does not run as root, which is
/// reason enough.
fn missing_privilege() -> Option<MissingPrivilege> {
    let needed = CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH;
    let capabilities = rustix::thread::capabilities(None);
    let may_trace = capabilities.is_ok_and(|sets| sets.effective.contains(needed));
    match (users::unmapped(), users::effective()) {
        (Some(_), _) => Some(MissingPrivilege::UserNamespace),
        (None, 0) if may_trace => Some(MissingPrivilege::Unknown),
        (None, 0) => Some(MissingPrivilege::Capability),
        (None, _) => None,
    }
}
