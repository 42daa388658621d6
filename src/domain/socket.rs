//! One socket as the kernel lists it. Does not find out who holds it.

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

/// A selection of protocols. For an allocation, `Both` means the same port on UDP and TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocols {
    Tcp,
    Udp,
    #[default]
    Both,
}

impl Protocols {
    pub fn includes(self, protocol: Protocol) -> bool {
        self == Self::Both || self == protocol.into()
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
    /// An IPv6 socket that also accepts IPv4. Known for listening, bound-inactive and unconnected
    /// sockets only: the kernel does not report `INET_DIAG_SKV6ONLY` for others.
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

/// `Bound`, the two states of UDP, and the TCP states of RFC 9293 except CLOSED.
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
    /// Closed by this side; the kernel keeps the four-tuple for 60 s. No process owns it.
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

    /// Returns whether a socket in this state has a remote endpoint.
    pub fn has_peer(self) -> bool {
        !matches!(self, Self::Listen | Self::Bound | Self::Unconnected)
    }

    /// Returns whether a TCP socket in this state makes its port unusable for connect() to any
    /// destination (`__inet_hash_connect`).
    pub fn blocks_connect(self) -> bool {
        matches!(self, Self::Listen | Self::Bound)
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

/// Returns the number of the batch to which an inode belongs. Inodes grow in the order in which
/// sockets are created, in batches that a CPU reserves at once (`get_next_ino`, `LAST_INO_BATCH`).
pub fn inode_batch(inode: u32) -> u32 {
    inode.wrapping_sub(1) / 1024
}

/// Returns the address as the kernel compares it: an IPv4-mapped one as IPv4.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// What the kernel's timer of a socket is for (`idiag_timer`, sock_diag(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Timer {
    #[default]
    None,
    Retransmit,
    Keepalive,
    TimeWait,
    Persist,
}

/// One entry of the kernel's socket tables: 128 bytes, so 200,000 sockets take 26 MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    pub protocol: Protocol,
    pub family: Family,
    pub state: State,
    pub timer: Timer,
    pub local: Endpoint,
    /// None: the socket has no peer.
    pub remote: Option<Endpoint>,
    /// Index of the device that the socket is bound to; None: no device.
    pub interface: Option<u32>,
    /// None for TIME-WAIT, orphaned and not yet accepted sockets, for which the kernel reports 0.
    pub inode: Option<u32>,
    /// None if the kernel does not report the uid, as for TIME-WAIT, orphans and SYN-RECEIVED. 0
    /// always means root.
    pub uid: Option<u32>,
    /// None if the source has no cookies (/proc/net).
    pub cookie: Option<u64>,
    /// Milliseconds until `timer` fires; None without a timer.
    pub expires_ms: Option<u32>,
    /// Id of the control group (`INET_DIAG_CGROUP_ID`); None: not reported.
    pub cgroup: Option<u64>,
    /// Bytes in the receive queue. Of a listener: connections that wait for accept().
    pub receive_queue: u32,
    /// Bytes in the send queue. Of a listener: the limit of its accept queue, or 0 if read from
    /// /proc/net.
    pub send_queue: u32,
    pub holder: Holder,
}

impl Socket {
    /// Returns a socket of the address's family of which nothing else is known.
    pub fn new(protocol: Protocol, state: State, local: Endpoint) -> Self {
        Self {
            protocol,
            family: if local.address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 },
            state,
            timer: Timer::None,
            local,
            remote: None,
            interface: None,
            inode: None,
            uid: None,
            cookie: None,
            expires_ms: None,
            cgroup: None,
            receive_queue: 0,
            send_queue: 0,
            holder: Holder::NotAsked,
        }
    }

    /// Returns the protocol and the local port, by which lists of sockets are sorted.
    pub fn protocol_port(&self) -> (Protocol, u16) {
        (self.protocol, self.local.port)
    }

    /// Returns whether both sockets have the same protocol and local port.
    pub fn shares_port(&self, other: &Self) -> bool {
        self.protocol_port() == other.protocol_port()
    }

    /// Returns whether the process of the socket has closed it, but the kernel keeps it.
    ///
    /// SYN-RECEIVED and not yet accepted sockets have no inode either, but belong to their
    /// listener.
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

    /// Returns the number of bytes that the process has sent and the peer has not acknowledged. The
    /// kernel counts a FIN that was not acknowledged as one byte of the send queue.
    pub fn undelivered(&self) -> u32 {
        match self.state {
            State::FinWait1 | State::Closing | State::LastAck => self.send_queue.saturating_sub(1),
            State::Established | State::CloseWait => self.send_queue,
            _ => 0,
        }
    }

    /// Returns whether the kernel still sends data of a socket that its process has closed.
    pub fn has_undelivered_data(&self) -> bool {
        self.is_closed_by_process() && self.undelivered() > 0
    }

    /// Returns whether close() does not release the port before the peer has acknowledged, which
    /// it may never do, although the peer has closed: the socket is in LAST-ACK, or in CLOSE-WAIT
    /// with data to deliver.
    pub fn waits_for_acknowledgement(&self) -> bool {
        self.state == State::LastAck || self.state == State::CloseWait && self.undelivered() > 0
    }

    /// Returns whether the socket is in a queue of a listener: it is in SYN-RECEIVED, or waits for
    /// accept().
    ///
    /// Includes CLOSE-WAIT: a peer may close the connection before it is accepted.
    pub fn is_in_backlog(&self) -> bool {
        self.inode.is_none()
            && matches!(self.state, State::SynReceived | State::Established | State::CloseWait)
    }

    /// Returns whether this is a TCP socket whose local and remote endpoint are equal.
    pub fn is_self_connected(&self) -> bool {
        self.protocol == Protocol::Tcp && self.remote == Some(self.local)
    }

    /// Returns whether this is an IPv6 socket with an IPv4-mapped address, which communicates over
    /// IPv4 only.
    pub fn is_mapped(&self) -> bool {
        matches!(self.local.address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
    }

    /// Returns the sort key of lists of sockets: protocol and port, then fields that rarely change
    /// between two scans.
    pub fn sort_key(&self) -> (Protocol, u16, Family, Option<u64>, Option<u32>) {
        (self.protocol, self.local.port, self.family, self.cookie, self.inode)
    }
}
