//! A condition to wait for: a port that is free or listening, or a number of available ports. Reads
//! nothing and does not wait.

use std::fmt;

use crate::domain::{
    Gap, Protocol, Protocols, Snapshot, State, availability, filter::Comparison, notation::grouped,
};

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitCondition {
    /// No socket uses the port.
    Free { port: u16, protocols: Protocols },
    /// A TCP socket is in LISTEN on the port, or a UDP socket has it and no peer.
    Listening { port: u16, protocol: Protocol },
    /// The number of ports of the ephemeral range that are neither reserved nor in use.
    Available { protocol: Protocol, comparison: Comparison, ports: u32 },
}

impl WaitCondition {
    /// Returns the port that the condition is about. None: it is about all ports.
    pub fn port(self) -> Option<u16> {
        match self {
            Self::Free { port, .. } | Self::Listening { port, .. } => Some(port),
            Self::Available { .. } => None,
        }
    }

    /// Returns whether a snapshot meets the condition. A condition is not met if a gap may hide a
    /// socket that matters. The snapshot must be sorted.
    pub fn is_met(self, snapshot: &Snapshot) -> bool {
        match self {
            Self::Free { port, protocols } => Protocol::EACH
                .into_iter()
                .filter(|&protocol| protocols.includes(protocol))
                .all(|protocol| {
                    snapshot.on_port(protocol, port).is_empty()
                        && !availability::may_be_unlisted(snapshot, protocol, port)
                }),
            Self::Listening { port, protocol } => {
                let mut sockets = snapshot.on_port(protocol, port).iter();
                sockets.any(|socket| matches!(socket.state, State::Listen | State::Unconnected))
            }
            Self::Available { protocol, comparison, ports } => available(snapshot, protocol)
                .is_some_and(|bounds| bounds.iter().all(|count| comparison.holds(count, &ports))),
        }
    }
}

/// Returns the least and the greatest number of ports of the ephemeral range that are neither reserved
/// nor in use. None: unknown, because a table, the range or the list of reserved ports is missing.
fn available(snapshot: &Snapshot, protocol: Protocol) -> Option<[u32; 2]> {
    let is_missing = |gap: &Gap| {
        gap.hides_capacity() || gap.table().is_some_and(|table| table.protocol() == protocol)
    };
    if snapshot.gaps.iter().any(is_missing) {
        return None;
    }
    let used = snapshot.automatic_ports(protocol).count() as u32;
    let most = snapshot.ephemeral.automatic_capacity().saturating_sub(used);
    let unlisted = match protocol {
        Protocol::Tcp => snapshot.unlisted_in_range(),
        Protocol::Udp => 0,
    };
    Some([most.saturating_sub(unlisted), most])
}

/// Prints the condition as a sentence says it: `TCP 8080 is free`.
impl fmt::Display for WaitCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free { port, protocols: Protocols::Both } => write!(f, "port {port} is free"),
            Self::Free { port, protocols } => {
                write!(f, "{} {port} is free", protocols.name().to_uppercase())
            }
            Self::Listening { port, protocol: Protocol::Tcp } => {
                write!(f, "a socket listens on TCP {port}")
            }
            Self::Listening { port, .. } => write!(f, "a socket receives on UDP {port}"),
            Self::Available { protocol, comparison, ports } => write!(
                f,
                "{} ports available {} {}",
                protocol.name().to_uppercase(),
                comparison.symbol(),
                grouped(*ports)
            ),
        }
    }
}
