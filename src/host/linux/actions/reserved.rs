//! Changes the reserved ports: `net.ipv4.ip_local_reserved_ports` of the calling thread's network
//! namespace. Does not make the change permanent.

use std::{
    fs::{self, File, Metadata},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, Timespec, flock};

use crate::{
    domain::{
        Errno, PortRange,
        action::{Permission, ReservedChange, ReservedPorts, port_list},
    },
    host::{
        actions::ActionError,
        linux::{
            actions::{IN_NAMESPACE, NET_ADMIN},
            policy,
        },
    },
};

const PATH: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// Maximum number of times that the list is written, if another process changes it at once.
const ATTEMPTS: u32 = 10;

/// Maximum time to wait for the lock. Any process that may read the file can hold its lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// Returns whether this process may change the reserved ports. Opens the file, and writes nothing.
pub fn may_change() -> Permission {
    match open().map_err(|error| Errno::from(&error)) {
        Ok(_) => Permission::Granted,
        Err(Errno::EACCES | Errno::EPERM) => {
            Permission::Missing { capability: NET_ADMIN, what: IN_NAMESPACE }
        }
        Err(Errno::EROFS) => Permission::Unsupported("/proc/sys is mounted read-only"),
        Err(_) => Permission::Unknown,
    }
}

/// Reads the list, changes it, writes it and reads it back. Repeats that if the list then lacks the
/// change. Holds a lock on the file, so that the changes of several portscope processes in a
/// network namespace follow each other.
pub fn change(change: &ReservedChange) -> Result<ReservedPorts, ActionError> {
    let _locked = locked()?;
    let first = read()?;
    let mut current = first.clone();
    for _ in 0..ATTEMPTS {
        if change.is_done(&current) {
            return Ok(ReservedPorts { before: first, after: current });
        }
        write(&change.apply(&current))?;
        current = read()?;
    }
    if change.is_done(&current) {
        return Ok(ReservedPorts { before: first, after: current });
    }
    Err(ActionError::Contended)
}

fn open() -> io::Result<File> {
    File::options().write(true).open(PATH)
}

/// Opens the file and locks it. If another process holds the lock for `LOCK_TIMEOUT`, returns the
/// file without it: the list is read back in any case.
fn locked() -> Result<File, ActionError> {
    let end = Instant::now() + LOCK_TIMEOUT;
    loop {
        let file = open().map_err(|error| refused(&error))?;
        let is_locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if is_locked && is_current(&file) || Instant::now() >= end {
            return Ok(file);
        }
        let _ = rustix::thread::nanosleep(&LOCK_PAUSE);
    }
}

/// Returns whether others that open the file now get the same inode. Before Linux 6.16, processes
/// that are the first to open it at the same time may get different ones (`proc_sys_compare`).
fn is_current(file: &File) -> bool {
    let number = |found: io::Result<Metadata>| found.ok().map(|found| found.ino());
    number(file.metadata()) == number(fs::metadata(PATH))
}

fn read() -> Result<Vec<PortRange>, ActionError> {
    policy::read_reserved().map(PortRange::merged).map_err(|error| refused(&error))
}

/// Replaces the list. The kernel takes a page at a time, and adds what follows to the list
/// (`proc_do_large_bitmap`).
fn write(ports: &[PortRange]) -> Result<(), ActionError> {
    let text = format!("{}\n", port_list(ports));
    let written = open().and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| refused(&error))
}

fn refused(error: &io::Error) -> ActionError {
    match Errno::from(error) {
        Errno::EACCES | Errno::EPERM => ActionError::Denied(NET_ADMIN),
        Errno::EROFS => ActionError::Unsupported("/proc/sys is mounted read-only"),
        errno => ActionError::failed(&format!("change {PATH}"), errno),
    }
}
