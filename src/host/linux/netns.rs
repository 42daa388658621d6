//! Other network namespaces: how one is found, and how a thread enters it. Not what is in it.

mod census;
mod mounts;

use std::{
    ffi::OsStr,
    fmt, fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    thread,
};

use rustix::{
    fd::{AsFd as _, OwnedFd},
    fs::{FsWord, Mode, OFlags, PROC_SUPER_MAGIC},
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::{
    domain::{NamespaceName, Text},
    host::HostError,
};

pub use census::{Census, all};

/// Magic of the file system whose files are namespaces (`linux/magic.h`).
const NSFS_MAGIC: FsWord = 0x6e73_6673;

/// Where iproute2 mounts those that have a name.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// How many of those that exist are named where an unknown one was asked for.
const MOST_NAMED: usize = 8;

/// A network namespace, held: it stays alive and the same one.
#[derive(Debug)]
pub struct Namespace {
    /// Inode number; one for each namespace of any kind on the machine.
    pub id: u64,
    /// Its name in /run/netns, else `pid N (comm)`, else the path it was found by.
    pub name: NamespaceName,
    link: OwnedFd,
}

#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    #[error(
        "there is no network namespace '{asked}': use a name in /run/netns, a pid or a path{known}"
    )]
    Unknown { asked: Text, known: Known },
    #[error(
        "no right to enter network namespace '{name}': grant CAP_SYS_ADMIN and CAP_SYS_PTRACE in the host's user namespace (root of the host has them)"
    )]
    MissingRight { name: Text },
    #[error(
        "'{path}' is no network namespace: use a name in /run/netns, a pid or a path like /proc/PID/ns/net"
    )]
    NotANamespace { path: Text },
    #[error(transparent)]
    Host(#[from] HostError),
}

/// The first names of those that exist, as far as we see.
#[derive(Debug)]
pub struct Known {
    names: Vec<Text>,
    more: usize,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, name) in self.names.iter().enumerate() {
            write!(f, "{}{name}", if number == 0 { "; there are " } else { ", " })?;
        }
        if self.more > 0 { write!(f, " and {} more", self.more) } else { Ok(()) }
    }
}

impl Namespace {
    fn new(path: &Path, (link, id): (OwnedFd, u64), registered: Option<Text>) -> Self {
        let is_registered = registered.is_some();
        let text = registered.unwrap_or_else(|| label(path));
        Self { id, name: NamespaceName { text, is_registered }, link }
    }

    /// Moves the calling thread, and the threads that it starts from now on, for good.
    ///
    /// Costs a look at /proc where the thread is there already, which needs no right.
    pub fn enter(&self) -> io::Result<()> {
        if fs::metadata("/proc/thread-self/ns/net").is_ok_and(|ours| ours.ino() == self.id) {
            return Ok(());
        }
        let kind = Some(LinkNameSpaceType::Network);
        Ok(move_into_link_name_space(self.link.as_fd(), kind)?)
    }

    /// What `enter` said, told to whoever asked for this namespace.
    fn explain(&self, error: io::Error) -> NamespaceError {
        let name = self.name.text.clone();
        match Errno::from_io_error(&error) {
            Some(Errno::PERM) => NamespaceError::MissingRight { name },
            // The kind is checked before the right (`validate_ns`, setns(2)).
            Some(Errno::INVAL) => NamespaceError::NotANamespace { path: name },
            _ => HostError::new(&format!("enter network namespace '{name}'"), error).into(),
        }
    }
}

/// Runs `body` in a thread of its own that is in the namespace; the calling thread stays where it
/// is.
///
/// Errors: see [`Namespace::enter`]; or the system gives no thread.
pub fn inside<T: Send>(
    namespace: &Namespace,
    body: impl FnOnce() -> T + Send,
) -> Result<T, NamespaceError> {
    thread::scope(|scope| {
        let entered = || namespace.enter().map(|()| body());
        let started = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, entered);
        let thread = started.map_err(|error| HostError::new("start a thread", error))?;
        let result = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result.map_err(|error| namespace.explain(error))
    })
}

