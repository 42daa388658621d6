//! Finds and checks the file that has a certain name in a folder. The folder is opened once.

use std::{
    ffi::{CString, OsStr},
    fs::{File, Metadata},
    io::{self, Read as _},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd, RawFd},
        unix::{
            ffi::OsStrExt as _,
            fs::{FileTypeExt as _, MetadataExt as _},
        },
    },
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags, fcntl_getfl, fcntl_setfl, openat, readlinkat},
    io::Errno,
};

use crate::host::linux::users;

/// Maximum number of symbolic links that are followed, as in the kernel (MAXSYMLINKS).
const MAX_LINKS: u32 = 40;
/// The directory of this process's descriptors.
pub const OPEN_FOLDERS: &str = "/proc/self/fd";

/// A name in an open folder.
#[derive(Debug)]
pub struct FileName {
    pub folder: OwnedFd,
    pub name: CString,
}

/// What exists under a `FileName`.
pub enum ExistingFile {
    None,
    File(Metadata),
    Special,
    /// `/dev/fd/N` of this process.
    Descriptor(RawFd),
}

impl FileName {
    /// Opens the folder of `path`, which is relative to `from`. Errors: `path` has no file name
    /// (EISDIR, or ENOENT if it is empty), or its folder cannot be opened.
    pub fn of(from: BorrowedFd<'_>, path: &[u8]) -> io::Result<Self> {
        let start = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let (folder, name) = path.split_at(start);
        if matches!(name, b"" | b"." | b"..") {
            return Err(if path.is_empty() { Errno::NOENT } else { Errno::ISDIR }.into());
        }
        let folder = if folder.is_empty() { b"." } else { folder };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(from, OsStr::from_bytes(folder), flags, Mode::empty())?;
        Ok(Self { folder, name: CString::new(name)? })
    }

    /// Follows the symbolic links at `path`, and returns the name to which they lead. Does not
    /// follow `/dev/fd/N`. Errors: there are more than `MAX_LINKS` (ELOOP), or one is not safe, see
    /// `check_is_safe`.
    pub fn resolve_links(path: &Path) -> io::Result<Self> {
        let mut file_name = Self::of(CWD, path.as_os_str().as_bytes())?;
        for _ in 0..=MAX_LINKS {
            let Some((link, found)) = file_name.find()? else { return Ok(file_name) };
            if !found.is_symlink() || file_name.descriptor().is_some() {
                return Ok(file_name);
            }
            file_name.check_is_safe(&found)?;
            let target = readlinkat(&link, c"", Vec::new())?;
            file_name = Self::of(file_name.folder.as_fd(), target.as_bytes())?;
        }
        Err(Errno::LOOP.into())
    }

