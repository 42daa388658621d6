//! Finds other network namespaces, and moves threads into them. Does not examine their contents.

mod mounts;
mod namespaces;

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread::{self, ScopedJoinHandle},
};

use rustix::{
    fd::{AsFd as _, OwnedFd},
    fs::{FsWord, Mode, OFlags, PROC_SUPER_MAGIC},
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::{
    domain::{NamespaceName, Text, notation::NamedProcess},
    host::{
        HostError,
        linux::{first_of, parse_digits, process_status},
    },
};

pub use namespaces::{NamespaceList, all};

/// Magic number of the file system whose files are namespaces (`linux/magic.h`).
const NSFS_MAGIC: FsWord = 0x6e73_6673;

/// Where iproute2 mounts named namespaces.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// Maximum number of existing namespaces shown in the error for an unknown one.
const MAX_NAMED: usize = 8;

/// A network namespace with an open descriptor. The descriptor keeps the namespace alive, so this
/// value always refers to the same one.
#[derive(Debug)]
pub struct Namespace {
    /// Inode number; unique among all namespaces of any kind on the machine.
    pub id: u64,
    /// Its name in /run/netns, or a process in it (`nginx[812]`), or else the path by which it was
    /// found.
    pub name: NamespaceName,
    link: OwnedFd,
}

#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    #[error(
        "unknown network namespace '{asked}': expected a name in /run/netns, a pid or a path{known}"
    )]
    Unknown { asked: Text, known: String },
    /// A number that is neither a pid nor a name.
    #[error("no process {asked} in /proc, and no network namespace '{asked}' in /run/netns")]
    NoProcess { asked: Text },
    #[error(
        "no permission to enter network namespace '{name}': run as root of the host, or grant \
         CAP_SYS_ADMIN and CAP_SYS_PTRACE in the host's user namespace"
    )]
    MissingRight { name: Text },
    #[error(
        "'{path}' is not a network namespace: expected a name in /run/netns, a pid or a path like \
         /proc/PID/ns/net"
    )]
    NotANamespace { path: Text },
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Namespace {
    fn new(path: &Path, (link, id): (OwnedFd, u64), registered: Option<Text>) -> Self {
        let is_registered = registered.is_some();
        let text = registered.unwrap_or_else(|| label(path));
        Self { id, name: NamespaceName { text, is_registered }, link }
    }

    /// Moves the calling thread into this namespace for good; threads that it starts later follow.
    ///
    /// If the thread is already there, this only reads /proc, which needs no privilege. Errors:
    /// those of setns(2), such as EPERM without CAP_SYS_ADMIN, and EINVAL if this is a namespace of
    /// another kind.
    pub fn enter(&self) -> io::Result<()> {
        if fs::metadata("/proc/thread-self/ns/net")
            .is_ok_and(|own_namespace| own_namespace.ino() == self.id)
        {
            return Ok(());
        }
        let kind = Some(LinkNameSpaceType::Network);
        Ok(move_into_link_name_space(self.link.as_fd(), kind)?)
    }

    /// Converts an error of `enter` to one that names the namespace.
    fn explain(&self, error: io::Error) -> NamespaceError {
        let name = self.name.text.clone();
        match Errno::from_io_error(&error) {
            Some(Errno::PERM) => NamespaceError::MissingRight { name },
            // The kernel checks the kind before the privilege (`validate_ns`, setns(2)).
            Some(Errno::INVAL) => NamespaceError::NotANamespace { path: name },
            _ => HostError::new(&format!("enter network namespace '{name}'"), error).into(),
        }
    }
}

/// Runs `body` in a separate thread inside the namespace; the calling thread stays where it is.
///
/// Errors: see [`Namespace::enter`]; or no thread can be started.
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

