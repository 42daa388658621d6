//! Describes what a scan could not see, why, and what would help. Does not judge the ports.

mod remedy;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::domain::{Errno, PortSet, Protocol, Text, notation};

/// A socket table that is dumped separately. `Tcp` has the sockets of both address families.
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

/// Information that a snapshot lacks. `sockets` is the number of sockets without a visible owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Sockets may be held by processes whose descriptors portscope has no permission to read.
    OwnersHidden { sockets: u32, processes: u32 },
    /// As `OwnersHidden`, where running as root would not help: portscope already runs as root, or
    /// in a user namespace.
    OwnersRefused { sockets: u32, processes: u32, missing_privilege: MissingPrivilege },
    /// Sockets may be held by processes that `/proc` does not list (`hidepid=`).
    OwnersInvisible { sockets: u32 },
    /// Sockets may be held by processes of pid namespaces that `/proc` does not show.
    OwnersElsewhere { sockets: u32 },
    /// Sockets may be held by threads whose own descriptor tables were not read. `error` is None if
    /// the tables were too large, EFBIG if a process has too many of them.
    OwnersOfThreads { sockets: u32, threads: u32, error: Option<Errno> },
    /// Reading `/proc` itself failed, or reading a process failed for a reason other than
    /// permission. `sockets` may be 0.
    OwnersUnreadable { sockets: u32, error: Errno },
    /// The kernel reported on every attempt that the dump was interrupted (`NLM_F_DUMP_INTR`).
    DumpInterrupted { table: Table },
    /// A message of the dump or a line of `/proc/net` was truncated or malformed.
    DumpTruncated { table: Table },
    /// The table could be read neither through netlink nor from `/proc/net`. `error` is that of
    /// `/proc/net`.
    TableRefused { table: Table, error: Errno },
    /// Netlink was refused for TCP. `/proc/net` was read instead, which lists no bound-inactive
    /// sockets.
    NetlinkRefused { error: Errno },
    /// Netlink was refused. `/proc/net` does not show which IPv6 sockets also accept IPv4.
    DualStackUnknown { error: Errno },
    /// The kernel does not list bound-inactive TCP sockets, as the self-test showed. `assumed`: the
    /// self-test could not bind a port, and the kernel's version decided.
    BoundInactiveUnlisted { assumed: bool },
    /// TCP sockets that no table lists may be bound to ports that could not be read. `error` is
    /// None if there were too many sockets to read.
    PortsUnread { holders: Vec<UnreadPorts>, error: Option<Errno> },
    /// Ports of TCP sockets whose connection was refused or has ended. A port is still bound if its
    /// number was given to bind(), and free if the kernel chose it.
    PortsInDoubt { ports: PortSet },
    /// The names of some owners are unknown, because /proc/PID/stat could not be read.
    ProcessesUnread { processes: u32, error: Errno },
    /// A sysctl of `Ephemeral` could not be read. The kernel's default is used instead.
    PolicyAssumed { sysctl: Text, error: Errno },
    /// A limit, counter or table of `Vitals` could not be read. EFBIG: it is too large to read.
    VitalsUnread { what: &'static str, path: &'static str, error: Errno },
}

/// What portscope lacks, other than being root, to see the descriptors of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingPrivilege {
    /// CAP_SYS_PTRACE or CAP_DAC_READ_SEARCH.
    Capability,
    /// portscope runs in a user namespace other than the host's.
    UserNamespace,
    /// Unknown: possibly a security module, or a process that nobody may inspect.
    Unknown,
}

/// The number of TCP sockets of a process that may be bound to unknown ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadPorts {
    pub pid: u32,
    pub sockets: u32,
}

/// Maximum number of processes or ports that `why` lists individually.
const MAX_NAMED: usize = 3;

impl Gap {
    /// The result of `what` for gaps that hide bound-inactive sockets.
    pub const BOUND_INACTIVE: &str = "bound-inactive sockets";
    /// The sysctls that `PolicyAssumed` may name.
    pub const RANGE: &str = "net.ipv4.ip_local_port_range";
    pub const RESERVED: &str = "net.ipv4.ip_local_reserved_ports";
    pub const UNPRIVILEGED_START: &str = "net.ipv4.ip_unprivileged_port_start";

