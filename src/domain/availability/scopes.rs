//! Counts the ports of the ephemeral range that are left for bind() to port 0, by address. A holder
//! blocks its port only on the addresses that conflict with its own.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

use crate::domain::{
    Left, Protocol, Snapshot, Socket,
    availability::{
        BindAddress,
        bind::overlap,
        bound_addresses::{BoundAddresses, Overlap},
    },
    socket::canonical,
};

/// Maximum number of single addresses to report. Those with most sockets are kept.
const MAX_ADDRESSES: usize = 4;

/// An address and the ports left for a bind() to it, without SO_REUSEADDR, SO_REUSEPORT and
/// SO_BINDTODEVICE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// None: any IPv4 address of this machine that no holder is bound to.
    pub address: Option<BindAddress>,
    pub left: Left,
}

/// Returns one scope each for the IPv4 wildcard, the dual-stack wildcard, the addresses that most
/// holders are bound to, and an IPv4 address that no holder is bound to. The snapshot must be
/// sorted.
pub fn scopes(snapshot: &Snapshot, protocol: Protocol) -> Vec<Scope> {
    let addresses = addresses(snapshot, protocol).into_iter().map(BindAddress::At);
    let named = [BindAddress::Any4, BindAddress::AnyDual].into_iter().chain(addresses);
    let size = snapshot.ephemeral.automatic_capacity();
    let unlisted = match protocol {
        Protocol::Tcp => snapshot.unlisted_in_range(),
        Protocol::Udp => 0,
    };
    let scope = |address: Option<BindAddress>| {
        let wanted = BoundAddresses::of_bind(address.unwrap_or(BindAddress::At(UNUSED_ADDRESS)));
        let (certain, possible) = blocked(snapshot, protocol, &wanted);
        let most = size - certain;
        Scope { address, left: Left::new(most.saturating_sub(possible + unlisted), most) }
    };
    named.map(Some).chain([None]).map(scope).collect()
}

/// Represents an address that no holder is bound to. It is in the reserved block 240.0.0.0/4 (RFC
/// 1112, section 4), which interfaces do not use.
const UNUSED_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(240, 0, 0, 1));

/// Returns at most `MAX_ADDRESSES` single addresses that holders are bound to, those with most
/// sockets first.
fn addresses(snapshot: &Snapshot, protocol: Protocol) -> Vec<IpAddr> {
    let mut counts: HashMap<IpAddr, u32> = HashMap::new();
    for socket in snapshot.of_protocol_in_range(protocol) {
        let address = canonical(socket.local.address);
        if !address.is_unspecified() {
            *counts.entry(address).or_default() += 1;
        }
    }
    let mut addresses: Vec<(IpAddr, u32)> = counts.into_iter().collect();
    addresses.sort_unstable_by_key(|&(address, count)| (std::cmp::Reverse(count), address));
    addresses.truncate(MAX_ADDRESSES);
    addresses.into_iter().map(|(address, _)| address).collect()
}

/// Returns the number of unreserved ports on which a bind() to `wanted` certainly conflicts with a
/// holder, and the number of those on which it may conflict.
fn blocked(snapshot: &Snapshot, protocol: Protocol, wanted: &BoundAddresses) -> (u32, u32) {
    let is_same = |a: &Socket, b: &Socket| a.local.port == b.local.port;
    let (mut certain, mut possible) = (0, 0);
    for port in snapshot.of_protocol_in_range(protocol).chunk_by(is_same) {
        if snapshot.ephemeral.is_reserved(port[0].local.port) {
            continue;
        }
        let overlaps = || port.iter().map(|socket| overlap(snapshot, wanted, socket));
        if overlaps().any(|overlap| overlap == Overlap::Certain) {
            certain += 1;
        } else if overlaps().any(|overlap| overlap == Overlap::Undecided) {
            possible += 1;
        }
    }
    (certain, possible)
}
