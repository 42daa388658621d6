//! One socket as the kernel lists it. Not who holds it.

use std::{fmt, net::IpAddr};

use crate::domain::Holder;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub const EACH: [Self; 2] = [Self::Tcp, Self::Udp];

    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A choice of protocols. For an allocation `Both` means the same port on UDP and TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocols {
    Tcp,
    Udp,
    #[default]
    Both,
}

impl Protocols {
    pub fn includes(self, protocol: Protocol) -> bool {
        match self {
            Self::Tcp => protocol == Protocol::Tcp,
            Self::Udp => protocol == Protocol::Udp,
            Self::Both => true,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Both => "both",
        }
    }
}

impl From<Protocol> for Protocols {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    Ipv4,
    Ipv6,
    /// An IPv6 socket that takes IPv4 too; known for listening, bound and unconnected ones only,
    /// for the kernel sends `INET_DIAG_SKV6ONLY` with no others.
    Dual,
}

impl Family {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Dual => "dual",
        }
    }
}

/// TCP states of RFC 9293, `Bound`, and the two of UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    /// Closed by us; the kernel keeps the four-tuple for 60 s. No process owns it.
    TimeWait,
    /// Bound, neither listening nor connected ("bound-inactive", `ss -B`).
    Bound,
    /// UDP without a peer.
    Unconnected,
    /// UDP with a peer.
    Connected,
}

impl State {
    pub const EACH: [Self; 13] = [
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
        Self::Bound,
        Self::Unconnected,
        Self::Connected,
    ];

    pub fn protocol(self) -> Protocol {
        match self {
            Self::Unconnected | Self::Connected => Protocol::Udp,
            _ => Protocol::Tcp,
        }
    }

    /// The name on screen and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
            Self::Bound => "BOUND",
            Self::Unconnected => "UNCONNECTED",
            Self::Connected => "CONNECTED",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    pub address: IpAddr,
    pub port: u16,
}

impl<A: Into<IpAddr>> From<(A, u16)> for Endpoint {
    fn from((address, port): (A, u16)) -> Self {
        Self { address: address.into(), port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::net::SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// The address as the kernel compares it: v4-mapped ones as IPv4.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// What the kernel's timer of a socket waits for (`idiag_timer`, sock_diag(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Timer {
    #[default]
    None,
    Retransmit,
    Keepalive,
    TimeWait,
    Persist,
}

/// One kernel entry. A value of about 110 bytes, so that 200,000 of them stay small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    pub protocol: Protocol,
    pub family: Family,
    pub state: State,
    pub timer: Timer,
    pub local: Endpoint,
    pub remote: Option<Endpoint>,
    /// Index of the device the socket is bound to.
    pub interface: Option<u32>,
    /// None for TIME-WAIT, orphans and not yet accepted sockets (the kernel says 0).
    pub inode: Option<u32>,
    /// None where the kernel no longer knows it (TIME-WAIT, orphans), never 0 for "unknown".
    pub uid: Option<u32>,
    /// None where the source has none (/proc/net).
    pub cookie: Option<u64>,
    /// Milliseconds until `timer` fires; None without a timer.
    pub expires_ms: Option<u32>,
    pub cgroup: Option<u64>,
    pub receive_queue: u32,
    pub send_queue: u32,
    pub holder: Holder,
}

impl Socket {
    /// Has no owner any more: closed by its process, kept by the kernel.
    ///
    /// SYN-RECEIVED and not yet accepted sockets have no inode either; their listener has them.
    pub fn is_closed_by_process(&self) -> bool {
        self.inode.is_none()
            && matches!(
                self.state,
                State::TimeWait
                    | State::FinWait1
                    | State::FinWait2
                    | State::Closing
                    | State::LastAck
            )
    }

    /// Waits in a listener's queue for accept().
    ///
    /// CLOSE-WAIT counts: a peer may close before it was accepted.
    pub fn is_in_backlog(&self) -> bool {
        self.inode.is_none()
            && matches!(self.state, State::SynReceived | State::Established | State::CloseWait)
    }

    /// A TCP connection whose two ends are this one socket.
    pub fn is_self_connected(&self) -> bool {
        self.protocol == Protocol::Tcp && self.remote == Some(self.local)
    }

    /// An IPv6 socket with a v4-mapped address: it speaks IPv4 and nothing else.
    pub fn is_mapped(&self) -> bool {
        matches!(self.local.address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
    }

    /// Order of every list: protocol, port, then what is stable between two scans.
    pub fn sort_key(&self) -> (Protocol, u16, Family, Option<u64>, Option<u32>) {
        (self.protocol, self.local.port, self.family, self.cookie, self.inode)
    }
}