    /// Looks the name up without following a symbolic link. None: nothing has that name.
    fn find(&self) -> io::Result<Option<(File, Metadata)>> {
        match self.open(OFlags::PATH) {
            Ok(found) => {
                let metadata = found.metadata()?;
                Ok(Some((found, metadata)))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn open(&self, flags: OFlags) -> Result<File, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.folder, &self.name, flags, Mode::empty()).map(File::from)
    }

    /// Returns what exists under the name. With a `mark`, accepts a regular file only if it belongs
    /// to this user and is empty or begins with the mark. Errors: what exists must not be written
    /// to or replaced.
    pub fn inspect(&self, mark: Option<&str>) -> io::Result<ExistingFile> {
        let Some((_, found)) = self.find()? else { return Ok(ExistingFile::None) };
        if let Some(number) = self.descriptor() {
            return Ok(ExistingFile::Descriptor(number));
        }
        let kind = found.file_type();
        if kind.is_dir() {
            return Err(Errno::ISDIR.into());
        }
        if kind.is_symlink() {
            return Err(if mark.is_some() { is_link() } else { has_changed() });
        }
        match mark {
            Some(mark) if kind.is_file() => {
                check_owner(&found)?;
                return self.check_is_ours(mark).map(ExistingFile::File);
            }
            _ => self.check_is_safe(&found)?,
        }
        if kind.is_socket() {
            return Err(io::Error::other("it is a socket"));
        }
        Ok(if kind.is_file() { ExistingFile::File(found) } else { ExistingFile::Special })
    }

    /// Returns the number N of `/dev/fd/N`, if the folder is /proc/self/fd.
    fn descriptor(&self) -> Option<RawFd> {
        let number = self.name.to_str().ok()?.parse().ok()?;
        let folder = rustix::fs::fstat(&self.folder).ok()?;
        let own = rustix::fs::stat(OPEN_FOLDERS).ok()?;
        ((folder.st_dev, folder.st_ino) == (own.st_dev, own.st_ino)).then_some(number)
    }

    /// Refuses a file or link that belongs to a user other than root and this one, unless only root
    /// or this user can write to the folder: the other user could redirect or read the report.
    /// Resembles fs.protected_symlinks (proc_sys_fs(5)), but also covers files other than links,
    /// and folders without the sticky bit.
    fn check_is_safe(&self, found: &Metadata) -> io::Result<()> {
        let is_trusted = |uid| uid == 0 || uid == users::effective();
        if is_trusted(found.uid()) {
            return Ok(());
        }
        let folder = rustix::fs::fstat(&self.folder)?;
        // In a user namespace, the host's /dev belongs to a user who is not mapped there.
        let is_unmapped = || {
            folder.st_uid == found.uid()
                && users::unmapped()
                    .is_some_and(|other| other.uid == found.uid() && !other.is_mapped)
        };
        if folder.st_mode & 0o022 == 0 && (is_trusted(folder.st_uid) || is_unmapped()) {
            return Ok(());
        }
        let what = if found.is_symlink() { "it is a symbolic link that" } else { "it" };
        Err(io::Error::other(format!(
            "{what} belongs to user {}, in a directory that others can write to",
            found.uid()
        )))
    }

    /// Checks that the file is ours and begins with `mark` or is empty. Opens the file and checks
    /// the opened file, because the name may refer to another file than before.
    fn check_is_ours(&self, mark: &str) -> io::Result<Metadata> {
        let opened = match self.open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Err(Errno::LOOP) => return Err(is_link()),
            Err(Errno::NOENT | Errno::NXIO) => return Err(has_changed()),
            opened => opened?,
        };
        let found = opened.metadata()?;
        if !found.is_file() {
            return Err(has_changed());
        }
        check_owner(&found)?;
        let mut head = Vec::new();
        opened.take(mark.len() as u64).read_to_end(&mut head)?;
        if head.is_empty() || head == mark.as_bytes() {
            return Ok(found);
        }
        Err(io::Error::other(format!(
            "it was not written by portscope (its first line does not begin with '{}'): move it \
             away, or use another file",
            mark.trim_end()
        )))
    }

    /// Opens a pipe or a device. Does not wait for a reader of the pipe. Writes block as usual.
    /// Errors: the pipe has no reader, or there is no such device (ENXIO).
    pub fn open_special(&self) -> io::Result<File> {
        let opened = match self.open(OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Err(Errno::NXIO) => {
                return Err(io::Error::other(
                    "it is a pipe without a reader, or its device does not exist",
                ));
            }
            Err(Errno::LOOP | Errno::NOENT) => return Err(has_changed()),
            opened => opened?,
        };
        if opened.metadata()?.is_file() {
            return Err(has_changed());
        }
        fcntl_setfl(&opened, fcntl_getfl(&opened)? - OFlags::NONBLOCK)?;
        Ok(opened)
    }
}

fn check_owner(found: &Metadata) -> io::Result<()> {
    if found.uid() == users::effective() { Ok(()) } else { Err(belongs_to(found)) }
}

pub fn belongs_to(found: &Metadata) -> io::Error {
    let (owner, own_uid) = (found.uid(), users::effective());
    io::Error::other(format!(
        "it belongs to user {owner}, not to user {own_uid} who runs portscope"
    ))
}

fn is_link() -> io::Error {
    io::Error::other("it is a symbolic link, which would be replaced: use the path of its target")
}

pub fn has_changed() -> io::Error {
    io::Error::other("another process has changed it")
}
