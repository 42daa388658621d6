//! Reads interfaces and addresses of a network namespace through NETLINK_ROUTE (rtnetlink(7)).

mod codec;

use std::{io, net::IpAddr, time::Duration};

use rustix::{
    fd::OwnedFd,
    net::{
        self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
        sockopt::{self, Timeout},
    },
};

use crate::domain::Tunnel;

use self::codec::RouteDump;

/// Maximum size of a datagram from the kernel.
const BUFFER_LENGTH: usize = 32 * 1024;
/// Timeout to receive a datagram. Normally not reached, because the datagrams of a dump are
/// available at once.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Interface 1 of every network namespace is `lo` (net/core/dev.c, `LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;

/// A route socket for the network namespace in which it was opened.
pub struct RouteSocket {
    socket: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

impl RouteSocket {
    /// Opens a socket in the network namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        // Protocol 0 of this family is NETLINK_ROUTE.
        let socket = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(TIMEOUT))?;
        Ok(Self { socket, buffer: vec![0; BUFFER_LENGTH], sequence: 0 })
    }

    /// Returns the tunnels over UDP whose interface is up.
    pub fn tunnels(&mut self) -> io::Result<Vec<Tunnel>> {
        let mut tunnels = Vec::new();
        let request = codec::request_links(self.next_sequence());
        self.ask(&request, |message| tunnels.extend(codec::tunnel(message)))?;
        Ok(tunnels)
    }

    /// Returns whether `lo` is up. None: the answer contains no interface.
    pub fn is_loopback_up(&mut self) -> io::Result<Option<bool>> {
        let mut is_up = None;
        let request = codec::request_link(LOOPBACK, self.next_sequence());
        self.ask(&request, |message| is_up = codec::is_up(message).or(is_up))?;
        Ok(is_up)
    }

    /// Returns all addresses of all interfaces.
    pub fn addresses(&mut self) -> io::Result<Vec<IpAddr>> {
        let mut addresses = Vec::new();
        let request = codec::request_addresses(self.next_sequence());
        self.ask(&request, |message| addresses.extend(codec::address(message)))?;
        Ok(addresses)
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends a request, and passes each message of the answer to `take`. Errors: the kernel's
    /// error, a timeout (`TIMEOUT`), or a malformed answer.
    fn ask(
        &mut self,
        request: &codec::RouteRequest,
        mut take: impl FnMut(&codec::RouteMessage<'_>),
    ) -> io::Result<()> {
        net::send(&self.socket, &request.bytes, SendFlags::empty())?;
        let mut dump = RouteDump::of(request);
        while !dump.is_done() {
            let receive = || net::recv(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC);
            let (_, length) = rustix::io::retry_on_intr(receive)?;
            let Some(datagram) = self.buffer.get(..length) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            dump.take(datagram, &mut take)?;
        }
        Ok(())
    }
}
