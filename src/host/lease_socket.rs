//! The Unix socket of the lease server and the connections of its clients. Does not know the
//! protocol. `Host::lease_socket` opens the socket.

mod client;

use std::{
    any::Any,
    ffi::{OsStr, OsString},
    fmt,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::PathBuf,
};

use rustix::{io::Errno, net::SocketFlags};

use crate::{domain::Text, host::HostError};

pub use client::{Client, ClientInput, Ready, wait};

/// Maximum length in bytes of a path, or of an abstract name without its NUL.
const MAX_NAME_LENGTH: usize = 107;

/// Address of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketPath {
    Path(PathBuf),
    /// A name in the abstract namespace, without the leading NUL: not a file, and visible in one
    /// network namespace only.
    Abstract(OsString),
}

impl SocketPath {
    /// Parses an address as clients write it: a leading `@` is the NUL of an abstract name. None:
    /// the path or the name is empty.
    pub fn parse(word: &OsStr) -> Option<Self> {
        match word.as_bytes() {
            [] | b"@" => None,
            [b'@', name @ ..] => Some(Self::Abstract(OsStr::from_bytes(name).to_owned())),
            _ => Some(Self::Path(word.into())),
        }
    }

    /// Returns whether the name is short enough for all clients. Clients in Python reject a path
    /// that fills `sun_path` without a NUL at the end, although the kernel accepts it.
    pub fn fits_clients(&self) -> bool {
        let name = match self {
            Self::Path(path) => path.as_os_str(),
            Self::Abstract(name) => name,
        };
        name.len() <= MAX_NAME_LENGTH
    }
}

impl fmt::Display for SocketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", Text::scrub(path.as_os_str().as_bytes())),
            Self::Abstract(name) => write!(f, "@{}", Text::scrub(name.as_bytes())),
        }
    }
}

/// Why the socket could not be opened, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("socket name {socket_path} is too long: expected at most 107 bytes")]
    TooLong { socket_path: String },
    #[error(
        "another portscope serves at {socket_path} (its lock is held): stop it, or use another --socket"
    )]
    Served { socket_path: String },
    #[error("another program listens at {socket_path}: stop it, or use another --socket")]
    Foreign { socket_path: String },
    #[error(
        "no visible process listens on the socket {socket_path}, and no portscope of this user is \
         known to have created it: remove it, or use another --socket"
    )]
    Abandoned { socket_path: String },
    #[error("{socket_path} exists and is not a socket: use another --socket, or remove it")]
    NotASocket { socket_path: String },
    #[error(
        "{lock} exists and is not a portscope lock of this user: use another --socket, or remove \
         it"
    )]
    NotALock { lock: String },
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Why the process that a client means is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTranslated {
    #[error("the client is in a pid namespace that is not visible here")]
    UnseenClient,
    #[error("the client has ended or is not visible")]
    ClientGone,
    #[error("the client is in another pid namespace, and its process with this pid is not visible")]
    NoProcess,
}

/// A listening socket. Dropping it removes the files it created, unless other files replaced them.
pub struct LeaseSocket {
    listener: OwnedFd,
    /// Removes the files. Dropped after the listener.
    _claim: Box<dyn Any>,
}

impl LeaseSocket {
    pub fn new(listener: OwnedFd, claim: impl Any) -> Self {
        Self { listener, _claim: Box::new(claim) }
    }

    /// Accepts a connection. None: none is waiting. Errors: those of accept(2), for example that no
    /// descriptor is left.
    pub fn accept(&self) -> std::io::Result<Option<Client>> {
        loop {
            return match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC) {
                Ok(socket) => Ok(Some(Client::new(socket))),
                Err(Errno::AGAIN) => Ok(None),
                // The client left before accept(), or a signal arrived: accept the next one.
                Err(Errno::CONNABORTED | Errno::INTR) => continue,
                Err(errno) => Err(errno.into()),
            };
        }
    }
}

impl AsFd for LeaseSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_at_sign_means_an_abstract_socket_name() {
        let parse = |word: &str| SocketPath::parse(OsStr::new(word));
        assert_eq!(parse("@x"), Some(SocketPath::Abstract("x".into())));
        assert_eq!(parse("./@x"), Some(SocketPath::Path("./@x".into())));
        assert_eq!((parse(""), parse("@")), (None, None));
        assert_eq!(parse("@x").unwrap().to_string(), "@x");
    }
}
