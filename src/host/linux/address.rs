//! Tests whether an address can be bound, without taking a port, and explains why it cannot.

mod causes;
mod configured;

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use rustix::{
    fd::{AsFd, OwnedFd},
    io,
    net::{AddressFamily, SocketFlags, SocketType, netdevice, sockopt},
    thread::CapabilitySet,
};

use crate::{
    domain::{
        AddressRefusal, InterfaceName, LocalAddress, Protocol, Text, availability::BindAddress,
    },
    host::{linux::socket_option, named_address},
};

/// Like `Host::bind_address`, in the calling thread's network namespace.
pub fn named(asked: Option<LocalAddress>) -> Result<BindAddress, AddressRefusal> {
    match asked.and_then(|asked| asked.interface) {
        None => Ok(named_address(asked, None)),
        Some(name) => Ok(named_address(asked, Some(index(name)?))),
    }
}

/// Looks up an interface by name (if_nametoindex(3)). A number that is not a name is the index
/// itself, as in getaddrinfo(3).
fn index(name: InterfaceName) -> Result<u32, AddressRefusal> {
    let by_name = any_socket().and_then(|socket| netdevice::name_to_index(socket, name.as_str()));
    match (by_name, name.index()) {
        (Ok(index), _) | (Err(_), Some(index)) => Ok(index),
        (Err(io::Errno::NODEV), None) => Err(causes::no_interface(&name.to_string())),
        (Err(errno), None) => {
            let shown = Text::scrub(name.as_str());
            let cause = format!("the index of interface {shown} cannot be read");
            Err(AddressRefusal::new(errno.into(), cause))
        }
    }
}

/// Returns the names of the interfaces with these indexes. Omits interfaces that no longer exist;
/// returns none if no socket can be opened.
pub fn interface_names(indexes: impl IntoIterator<Item = u32>) -> Vec<(u32, Text)> {
    let mut indexes = indexes.into_iter().peekable();
    if indexes.peek().is_none() {
        return Vec::new();
    }
    let Ok(socket) = any_socket() else { return Vec::new() };
    let named = indexes.filter_map(|index| {
        let name = netdevice::index_to_name_inlined(&socket, index).ok()?;
        Some((index, Text::scrub(name.as_bytes())))
    });
    named.collect()
}

/// Opens a socket for the requests of netdevice(7); any kind of socket supports them.
pub(in crate::host::linux) fn any_socket() -> io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

/// Returns whether this process has CAP_NET_BIND_SERVICE. None: unknown, or the process has the
/// capability in a user namespace other than the initial one. There, the effect of the capability
/// depends on which user namespace owns the network namespace.
pub fn may_bind_privileged() -> Option<bool> {
    let sets = rustix::thread::capabilities(None).ok()?;
    let has_it = sets.effective.contains(CapabilitySet::NET_BIND_SERVICE);
    let map = std::fs::read_to_string("/proc/thread-self/uid_map").ok()?;
    let is_first = map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    (is_first || !has_it).then_some(has_it)
}

/// Like `Host::address_refusal`. Returns None also for an errno that does not concern the address
/// (no descriptor, no memory).
pub fn refusal(protocol: Protocol, address: BindAddress) -> Option<AddressRefusal> {
    let errno = try_address(protocol, address).err()?.into();
    Some(AddressRefusal::new(errno, causes::explain(errno, protocol, address)?))
}

/// Calls bind() with port 0 and IP_BIND_ADDRESS_NO_PORT, which takes no port. The call therefore
/// also works if no port is free.
fn try_address(protocol: Protocol, address: BindAddress) -> io::Result<()> {
    let socket = unbound(protocol, address)?;
    socket_option::bind_no_port(&socket)?;
    let address = socket_address(address, 0);
    io::retry_on_intr(|| rustix::net::bind(&socket, &address))
}

/// Opens a socket that can bind this address. Sets IPV6_V6ONLY if the address implies a value: 0
/// for all addresses of both families and for an IPv4-mapped address, 1 for all IPv6 addresses.
#[expect(clippy::inline_always, reason = "no return may pass the bind(), see `bind_first`")]
#[inline(always)]
pub fn unbound(protocol: Protocol, address: BindAddress) -> io::Result<OwnedFd> {
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let (family, v6_only) = match address {
        BindAddress::Any4 | BindAddress::At(IpAddr::V4(_)) => (AddressFamily::INET, None),
        BindAddress::AnyDual => (AddressFamily::INET6, Some(false)),
        BindAddress::Any6 => (AddressFamily::INET6, Some(true)),
        BindAddress::At(IpAddr::V6(address)) => {
            (AddressFamily::INET6, address.to_ipv4_mapped().map(|_| false))
        }
        BindAddress::Scoped { .. } => (AddressFamily::INET6, None),
    };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    if let Some(v6_only) = v6_only {
        sockopt::set_ipv6_v6only(&socket, v6_only)?;
    }
    Ok(socket)
}

#[expect(clippy::inline_always, reason = "as `unbound`")]
#[inline(always)]
pub fn socket_address(address: BindAddress, port: u16) -> SocketAddr {
    match address {
        BindAddress::Scoped { address, interface } => {
            SocketAddrV6::new(address, port, 0, interface).into()
        }
        address => SocketAddr::new(address.ip(), port),
    }
}

/// Returns the address to which the socket is bound.
pub fn local(socket: impl AsFd) -> io::Result<SocketAddr> {
    rustix::net::getsockname(socket)?.try_into()
}