    /// Returns what is missing, for `missing[].what` in JSON and for the header of the screen.
    pub fn what(&self) -> &'static str {
        match self {
            Self::OwnersHidden { .. }
            | Self::OwnersRefused { .. }
            | Self::OwnersInvisible { .. }
            | Self::OwnersElsewhere { .. }
            | Self::OwnersOfThreads { .. }
            | Self::OwnersUnreadable { .. } => "owners",
            Self::DumpInterrupted { .. }
            | Self::DumpTruncated { .. }
            | Self::TableRefused { .. } => "sockets",
            Self::NetlinkRefused { .. }
            | Self::BoundInactiveUnlisted { .. }
            | Self::PortsUnread { .. }
            | Self::PortsInDoubt { .. } => Self::BOUND_INACTIVE,
            Self::DualStackUnknown { .. } => "dual-stack marks",
            Self::ProcessesUnread { .. } => "process names",
            Self::PolicyAssumed { .. } => "ephemeral policy",
            Self::VitalsUnread { what, .. } => what,
        }
    }

    /// Returns the table that is missing or incomplete. None: the gap is not about a table.
    pub fn table(&self) -> Option<Table> {
        match *self {
            Self::DumpInterrupted { table }
            | Self::DumpTruncated { table }
            | Self::TableRefused { table, .. } => Some(table),
            _ => None,
        }
    }

    /// Returns the protocol whose sockets are missing; None: both protocols, or no sockets.
    pub fn protocol(&self) -> Option<Protocol> {
        let of_bound = || self.hides_bound_inactive().then_some(Protocol::Tcp);
        self.table().map(Table::protocol).or_else(of_bound)
    }

    /// Returns the number of sockets, or of ports for `PortsInDoubt`, that the gap concerns. None:
    /// the gap does not count sockets or ports.
    pub fn count(&self) -> Option<u32> {
        match self {
            Self::PortsUnread { holders, .. } => {
                Some(holders.iter().map(|holder| holder.sockets).sum())
            }
            Self::PortsInDoubt { ports } => Some(ports.len()),
            other => other.hidden_owners(),
        }
    }

    /// Returns whether, because of this gap, a TCP socket may be bound to a port without being
    /// listed.
    pub fn hides_bound_inactive(&self) -> bool {
        matches!(
            self,
            Self::NetlinkRefused { .. }
                | Self::BoundInactiveUnlisted { .. }
                | Self::PortsUnread { .. }
                | Self::PortsInDoubt { .. }
        )
    }

    /// Returns whether the ephemeral range or the list of reserved ports is assumed.
    pub fn hides_capacity(&self) -> bool {
        let sysctls = [Self::RANGE, Self::RESERVED];
        matches!(self, Self::PolicyAssumed { sysctl, .. } if sysctls.contains(&sysctl.as_str()))
    }

    /// Returns the number of sockets without a visible owner. None: the gap is not about owners.
    pub fn hidden_owners(&self) -> Option<u32> {
        match self {
            Self::OwnersHidden { sockets, .. }
            | Self::OwnersRefused { sockets, .. }
            | Self::OwnersInvisible { sockets }
            | Self::OwnersElsewhere { sockets }
            | Self::OwnersOfThreads { sockets, .. }
            | Self::OwnersUnreadable { sockets, .. } => Some(*sockets),
            _ => None,
        }
    }

    /// Sets the number of sockets without a visible owner, after some sockets were filtered out.
    /// Has no effect on gaps that are not about owners.
    pub fn set_hidden_owners(&mut self, count: u32) {
        match self {
            Self::OwnersHidden { sockets, .. }
            | Self::OwnersRefused { sockets, .. }
            | Self::OwnersInvisible { sockets }
            | Self::OwnersElsewhere { sockets }
            | Self::OwnersOfThreads { sockets, .. }
            | Self::OwnersUnreadable { sockets, .. } => *sockets = count,
            _ => {}
        }
    }

    /// Returns why the information is missing, in a few words.
    pub fn why(&self) -> String {
        match self {
            Self::OwnersHidden { processes, .. } => {
                format!("permission denied on the descriptors of {}", of_processes(*processes))
            }
            Self::OwnersRefused { processes, missing_privilege, .. } => format!(
                "permission denied on the descriptors of {}, {}",
                of_processes(*processes),
                match missing_privilege {
                    MissingPrivilege::UserNamespace => "in a user namespace",
                    MissingPrivilege::Capability | MissingPrivilege::Unknown =>
                        "although running as root",
                }
            ),
            Self::OwnersInvisible { .. } => {
                "/proc is mounted with hidepid, which hides other users' processes".to_owned()
            }
            Self::OwnersElsewhere { .. } => {
                "processes of other pid namespaces are not visible here".to_owned()
            }
            Self::OwnersOfThreads { threads, error, .. } => unread_threads(*threads, *error),
            Self::OwnersUnreadable { error, .. } if error.is_out_of_descriptors() => {
                format!("no file descriptor was free to read /proc ({error})")
            }
            Self::OwnersUnreadable { error, .. } => format!("/proc cannot be read ({error})"),
            Self::DumpInterrupted { table } => {
                format!("the {table} table changed during each dump")
            }
            Self::DumpTruncated { table } => {
                format!("the kernel's dump of the {table} table was truncated")
            }
            Self::TableRefused { table, error } => {
                format!("the {table} table cannot be read ({error})")
            }
            Self::NetlinkRefused { error } | Self::DualStackUnknown { error } => {
                format!("sock_diag was refused ({error}); /proc/net was read instead")
            }
            Self::BoundInactiveUnlisted { assumed: false } => {
                "this kernel does not list them".to_owned()
            }
            Self::BoundInactiveUnlisted { assumed: true } => {
                "assumed from the kernel's version: the self-test could not bind a port".to_owned()
            }
            Self::PortsUnread { holders, error } => unread_ports(holders, *error),
            Self::PortsInDoubt { ports } => ports_in_doubt(ports),
            Self::ProcessesUnread { processes, error } => {
                format!("/proc/PID/stat of {} cannot be read ({error})", of_processes(*processes))
            }
            Self::PolicyAssumed { sysctl, error } if error.is_out_of_descriptors() => format!(
                "no file descriptor was free to read {sysctl} ({error}); the kernel's default is \
                 assumed"
            ),
            Self::PolicyAssumed { sysctl, .. } => {
                format!("{sysctl} cannot be read; the kernel's default is assumed")
            }
            Self::VitalsUnread { path, error: Errno::EFBIG, .. } => {
                format!("{path} is too large to read")
            }
            Self::VitalsUnread { path, error, .. } => format!("{path}: {error}"),
        }
    }

    /// Returns what would help.
    pub fn remedy(&self) -> &'static str {
        remedy::of(self)
    }
}

