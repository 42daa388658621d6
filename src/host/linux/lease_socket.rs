//! Opens the Unix socket of the lease server. Accepts no clients.

mod claim;
mod listeners;

use std::os::{fd::OwnedFd, unix::ffi::OsStrExt as _};

use rustix::{
    fs::Mode,
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};

use crate::host::{
    HostError,
    lease_socket::{LeaseSocket, SocketError, SocketPath},
};
use claim::Claim;

/// Maximum number of connections waiting for accept(); connect() of further clients blocks. If
/// net.core.somaxconn is less, it is the limit.
const BACKLOG: i32 = 4096;

/// Read and write for all, within the umask: a client needs write permission to connect (unix(7)).
const MODE: Mode = Mode::from_raw_mode(0o666);

/// Creates the socket and listens on it. For a path, see `Claim::acquire`.
pub fn open(socket_path: &SocketPath) -> Result<LeaseSocket, SocketError> {
    let address = address(socket_path)?;
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
        .map_err(|errno| HostError::new(&format!("listen on {socket_path}"), errno))?;
    Ok(LeaseSocket::new(listener, claim))
}

fn address(socket_path: &SocketPath) -> Result<SocketAddrUnix, SocketError> {
    let address = match socket_path {
        _ if !socket_path.fits_clients() => Err(Errno::NAMETOOLONG),
        SocketPath::Path(path) => SocketAddrUnix::new(path),
        SocketPath::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
    };
    address.map_err(|_| SocketError::TooLong { socket_path: socket_path.to_string() })
}

fn bind(address: &SocketAddrUnix) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // bind() creates the file with the socket's mode and the umask (`unix_bind_bsd` of the kernel).
    rustix::fs::fchmod(&listener, MODE)?;
    rustix::net::bind(&listener, address)?;
    Ok(listener)
}
