//! The Unix socket of the lease server: opens it, listens on it, and removes it again. Never
//! connects to one, and does not know the protocol.

mod claim;
mod client;
mod listeners;

use std::{
    ffi::{OsStr, OsString},
    fmt,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::PathBuf,
};

use rustix::{
    fs::Mode,
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};

use crate::{domain::Text, host::HostError};
use claim::Claim;

pub use client::{Client, ClientInput, Ready, wait};

/// Maximum number of connections waiting for accept(); connect() of further clients blocks. If
/// net.core.somaxconn is less, it is the limit.
const BACKLOG: i32 = 4096;

/// Read and write for all, within the umask: a client needs write permission to connect (unix(7)).
const MODE: Mode = Mode::from_raw_mode(0o666);

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
    /// Parses an address as clients write it: `@` is the NUL of an abstract name. None: it is
    /// empty.
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

    fn address(&self) -> Result<SocketAddrUnix, SocketError> {
        let too_long = || SocketError::TooLong { socket_path: self.to_string() };
        if !self.fits_clients() {
            return Err(too_long());
        }
        let address = match self {
            Self::Path(path) => SocketAddrUnix::new(path),
            Self::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
        };
        address.map_err(|_| too_long())
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
        "{socket_path} is a socket without a visible listener, and not known to be left by a portscope \
         of this user: remove it, or use another --socket"
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

/// A listening socket. Dropping it removes the files it created, unless other files replaced them.
pub struct LeaseSocket {
    listener: OwnedFd,
    /// None for an abstract name, which disappears with the listener.
    _claim: Option<Claim>,
}

impl LeaseSocket {
    /// Creates the socket and listens on it. For a path, see `Claim::acquire`.
    pub fn open(socket_path: &SocketPath) -> Result<Self, SocketError> {
        let address = socket_path.address()?;
        let mut claim = match socket_path {
            SocketPath::Path(path) => Some(Claim::acquire(path)?),
            SocketPath::Abstract(_) => None,
        };
        let listener = bind(&address).map_err(|errno| match errno {
            Errno::ADDRINUSE => SocketError::Foreign { socket_path: socket_path.to_string() },
            errno => HostError::new(&format!("create the socket {socket_path}"), errno).into(),
        })?;
        if let Some(claim) = &mut claim {
            claim.record_socket()?;
        }
        rustix::net::listen(&listener, BACKLOG)
            .map_err(|errno| HostError::new(&format!("listen at {socket_path}"), errno))?;
        Ok(Self { listener, _claim: claim })
    }

    /// Accepts a connection. None: none is waiting. Errors: no descriptor or no memory is left for
    /// the connection.
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

fn bind(address: &SocketAddrUnix) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // bind() creates the file with the socket's mode and the umask (`unix_bind_bsd` of the kernel).
    rustix::fs::fchmod(&listener, MODE)?;
    rustix::net::bind(&listener, address)?;
    Ok(listener)
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
