//! The Unix socket at which ports are leased: made, listened on, removed again. Never connects to
//! one; what is said on it is not known here.

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

pub use client::{Client, Heard, Ready, wait};

/// Connections that wait to be accepted; more are made to wait by the kernel, which takes
/// net.core.somaxconn where that is less.
const BACKLOG: i32 = 4096;

/// Read and write for all, as far as the umask leaves it: who may write may connect (unix(7)).
const MODE: Mode = Mode::from_raw_mode(0o666);

/// Bytes of a path, or of an abstract name without its NUL.
const LONGEST_NAME: usize = 107;

/// Where a socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Path(PathBuf),
    /// A name in the abstract namespace, without the NUL before it: no file, and of one network
    /// namespace.
    Abstract(OsString),
}

impl Place {
    /// As the clients spell it: `@` stands for the NUL of an abstract name. None: it names nothing.
    pub fn spelt(word: &OsStr) -> Option<Self> {
        match word.as_bytes() {
            [] | b"@" => None,
            [b'@', name @ ..] => Some(Self::Abstract(OsStr::from_bytes(name).to_owned())),
            _ => Some(Self::Path(word.into())),
        }
    }

    /// Whether clients can connect to it. Python's take no path that fills `sun_path` without a NUL
    /// behind it, although the kernel does.
    pub fn fits_clients(&self) -> bool {
        let name = match self {
            Self::Path(path) => path.as_os_str(),
            Self::Abstract(name) => name,
        };
        name.len() <= LONGEST_NAME
    }

    fn address(&self) -> Result<SocketAddrUnix, SocketError> {
        let too_long = || SocketError::TooLong { place: self.to_string() };
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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", Text::scrub(path.as_os_str().as_bytes())),
            Self::Abstract(name) => write!(f, "@{}", Text::scrub(name.as_bytes())),
        }
    }
}

/// Why there is no socket, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("{place} is longer than the name of a socket may be (107 bytes)")]
    TooLong { place: String },
    #[error(
        "another portscope serves at {place} (its lock is held): stop it, or use another --socket"
    )]
    Served { place: String },
    #[error("another program listens at {place}: stop it, or use another --socket")]
    Foreign { place: String },
    #[error(
        "{place} is a socket that is not known to be left by a portscope of this user, and nobody is \
         seen to listen on it: remove it, or use another --socket"
    )]
    Abandoned { place: String },
    #[error("{place} is there already and is no socket: use another --socket, or remove it")]
    NotASocket { place: String },
    #[error(
        "{lock} is there already and is no lock of portscope that this user made: use another \
         --socket, or remove it"
    )]
    NotALock { lock: String },
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Listens. Dropping it removes what it made, unless somebody else has taken its place.
pub struct LeaseSocket {
    listener: OwnedFd,
    /// None: an abstract name, which ends with the listener.
    _claim: Option<Claim>,
}

impl LeaseSocket {
    pub fn open(place: &Place) -> Result<Self, SocketError> {
        let address = place.address()?;
        let mut claim = match place {
            Place::Path(path) => Some(Claim::stake(path)?),
            Place::Abstract(_) => None,
        };
        let listener = bind(&address).map_err(|errno| match errno {
            Errno::ADDRINUSE => SocketError::Foreign { place: place.to_string() },
            errno => HostError::new(&format!("make the socket {place}"), errno).into(),
        })?;
        if let Some(claim) = &mut claim {
            claim.settle()?;
        }
        rustix::net::listen(&listener, BACKLOG)
            .map_err(|errno| HostError::new(&format!("listen at {place}"), errno))?;
        Ok(Self { listener, _claim: claim })
    }

    /// None: nobody waits any more. Errors: no descriptors or no memory for one more.
    pub fn accept(&self) -> std::io::Result<Option<Client>> {
        loop {
            return match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC) {
                Ok(socket) => Ok(Some(Client::new(socket))),
                Err(Errno::AGAIN) => Ok(None),
                // That one left before it was accepted, or a signal came: the next one.
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
    // bind() makes the file by the mode of the socket and the umask (`unix_bind_bsd` of the kernel).
    rustix::fs::fchmod(&listener, MODE)?;
    rustix::net::bind(&listener, address)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_at_sign_in_front_is_an_abstract_name_and_nowhere_else() {
        let spelt = |word: &str| Place::spelt(OsStr::new(word));
        assert_eq!(spelt("@x"), Some(Place::Abstract("x".into())));
        assert_eq!(spelt("./@x"), Some(Place::Path("./@x".into())));
        assert_eq!((spelt(""), spelt("@")), (None, None));
        assert_eq!(spelt("@x").unwrap().to_string(), "@x");
    }
}
