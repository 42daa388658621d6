//! Decides whether a bind() or connect() would get a port, from the kernel's rules and the sockets
//! on the port. Makes no system call.
//!
//! Returns `Verdict::Unknown` if the answer depends on something that the kernel's tables do not
//! show.

mod bind;
mod blind_spot;
mod bound_addresses;
mod connect;
pub mod probing;
mod release;
mod scopes;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use crate::domain::{Protocol, Snapshot};

pub use bind::bind_answer;
pub use connect::connect_answer;
pub use release::{PortRelease, frees_when, hidden_process, release};
pub(in crate::domain) use release::{ReleaseKind, stop_command};
pub use scopes::{Scope, scopes};

/// The address argument of a bind().
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindAddress {
    /// `0.0.0.0`
    Any4,
    /// `[::]` with IPV6_V6ONLY 0: includes all IPv4 addresses.
    AnyDual,
    /// `[::]` with IPV6_V6ONLY 1.
    Any6,
    /// A single address, not a wildcard.
    At(IpAddr),
    /// A link-local IPv6 address on the interface with this index. The socket is bound to the
    /// interface, as by SO_BINDTODEVICE.
    Scoped { address: Ipv6Addr, interface: u32 },
}

impl BindAddress {
    /// Returns the address without the interface.
    pub fn ip(self) -> IpAddr {
        match self {
            Self::Any4 => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            Self::AnyDual | Self::Any6 => Ipv6Addr::UNSPECIFIED.into(),
            Self::At(address) => address,
            Self::Scoped { address, .. } => address.into(),
        }
    }

    /// Returns the address for sentences: `[::] (IPv4 and IPv6)`.
    pub fn in_words(self) -> String {
        match self {
            Self::AnyDual => "[::] (IPv4 and IPv6)".to_owned(),
            Self::Any6 => "[::] (IPV6_V6ONLY)".to_owned(),
            _ => self.to_string(),
        }
    }
}

/// Prints the address as in JSON, with the index of the interface, not its name.
impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any4 | Self::At(_) => self.ip().fmt(f),
            Self::AnyDual => f.write_str("[::] dual"),
            Self::Any6 => f.write_str("[::] v6only"),
            Self::Scoped { address, interface } => write!(f, "{address}%{interface}"),
        }
    }
}

/// The reuse option that the binding socket sets before bind(), if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reuse {
    None,
    /// SO_REUSEADDR
    Address,
    /// SO_REUSEPORT
    Port,
}

impl Reuse {
    pub const EACH: [Self; 3] = [Self::None, Self::Address, Self::Port];

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Address => "address",
            Self::Port => "port",
        }
    }
}

/// A bind() call to judge. Only with `BindAddress::Scoped` is its socket bound to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bind {
    pub protocol: Protocol,
    pub address: BindAddress,
    pub reuse: Reuse,
}

/// Whether a bind() or connect() would get a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Free,
    /// The call would not get the port: a socket on it conflicts.
    InUse,
    /// The kernel's tables do not show whether the call would get the port.
    Unknown,
    /// connect() never chooses this port: it is reserved, or outside the ephemeral range.
    Never,
}

impl Verdict {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::InUse => "in-use",
            Self::Unknown => "unknown",
            Self::Never => "never",
        }
    }
}

/// A verdict and the sentence that explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub verdict: Verdict,
    pub because: String,
}

/// Returns whether a gap of the snapshot may hide a socket of `protocol` on `port`.
pub fn may_be_unlisted(snapshot: &Snapshot, protocol: Protocol, port: u16) -> bool {
    snapshot.gaps.iter().any(|gap| blind_spot::hides(gap, protocol, port, true))
}

impl Answer {
    fn free(because: String) -> Self {
        Self { verdict: Verdict::Free, because }
    }

    fn in_use(because: String) -> Self {
        Self { verdict: Verdict::InUse, because }
    }

    fn unknown(because: String) -> Self {
        Self { verdict: Verdict::Unknown, because }
    }
}
