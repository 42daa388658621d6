//! Reads one descriptor table: /proc/PID/fd, or /proc/PID/task/TID/fd. Does not choose the process
//! or thread.

use std::{ffi::CStr, io::Write as _, mem::MaybeUninit};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Mode, OFlags, RawDir},
    io::Errno,
    path::Arg,
};

/// What was found in descriptor tables.
#[derive(Default)]
pub(super) struct Found {
    /// Pairs of socket inode and pid.
    pub pairs: Vec<(u32, u32)>,
    /// The descriptors of the sockets. None: the caller does not need them.
    pub socket_descriptors: Option<Vec<SocketDescriptor>>,
    /// The descriptors of io_uring instances.
    pub rings: Vec<Ring>,
}

impl Found {
    pub fn clear(&mut self) {
        self.pairs.clear();
        self.rings.clear();
    }
}

/// A descriptor of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketDescriptor {
    pub inode: u32,
    pub pid: u32,
    /// The thread, if the table is not that of the process.
    pub tid: Option<u32>,
    pub descriptor: u32,
}

/// A descriptor of an io_uring; `tid` as in `SocketDescriptor`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    pub pid: u32,
    pub tid: Option<u32>,
    pub descriptor: u32,
}

/// Reads tables below /proc, one at a time, through one buffer.
pub(super) struct ProcTables<'a> {
    pub proc: &'a OwnedFd,
    pub buffer: &'a mut [MaybeUninit<u8>],
}

impl ProcTables<'_> {
    /// Adds the sockets of a process, or of one of its threads, and returns the number of all
    /// descriptors. Errors: EACCES if the directory or some of its links cannot be read; the others
    /// are added.
    ///
    /// Does not follow the links: following one into a dead network mount would block.
    pub fn read(
        &mut self,
        pid: u32,
        tid: Option<u32>,
        found: &mut Found,
    ) -> rustix::io::Result<u32> {
        let directory = open_directory(self.proc, Path::of(pid, tid, "/fd").as_c_str())?;
        let mut entries = RawDir::new(&directory, &mut *self.buffer);
        let mut target = [MaybeUninit::uninit(); 64];
        let (mut count, mut is_refused) = (0, false);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_bytes().starts_with(b".") {
                continue;
            }
            count += 1;
            match rustix::fs::readlinkat_raw(&directory, name, &mut target) {
                Ok((target, _)) => found.add(target, pid, tid, name.to_bytes()),
                Err(Errno::ACCESS | Errno::PERM) => is_refused = true,
                // The descriptor was closed meanwhile, or its path is longer than a page, so it is
                // not a socket.
                Err(Errno::NOENT | Errno::SRCH | Errno::NAMETOOLONG) => {}
                Err(errno) => return Err(errno),
            }
        }
        if is_refused { Err(Errno::ACCESS) } else { Ok(count) }
    }
}

impl Found {
    fn add(&mut self, link: &[u8], pid: u32, tid: Option<u32>, name: &[u8]) {
        if let Some(inode) = socket_inode(link) {
            self.pairs.push((inode, pid));
            if let (Some(socket_descriptors), Some(descriptor)) =
                (&mut self.socket_descriptors, decimal(name))
            {
                socket_descriptors.push(SocketDescriptor { inode, pid, tid, descriptor });
            }
        } else if link == b"anon_inode:[io_uring]" {
            self.rings.extend(decimal(name).map(|descriptor| Ring { pid, tid, descriptor }));
        }
    }
}

pub(super) fn open_directory(at: impl AsFd, path: impl Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

/// Opens a file below /proc for reading.
pub(super) fn open_file(at: impl AsFd, path: impl Arg) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(at, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Calls `visit` for each entry of a directory in /proc that is a number: a pid or a thread ID.
pub(super) fn each_number(
    directory: &OwnedFd,
    buffer: &mut [MaybeUninit<u8>],
    mut visit: impl FnMut(u32) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    let mut entries = RawDir::new(directory, buffer);
    while let Some(entry) = entries.next() {
        if let Some(number) = decimal(entry?.file_name().to_bytes()) {
            visit(number)?;
        }
    }
    Ok(())
}

/// A path relative to /proc, built without allocation.
pub(super) struct Path([u8; Path::LENGTH]);

impl Path {
    /// Room for three numbers of ten digits, `/task/`, `/fdinfo/` and a NUL.
    const LENGTH: usize = 48;

    /// Returns `PID` or `PID/task/TID`, followed by `tail`.
    pub fn of(pid: u32, tid: Option<u32>, tail: &str) -> Self {
        let mut path = [0; Self::LENGTH];
        let written = match tid {
            Some(tid) => write!(&mut path[..], "{pid}/task/{tid}{tail}"),
            None => write!(&mut path[..], "{pid}{tail}"),
        };
        written.expect("two numbers and a short tail fit");
        Self(path)
    }

    pub fn of_fdinfo(ring: Ring) -> Self {
        let Ring { pid, tid, descriptor } = ring;
        let mut tail = [0; 20];
        write!(&mut tail[..], "/fdinfo/{descriptor}").expect("one number fits");
        let length = tail.iter().position(|&byte| byte == 0).unwrap_or(tail.len());
        Self::of(pid, tid, str::from_utf8(&tail[..length]).unwrap_or_default())
    }

    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).expect("there is room for a NUL")
    }
}

pub(super) fn socket_inode(link: &[u8]) -> Option<u32> {
    decimal(link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

pub(super) fn decimal(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
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
        let path = Path::of(u32::MAX, Some(u32::MAX), "/fd");
        assert_eq!(path.as_c_str(), c"4294967295/task/4294967295/fd");
        assert_eq!(Path::of(u32::MAX, None, "/fd").as_c_str(), c"4294967295/fd");
        let (pid, descriptor) = (u32::MAX, u32::MAX);
        let path = Path::of_fdinfo(Ring { pid, tid: None, descriptor });
        assert_eq!(path.as_c_str(), c"4294967295/fdinfo/4294967295");
        let path = Path::of_fdinfo(Ring { pid, tid: Some(u32::MAX), descriptor });
        assert_eq!(path.as_c_str(), c"4294967295/task/4294967295/fdinfo/4294967295");
    }
}
