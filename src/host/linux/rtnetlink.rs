//! Reads interfaces and addresses of the calling thread's network namespace through NETLINK_ROUTE
//! (rtnetlink(7)). Each function opens a socket of its own.

mod codec;

use std::{io, net::IpAddr};

use rustix::net::{self, RecvFlags, SendFlags};

use crate::{
    domain::Tunnel,
    host::linux::netlink::{self, BUFFER_LENGTH, NetlinkMessage},
};

use self::codec::RouteRequest;

/// Interface 1 of every network namespace is `lo` (net/core/dev.c, `LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;

/// Returns the tunnels over UDP whose interface is up.
pub fn tunnels() -> io::Result<Vec<Tunnel>> {
    let mut tunnels = Vec::new();
    ask(codec::request_links(None), |message| tunnels.extend(codec::tunnel(message)))?;
    Ok(tunnels)
}

/// Returns whether `lo` is up. None: the answer contains no interface.
pub fn is_loopback_up() -> io::Result<Option<bool>> {
    let mut is_up = None;
    ask(codec::request_links(Some(LOOPBACK)), |message| is_up = codec::is_up(message).or(is_up))?;
    Ok(is_up)
}

/// Brings `lo` up. Errors: EPERM without CAP_NET_ADMIN in the namespace, or those of the others.
pub fn raise_loopback() -> io::Result<()> {
    ask(codec::request_up(LOOPBACK), |_| {})
}

/// Returns all addresses of all interfaces.
pub fn addresses() -> io::Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    ask(codec::request_addresses(), |message| addresses.extend(codec::address(message)))?;
    Ok(addresses)
}

/// Sends a request, and passes each message of the answer to `take`. Errors: the kernel's error, a
/// timeout, or a malformed answer.
fn ask(mut request: RouteRequest, mut take: impl FnMut(&NetlinkMessage<'_>)) -> io::Result<()> {
    // Protocol 0 of this family is NETLINK_ROUTE.
    let socket = netlink::open(None)?;
    let mut buffer = vec![0; BUFFER_LENGTH];
    net::send(&socket, &request.bytes, SendFlags::empty())?;
    while !request.is_answered {
        let receive = || net::recv(&socket, &mut buffer[..], RecvFlags::TRUNC);
        let (_, length) = rustix::io::retry_on_intr(receive)?;
        let datagram = buffer.get(..length).ok_or(io::ErrorKind::InvalidData)?;
        request.take(datagram, &mut take)?;
    }
    Ok(())
}
