//! Determines which addresses a socket is bound to, and whether the addresses of two sockets
//! overlap. Ignores SO_REUSEADDR and SO_REUSEPORT.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::domain::{
    Family, Gap, Snapshot, Socket, Source, availability::BindAddress, socket::canonical,
};

/// The IPv4 address that the kernel stores for an IPv6 socket that is bound to a single address
/// (`LOOPBACK4_IPV6`, include/net/ipv6.h).
const LOOPBACK4_IPV6: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);

/// The addresses of one family that a socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FamilySide<A> {
    Nothing,
    One(A),
    Every,
}

impl<A: PartialEq> FamilySide<A> {
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nothing, _) | (_, Self::Nothing) => false,
            (Self::One(a), Self::One(b)) => a == b,
            _ => true,
        }
    }
}

/// The interface that a socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    None,
    Is(u32),
    /// Unknown: /proc/net does not list interfaces.
    Undecided,
}

/// The addresses that a socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundAddresses {
    v4: FamilySide<Ipv4Addr>,
    v6: FamilySide<Ipv6Addr>,
    /// Whether `v4` applies only if the socket's IPV6_V6ONLY is 0, which the tables do not show.
    is_v4_undecided: bool,
    device: Device,
}

/// Whether a bind() conflicts with a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    Never,
    /// Unknown, because the tables do not show the holder's IPV6_V6ONLY or its interface, or
    /// because the holder is in SYN-RECEIVED (`bind::overlap`).
    Undecided,
    Certain,
}

impl BoundAddresses {
    pub fn of_holder(snapshot: &Snapshot, socket: &Socket) -> Self {
        let bound_addresses = match canonical(socket.local.address) {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6_holder(snapshot, socket, address),
        };
        let device = match socket.interface {
            Some(index) => Device::Is(index),
            None if is_of_procfs(snapshot, socket) => Device::Undecided,
            None => Device::None,
        };
        Self { device, ..bound_addresses }
    }

    pub fn of_bind(address: BindAddress) -> Self {
        match address {
            BindAddress::Any4 => Self::of_v4(Ipv4Addr::UNSPECIFIED),
            BindAddress::Any6 => Self::of_v6(Ipv6Addr::UNSPECIFIED),
            BindAddress::AnyDual => {
                Self { v4: FamilySide::Every, ..Self::of_v6(Ipv6Addr::UNSPECIFIED) }
            }
            BindAddress::At(address) => match canonical(address) {
                IpAddr::V4(address) => Self::of_v4(address),
                IpAddr::V6(address) => Self::of_v6(address),
            },
            BindAddress::Scoped { address, interface } => {
                Self { device: Device::Is(interface), ..Self::of_v6(address) }
            }
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let v4 =
            if address.is_unspecified() { FamilySide::Every } else { FamilySide::One(address) };
        Self { v4, v6: FamilySide::Nothing, is_v4_undecided: false, device: Device::None }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let v6 =
            if address.is_unspecified() { FamilySide::Every } else { FamilySide::One(address) };
        Self { v4: FamilySide::Nothing, v6, is_v4_undecided: false, device: Device::None }
    }

    /// Returns the addresses of an IPv6 holder. bind() to a single IPv6 address makes a socket
    /// IPv6-only. connect() does not (net/ipv6/af_inet6.c, `__inet6_bind`; net/ipv6/tcp_ipv6.c,
    /// `tcp_v6_connect`).
    fn of_v6_holder(snapshot: &Snapshot, socket: &Socket, address: Ipv6Addr) -> Self {
        let only = Self::of_v6(address);
        let has_v6only_mark = !socket.state.has_peer();
        let has_every = address.is_unspecified();
        if has_v6only_mark && socket.family == Family::Dual && has_every {
            return Self { v4: FamilySide::Every, ..only };
        }
        let is_dual_stack_unknown = |gap: &Gap| matches!(gap, Gap::DualStackUnknown { .. });
        let is_reported = !has_every || !snapshot.gaps.iter().any(is_dual_stack_unknown);
        if has_v6only_mark && socket.family == Family::Ipv6 && is_reported {
            return only;
        }
        let v4 = if has_every { FamilySide::Every } else { FamilySide::One(LOOPBACK4_IPV6) };
        Self { v4, is_v4_undecided: true, ..only }
    }

    /// Returns whether a bind() to `self` conflicts with a holder that is bound to `other`. Sockets
    /// that are bound to different interfaces never conflict.
    pub fn overlaps(&self, other: &Self) -> Overlap {
        match (self.device, other.device, self.overlaps_addresses(other)) {
            (Device::Is(a), Device::Is(b), _) if a != b => Overlap::Never,
            (Device::Is(_), Device::Undecided, Overlap::Certain) => Overlap::Undecided,
            (_, _, overlap) => overlap,
        }
    }

    fn overlaps_addresses(&self, other: &Self) -> Overlap {
        let overlaps_v4 = self.v4.overlaps(&other.v4);
        if self.v6.overlaps(&other.v6) || (overlaps_v4 && !other.is_v4_undecided) {
            Overlap::Certain
        } else if overlaps_v4 {
            Overlap::Undecided
        } else {
            Overlap::Never
        }
    }

    /// Returns whether `self` certainly includes all addresses of at least one family.
    pub fn is_wide(&self) -> bool {
        self.v4 == FamilySide::Every && !self.is_v4_undecided || self.v6 == FamilySide::Every
    }

    /// Returns the wildcard of a bind() to `self` that includes a holder's `address`, which must be
    /// canonical (`socket::canonical`). None: `self` has no wildcard of that family.
    pub fn wildcard_around(&self, address: IpAddr) -> Option<&'static str> {
        let has_v6 = self.v6 == FamilySide::Every;
        match address {
            IpAddr::V6(_) => has_v6.then_some("[::]"),
            IpAddr::V4(_) if self.v4 != FamilySide::Every => None,
            IpAddr::V4(_) if has_v6 => Some("[::] (IPv4 and IPv6)"),
            IpAddr::V4(_) => Some("0.0.0.0"),
        }
    }

    pub fn needs_v4(&self) -> bool {
        self.v4 != FamilySide::Nothing
    }
}

/// Returns whether the socket is from /proc/net, which lists no interfaces and no cookies.
fn is_of_procfs(snapshot: &Snapshot, socket: &Socket) -> bool {
    snapshot.source != Source::Simulated && socket.cookie.is_none()
}

/// Prints `every IPv4 address`, or a single address: `127.0.0.1`. Does not print uncertain IPv4
/// addresses.
impl fmt::Display for BoundAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.v4, self.v6) {
            (FamilySide::Every, FamilySide::Every) if !self.is_v4_undecided => {
                f.write_str("every IPv4 and IPv6 address")
            }
            (_, FamilySide::Every) => f.write_str("every IPv6 address"),
            (_, FamilySide::One(address)) => write!(f, "{address}"),
            (FamilySide::Every, FamilySide::Nothing) => f.write_str("every IPv4 address"),
            (FamilySide::One(address), FamilySide::Nothing) => write!(f, "{address}"),
            (FamilySide::Nothing, FamilySide::Nothing) => f.write_str("no address"),
        }
    }
}
