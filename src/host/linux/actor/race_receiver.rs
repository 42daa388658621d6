//! The receiver: the process to which the holder passes the sockets that it keeps. Contains the
//! code of both ends.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use rustix::{
    cmsg_space,
    event::PollFlags,
    fd::{AsFd, OwnedFd},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    },
};

use crate::host::{
    actor::{Actor, ActorRole},
    linux::actor::{actor_process, child::Child},
};

/// Timeout for an answer of the receiver, and for the datagram that a passed socket has queued.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The receiver process, as seen by the holder.
pub struct Receiver {
    socket: OwnedFd,
    _process: Child,
}

impl Receiver {
    pub fn start(program: &Path) -> io::Result<Self> {
        let kind = SocketType::SEQPACKET;
        let (socket, child_end) =
            rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        let receiver = Actor { name: "race-receiver".to_owned(), role: ActorRole::RaceReceiver };
        let process = Child::start_with(program, &receiver, child_end)?;
        Ok(Self { socket, _process: process })
    }

    /// Passes the socket to the receiver and closes our own descriptor. Returns the port to which
    /// the receiver found the socket bound, and the number in the datagram that the receiver read
    /// from it.
    pub fn give(&self, bound: OwnedFd) -> io::Result<(u16, u64)> {
        let given = [bound.as_fd()];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&given));
        rustix::net::sendmsg(
            &self.socket,
            &[IoSlice::new(b"!")],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
        drop(bound);
        let mut answer = [0; 10];
        let length = receive(&self.socket, &mut answer)?;
        let (port, number) = answer.split_at(2);
        match (length, port.try_into(), number.try_into()) {
            (10, Ok(port), Ok(number)) => {
                Ok((u16::from_be_bytes(port), u64::from_be_bytes(number)))
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "unexpected output")),
        }
    }
}

/// Receives sockets from standard input until the holder closes its end. For each socket, sends the
/// port to which it is bound and the number in its datagram to the holder, and closes the socket.
pub fn run() -> io::Result<()> {
    actor_process::end_with_parent()?;
    let stdin = io::stdin();
    while let Some(given) = accept(&stdin)? {
        let port = SocketAddr::try_from(rustix::net::getsockname(&given)?)?.port();
        let mut number = [0; 8];
        receive(&given, &mut number)?;
        drop(given);
        let answer = [&port.to_be_bytes()[..], &number].concat();
        rustix::net::send(&stdin, &answer, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

/// Receives a socket. None: the holder has closed its end, or its message contains no socket.
fn accept(socket: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut word = [0];
    let mut into = [IoSliceMut::new(&mut word)];
    rustix::net::recvmsg(socket, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    Ok(control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut given) => given.next(),
        _ => None,
    }))
}

/// Receives a datagram. Errors: no datagram arrived within `TIMEOUT`, or the socket has an error.
fn receive(socket: impl AsFd, into: &mut [u8]) -> io::Result<usize> {
    if !actor_process::poll(&socket, PollFlags::IN, TIMEOUT)?.contains(PollFlags::IN) {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(rustix::net::recv(socket, into, RecvFlags::DONTWAIT)?.0)
}
