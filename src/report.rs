//! Writes reports about the ports of a machine as text, JSON, CSV or metrics. Does not scan.

mod columns;
pub mod csv;
pub mod diagnose;
pub mod explain;
mod exposition;
pub mod free;
pub mod json;
pub mod lab;
mod listed;
mod page;
mod paragraph;
pub mod pick;
pub mod reserve;
mod rows;
pub mod text;
pub mod wait;

use std::{collections::BTreeSet, fmt};

use crate::domain::{Process, ProcessTable, Snapshot, Socket};

pub use diagnose::{Health, Status};
pub use explain::Explanation;
pub use listed::{ListedGroups, ListedSockets};
pub use page::{Page, PageStyle};
pub use pick::{Collision, NoPort, Pick, TracedAttempt};

/// A snapshot, and the processes that own its sockets, as far as they could be read.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    pub snapshot: &'a Snapshot,
    pub processes: &'a ProcessTable,
}

impl<'a> Scan<'a> {
    /// Returns the user of a socket. None: the kernel reports no uid (TIME-WAIT, orphans).
    fn user(self, socket: &Socket) -> Option<User<'a>> {
        socket.uid.map(|uid| self.user_of(uid))
    }

    fn user_of(self, uid: u32) -> User<'a> {
        let users = &self.snapshot.machine.users;
        match (users.name(uid), users.unmapped(uid)) {
            (Some(name), _) => User::Named(name.as_str()),
            (None, Some(words)) => User::Unmapped(words),
            (None, None) => User::Nameless(uid),
        }
    }

    /// Names the processes of a socket's owner: `nginx[812], nginx[813]`.
    fn names(self, socket: &Socket) -> String {
        let pids = self.snapshot.owner(socket).pids();
        let names: Vec<_> = pids.iter().map(|&pid| self.processes.named(pid).to_string()).collect();
        names.join(", ")
    }

    /// Returns the pids of the owners of these sockets, ascending.
    fn pids(self, sockets: &[Socket]) -> BTreeSet<u32> {
        sockets.iter().flat_map(|socket| self.snapshot.owner(socket).pids()).copied().collect()
    }

    /// Returns the pids of a socket's owner, each with its process. None: the process was not read,
    /// usually because it ended before.
    fn owners(self, socket: &Socket) -> impl Iterator<Item = (u32, Option<&'a Process>)> {
        let pids = self.snapshot.owner(socket).pids();
        pids.iter().map(move |&pid| (pid, self.processes.get(pid)))
    }
}

/// The user of a socket: a name, the uid if it has no name, or words for an unmapped uid.
enum User<'a> {
    Named(&'a str),
    Nameless(u32),
    /// A user of the host that has no uid in this user namespace, as worded by `Users::unmapped`.
    Unmapped(String),
}

impl User<'_> {
    fn is_known(&self) -> bool {
        !matches!(self, Self::Unmapped(_))
    }
}

impl fmt::Display for User<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.pad(name),
            Self::Nameless(uid) => uid.fmt(f),
            Self::Unmapped(words) => f.pad(words),
        }
    }
}
