//! Who holds a socket, and what is known of that process. Does not search for processes.

use std::{collections::BTreeMap, ops::RangeInclusive};

use crate::domain::{Text, notation::NamedProcess};

/// The pids that Linux gives to processes: below PID_MAX_LIMIT (include/linux/threads.h).
pub const PIDS: RangeInclusive<u32> = 1..=4_194_303;

/// The owner of a socket. `P`: its pids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnerOf<P> {
    /// The visible processes with a descriptor of the socket, by pid, ascending.
    Process(P),
    /// The kernel: TIME-WAIT and orphaned sockets, which their process has closed, and sockets of
    /// tunnels.
    Kernel,
    /// As `Kernel`, but it is known which processes held the socket before they closed it.
    Departed(P),
    /// The processes of the listener, for a connection that is not accepted yet.
    Backlog(P),
    /// A process or a descriptor table that is not visible here.
    Hidden,
    /// The processes that may hold the socket were searched, and none holds it: it belongs to the
    /// kernel, its descriptor is in flight (SCM_RIGHTS), or it waits for accept() and its listener
    /// was not found.
    Nobody,
    /// The first walk that searched for the socket did not find it: it may have been opened or
    /// closed during the scan, or a hidden process may hold it.
    Unresolved,
    /// Owners were not looked up in this scan.
    #[default]
    NotAsked,
}

pub type Owner<'a> = OwnerOf<&'a [u32]>;

/// `Owner` as stored in a socket. Pids are a span of `Snapshot::pids`.
pub type Holder = OwnerOf<Span>;

impl<P> OwnerOf<P> {
    /// Converts the pids.
    pub fn map<Q>(self, convert: impl FnOnce(P) -> Q) -> OwnerOf<Q> {
        match self {
            Self::Process(pids) => OwnerOf::Process(convert(pids)),
            Self::Kernel => OwnerOf::Kernel,
            Self::Departed(pids) => OwnerOf::Departed(convert(pids)),
            Self::Backlog(pids) => OwnerOf::Backlog(convert(pids)),
            Self::Hidden => OwnerOf::Hidden,
            Self::Nobody => OwnerOf::Nobody,
            Self::Unresolved => OwnerOf::Unresolved,
            Self::NotAsked => OwnerOf::NotAsked,
        }
    }
}

impl<'a> Owner<'a> {
    /// Returns `owner.kind` of the JSON output; None if owners were not looked up.
    pub fn kind(self) -> Option<&'static str> {
        Some(match self {
            Self::Process(_) => "process",
            Self::Kernel => "kernel",
            Self::Departed(_) => "departed",
            Self::Backlog(_) => "backlog",
            Self::Hidden => "hidden",
            Self::Nobody => "none",
            Self::Unresolved => "unresolved",
            Self::NotAsked => return None,
        })
    }

    /// Returns the processes that hold or held the socket, or its listener. Empty if there are
    /// none.
    pub fn pids(self) -> &'a [u32] {
        match self {
            Self::Process(pids) | Self::Departed(pids) | Self::Backlog(pids) => pids,
            _ => &[],
        }
    }
}

/// `length` pids of `Snapshot::pids`, starting at `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: u32,
    pub length: u32,
}

/// What is known about a process that owns sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// The name in /proc/PID/comm.
    pub name: Text,
    /// The command line, its arguments separated by spaces, or the name in brackets if there are
    /// none. None: it could not be read.
    pub command: Option<Text>,
    /// The effective uid; None: unknown.
    pub uid: Option<u32>,
    /// Start time in seconds since 1970; None when it could not be read.
    pub started: Option<u64>,
    /// The systemd unit or container of the process, from its control group. None: it has none, or
    /// the control group was not read.
    pub unit: Option<Text>,
    /// The current working directory. None: it could not be read.
    pub directory: Option<Text>,
    /// None: the process has no parent that is visible here.
    pub parent: Option<ParentProcess>,
}

impl Process {
    /// Returns a process of which nothing else is known.
    pub fn new(pid: u32, name: Text) -> Self {
        Self {
            pid,
            name,
            command: None,
            uid: None,
            started: None,
            unit: None,
            directory: None,
            parent: None,
        }
    }
}

