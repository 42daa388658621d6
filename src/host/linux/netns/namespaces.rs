//! Lists the network namespaces of the machine, and the reasons why others may be missing. Enters
//! none of them.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs::{self, File, ReadDir},
    io,
    path::Path,
};

use rustix::fd::OwnedFd;

use crate::{
    domain::UnseenNamespaces,
    host::{
        HostError,
        linux::{
            netns::{
                Namespace, Unopened, could_not_open, link_of,
                mounts::{self, Mounts, parse_link},
                open,
            },
            owners::hidepid::hides_processes,
        },
    },
};

/// The distinct network namespaces of the machine, each with an open descriptor.
pub struct NamespaceList {
    /// Ordered by the lowest pid in each; namespaces without a process come last.
    pub namespaces: Vec<Namespace>,
    /// Why others may be missing.
    pub unseen: Vec<UnseenNamespaces>,
}

/// Lists the namespaces of all threads in /proc, and those that a mount keeps alive (/run/netns).
///
/// Does not find a namespace that only an open descriptor, a socket, or a mount in another mount
/// namespace keeps alive. Costs a readlink(2) for each thread of the machine, and keeps a
/// descriptor open for each namespace.
///
/// Errors: /proc cannot be read at all, or a namespace cannot be opened, for example because no
/// descriptor is left.
pub fn all() -> Result<NamespaceList, HostError> {
    let mut walk =
        Walk { mounts: mounts::read()?, known: HashSet::new(), found: vec![], unread: 0 };
    let hides = walk.visit_processes()?;
    walk.visit_mounts()?;
    let threads = walk.unread;
    let unread = (threads > 0).then_some(UnseenNamespaces::Unread { threads });
    let invisible = hides.then_some(UnseenNamespaces::Invisible);
    Ok(NamespaceList {
        namespaces: walk.found,
        unseen: unread.into_iter().chain(invisible).collect(),
    })
}

struct Walk {
    mounts: Mounts,
    known: HashSet<u64>,
    found: Vec<Namespace>,
    /// Number of threads, processes and mounts whose namespace could not be read.
    unread: u32,
}

impl Walk {
    /// Visits all threads that /proc lists. Returns whether /proc hides processes (`hidepid`).
    fn visit_processes(&mut self) -> Result<bool, HostError> {
        let failed = |error| HostError::new("read /proc", error);
        let proc: OwnedFd = File::open("/proc").map_err(failed)?.into();
        let mut path = String::new();
        for pid in numbers(fs::read_dir("/proc").map_err(failed)?) {
            path.clear();
            write!(path, "/proc/{pid}/task").expect("a String takes all text");
            match fs::read_dir(&path) {
                Ok(threads) => self.visit_threads(pid, threads, &mut path)?,
                Err(error) => self.miss(&error),
            }
        }
        hides_processes(&proc).map_err(|errno| failed(errno.into()))
    }

    fn visit_threads(
        &mut self,
        pid: u32,
        threads: ReadDir,
        path: &mut String,
    ) -> Result<(), HostError> {
        for thread in numbers(threads) {
            path.clear();
            write!(path, "/proc/{pid}/task/{thread}/ns/net").expect("a String takes all text");
            match fs::read_link(&*path) {
                Ok(link) => {
                    let id = link.to_str().and_then(parse_link);
                    if id.is_none_or(|id| !self.known.contains(&id)) {
                        self.take(&link_of(thread))?;
                    }
                }
                Err(error) => self.miss(&error),
            }
        }
        Ok(())
    }

    fn visit_mounts(&mut self) -> Result<(), HostError> {
        let is_new = |(id, _): &(u64, &Path)| !self.known.contains(id);
        let points: Vec<_> =
            self.mounts.iter().filter(is_new).map(|(_, point)| point.to_owned()).collect();
        for point in points {
            self.take(&point)?;
        }
        Ok(())
    }

    fn take(&mut self, path: &Path) -> Result<(), HostError> {
        match open(path) {
            Ok((link, id)) if self.known.insert(id) => {
                self.found.push(Namespace::new(path, (link, id), self.mounts.name_of(id)));
            }
            Ok(_) | Err(Unopened::Missing) => {}
            // `NotANamespace` is possible because another mount may cover this one.
            Err(Unopened::Forbidden | Unopened::NotANamespace) => self.unread += 1,
            Err(Unopened::Failed(errno)) => return Err(could_not_open(path, errno)),
        }
        Ok(())
    }

    /// Counts a link that could not be read, unless its process or thread has ended.
    fn miss(&mut self, error: &io::Error) {
        let has_ended = error.kind() == io::ErrorKind::NotFound
            || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error());
        self.unread += u32::from(!has_ended);
    }
}

/// Returns the entries of a directory in /proc that are numbers: pids or thread IDs.
fn numbers(folder: ReadDir) -> impl Iterator<Item = u32> {
    folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