/// By a name in /run/netns, by the pid of a process or thread, or by a path: what has a slash is a
/// path, and a name goes before a pid, as in ip-netns(8).
///
/// Whether we may enter it is not known before it is tried.
pub fn find(asked: &OsStr) -> Result<Namespace, NamespaceError> {
    let shown = Text::scrub(asked.as_bytes());
    for path in places(asked) {
        match open(&path) {
            Ok((link, id)) => {
                return Ok(Namespace::new(&path, (link, id), mounts::read()?.name_of(id)));
            }
            Err(Unopened::Missing) => {}
            Err(Unopened::Forbidden) => return Err(NamespaceError::MissingRight { name: shown }),
            Err(Unopened::NotANamespace) => {
                return Err(NamespaceError::NotANamespace { path: shown });
            }
            Err(Unopened::Failed(error)) => return Err(could_not_open(&path, error).into()),
        }
    }
    Err(NamespaceError::Unknown { asked: shown, known: known()? })
}

/// Where one that was asked for may be.
fn places(asked: &OsStr) -> Vec<PathBuf> {
    if asked.as_bytes().contains(&b'/') {
        return vec![asked.into()];
    }
    let mut places: Vec<_> = NAMED.map(|folder| Path::new(folder).join(asked)).into();
    if let Some(pid) = asked.to_str().and_then(as_pid) {
        places.push(link_of(pid));
    }
    places
}

/// Digits only: no sign, no blank.
fn as_pid(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Of a process or of a thread: /proc/TID is not listed, but there.
fn link_of(pid: u32) -> PathBuf {
    format!("/proc/{pid}/ns/net").into()
}

/// `pid N (comm)` of a process's link, else the path.
fn label(path: &Path) -> Text {
    let pid = path
        .to_str()
        .and_then(|path| path.strip_prefix("/proc/")?.strip_suffix("/ns/net"))
        .and_then(as_pid);
    pid.map_or_else(|| Text::scrub(path.as_os_str().as_bytes()), label_of)
}

/// `pid N (comm)`; without the comm where the process has just ended.
fn label_of(pid: u32) -> Text {
    let mut label = format!("pid {pid}").into_bytes();
    if let Ok(comm) = fs::read(format!("/proc/{pid}/comm")) {
        label.extend([b" (", comm.strip_suffix(b"\n").unwrap_or(&comm), b")"].concat());
    }
    Text::scrub(label)
}

/// Why a path leads to no namespace.
enum Unopened {
    Missing,
    Forbidden,
    NotANamespace,
    /// No descriptors, no memory.
    Failed(Errno),
}

impl From<Errno> for Unopened {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::SRCH | Errno::NAMETOOLONG => Self::Missing,
            Errno::ACCESS | Errno::PERM => Self::Forbidden,
            errno => Self::Failed(errno),
        }
    }
}

/// A namespace of any kind and its inode number.
fn open(path: &Path) -> Result<(OwnedFd, u64), Unopened> {
    // To open what is none might do something: a device, a pipe.
    match rustix::fs::statfs(path)?.f_type {
        NSFS_MAGIC => {}
        PROC_SUPER_MAGIC if is_link(path) => return Err(Unopened::Forbidden),
        _ => return Err(Unopened::NotANamespace),
    }
    let link = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let id = rustix::fs::fstat(&link)?.st_ino;
    Ok((link, id))
}

/// Whether it is one of `/proc/PID/ns`. Linux 5.10 does not follow that of a process that we may not
/// see: statfs(2) then says what the link itself is on, without an error (6.1: EACCES).
fn is_link(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with("ns"))
}

fn could_not_open(path: &Path, errno: Errno) -> HostError {
    HostError::new(&format!("open {}", Text::scrub(path.as_os_str().as_bytes())), errno)
}

fn known() -> Result<Known, HostError> {
    let mut names: Vec<Text> = all()?.namespaces.into_iter().map(|found| found.name.text).collect();
    let more = names.len().saturating_sub(MOST_NAMED);
    names.truncate(MOST_NAMED);
    Ok(Known { names, more })
}
