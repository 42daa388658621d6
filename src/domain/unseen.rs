//! Describes why network namespaces may be missing from a list, and what would help. The gaps of a
//! scan are in the module `gap`.

use std::fmt;

/// The reason why network namespaces may be missing from the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnseenNamespaces {
    /// `/proc/PID/task/TID/ns/net` of some threads could not be read. Their namespaces may be
    /// missing.
    Unread { threads: u32 },
    /// `/proc` does not list some processes (`hidepid=`). Their namespaces may be missing.
    Invisible,
    /// Some namespaces were found but cannot be entered.
    Refused { namespaces: u32 },
}

impl UnseenNamespaces {
    /// Returns the number of missing namespaces; None if it cannot be known.
    pub fn count(self) -> Option<u32> {
        match self {
            Self::Refused { namespaces } => Some(namespaces),
            Self::Unread { .. } | Self::Invisible => None,
        }
    }

    pub fn why(self) -> String {
        match self {
            Self::Unread { threads: 1 } => "the namespace of 1 thread cannot be read".to_owned(),
            Self::Unread { threads } => {
                format!("the namespaces of {threads} threads cannot be read")
            }
            Self::Invisible => {
                "/proc is mounted with hidepid, which hides other users' processes".to_owned()
            }
            Self::Refused { namespaces: 1 } => "1 namespace cannot be entered".to_owned(),
            Self::Refused { namespaces } => {
                format!("{namespaces} namespaces cannot be entered")
            }
        }
    }

    /// Returns what makes the missing namespaces visible.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Unread { .. } => {
                "run as root of the host, or grant CAP_SYS_PTRACE in the host's user namespace"
            }
            Self::Invisible => "grant CAP_SYS_PTRACE, or mount /proc without hidepid",
            Self::Refused { .. } => {
                "run as root of the host, or grant CAP_SYS_ADMIN in the host's user namespace"
            }
        }
    }
}

/// Prints one line: what is missing, why, and what would help.
impl fmt::Display for UnseenNamespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network namespaces missing: {} ({})", self.why(), self.remedy())
    }
}