/// The words with which the name of a container begins; `k8s` if only its pod is known.
const CONTAINERS: [&str; 5] = ["container", "docker", "podman", "lxc", "k8s"];

/// Returns whether `Process::unit` names a container, such as `docker 3f2a1b0c9d8e`, and not a
/// systemd unit, whose name has no space (systemd.unit(5)).
pub fn is_container(unit: &Text) -> bool {
    unit.as_str().split_once(' ').is_some_and(|(engine, _)| CONTAINERS.contains(&engine))
}

/// The process that started another one, or that took it over when its parent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentProcess {
    pub pid: u32,
    /// None: the name could not be read.
    pub name: Option<Text>,
}

/// The processes described so far, by pid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessTable(BTreeMap<u32, Process>);

impl ProcessTable {
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.0.get(&pid)
    }

    /// Names a process; only by its pid if it is not described.
    pub fn named(&self, pid: u32) -> NamedProcess<'_> {
        NamedProcess { name: self.get(pid).map(|process| &process.name), pid }
    }

    pub fn insert(&mut self, process: Process) {
        self.0.insert(process.pid, process);
    }

    /// Removes processes for which `keep` returns false, because they own nothing any longer.
    pub fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        self.0.retain(|&pid, _| keep(pid));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.0.values()
    }
}

impl FromIterator<Process> for ProcessTable {
    fn from_iter<I: IntoIterator<Item = Process>>(processes: I) -> Self {
        Self(processes.into_iter().map(|p| (p.pid, p)).collect())
    }
}

/// User names by uid, from `/etc/passwd`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    names: BTreeMap<u32, Text>,
    unmapped: Option<u32>,
}

impl Users {
    /// Sets the uid that the kernel shows for uids that the user namespace of portscope does not
    /// map; None: it maps all. `is_mapped`: a user of the namespace has the same uid.
    #[must_use]
    pub fn with_unmapped(mut self, uid: Option<u32>, is_mapped: bool) -> Self {
        if let Some(uid) = uid
            && !is_mapped
        {
            self.names.remove(&uid);
        }
        self.unmapped = uid;
        self
    }

    /// Returns the user's name. None: the uid has no name here, or represents unmapped users.
    pub fn name(&self, uid: u32) -> Option<&Text> {
        self.names.get(&uid).filter(|_| !self.is_unmapped(uid))
    }

    /// Names the user: `alice`, `unmapped user`, `uid 1000`.
    pub fn label(&self, uid: u32) -> String {
        let name = self.name(uid).map(ToString::to_string).or_else(|| self.unmapped(uid));
        name.unwrap_or_else(|| format!("uid {uid}"))
    }

    /// Returns the uids that have this name, ascending.
    pub fn named(&self, name: &str) -> impl Iterator<Item = u32> {
        let uids = self.names.keys().copied();
        uids.filter(move |&uid| self.name(uid).is_some_and(|known| known.as_str() == name))
    }

    /// Returns the uid that represents all users of the host that have no uid here. None: there is
    /// none.
    pub fn unmapped_uid(&self) -> Option<u32> {
        self.unmapped
    }

    /// Returns whether the uid represents all users of the host that have no uid here.
    pub fn is_unmapped(&self, uid: u32) -> bool {
        self.unmapped == Some(uid)
    }

    /// Returns `unmapped user`, or `unmapped user or user nobody` if a user of the namespace (here:
    /// nobody) has the uid, too. None: the uid does not represent unmapped users.
    pub fn unmapped(&self, uid: u32) -> Option<String> {
        self.is_unmapped(uid).then(|| match self.names.get(&uid) {
            Some(name) => format!("unmapped user or user {name}"),
            None => "unmapped user".to_owned(),
        })
    }
}

impl FromIterator<(u32, Text)> for Users {
    /// The first name of a uid wins, as in getpwuid(3).
    fn from_iter<I: IntoIterator<Item = (u32, Text)>>(names: I) -> Self {
        let mut users = BTreeMap::new();
        for (uid, name) in names {
            users.entry(uid).or_insert(name);
        }
        Self { names: users, unmapped: None }
    }
}
