//! The process to which the victim hands its kept sockets, and what the victim knows of it.

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

use crate::host::linux::thief::{child::Child, ground};

/// For an answer of the heir, and for the heir's datagram, which is there already.
const PATIENCE: Duration = Duration::from_secs(5);

/// The heir as the victim sees it.
pub struct Heir {
    socket: OwnedFd,
    _process: Child,
}

impl Heir {
    pub fn start(program: &Path) -> io::Result<Self> {
        let kind = SocketType::SEQPACKET;
        let (socket, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        let process = Child::start_with(program, &["heir".to_owned()], theirs)?;
        Ok(Self { socket, _process: process })
    }

    /// Hands the socket over and keeps none of it: which port the heir found it bound to, and which
    /// number it received there.
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
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the heir said something else")),
        }
    }
}

/// Takes sockets from standard input, says what they are, and closes them.
pub fn run() -> io::Result<()> {
    ground::be_named(c"portscope-heir");
    ground::end_with_parent()?;
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

/// None: nobody gives any more.
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

/// Errors: nothing came in time, or nothing can come.
fn receive(socket: impl AsFd, into: &mut [u8]) -> io::Result<usize> {
    if !ground::poll(&socket, PollFlags::IN, PATIENCE)?.contains(PollFlags::IN) {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(rustix::net::recv(socket, into, RecvFlags::DONTWAIT)?.0)
}
