//! One real bind() as it was asked for, released at once. Does not listen, and never chooses a port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::{
    io,
    net::{AddressFamily, SocketFlags, SocketType, sockopt},
};

use crate::domain::{
    Errno, Protocol,
    availability::{Bind, BindAddress, Reuse},
};

/// Sets no option that `wanted` does not name.
pub fn bind(wanted: Bind, port: u16) -> Result<(), Errno> {
    if port == 0 {
        // The kernel would choose a port.
        return Err(Errno::EINVAL);
    }
    try_bind(wanted, port).map_err(|errno| Errno(errno.raw_os_error()))
}

fn try_bind(wanted: Bind, port: u16) -> io::Result<()> {
    let (address, v6_only) = match wanted.address {
        BindAddress::Any4 => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), None),
        BindAddress::AnyDual => (Ipv6Addr::UNSPECIFIED.into(), Some(false)),
        BindAddress::Any6 => (Ipv6Addr::UNSPECIFIED.into(), Some(true)),
        BindAddress::At(address) => (address, None),
    };
    let kind = match wanted.protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    if let Some(v6_only) = v6_only {
        sockopt::set_ipv6_v6only(&socket, v6_only)?;
    }
    match wanted.reuse {
        Reuse::None => {}
        Reuse::Address => sockopt::set_socket_reuseaddr(&socket, true)?,
        Reuse::Port => sockopt::set_socket_reuseport(&socket, true)?,
    }
    let address = SocketAddr::new(address, port);
    io::retry_on_intr(|| rustix::net::bind(&socket, &address))
}
