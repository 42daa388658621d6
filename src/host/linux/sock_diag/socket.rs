//! Asks NETLINK_SOCK_DIAG for whole tables, again where an answer had a flaw. Not its bytes.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::net::{
    self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
    netlink::{self, SocketAddrNetlink},
    sockopt::{self, Timeout},
};

use crate::{
    domain::{Errno, Socket, Table},
    host::linux::sock_diag::codec::{self, Dump, Flaw},
};

/// The kernel puts no more than this into a datagram (net/netlink/af_netlink.c).
const BUFFER_LENGTH: usize = 32 * 1024;
const RETRIES: u32 = 5;
/// A dump's datagrams are there when we ask for them; one that is not was lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// What carries requests and answers: the kernel, or what stands for it in tests.
pub trait Link: Send {
    fn send(&mut self, request: &[u8]) -> io::Result<()>;

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Datagram>;
}

/// What recvfrom(2) tells besides the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// As sent; more than the buffer holds if it was cut off.
    pub length: usize,
    /// Other processes can send to a netlink socket, too.
    pub is_from_kernel: bool,
}

/// Dumps tables, of the namespace that it was opened in.
pub struct DiagSocket {
    link: Box<dyn Link>,
    buffer: Vec<u8>,
    sequence: u32,
}

impl DiagSocket {
    /// In the network namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        Ok(Self::over(Box::new(Netlink::open()?)))
    }

    pub fn over(link: Box<dyn Link>) -> Self {
        Self { link, buffer: vec![0; BUFFER_LENGTH], sequence: 0 }
    }

    /// Appends the sockets of `table` that are in one of `states`. With an error they are those of
    /// the last try, as far as it came; of a `Malformed` or `Refused` one none.
    pub fn dump(
        &mut self,
        table: Table,
        states: u32,
        sockets: &mut Vec<Socket>,
    ) -> Result<(), Flaw> {
        let start = sockets.len();
        let mut flaw = self.dump_once(table, states, sockets);
        for _ in 0..RETRIES {
            if flaw.is_none() || matches!(flaw, Some(Flaw::Refused(_))) {
                break;
            }
            sockets.truncate(start);
            flaw = self.dump_once(table, states, sockets);
        }
        if matches!(flaw, Some(Flaw::Malformed | Flaw::Refused(_))) {
            sockets.truncate(start);
        }
        flaw.map_or(Ok(()), Err)
    }

    fn dump_once(&mut self, table: Table, states: u32, sockets: &mut Vec<Socket>) -> Option<Flaw> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut dump = Dump::new(table, self.sequence);
        if let Err(error) = self.link.send(&codec::request(table, states, self.sequence)) {
            return Some(Flaw::Refused(error.kind()));
        }
        while !dump.is_done() {
            match self.link.receive(&mut self.buffer) {
                Ok(datagram) if datagram.is_from_kernel => self.take(datagram, &mut dump, sockets),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Some messages were dropped; the others are still to be read.
                Err(error) if is_overrun(&error) && dump.flaw() < Some(Flaw::Truncated) => {
                    dump.note(Flaw::Truncated);
                }
                Err(error) => {
                    dump.note(flaw_of(&error));
                    break;
                }
            }
        }
        dump.flaw()
    }

    fn take(&self, datagram: Datagram, dump: &mut Dump, sockets: &mut Vec<Socket>) {
        match self.buffer.get(..datagram.length) {
            Some(bytes) => dump.take(bytes, sockets),
            None => dump.note(Flaw::Truncated),
        }
    }
}

fn is_overrun(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENOBUFS.0)
}

/// What an error means after which nothing more is to be expected.
fn flaw_of(error: &io::Error) -> Flaw {
    if error.kind() == io::ErrorKind::WouldBlock || is_overrun(error) {
        Flaw::Truncated
    } else {
        Flaw::Refused(error.kind())
    }
}

/// The kernel's own end.
pub struct Netlink(OwnedFd);

impl Netlink {
    /// In the network namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let protocol = Some(netlink::SOCK_DIAG);
        let flags = SocketFlags::CLOEXEC;
        let socket = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self(socket))
    }
}

impl Link for Netlink {
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        net::send(&self.0, request, SendFlags::empty())?;
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let (_, length, sender) = net::recvfrom(&self.0, buffer, RecvFlags::TRUNC)?;
        let sender = sender.and_then(|address| SocketAddrNetlink::try_from(address).ok());
        Ok(Datagram { length, is_from_kernel: sender.is_some_and(|address| address.pid() == 0) })
    }
}
