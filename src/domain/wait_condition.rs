//! A condition to wait for: a port that is free or listening, or a number of available ports. Reads
//! nothing and does not wait.

use std::fmt;

use crate::domain::{
    Protocol, Protocols, Snapshot, State, availability, filter::Comparison, notation::grouped,
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

/// The comparisons that a condition accepts, the longer symbols first.
const COMPARISONS: [Comparison; 4] =
    [Comparison::GreaterOrEqual, Comparison::LessOrEqual, Comparison::Greater, Comparison::Less];

const EXPECTED: &str = "expected PORT, PORT free, PORT listening or available > N";

impl WaitCondition {
    /// Parses a condition. Errors: what was wrong, and what is accepted.
    pub fn parse(typed: &str) -> Result<Self, String> {
        let typed = typed.trim();
        let comparison = COMPARISONS.into_iter().find_map(|comparison| {
            let (subject, number) = typed.split_once(comparison.symbol())?;
            Some((subject, comparison, number))
        });
        if let Some((subject, comparison, number)) = comparison {
            return Self::of_available(subject.trim(), comparison, number.trim());
        }
        let mut words = typed.split_whitespace();
        let (subject, state) = (words.next().unwrap_or_default(), words.next());
        if words.next().is_some() {
            return Err(EXPECTED.to_owned());
        }
        let (port, protocols) = port(subject)?;
        match state {
            None | Some("free") => Ok(Self::Free { port, protocols }),
            Some("listening" | "listen") => {
                let is_udp = protocols == Protocols::Udp;
                let protocol = if is_udp { Protocol::Udp } else { Protocol::Tcp };
                Ok(Self::Listening { port, protocol })
            }
            Some(_) => Err(EXPECTED.to_owned()),
        }
    }

    fn of_available(subject: &str, comparison: Comparison, number: &str) -> Result<Self, String> {
        let protocol = match subject {
            "available" | "available/tcp" => Protocol::Tcp,
            "available/udp" => Protocol::Udp,
            _ => return Err(EXPECTED.to_owned()),
        };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let ports = number.parse().ok().filter(|ports| is_number && *ports <= 65_536);
        let ports = ports.ok_or("expected a number of ports, 0 to 65536")?;
        Ok(Self::Available { protocol, comparison, ports })
    }

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
            Self::Available { protocol, comparison, ports } => {
                comparison.holds(&available(snapshot, protocol), &ports)
            }
        }
    }
}

/// Returns the number of ports of the ephemeral range that are neither reserved nor in use.
pub fn available(snapshot: &Snapshot, protocol: Protocol) -> u32 {
    let used = snapshot.automatic_ports(protocol).count() as u32;
    let unlisted = match protocol {
        Protocol::Tcp => snapshot.unlisted_in_range(),
        Protocol::Udp => 0,
    };
    snapshot.ephemeral.automatic_capacity().saturating_sub(used + unlisted)
}

/// Parses `8080`, `:8080`, `8080/tcp` or `8080/udp`.
fn port(word: &str) -> Result<(u16, Protocols), String> {
    let word = word.strip_prefix(':').unwrap_or(word);
    let (number, protocols) = match word.split_once('/') {
        None => (word, Protocols::Both),
        Some((number, "tcp")) => (number, Protocols::Tcp),
        Some((number, "udp")) => (number, Protocols::Udp),
        Some((number, _)) => return Err(format!("expected {number}/tcp or {number}/udp")),
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(EXPECTED.to_owned());
    }
    let port = number.parse().ok().filter(|&port| port > 0);
    Ok((port.ok_or("expected a port, 1 to 65535")?, protocols))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_is_a_port_and_a_state_or_a_number_of_ports() {
        let (both, tcp, udp) = (Protocols::Both, Protocol::Tcp, Protocol::Udp);
        let more = Comparison::Greater;
        for (typed, expected) in [
            ("8080", WaitCondition::Free { port: 8080, protocols: both }),
            (":8080", WaitCondition::Free { port: 8080, protocols: both }),
            ("8080/tcp free", WaitCondition::Free { port: 8080, protocols: Protocols::Tcp }),
            ("8080 listening", WaitCondition::Listening { port: 8080, protocol: tcp }),
            ("53/udp listening", WaitCondition::Listening { port: 53, protocol: udp }),
            (
                "available > 20000",
                WaitCondition::Available { protocol: tcp, comparison: more, ports: 20_000 },
            ),
            (
                "available/udp<=5",
                WaitCondition::Available {
                    protocol: udp,
                    comparison: Comparison::LessOrEqual,
                    ports: 5,
                },
            ),
        ] {
            assert_eq!(WaitCondition::parse(typed), Ok(expected), "{typed}");
        }
    }

    #[test]
    fn other_conditions_are_refused_with_what_is_accepted() {
        for (typed, reported) in [
            ("", EXPECTED),
            ("nginx", EXPECTED),
            ("8080 open", EXPECTED),
            ("8080 free now", EXPECTED),
            ("used > 5", EXPECTED),
            ("-5", EXPECTED),
            ("0", "expected a port, 1 to 65535"),
            ("70000", "expected a port, 1 to 65535"),
            ("8080/sctp", "expected 8080/tcp or 8080/udp"),
            ("available > x", "expected a number of ports, 0 to 65536"),
            ("available > -1", "expected a number of ports, 0 to 65536"),
            ("available > 65537", "expected a number of ports, 0 to 65536"),
        ] {
            assert_eq!(WaitCondition::parse(typed), Err(reported.to_owned()), "{typed}");
        }
    }
}
