//! Connections of clients: receives their bytes and sends answers. Never blocks on one client.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{RecvFlags, SendFlags},
};

use crate::host::lease_socket::LeaseSocket;

/// A connection to a client. Dropping it closes it.
pub struct Client {
    socket: OwnedFd,
}

/// What was received from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientInput {
    Nothing,
    /// This number of bytes, at most the length of the buffer.
    Bytes(usize),
    /// The client sends nothing more, or the connection has failed. The client may still receive.
    End,
}

impl Client {
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Receives the bytes that have arrived, as many as fit into `room`. Does not block.
    pub fn receive(&self, room: &mut [u8]) -> ClientInput {
        let receive = || rustix::net::recv(&self.socket, &mut *room, RecvFlags::DONTWAIT);
        match rustix::io::retry_on_intr(receive) {
            Err(Errno::AGAIN) => ClientInput::Nothing,
            // An error is, for example, ECONNRESET: the client has disconnected.
            Ok((0, _)) | Err(_) => ClientInput::End,
            Ok((length, _)) => ClientInput::Bytes(length),
        }
    }

    /// Sends an answer without blocking and without SIGPIPE. Errors: the client has disconnected,
    /// or the socket has no room for the whole answer.
    pub fn send(&self, answer: &[u8]) -> io::Result<()> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = rustix::io::retry_on_intr(|| rustix::net::send(&self.socket, answer, flags))?;
        if sent == answer.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Which descriptors are ready.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The wake-up descriptor is readable.
    pub is_woken: bool,
    /// A connection waits to be accepted.
    pub has_new_client: bool,
    /// For each client, in the order of the argument, whether its connection is readable or has
    /// ended.
    pub clients: Vec<bool>,
}

/// Waits until a descriptor is ready, at most for `longest` (None: without limit). Waits for new
/// connections only if there is a `listener`. After the timeout or a signal, none is ready.
pub fn wait<'a>(
    wake: BorrowedFd<'_>,
    listener: Option<&LeaseSocket>,
    clients: impl Iterator<Item = &'a Client>,
    longest: Option<Duration>,
) -> io::Result<Ready> {
    let on = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
    let mut fds = vec![on(wake)];
    fds.extend(clients.map(|client| on(client.socket.as_fd())));
    fds.extend(listener.map(|listener| on(listener.as_fd())));
    // A duration that does not fit a Timespec means no limit.
    let longest = longest.and_then(|longest| Timespec::try_from(longest).ok());
    match poll(&mut fds, longest.as_ref()) {
        Ok(_) => {}
        // If a signal handler wrote to the wake-up descriptor, the next call reports it.
        Err(Errno::INTR) => fds.iter_mut().for_each(PollFd::clear_revents),
        Err(errno) => return Err(errno.into()),
    }
    let mut is_ready = fds.iter().map(|fd| !fd.revents().is_empty());
    let is_woken = is_ready.next().unwrap_or(false);
    let mut clients: Vec<bool> = is_ready.collect();
    let has_new_client = listener.is_some() && clients.pop().unwrap_or(false);
    Ok(Ready { is_woken, has_new_client, clients })
}
