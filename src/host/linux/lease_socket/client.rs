//! Those who are connected: what they said, and the answer. Never waits for one of them.

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

use crate::host::linux::lease_socket::LeaseSocket;

/// A connection. Dropping it closes it.
pub struct Client {
    socket: OwnedFd,
}

/// What came of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Nothing,
    Bytes(usize),
    /// It will say no more, though it may still listen.
    End,
}

impl Client {
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// What waits, as far as it has room.
    pub fn hear(&self, room: &mut [u8]) -> Heard {
        loop {
            return match rustix::net::recv(&self.socket, &mut *room, RecvFlags::DONTWAIT) {
                Ok((0, _)) => Heard::End,
                Ok((length, _)) => Heard::Bytes(length),
                Err(Errno::AGAIN) => Heard::Nothing,
                Err(Errno::INTR) => continue,
                // ECONNRESET: it is gone.
                Err(_) => Heard::End,
            };
        }
    }

    /// Whole or not at all, without SIGPIPE. Errors: it is gone, or has no room for it.
    pub fn tell(&self, answer: &[u8]) -> io::Result<()> {
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

/// What there is to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The wake-up has something to read.
    pub is_woken: bool,
    /// Somebody waits to be accepted.
    pub somebody_knocks: bool,
    /// By client.
    pub clients: Vec<bool>,
}

/// Waits until there is something to do, or so long. `listener` None: nobody new is waited for.
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
    // A time that no Timespec can tell is for ever.
    let longest = longest.and_then(|longest| Timespec::try_from(longest).ok());
    match poll(&mut fds, longest.as_ref()) {
        Ok(_) => {}
        // The wake-up tells the next time which signal it was.
        Err(Errno::INTR) => fds.iter_mut().for_each(PollFd::clear_revents),
        Err(errno) => return Err(errno.into()),
    }
    let mut is_ready = fds.iter().map(|fd| !fd.revents().is_empty());
    let is_woken = is_ready.next().unwrap_or(false);
    let mut clients: Vec<bool> = is_ready.collect();
    let somebody_knocks = listener.is_some() && clients.pop().unwrap_or(false);
    Ok(Ready { is_woken, somebody_knocks, clients })
}
