//! What a search for network namespaces could not see, why, and what would help. Not a gap of one.

use std::fmt;

/// Some network namespaces may be missing from the list of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnseenNamespaces {
    /// Of threads whose `/proc/PID/task/TID/ns/net` refused: they may be in others than were found.
    Unread { threads: u32 },
    /// Of processes that `/proc` does not even list (`hidepid=`).
    Invisible,
    /// Found, but not to be entered.
    Refused { namespaces: u32 },
}

impl UnseenNamespaces {
    /// How many are missing; None when that cannot be known.
    pub fn count(self) -> Option<u32> {
        match self {
            Self::Refused { namespaces } => Some(namespaces),
            Self::Unread { .. } | Self::Invisible => None,
        }
    }

    pub fn why(self) -> String {
        match self {
            Self::Unread { threads: 1 } => "the namespace of 1 thread may not be read".to_owned(),
            Self::Unread { threads } => {
                format!("the namespaces of {threads} threads may not be read")
            }
            Self::Invisible => {
                "/proc is mounted with hidepid, which hides other users' processes".to_owned()
            }
            Self::Refused { namespaces: 1 } => "1 was found that may not be entered".to_owned(),
            Self::Refused { namespaces } => {
                format!("{namespaces} were found that may not be entered")
            }
        }
    }

    /// What would help.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Unread { .. } => {
                "grant CAP_SYS_PTRACE in the host's user namespace (root of the host has it)"
            }
            Self::Invisible => "grant CAP_SYS_PTRACE, or mount /proc without hidepid for this user",
            Self::Refused { .. } => {
                "grant CAP_SYS_ADMIN in the host's user namespace (root of the host has it)"
            }
        }
    }
}

/// One line: what, why, what would help.
impl fmt::Display for UnseenNamespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network namespaces missing: {} ({})", self.why(), self.remedy())
    }
}