/// Prints one line: what, how many, why, what would help.
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.count()) {
            // It is unknown whether the sockets of `PortsUnread` and `PortsInDoubt` are bound. With
            // a count of 0, reading `/proc` failed, but each listed socket has an owner.
            (Self::PortsUnread { .. } | Self::PortsInDoubt { .. }, _) | (_, Some(0)) => {
                write!(f, "{} may be missing", self.what())?;
            }
            (_, Some(count)) => {
                write!(f, "{} missing for {}", self.what(), notation::counted(count, "socket"))?;
            }
            (_, None) => write!(f, "{} missing", self.what())?,
        }
        write!(f, ": {} ({})", self.why(), self.remedy())
    }
}

fn unread_threads(threads: u32, error: Option<Errno>) -> String {
    let of = notation::counted(threads, "thread");
    let (tables, are) = match threads {
        1 => (format!("the descriptor table of {of}"), "is"),
        _ => (format!("the descriptor tables of {of}"), "are"),
    };
    match error {
        Some(Errno::EFBIG) => format!("a process has too many tables: {tables} {are} unread"),
        Some(error) => format!("{tables} cannot be read ({error})"),
        None => format!("{tables} {are} too large to read"),
    }
}

/// Returns `the ports of 3 TCP sockets of pid 812, 1 TCP socket of pid 90 are unknown: …`.
fn unread_ports(holders: &[UnreadPorts], error: Option<Errno>) -> String {
    let mut parts: Vec<String> = holders
        .iter()
        .take(MAX_NAMED)
        .map(|UnreadPorts { pid, sockets }| {
            format!("{} of pid {pid}", notation::counted(*sockets, "TCP socket"))
        })
        .collect();
    let others = holders.iter().skip(MAX_NAMED);
    let more: u32 = others.clone().map(|holder| holder.sockets).sum();
    if more > 0 {
        let others = others.count() as u32;
        let processes = notation::counted(others, "more process");
        parts.push(format!("{} of {processes}", notation::counted(more, "TCP socket")));
    }
    let reason = match error {
        Some(error) => format!("pidfd_getfd refused ({error})"),
        None => "there are too many to read".to_owned(),
    };
    format!("the ports of {} are unknown: {reason}", parts.join(", "))
}

/// Returns `port 4000 had a connection that was refused or has ended: …`.
fn ports_in_doubt(ports: &PortSet) -> String {
    let count = ports.len();
    let mut names: Vec<String> =
        ports.iter().take(MAX_NAMED).map(|port| port.to_string()).collect();
    if count > MAX_NAMED as u32 {
        names.push(format!("{} more", count - MAX_NAMED as u32));
    }
    let [noun, pronoun] = if count == 1 { ["port", "it"] } else { ["ports", "them"] };
    format!(
        "{noun} {} had a connection that was refused or has ended: still bound if given to bind(), \
         free if the kernel chose {pronoun}; this kernel does not show which",
        names.join(", ")
    )
}

fn of_processes(count: u32) -> String {
    notation::counted(count, "process")
}
