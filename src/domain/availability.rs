//! Whether a bind() or connect() would get a port, by the kernel's rules and the sockets that
//! stand on it. Tries nothing.
//!
//! Nothing is guessed: what the tables do not tell is `Verdict::Unknown`.

mod bind;
mod blind_spot;
mod connect;
pub mod probing;
mod reach;
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
pub use release::frees_when;
pub use scopes::{Scope, scopes};

/// The address that a bind() names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindAddress {
    /// `0.0.0.0`
    Any4,
    /// `[::]` with IPV6_V6ONLY 0: IPv4 too.
    AnyDual,
    /// `[::]` with IPV6_V6ONLY 1.
    Any6,
    /// Not an unspecified one.
    At(IpAddr),
    /// A link-local one on the interface of that index: the socket is bound to it as by
    /// SO_BINDTODEVICE.
    Scoped { address: Ipv6Addr, interface: u32 },
}

impl BindAddress {
    /// The address itself.
    pub fn ip(self) -> IpAddr {
        match self {
            Self::Any4 => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            Self::AnyDual | Self::Any6 => Ipv6Addr::UNSPECIFIED.into(),
            Self::At(address) => address,
            Self::Scoped { address, .. } => address.into(),
        }
    }
}

/// Without the name of the interface.
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

/// The option set before bind(), on the binding side.
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

    /// In JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Address => "address",
            Self::Port => "port",
        }
    }
}

/// A bind() of a socket of ours, without SO_BINDTODEVICE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bind {
    pub protocol: Protocol,
    pub address: BindAddress,
    pub reuse: Reuse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Free,
    InUse,
    /// The tables do not tell; a real probe would.
    Unknown,
    /// connect() never chooses this port: it is reserved, or not in the ephemeral range.
    Never,
}

impl Verdict {
    /// In JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::InUse => "in-use",
            Self::Unknown => "unknown",
            Self::Never => "never",
        }
    }
}

/// A verdict, and the sentence that explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub verdict: Verdict,
    pub because: String,
}

/// Whether a socket of `protocol` may be on `port` that the snapshot does not list.
pub fn may_be_unlisted(snapshot: &Snapshot, protocol: Protocol, port: u16) -> bool {
    snapshot.gaps.iter().any(|gap| blind_spot::hides(gap, protocol, port, true))
}

impl Answer {
    fn new(verdict: Verdict, because: impl Into<String>) -> Self {
        Self { verdict, because: because.into() }
    }
}
