//! Creates the private network namespace of actors.

use std::io;

use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketType},
    thread::UnshareFlags,
};

use crate::host::{
    HostError,
    linux::netlink::{self, Messages},
};

/// Moves the process into a new network namespace and brings its loopback interface up. Also makes
/// a new user namespace if the process lacks the privilege.
pub fn make() -> Result<(), HostError> {
    match unshare(UnshareFlags::NEWNET) {
        Err(Errno::PERM) => unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET),
        outcome => outcome,
    }
    .map_err(|error| HostError::new("create a private network namespace", in_words(error)))?;
    raise_loopback()
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

/// Sends RTM_NEWLINK for interface 1 with IFF_UP (rtnetlink(7)).
fn raise_loopback() -> io::Result<()> {
    let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    // Family and type; lo; flags: IFF_UP; change.
    let body = [0, 1, 1, 1].map(u32::to_ne_bytes).concat();
    // RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK
    let message = netlink::message(16, 5, 0, &body);
    rustix::net::send(&socket, &message, SendFlags::empty())?;
    let mut reply = [0u8; 256];
    rustix::net::recv(&socket, &mut reply[..], RecvFlags::empty())?;
    let Some(Some(reply)) = Messages(&reply).next() else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    reply.error().map_or(Ok(()), |errno| Err(errno.into()))
}
