//! Finds the process that a client of a Unix socket means by a pid. Does not lease ports.
//!
//! A pid is a number in one pid namespace. A client in a container means a process of the
//! container, which has another number here.

use std::{
    ffi::c_void,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::OnceLock,
};

use rustix::{
    io::Errno,
    ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode},
};

use crate::host::{
    HostError,
    lease_socket::NotTranslated,
    linux::{
        bounded_file,
        socket_option::{self, PEER_CREDENTIALS},
    },
};

/// Maximum size in bytes of /proc/PID/status, which may list many groups.
const MAX_STATUS_BYTES: u64 = 1 << 20;

/// Maximum number of the client's ancestors that are examined.
const MAX_ANCESTORS: usize = 64;

/// Returns whether /proc shows pids as this process sees them. A mount of /proc may belong to
/// another pid namespace (unshare(1) without --mount-proc).
///
/// Errors: /proc cannot be read.
pub fn proc_is_ours() -> Result<bool, HostError> {
    let status = status("self").map_err(|error| HostError::new("read /proc/self/status", error))?;
    Ok(ProcessIds::parse(&status).is_some_and(|own| own.depth == 1))
}

/// Translates `pid`, as the client of `socket` sees it, to the pid that this process sees.
pub fn translate(socket: impl AsFd, pid: u32) -> Result<u32, NotTranslated> {
    let client = client(socket).ok_or(NotTranslated::UnseenClient)?;
    if is_in_own_namespace(client) {
        return Ok(pid);
    }
    let status = status(&client.to_string()).map_err(|_| NotTranslated::ClientGone)?;
    let own = ProcessIds::parse(&status).ok_or(NotTranslated::ClientGone)?;
    if own.depth == 1 {
        return Ok(pid);
    }
    if own.innermost == pid {
        return Ok(client);
    }
    let namespace = File::open(format!("/proc/{client}/ns/pid")).ok();
    match namespace.map(|namespace| ask(namespace.as_fd(), pid)) {
        Some(Ok(here)) => Ok(here),
        Some(Err(Errno::SRCH)) => Err(NotTranslated::NoProcess),
        // Linux before 6.11, or no permission to open the namespace.
        _ => among_ancestors(own, pid).ok_or(NotTranslated::NoProcess),
    }
}

/// Returns whether the client is in this process's pid namespace. Takes a third of the time of
/// reading the client's status. Returns false also if this process has no permission to check.
fn is_in_own_namespace(client: u32) -> bool {
    static OWN_NAMESPACE: OnceLock<Option<(u64, u64)>> = OnceLock::new();
    let namespace = |process: &str| {
        let link = rustix::fs::stat(format!("/proc/{process}/ns/pid")).ok()?;
        Some((link.st_dev, link.st_ino))
    };
    let own_namespace = OWN_NAMESPACE.get_or_init(|| namespace("self"));
    own_namespace.is_some() && namespace(&client.to_string()) == *own_namespace
}

/// Returns the pid of the process that connected, as seen here. None: its pid namespace is not
/// visible here.
fn client(socket: impl AsFd) -> Option<u32> {
    let [a, b, c, d, ..] = socket_option::get(socket, PEER_CREDENTIALS).ok()?;
    Some(u32::from_ne_bytes([a, b, c, d])).filter(|&pid| pid != 0)
}

/// Searches the client's ancestors for the pid `wanted`, because a client normally means itself or
/// a process that started it. Ancestors at the depth of the client are in its namespace. None: no
/// such ancestor was found.
fn among_ancestors(client: ProcessIds, wanted: u32) -> Option<u32> {
    let mut pid = client.parent;
    for _ in 0..MAX_ANCESTORS {
        let found = ProcessIds::parse(&status(&pid.to_string()).ok()?)?;
        if found.depth != client.depth {
            return None;
        }
        if found.innermost == wanted {
            return Some(pid);
        }
        pid = found.parent;
    }
    None
}

/// The pid of a process as it sees itself, and the pid of its parent as seen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProcessIds {
    /// Pid of the process's parent, as seen here.
    parent: u32,
    /// Number of pid namespaces from that of /proc down to the process's own; 1: both are the same.
    depth: usize,
    /// Pid of the process in its own namespace.
    innermost: u32,
}

impl ProcessIds {
    /// Parses `PPid` and `NSpid` of proc_pid_status(5). Kernels without pid namespaces have no
    /// NSpid.
    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let pids = field("NSpid:").or_else(|| field("Pid:"))?;
        Some(Self {
            parent: field("PPid:")?.trim().parse().ok()?,
            depth: pids.split_ascii_whitespace().count(),
            innermost: pids.split_ascii_whitespace().next_back()?.parse().ok()?,
        })
    }
}

fn status(process: &str) -> io::Result<String> {
    let text = bounded_file::read(format!("/proc/{process}/status"), MAX_STATUS_BYTES)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Translates a pid through the kernel. ESRCH: the process does not exist, or is not visible here.
/// ENOTTY: the kernel has no such request.
fn ask(namespace: BorrowedFd<'_>, pid: u32) -> rustix::io::Result<u32> {
    #[expect(unsafe_code, reason = "the request reads no memory, its argument is a number")]
    unsafe {
        ioctl(namespace, TranslatePid(pid))
    }
}

/// The request `NS_GET_PID_FROM_PIDNS` (ioctl_nsfs(2)), since Linux 6.11.
struct TranslatePid(u32);

#[expect(unsafe_code, reason = "the argument is a number, and so is the result")]
unsafe impl Ioctl for TranslatePid {
    type Output = u32;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        opcode::read::<i32>(0xb7, 6)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::without_provenance_mut(self.0 as usize)
    }

    unsafe fn output_from_ptr(result: IoctlOutput, _: *mut c_void) -> rustix::io::Result<u32> {
        u32::try_from(result).ok().filter(|&pid| pid != 0).ok_or(Errno::SRCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nspid_lists_the_pid_in_each_nested_namespace() {
        let here = "Name:\tx\nPid:\t812\nPPid:\t1\nNSpid:\t812\n";
        assert_eq!(
            ProcessIds::parse(here),
            Some(ProcessIds { parent: 1, depth: 1, innermost: 812 })
        );
        let deeper = "Name:\tx\nPid:\t812\nPPid:\t811\nNSpid:\t812\t90\t7\n";
        assert_eq!(
            ProcessIds::parse(deeper),
            Some(ProcessIds { parent: 811, depth: 3, innermost: 7 })
        );
        assert_eq!(ProcessIds::parse("Name:\tx\n"), None);
    }

    #[test]
    fn an_ancestor_of_the_client_is_found_by_its_namespace_pid() {
        let own = ProcessIds::parse(&status("self").unwrap()).unwrap();
        assert_eq!(among_ancestors(own, own.parent), Some(own.parent));
        assert_eq!(among_ancestors(own, u32::MAX), None);
    }

    #[test]
    fn a_process_name_cannot_forge_a_status_line() {
        let status = "Name:\ta\\nNSpid:\\t9\nPid:\t812\nPPid:\t1\nNSpid:\t812\n";
        assert_eq!(ProcessIds::parse(status).map(|found| found.innermost), Some(812));
    }

    #[test]
    fn pids_of_clients_in_the_same_namespace_are_not_translated() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(proc_is_ours().unwrap());
        assert_eq!(translate(&one, 7), Ok(7));
    }
}
