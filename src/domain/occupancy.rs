//! The kinds of sockets on each port. Does not store the sockets.

use crate::domain::{Family, PortRange, Protocol, Protocols, Snapshot, Socket, State};

/// The kinds of port use that the map distinguishes, most informative first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateClass {
    Listen,
    /// FIN-WAIT-1, FIN-WAIT-2, CLOSE-WAIT, LAST-ACK and CLOSING.
    Closing,
    Bound,
    Udp,
    /// ESTABLISHED, SYN-SENT and SYN-RECEIVED.
    Established,
    TimeWait,
}

impl StateClass {
    /// In descending order of weight. A port is shown as the first of its classes in this order.
    pub const EACH: [Self; 6] =
        [Self::Listen, Self::Closing, Self::Bound, Self::Udp, Self::Established, Self::TimeWait];

    pub fn of(state: State) -> Self {
        match state {
            State::Listen => Self::Listen,
            State::SynSent | State::SynReceived | State::Established => Self::Established,
            State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => Self::Closing,
            State::TimeWait => Self::TimeWait,
            State::Bound => Self::Bound,
            State::Unconnected | State::Connected => Self::Udp,
        }
    }

    /// Returns the weight per port. A block of the map with several classes shows the one with the
    /// largest sum of weights.
    pub fn weight(self) -> u32 {
        match self {
            Self::Listen => 30,
            Self::Closing => 5,
            Self::Bound | Self::Udp => 4,
            Self::Established => 3,
            Self::TimeWait => 2,
        }
    }
}

/// A protocol of one address family, such as TCP over IPv4. A dual-stack socket counts for both
/// families of its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtocolFamily {
    Tcp4,
    Tcp6,
    Udp4,
    Udp6,
}

impl ProtocolFamily {
    pub const EACH: [Self; 4] = [Self::Tcp4, Self::Tcp6, Self::Udp4, Self::Udp6];

    /// Returns the IPv4 and the IPv6 family of a protocol.
    pub fn of(protocol: Protocol) -> [Self; 2] {
        match protocol {
            Protocol::Tcp => [Self::Tcp4, Self::Tcp6],
            Protocol::Udp => [Self::Udp4, Self::Udp6],
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp4 => "TCP IPv4",
            Self::Tcp6 => "TCP IPv6",
            Self::Udp4 => "UDP IPv4",
            Self::Udp6 => "UDP IPv6",
        }
    }

    pub fn protocol(self) -> Protocol {
        match self {
            Self::Tcp4 | Self::Tcp6 => Protocol::Tcp,
            Self::Udp4 | Self::Udp6 => Protocol::Udp,
        }
    }

    pub fn includes(self, socket: &Socket) -> bool {
        let mut each = Self::of(socket.protocol).into_iter().zip(families(socket));
        each.any(|(protocol_family, counts)| counts && protocol_family == self)
    }
}

/// Returns whether the socket counts for IPv4, and whether for IPv6.
fn families(socket: &Socket) -> [bool; 2] {
    let is_mapped = socket.is_mapped();
    [socket.family != Family::Ipv6 || is_mapped, socket.family != Family::Ipv4 && !is_mapped]
}

/// The use of one port: the classes of its sockets, for each protocol and family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortUse([u8; 4]);

impl PortUse {
    pub fn is_occupied(self, protocols: Protocols) -> bool {
        self.classes(protocols) != 0
    }

    /// Returns the class that is shown for this port. None: no socket of `protocols` uses it.
    pub fn shown_class(self, protocols: Protocols) -> Option<StateClass> {
        StateClass::EACH.get(self.classes(protocols).trailing_zeros() as usize).copied()
    }

    fn classes(self, protocols: Protocols) -> u8 {
        let [tcp4, tcp6, udp4, udp6] = self.0;
        match protocols {
            Protocols::Tcp => tcp4 | tcp6,
            Protocols::Udp => udp4 | udp6,
            Protocols::Both => tcp4 | tcp6 | udp4 | udp6,
        }
    }
}

/// Numbers of ports, in the order of `StateClass::EACH`.
pub type ByClass = [u32; StateClass::EACH.len()];

/// Counts even and odd ports by the first class of each. Has no branches, because it runs for each
/// port of each map and gauge.
fn by_class(ports: impl Iterator<Item = (u16, u8)>) -> [ByClass; 2] {
    // `trailing_zeros` returns 8 if no bit is set: the last count is that of the unused ports.
    let mut counts = [[0; 9]; 2];
    for (port, classes) in ports {
        counts[usize::from(port % 2)][classes.trailing_zeros() as usize] += 1;
    }
    counts.map(|counts| std::array::from_fn(|class| counts[class]))
}

/// How much of a range is used, for one protocol and family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    pub protocol_family: ProtocolFamily,
    /// Ports in the range, reserved ones included.
    pub size: u32,
    /// Ports with at least one socket.
    pub occupied: u32,
    /// Of `occupied`: even ports.
    pub occupied_even: u32,
    /// `occupied` by the class that is shown for each port, in the order of `StateClass::EACH`.
    pub by_class: ByClass,
}

impl Gauge {
    /// Occupied share of the range, 0 to 1.
    pub fn share(&self) -> f64 {
        f64::from(self.occupied) / f64::from(self.size)
    }
}

/// The use of all 65,536 ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupancy {
    ports: Vec<PortUse>,
}

impl Occupancy {
    pub fn empty() -> Self {
        Self { ports: vec![PortUse::default(); 65_536] }
    }

    pub fn count(snapshot: &Snapshot) -> Self {
        let mut occupancy = Self::empty();
        for socket in &snapshot.sockets {
            occupancy.add(socket);
        }
        occupancy
    }

    pub fn add(&mut self, socket: &Socket) {
        let PortUse(port_use) = &mut self.ports[usize::from(socket.local.port)];
        let bit = 1 << StateClass::of(socket.state) as u8;
        for (family, counts) in
            ProtocolFamily::of(socket.protocol).into_iter().zip(families(socket))
        {
            port_use[family as usize] |= if counts { bit } else { 0 };
        }
    }

    pub fn port(&self, port: u16) -> PortUse {
        self.ports[usize::from(port)]
    }

    /// Iterates in ascending order.
    pub fn ports(&self, range: PortRange) -> impl Iterator<Item = (u16, PortUse)> {
        let uses = &self.ports[usize::from(range.first())..=usize::from(range.last())];
        range.ports().zip(uses.iter().copied())
    }

    /// Returns the number of ports in `range` with at least one socket of `protocols`.
    pub fn occupied_in(&self, range: PortRange, protocols: Protocols) -> u32 {
        let uses = &self.ports[usize::from(range.first())..=usize::from(range.last())];
        uses.iter().filter(|port_use| port_use.is_occupied(protocols)).count() as u32
    }

    pub fn gauge(&self, protocol_family: ProtocolFamily, range: PortRange) -> Gauge {
        let classes =
            self.ports(range).map(|(port, port_use)| (port, port_use.0[protocol_family as usize]));
        let [even, odd] = by_class(classes);
        Gauge {
            protocol_family,
            size: range.len(),
            occupied: even.iter().chain(&odd).sum(),
            occupied_even: even.iter().sum(),
            by_class: std::array::from_fn(|class| even[class] + odd[class]),
        }
    }

    /// Counts even and odd ports by the class that is shown for each, in the order of
    /// `StateClass::EACH`.
    pub fn by_class(&self, range: PortRange, protocols: Protocols) -> [ByClass; 2] {
        by_class(self.ports(range).map(|(port, port_use)| (port, port_use.classes(protocols))))
    }
}
