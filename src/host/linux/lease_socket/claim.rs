//! The right to a socket's path: a lock file beside it, and nobody else's socket on it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

use crate::{
    domain::Text,
    host::{
        HostError,
        linux::lease_socket::{SocketError, listeners},
    },
};

/// A path that is ours as long as this is. Dropping it removes first the socket, then the lock.
pub struct Claim {
    path: PathBuf,
    _lock: Lock,
    /// Device and inode of our socket, once it is made.
    socket: Option<(u64, u64)>,
}

impl Claim {
    /// Afterwards nothing is at the path. A socket that an earlier portscope left there, by its lock,
    /// is removed.
    pub fn stake(path: &Path) -> Result<Self, SocketError> {
        let lock = Lock::take(path)?;
        make_room(path, lock.was_left)?;
        Ok(Self { path: path.to_owned(), _lock: lock, socket: None })
    }

    /// What is at the path now is ours.
    pub fn settle(&mut self) {
        self.socket = fs::symlink_metadata(&self.path).ok().map(|found| identity(&found));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).ok();
        if self.socket.is_some() && found.map(|found| identity(&found)) == self.socket {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn make_room(path: &Path, was_left: bool) -> Result<(), SocketError> {
    let place = shown(path);
    let could_not = |operation: &str, error| HostError::new(&format!("{operation} {place}"), error);
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(could_not("look at", error).into()),
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket { place });
    }
    let has_listener = listeners::has_listener(path);
    if has_listener.map_err(|error| could_not("see who listens at", error))? {
        return Err(SocketError::Foreign { place });
    }
    if !was_left {
        return Err(SocketError::Abandoned { place });
    }
    fs::remove_file(path).map_err(|error| could_not("remove", error).into())
}

/// An empty file that is locked as long as we serve; the kernel unlocks it however we end.
struct Lock {
    path: PathBuf,
    file: File,
    /// It was there before us, and unlocked: an earlier portscope was killed.
    was_left: bool,
}

impl Lock {
    fn take(socket: &Path) -> Result<Self, SocketError> {
        let path = with_suffix(socket);
        loop {
            let (file, was_left) = open(&path)?;
            let taken = flock(&file, FlockOperation::NonBlockingLockExclusive);
            match taken {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Err(SocketError::Served { place: shown(socket) });
                }
                Err(errno) => return Err(could_not_lock(&path, errno)),
            }
            let lock = Self { path: path.clone(), file, was_left };
            // Whoever had it may have removed it before we locked it: then it is no lock any more.
            if lock.is_in_place() {
                return Ok(lock);
            }
        }
    }

    fn is_in_place(&self) -> bool {
        let ours = self.file.metadata().map(|found| identity(&found));
        let there = fs::symlink_metadata(&self.path).map(|found| identity(&found));
        matches!((ours, there), (Ok(ours), Ok(there)) if ours == there)
    }
}

impl Drop for Lock {
    /// While it is locked, so that nobody else has locked it meanwhile. One that is left without our
    /// socket would make any socket there look like ours.
    fn drop(&mut self) {
        if self.is_in_place() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// True: it was there already. Follows no link, waits for no pipe, and takes no file that is not
/// empty for a lock of ours.
fn open(path: &Path) -> Result<(File, bool), SocketError> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(flags.bits().cast_signed());
    loop {
        match options.clone().create_new(true).mode(0o600).open(path) {
            Ok(file) => return Ok((file, false)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(could_not_lock(path, error)),
        }
        match options.open(path) {
            Ok(file) => {
                let found = file.metadata().map_err(|error| could_not_lock(path, error))?;
                if found.is_file() && found.len() == 0 {
                    return Ok((file, true));
                }
                return Err(SocketError::NotALock { lock: shown(path) });
            }
            // Removed since.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // ENXIO: a socket.
            Err(error) if is_no_file(&error) => {
                return Err(SocketError::NotALock { lock: shown(path) });
            }
            Err(error) => return Err(could_not_lock(path, error)),
        }
    }
}

fn is_no_file(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::LOOP, Errno::ISDIR, Errno::NXIO].contains(&errno))
}

fn could_not_lock(path: &Path, error: impl Into<io::Error>) -> SocketError {
    HostError::new(&format!("make the lock file {}", shown(path)), error).into()
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn shown(path: &Path) -> String {
    Text::scrub(path.as_os_str().as_bytes()).to_string()
}

fn identity(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}
