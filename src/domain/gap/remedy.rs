//! Returns what would close a gap, in a few words. Does not say what is missing.

use crate::domain::{Errno, Gap, gap::MissingPrivilege};

const RAISE_LIMIT: &str =
    "raise the limit of open files: ulimit -n for EMFILE, sysctl fs.file-max for ENFILE";
const LOAD_MODULES: &str = "modprobe -a tcp_diag udp_diag (CONFIG_INET_DIAG, CONFIG_INET_UDP_DIAG)";

/// Returns the remedy. Only `OwnersHidden` advises `run as root`: this gap never occurs for root,
/// but each of the others may.
pub(super) fn of(gap: &Gap) -> &'static str {
    match gap {
        Gap::OwnersHidden { .. } => "run as root, or grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
        Gap::OwnersRefused { missing_privilege, .. } => for_missing_privilege(*missing_privilege),
        Gap::OwnersInvisible { .. } => "grant CAP_SYS_PTRACE, or mount /proc without hidepid",
        Gap::OwnersElsewhere { .. } => {
            "run in the host's pid namespace (docker run --pid=host, hostPID: true), or in that of \
             the container with the socket (kubectl debug --target)"
        }
        Gap::OwnersOfThreads { error: None, .. } => {
            "grant CAP_SYS_PTRACE and allow kcmp(2), which shows the tables that threads share"
        }
        Gap::OwnersOfThreads { error: Some(Errno::EFBIG), .. } => "lsof -K reads all of them",
        Gap::OwnersOfThreads { .. } => "grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
        Gap::OwnersUnreadable { error, .. }
        | Gap::ProcessesUnread { error, .. }
        | Gap::PolicyAssumed { error, .. }
        | Gap::TableRefused { error, .. }
            if error.is_out_of_descriptors() =>
        {
            RAISE_LIMIT
        }
        Gap::OwnersUnreadable { .. } | Gap::ProcessesUnread { .. } => {
            "mount /proc, without hidepid"
        }
        Gap::DumpInterrupted { .. } | Gap::DumpTruncated { .. } => "scan again",
        Gap::TableRefused { .. } => "allow NETLINK_SOCK_DIAG, or mount /proc",
        Gap::NetlinkRefused { error } | Gap::DualStackUnknown { error } => of_netlink(*error),
        Gap::BoundInactiveUnlisted { .. } => {
            "Linux 6.8 or newer lists them; on older kernels all processes must be visible, as for \
             root in the host's pid namespace"
        }
        Gap::PortsUnread { error: Some(error), .. } if error.is_out_of_descriptors() => RAISE_LIMIT,
        Gap::PortsUnread { error: Some(_), .. } => "grant CAP_SYS_PTRACE, and allow pidfd_getfd",
        Gap::PortsUnread { error: None, .. } | Gap::PortsInDoubt { .. } => {
            "Linux 6.8 or newer lists them by NETLINK_SOCK_DIAG"
        }
        Gap::PolicyAssumed { .. } => "mount /proc/sys",
        Gap::VitalsUnread { path, error, .. } => of_vitals(path, *error),
    }
}

fn for_missing_privilege(missing_privilege: MissingPrivilege) -> &'static str {
    match missing_privilege {
        MissingPrivilege::Capability => {
            "grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, which root lacks here"
        }
        MissingPrivilege::UserNamespace => "run in the host's user namespace",
        MissingPrivilege::Unknown => "run in the host's user namespace, or with all capabilities",
    }
}

/// Returns the remedy by the errno, which shows whether the kernel lacks sock_diag, refuses it or
/// has no descriptor left.
fn of_netlink(error: Errno) -> &'static str {
    match error {
        Errno::ENOENT | Errno::EOPNOTSUPP => LOAD_MODULES,
        Errno::EMFILE | Errno::ENFILE => RAISE_LIMIT,
        Errno::EAFNOSUPPORT => "allow AF_NETLINK, in systemd by RestrictAddressFamilies=",
        _ => "allow NETLINK_SOCK_DIAG",
    }
}

fn of_vitals(path: &str, error: Errno) -> &'static str {
    match error {
        Errno::EACCES | Errno::EPERM => "read it as root of the host's user namespace",
        _ if error.is_out_of_descriptors() => RAISE_LIMIT,
        _ if path.ends_with("stat/nf_conntrack") => "conntrack -S shows them",
        _ if path.ends_with("nf_conntrack") => "conntrack -L lists them",
        _ => "mount /proc",
    }
}
