//! Claims the path of a socket exclusively: holds a lock file beside the path, and makes sure that
//! no file exists at the path. Does not create the socket.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Seek as _, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

use crate::{
    domain::Text,
    host::{
        HostError,
        lease_socket::SocketError,
        linux::{lease_socket::listeners, users},
    },
};

/// The first line of every lock file that portscope writes.
const MARK: &str = "portscope serve lock 1";

/// Maximum number of bytes read from a lock file; portscope writes fewer.
const MAX_LOCK_BYTES: usize = 256;

/// A path that is ours while this value exists. Dropping it removes first the socket, then the lock
/// file.
pub struct Claim {
    path: PathBuf,
    lock: Lock,
    /// Our socket, once it exists.
    socket: Option<Identity>,
}

impl Claim {
    /// Claims `path`, and makes sure that no file exists there. Removes an existing socket only if
    /// the lock file shows that an earlier portscope of this user created it, and if no process
    /// uses it. Errors: another process holds the lock, the lock file cannot be used, or the file
    /// at the path must not be removed.
    pub fn acquire(path: &Path) -> Result<Self, SocketError> {
        let mut lock = Lock::take(path)?;
        make_room(path, lock.recorded)?;
        lock.write(None)?;
        Ok(Self { path: path.to_owned(), lock, socket: None })
    }

    /// Remembers the socket that is at the path now as ours, and records it in the lock file for
    /// the next portscope.
    pub fn record_socket(&mut self) -> Result<(), SocketError> {
        self.socket = Identity::at(&self.path);
        self.lock.write(self.socket)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.socket.is_some() && self.socket == Identity::at(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn make_room(path: &Path, recorded: Option<Identity>) -> Result<(), SocketError> {
    let socket_path = shown(path);
    let could_not =
        |operation: &str, error| HostError::new(&format!("{operation} {socket_path}"), error);
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(could_not("inspect", error).into()),
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket { socket_path });
    }
    let is_in_use = listeners::is_in_use(path);
    if is_in_use.map_err(|error| could_not("look for a listener of", error))? {
        return Err(SocketError::Foreign { socket_path });
    }
    let is_ours = found.uid() == users::effective() && recorded == Some(Identity::of(&found));
    if !is_ours {
        return Err(SocketError::Abandoned { socket_path });
    }
    fs::remove_file(path).map_err(|error| could_not("remove", error).into())
}

/// A file that is locked while this process serves. The kernel unlocks it however the process ends.
struct Lock {
    path: PathBuf,
    file: File,
    /// The socket that an earlier portscope recorded.
    recorded: Option<Identity>,
    /// Whether this process created or wrote the file. Only then is it removed on drop.
    is_ours: bool,
}

impl Lock {
    fn take(socket: &Path) -> Result<Self, SocketError> {
        let path = with_suffix(socket);
        loop {
            let (file, is_new) = open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Err(SocketError::Served { socket_path: shown(socket) });
                }
                Err(errno) => return Err(could_not_lock(&path, errno)),
            }
            let mut lock = Self { path: path.clone(), file, recorded: None, is_ours: is_new };
            // The previous holder may have removed the file before we locked it. Such a lock
            // protects nothing, because others lock a new file.
            if lock.is_in_place() {
                lock.read()?;
                return Ok(lock);
            }
        }
    }

    /// Reads the recorded socket. An empty file is accepted as a lock that records nothing: another
    /// portscope may have just created it, or ended before it wrote to it.
    fn read(&mut self) -> Result<(), SocketError> {
        let mut text = Vec::new();
        let read = (&self.file).take(MAX_LOCK_BYTES as u64).read_to_end(&mut text);
        read.map_err(|error| could_not_lock(&self.path, error))?;
        if text.is_empty() {
            return Ok(());
        }
        let mut lines = str::from_utf8(&text).unwrap_or_default().lines();
        if lines.next() != Some(MARK) {
            return Err(not_a_lock(&self.path));
        }
        self.recorded = lines.next().and_then(Identity::parse);
        Ok(())
    }

    fn write(&mut self, socket: Option<Identity>) -> Result<(), SocketError> {
        let record = socket.map(|socket| format!("{socket}\n")).unwrap_or_default();
        let text = format!("{MARK}\n{record}");
        let mut file = &self.file;
        let written = file.rewind().and_then(|()| file.set_len(0));
        let written = written.and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|error| could_not_lock(&self.path, error))?;
        self.is_ours = true;
        Ok(())
    }

    fn is_in_place(&self) -> bool {
        let own = self.file.metadata().ok().map(|found| Identity::of(&found));
        own.is_some() && own == Identity::at(&self.path)
    }
}

impl Drop for Lock {
    /// Removes the file while it is locked, so that no other process can have locked it.
    fn drop(&mut self) {
        if self.is_ours && self.is_in_place() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens the lock file, and returns whether it was created. Follows no symbolic link, does not
/// block on a pipe, and accepts only a file of this user that has no other hard link.
fn open(path: &Path) -> Result<(File, bool), SocketError> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(flags.bits().cast_signed());
    loop {
        match options.clone().create_new(true).mode(0o600).open(path) {
            Ok(file) => return Ok((file, true)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(could_not_lock(path, error)),
        }
        match options.open(path) {
            Ok(file) => {
                let found = file.metadata().map_err(|error| could_not_lock(path, error))?;
                // The link count is 0 if the file was removed since it was opened.
                if found.is_file() && found.uid() == users::effective() && found.nlink() <= 1 {
                    return Ok((file, false));
                }
                return Err(not_a_lock(path));
            }
            // Removed since the first attempt.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // A symbolic link (ELOOP), a directory (EISDIR) or a socket (ENXIO).
            Err(error) if is_no_file(&error) => return Err(not_a_lock(path)),
            Err(error) => return Err(could_not_lock(path, error)),
        }
    }
}

/// Identifies a file. Inode numbers are reused, so the creation time is included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// Creation time in nanoseconds since 1970; 0 if the file system does not record it.
    created_at: u128,
}

impl Identity {
    fn of(found: &fs::Metadata) -> Self {
        let created_at =
            found.created().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let created_at = created_at.map_or(0, |created_at| created_at.as_nanos());
        Self { device: found.dev(), inode: found.ino(), created_at }
    }

    fn at(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().map(|found| Self::of(&found))
    }

    fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.strip_prefix("socket ")?.split(' ');
        let device = numbers.next()?.parse().ok()?;
        let inode = numbers.next()?.parse().ok()?;
        let created_at = numbers.next()?.parse().ok()?;
        numbers.next().is_none().then_some(Self { device, inode, created_at })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socket {} {} {}", self.device, self.inode, self.created_at)
    }
}

fn is_no_file(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::LOOP, Errno::ISDIR, Errno::NXIO].contains(&errno))
}

fn not_a_lock(path: &Path) -> SocketError {
    SocketError::NotALock { lock: shown(path) }
}

fn could_not_lock(path: &Path, error: impl Into<io::Error>) -> SocketError {
    HostError::new(&format!("use the lock file {}", shown(path)), error).into()
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn shown(path: &Path) -> String {
    Text::scrub(path.as_os_str().as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_record_survives_a_round_trip() {
        let socket =
            Identity { device: 65_024, inode: u64::MAX, created_at: 1_798_000_000_123_456_789 };
        assert_eq!(Identity::parse(&socket.to_string()), Some(socket));
        for line in ["", "socket", "socket 1 2", "socket 1 2 3 4", "socket 1 2 x", "lock 1 2 3"] {
            assert_eq!(Identity::parse(line), None, "{line}");
        }
    }
}
