//! Whether a bind() or connect() would get a port, by the kernel's rules and the sockets that
//! stand on it (facts in net/ipv4/inet_connection_sock.c). Tries nothing.

use std::net::IpAddr;

use crate::domain::{Destination, Protocol, Snapshot};

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

/// A bind() without a device, of a socket of ours.
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

/// What a bind() of `port` would meet. Occupancy only: rights and foreign addresses are not looked
/// at.
pub fn bind_answer(_snapshot: &Snapshot, _port: u16, _bind: Bind) -> Answer {
    Answer { verdict: Verdict::Unknown, because: String::new() }
}

/// Whether connect() of an unbound TCP or UDP socket could choose `port`. Without a destination:
/// for one that nobody on the port is connected to.
pub fn connect_answer(
    _snapshot: &Snapshot,
    _protocol: Protocol,
    _port: u16,
    _destination: Option<&Destination>,
) -> Answer {
    Answer { verdict: Verdict::Unknown, because: String::new() }
}

/// What must happen until a plain bind() of the port on all addresses succeeds, in sentences. None:
/// nothing stands on it.
pub fn frees_when(_snapshot: &Snapshot, _protocol: Protocol, _port: u16) -> Option<String> {
    None
}
