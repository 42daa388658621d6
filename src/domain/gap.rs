//! What a scan could not see, why, and what would help. Not a finding about the ports.

use std::{fmt, io};

use crate::domain::{Protocol, Text};

/// A table of the kernel that is dumped by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    Tcp,
    Tcp4,
    Tcp6,
    Udp4,
    Udp6,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Tcp4 => "TCP over IPv4",
            Self::Tcp6 => "TCP over IPv6",
            Self::Udp4 => "UDP over IPv4",
            Self::Udp6 => "UDP over IPv6",
        })
    }
}

impl Table {
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Tcp | Self::Tcp4 | Self::Tcp6 => Protocol::Tcp,
            Self::Udp4 | Self::Udp6 => Protocol::Udp,
        }
    }
}

/// Something that a snapshot lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Sockets whose owner some unreadable process may be.
    OwnersHidden { sockets: u32, processes: u32 },
    /// Sockets whose owner some process may be that `/proc` does not even list (`hidepid=`).
    OwnersInvisible { sockets: u32 },
    /// `/proc` itself could not be walked; `QuotaExceeded` stands for EMFILE and ENFILE.
    OwnersUnreadable { sockets: u32, error: io::ErrorKind },
    /// The kernel said that a dump was interrupted, each time we tried.
    DumpInterrupted { table: Table },
    /// A message of the dump did not fit or made no sense.
    DumpTruncated { table: Table },
    /// The table could not be read at all.
    TableRefused { table: Table, error: io::ErrorKind },
    /// Netlink was refused; `/proc/net` stands in, which lists no bound-inactive TCP sockets.
    NetlinkRefused { error: io::ErrorKind },
    /// As `NetlinkRefused`: nor does it tell which IPv6 sockets take IPv4 too.
    DualStackUntold { error: io::ErrorKind },
    /// The self-test showed that the kernel does not list bound-inactive TCP sockets.
    BoundInactiveUnlisted { assumed: bool },
    /// A sysctl could not be read; the kernel's default is shown.
    PolicyAssumed { sysctl: Text },
    /// A limit, counter or table of `Vitals`; `FileTooLarge`: it has more than we read.
    VitalsUnread { what: &'static str, path: &'static str, error: io::ErrorKind },
}

impl Gap {
    /// `what` of those that keep bound-inactive sockets from being listed.
    pub const BOUND_INACTIVE: &str = "bound-inactive sockets";

    /// What is missing, for `missing[].what` and the status bar.
    pub fn what(&self) -> &'static str {
        match self {
            Self::OwnersHidden { .. }
            | Self::OwnersInvisible { .. }
            | Self::OwnersUnreadable { .. } => "owners",
            Self::DumpInterrupted { .. }
            | Self::DumpTruncated { .. }
            | Self::TableRefused { .. } => "sockets",
            Self::NetlinkRefused { .. } | Self::BoundInactiveUnlisted { .. } => {
                Self::BOUND_INACTIVE
            }
            Self::DualStackUntold { .. } => "dual-stack marks",
            Self::PolicyAssumed { .. } => "ephemeral policy",
            Self::VitalsUnread { what, .. } => what,
        }
    }

    /// Whose sockets are missing; None: of both, or no sockets.
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::DumpInterrupted { table }
            | Self::DumpTruncated { table }
            | Self::TableRefused { table, .. } => Some(table.protocol()),
            Self::NetlinkRefused { .. } | Self::BoundInactiveUnlisted { .. } => Some(Protocol::Tcp),
            _ => None,
        }
    }

    /// How many are missing; None when that cannot be known.
    pub fn count(&self) -> Option<u32> {
        match self {
            Self::OwnersHidden { sockets, .. }
            | Self::OwnersInvisible { sockets }
            | Self::OwnersUnreadable { sockets, .. } => Some(*sockets),
            _ => None,
        }
    }

    pub fn why(&self) -> String {
        match self {
            Self::OwnersHidden { processes, .. } => {
                format!(
                    "permission denied on the descriptors of {}",
                    count_of(*processes, "process", "processes")
                )
            }
            Self::OwnersInvisible { .. } => {
                "/proc is mounted with hidepid, which hides other users' processes".to_owned()
            }
            Self::OwnersUnreadable { error: io::ErrorKind::QuotaExceeded, .. } => {
                "no descriptor was free to read /proc with".to_owned()
            }
            Self::OwnersUnreadable { error, .. } => format!("/proc cannot be read: {error}"),
            Self::DumpInterrupted { table } => {
                format!("the {table} table changed during each of our dumps")
            }
            Self::DumpTruncated { table } => {
                format!("the kernel's dump of the {table} table was cut short")
            }
            Self::TableRefused { table, error } => format!("the {table} table: {error}"),
            Self::NetlinkRefused { error } | Self::DualStackUntold { error } => {
                format!("sock_diag refused ({error}); /proc/net read instead")
            }
            Self::BoundInactiveUnlisted { assumed: false } => {
                "this kernel does not list them".to_owned()
            }
            Self::BoundInactiveUnlisted { assumed: true } => {
                "assumed from the kernel's version: the self-test could not bind a port".to_owned()
            }
            Self::PolicyAssumed { sysctl } => {
                format!("{sysctl} cannot be read; the kernel's default is assumed")
            }
            Self::VitalsUnread { path, error: io::ErrorKind::FileTooLarge, .. } => {
                format!("{path} is larger than we read at once")
            }
            Self::VitalsUnread { path, error, .. } => format!("{path}: {error}"),
        }
    }

    /// What would help.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::OwnersHidden { .. } => {
                "run as root, or grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
            }
            Self::OwnersInvisible { .. } => {
                "run as root, or mount /proc without hidepid for this user"
            }
            Self::OwnersUnreadable { error: io::ErrorKind::QuotaExceeded, .. } => {
                "raise the limit of open files (ulimit -n)"
            }
            Self::OwnersUnreadable { .. } => "mount /proc, without hidepid for this user",
            Self::DumpInterrupted { .. } | Self::DumpTruncated { .. } => "scan again",
            Self::TableRefused { .. } => "allow NETLINK_SOCK_DIAG, or mount /proc",
            Self::NetlinkRefused { .. } | Self::DualStackUntold { .. } => "allow NETLINK_SOCK_DIAG",
            Self::BoundInactiveUnlisted { .. } => "Linux 6.8 or newer lists them",
            Self::PolicyAssumed { .. } => "mount /proc/sys",
            Self::VitalsUnread { path, error, .. } => vitals_remedy(path, *error),
        }
    }
}

/// One line: what, how many, why, what would help.
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} missing", self.what())?;
        if let Some(count) = self.count() {
            write!(f, " for {}", count_of(count, "socket", "sockets"))?;
        }
        write!(f, ": {} ({})", self.why(), self.remedy())
    }
}

fn vitals_remedy(path: &str, error: io::ErrorKind) -> &'static str {
    match error {
        io::ErrorKind::PermissionDenied => "run as root",
        _ if path.ends_with("stat/nf_conntrack") => "conntrack -S tells them",
        _ if path.ends_with("nf_conntrack") => "conntrack -L lists them",
        _ => "mount /proc",
    }
}

fn count_of(count: u32, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
