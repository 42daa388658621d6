//! Who holds a socket, and what is known of that process. Not how it was found out.

use std::collections::BTreeMap;

use crate::domain::Text;

/// Who holds a socket, as contract.md defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// Every process with a descriptor of it, by pid, ascending.
    Process(&'a [u32]),
    /// TIME-WAIT and orphans: closed by its process.
    Kernel,
    /// As `Kernel`, and these processes had it.
    Departed(&'a [u32]),
    /// Not yet accepted: the processes of its listener.
    Backlog(&'a [u32]),
    /// Some process, or table of descriptors, that is not visible here.
    Hidden,
    /// No process shows it, and all were looked at: a kernel socket, a descriptor in flight.
    Nobody,
    /// Not found by one walk and not looked for before: opened or closed during the scan.
    Unresolved,
    /// Owners were not looked up in this scan.
    NotAsked,
}

impl<'a> Owner<'a> {
    /// `owner.kind` in JSON; None where owners were not asked for.
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

    pub fn pids(self) -> &'a [u32] {
        match self {
            Self::Process(pids) | Self::Departed(pids) | Self::Backlog(pids) => pids,
            _ => &[],
        }
    }
}

/// `Owner` as a socket stores it: pids are a span of the snapshot's pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holder {
    Process(Span),
    Kernel,
    Departed(Span),
    Backlog(Span),
    Hidden,
    Nobody,
    Unresolved,
    #[default]
    NotAsked,
}

/// `length` pids from `first` on in `Snapshot::pids`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: u32,
    pub length: u32,
}

/// What is told of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub name: Text,
    /// The command line, its arguments separated by spaces; None when it could not be read.
    pub command: Option<Text>,
    pub uid: Option<u32>,
    /// Seconds since 1970; None when it could not be read.
    pub started: Option<u64>,
    /// The systemd unit or container it runs in, from its control group; None: none, or not read.
    pub unit: Option<Text>,
}

/// The owners described so far, by pid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessTable(BTreeMap<u32, Process>);

impl ProcessTable {
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.0.get(&pid)
    }

    pub fn insert(&mut self, process: Process) {
        self.0.insert(process.pid, process);
    }

    /// Forgets processes that own nothing any more.
    pub fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        self.0.retain(|&pid, _| keep(pid));
    }

    pub fn len(&self) -> usize {
        self.0.len()
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

/// User names by uid, as `/etc/passwd` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    names: BTreeMap<u32, Text>,
    unmapped: Option<u32>,
}

impl Users {
    /// With the uid that the kernel shows in place of those that our user namespace does not map;
    /// None: it maps all. `is_mapped`: a user of the namespace has this uid, too.
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

    /// None: the uid has no name here, or means any user.
    pub fn name(&self, uid: u32) -> Option<&Text> {
        self.names.get(&uid).filter(|_| !self.is_unmapped(uid))
    }

    /// The uid means all users of the host that have no uid here.
    pub fn is_unmapped(&self, uid: u32) -> bool {
        self.unmapped == Some(uid)
    }

    /// `unmapped user`, or `unmapped user or nobody` where a user of the namespace has the uid, too.
    pub fn unmapped(&self, uid: u32) -> Option<String> {
        self.is_unmapped(uid).then(|| match self.names.get(&uid) {
            Some(name) => format!("unmapped user or {name}"),
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