/// Runs `body` for each namespace, in threads outside the namespaces, and for at most `at_once` of them at the
/// same time. Returns the results in the order of the namespaces.
///
/// Errors: no thread can be started.
pub fn for_each<T: Send>(
    namespaces: Vec<Namespace>,
    at_once: usize,
    body: impl Fn(Namespace) -> T + Sync,
) -> Result<Vec<T>, HostError> {
    let threads = at_once.clamp(1, namespaces.len().max(1));
    let waiting = Mutex::new(namespaces.into_iter().enumerate());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut results = Vec::new();
        while let Some((index, namespace)) = next() {
            results.push((index, body(namespace)));
        }
        results
    };
    let mut results = thread::scope(|scope| {
        let start =
            |_| thread::Builder::new().name("netns-each".to_owned()).spawn_scoped(scope, work);
        let started: Vec<_> = (0..threads).map(start).collect::<Result<_, _>>()?;
        let join = |thread: ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        Ok(started.into_iter().flat_map(join).collect::<Vec<_>>())
    })
    .map_err(|error: io::Error| HostError::new("start a thread", error))?;
    results.sort_unstable_by_key(|&(index, _)| index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// Finds a namespace by a name in /run/netns, by the pid of a process or thread, or by a path. Text
/// with a slash is a path, and a name comes before a pid, as for `ip link set DEV netns`.
///
/// Checks neither whether it is a network namespace nor whether this process may enter it.
///
/// Errors: there is no such namespace, or it cannot be opened.
pub fn find(asked: &OsStr) -> Result<Namespace, NamespaceError> {
    let shown = Text::scrub(asked.as_bytes());
    for path in candidate_paths(asked) {
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
    Err(unknown(asked, shown)?)
}

fn unknown(asked: &OsStr, shown: Text) -> Result<NamespaceError, HostError> {
    let pid = asked.to_str().and_then(parse_digits);
    // A process that has ended but is still listed (a zombie) has no network namespace.
    if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
        return Ok(NamespaceError::NoProcess { asked: shown });
    }
    let names: Vec<Text> = all()?.namespaces.into_iter().map(|found| found.name.text).collect();
    let known = first_of("; available here (for a process, use its pid): ", &names, MAX_NAMED);
    Ok(NamespaceError::Unknown { asked: shown, known })
}

/// Returns the name in /run/netns of the namespace with this inode number. None: it has none, or the
/// mounts cannot be read.
pub fn registered_name(id: u64) -> Option<Text> {
    mounts::read().ok()?.name_of(id)
}

/// Returns the paths where the requested namespace may be.
fn candidate_paths(asked: &OsStr) -> Vec<PathBuf> {
    if asked.as_bytes().contains(&b'/') {
        return vec![asked.into()];
    }
    let mut candidate_paths: Vec<_> = NAMED.map(|folder| Path::new(folder).join(asked)).into();
    if let Some(pid) = asked.to_str().and_then(parse_digits) {
        candidate_paths.push(link_of(pid));
    }
    candidate_paths
}

/// Returns the path of the network namespace of a process or thread. /proc/TID exists, although
/// /proc does not list it.
fn link_of(pid: u32) -> PathBuf {
    format!("/proc/{pid}/ns/net").into()
}

/// Returns `nginx[812]` for /proc/812/ns/net, or `pid 812` if the process has just ended. Returns any
/// other path as it is.
fn label(path: &Path) -> Text {
    let pid = path
        .to_str()
        .and_then(|path| path.strip_prefix("/proc/")?.strip_suffix("/ns/net"))
        .and_then(parse_digits);
    let Some(pid) = pid else { return Text::scrub(path.as_os_str().as_bytes()) };
    let name = process_status::name(pid);
    Text::around_scrubbed(NamedProcess { name: name.as_ref(), pid }.to_string())
}

/// Why a path could not be opened as a namespace.
enum Unopened {
    Missing,
    Forbidden,
    NotANamespace,
    /// Another error, such as no descriptor or no memory.
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

/// Opens a namespace of any kind, and returns the descriptor and the inode number.
fn open(path: &Path) -> Result<(OwnedFd, u64), Unopened> {
    // Opening a file of another kind (a device, a pipe) might have side effects.
    match rustix::fs::statfs(path)?.f_type {
        NSFS_MAGIC => {}
        PROC_SUPER_MAGIC if is_link(path) => return Err(Unopened::Forbidden),
        _ => return Err(Unopened::NotANamespace),
    }
    let link = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let id = rustix::fs::fstat(&link)?.st_ino;
    Ok((link, id))
}

/// Returns whether the path is in a directory `ns`, as `/proc/PID/ns/net` is. Linux 5.10 does not
/// follow the link of a process that is not visible: statfs(2) then returns the file system of the
/// link itself, without an error (6.1: EACCES).
fn is_link(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with("ns"))
}

fn could_not_open(path: &Path, errno: Errno) -> HostError {
    HostError::new(&format!("open {}", Text::scrub(path.as_os_str().as_bytes())), errno)
}
