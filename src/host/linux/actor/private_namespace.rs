//! Creates the private network namespace of actors.

use std::io;

use rustix::{io::Errno, thread::UnshareFlags};

use crate::host::{HostError, linux::rtnetlink};

/// Moves the process into a new network namespace and brings its loopback interface up. Also makes
/// a new user namespace if the process lacks the privilege.
pub fn make() -> Result<(), HostError> {
    match unshare(UnshareFlags::NEWNET) {
        Err(Errno::PERM) => unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET),
        outcome => outcome,
    }
    .map_err(|error| HostError::new("create a private network namespace", in_words(error)))?;
    rtnetlink::raise_loopback()
        .map_err(|error| HostError::new("bring up the loopback of the namespace", error))
}

/// Replaces ENOSPC from unshare(2), whose usual message is about devices.
fn in_words(error: Errno) -> io::Error {
    match error {
        Errno::NOSPC => io::Error::other(
            "too many namespaces (user.max_net_namespaces, user.max_user_namespaces)",
        ),
        error => error.into(),
    }
}

fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    #[expect(unsafe_code, reason = "only UnshareFlags::FILES is unsafe, and no caller passes it")]
    unsafe {
        rustix::thread::unshare_unsafe(flags)
    }
}
