//! Which processes hold which socket inodes, by a walk over /proc. Not what these processes are.

pub(super) mod hidepid;

use std::{ffi::CStr, io, mem::MaybeUninit};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, Mode, OFlags, PROC_SUPER_MAGIC, RawDir},
    io::Errno,
};

use crate::{
    domain::{Holders, Socket, UnreadableProcess},
    host::OwnerDepth,
};

/// Entries of a directory that one getdents64(2) may return.
const DIRECTORY_BUFFER: usize = 32 * 1024;

/// Walks /proc/PID/fd when it must and remembers what it found.
///
/// Only the descriptor table of a process's first thread is read: a thread that left it by
/// unshare(CLONE_FILES) may hold sockets that look as if nobody held them (kernel.md 2.1).
#[derive(Default)]
pub struct OwnerFinder {
    holders: Holders,
    /// Inodes that the last walk was made for and did not find; ascending.
    vain: Vec<u32>,
    walks: u64,
}

impl OwnerFinder {
    pub fn new() -> Self {
        Self::default()
    }

    /// The holders as of now. `Incremental` walks only if `sockets` have an inode that is unknown.
    pub fn find(&mut self, depth: OwnerDepth, sockets: &[Socket]) -> &Holders {
        let is_due = match depth {
            OwnerDepth::Skip => false,
            OwnerDepth::Incremental => self.knows_too_little(sockets),
            OwnerDepth::Full => true,
        };
        if is_due {
            self.walk(sockets);
        }
        &self.holders
    }

    /// How many walks were made, each of which costs time for every descriptor of the machine.
    pub fn walks(&self) -> u64 {
        self.walks
    }

    /// An inode looked for in vain (a kernel socket, a descriptor in flight) is no reason to walk
    /// again, but a walk that failed is.
    fn knows_too_little(&self, sockets: &[Socket]) -> bool {
        let is_known = |inode| self.is_held(inode) || self.vain.binary_search(&inode).is_ok();
        let mut inodes = sockets.iter().filter_map(|socket| socket.inode);
        self.holders.failed.is_some() || inodes.any(|inode| !is_known(inode))
    }

    fn walk(&mut self, sockets: &[Socket]) {
        self.walks += 1;
        self.holders.clear();
        if let Err(errno) = walk_processes(&mut self.holders) {
            self.holders.failed = Some(failure(errno));
        }
        self.holders.pairs.sort_unstable();
        self.holders.pairs.dedup();
        self.remember_vain(sockets);
    }

    fn remember_vain(&mut self, sockets: &[Socket]) {
        let mut vain = std::mem::take(&mut self.vain);
        vain.clear();
        vain.extend(sockets.iter().filter_map(|s| s.inode).filter(|&inode| !self.is_held(inode)));
        vain.sort_unstable();
        vain.dedup();
        self.vain = vain;
    }

    fn is_held(&self, inode: u32) -> bool {
        let at = self.holders.pairs.partition_point(|&(held, _)| held < inode);
        self.holders.pairs.get(at).is_some_and(|&(held, _)| held == inode)
    }
}

/// Visits every process, also after finding a holder: a socket may have several.
fn walk_processes(found: &mut Holders) -> rustix::io::Result<()> {
    let proc = open_directory(CWD, "/proc")?;
    if rustix::fs::fstatfs(&proc)?.f_type != PROC_SUPER_MAGIC {
        // An empty directory in its place would look like a machine without processes.
        return Err(Errno::NOENT);
    }
    match hidepid::hides_processes(&proc) {
        Ok(hides) => found.hides_processes = hides,
        Err(errno) => found.failed = Some(failure(errno)),
    }
    let mut buffer: Vec<u8> = Vec::with_capacity(2 * DIRECTORY_BUFFER);
    let (processes, descriptors) = buffer.spare_capacity_mut().split_at_mut(DIRECTORY_BUFFER);
    let mut entries = RawDir::new(&proc, processes);
    while let Some(entry) = entries.next() {
        if let Some(pid) = decimal(entry?.file_name().to_bytes()) {
            visit(&proc, pid, descriptors, found);
        }
    }
    Ok(())
}

fn visit(proc: &OwnedFd, pid: u32, buffer: &mut [MaybeUninit<u8>], found: &mut Holders) {
    match read_descriptors(proc, pid, buffer, &mut found.pairs) {
        Ok(()) | Err(Errno::NOENT | Errno::SRCH) => {}
        Err(Errno::ACCESS | Errno::PERM) => found.unreadable.extend(unreadable(proc, pid)),
        Err(errno) => found.failed = found.failed.or(Some(failure(errno))),
    }
}

/// Adds (inode, pid) for each socket; EACCES if the directory or some of its links refused.
///
/// The links are read, not followed: following one into a dead network mount would block.
fn read_descriptors(
    proc: &OwnedFd,
    pid: u32,
    buffer: &mut [MaybeUninit<u8>],
    pairs: &mut Vec<(u32, u32)>,
) -> rustix::io::Result<()> {
    let mut path = [0; PATH_LENGTH];
    let directory = open_directory(proc, path_of(pid, "/fd", &mut path))?;
    let mut entries = RawDir::new(&directory, buffer);
    let mut target = [MaybeUninit::uninit(); 64];
    let mut is_refused = false;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !entry.file_name().to_bytes().starts_with(b".") {
            match rustix::fs::readlinkat_raw(&directory, entry.file_name(), &mut target) {
                Ok((target, _)) => pairs.extend(socket_inode(target).map(|inode| (inode, pid))),
                Err(Errno::ACCESS | Errno::PERM) => is_refused = true,
                // Closed meanwhile, or a file whose path exceeds a page: no socket.
                Err(Errno::NOENT | Errno::SRCH | Errno::NAMETOOLONG) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    if is_refused { Err(Errno::ACCESS) } else { Ok(()) }
}

/// None: it is gone, for which the kernel says EACCES too if it happens within readlinkat(2).
fn unreadable(proc: &OwnedFd, pid: u32) -> Option<UnreadableProcess> {
    let mut path = [0; PATH_LENGTH];
    match rustix::fs::statat(proc, path_of(pid, "", &mut path), AtFlags::empty()) {
        Ok(stat) => Some(UnreadableProcess { pid, uid: Some(stat.st_uid) }),
        Err(Errno::NOENT | Errno::SRCH) => None,
        Err(_) => Some(UnreadableProcess { pid, uid: None }),
    }
}

fn open_directory(
    at: impl rustix::fd::AsFd,
    path: impl rustix::path::Arg,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

/// Ten digits, `/fd` and a NUL at least.
const PATH_LENGTH: usize = 16;

/// `PID` and `tail` without an allocation.
fn path_of<'a>(pid: u32, tail: &str, path: &'a mut [u8; PATH_LENGTH]) -> &'a CStr {
    use io::Write as _;
    write!(&mut path[..], "{pid}{tail}").expect("ten digits and /fd fit");
    CStr::from_bytes_until_nul(path).expect("ten digits and /fd leave room for a NUL")
}

fn socket_inode(link: &[u8]) -> Option<u32> {
    decimal(link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

fn decimal(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// std has no kind for EMFILE and ENFILE; `Gap` explains the one taken here.
fn failure(errno: Errno) -> io::ErrorKind {
    match errno {
        Errno::MFILE | Errno::NFILE => io::ErrorKind::QuotaExceeded,
        _ => errno.kind(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_to_sockets_have_a_socket_inode() {
        for (link, inode) in [
            (&b"socket:[4294967295]"[..], Some(u32::MAX)),
            (b"socket:[7]", Some(7)),
            (b"socket:[]", None),
            (b"socket:[7", None),
            (b"pipe:[7]", None),
            (b"/tmp/socket:[7]", None),
            (b"anon_inode:[eventfd]", None),
        ] {
            assert_eq!(socket_inode(link), inode);
        }
    }

    #[test]
    fn the_longest_pid_fits_its_path() {
        let mut path = [0; PATH_LENGTH];
        assert_eq!(path_of(u32::MAX, "/fd", &mut path), c"4294967295/fd");
    }

    #[test]
    fn running_out_of_descriptors_is_told_apart_from_other_failures() {
        assert_eq!(failure(Errno::MFILE), io::ErrorKind::QuotaExceeded);
        assert_eq!(failure(Errno::NFILE), io::ErrorKind::QuotaExceeded);
        assert_eq!(failure(Errno::NOENT), io::ErrorKind::NotFound);
    }
}
