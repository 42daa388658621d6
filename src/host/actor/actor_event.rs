//! The lines in which an actor that opens or accepts sockets reports what it did. Does not read or
//! write pipes.

use std::fmt;

use crate::domain::Errno;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorEvent {
    /// The actor begins. `port` is the one on which it listens, or 0.
    Up { port: u16 },
    /// It opened a socket on its own `port`, or accepted a connection from the peer's `port`, while
    /// it held `held` others.
    Opened { port: u16, held: u32 },
    /// The kernel refused a call for this port, which the actor itself may hold; 0: the kernel was
    /// to choose the port.
    Refused { port: u16, errno: Errno },
}

impl fmt::Display for ActorEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up { port } => write!(f, "up {port}"),
            Self::Opened { port, held } => write!(f, "opened {port} {held}"),
            Self::Refused { port, errno } => write!(f, "refused {port} {}", errno.0),
        }
    }
}

impl ActorEvent {
    /// Parses the output of `Display`. None: the line is no event.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let (name, rest) = str::from_utf8(line).ok()?.split_once(' ')?;
        let (port, number) =
            rest.split_once(' ').map_or((rest, None), |(port, number)| (port, Some(number)));
        let port = port.parse().ok()?;
        match (name, number) {
            ("up", None) => Some(Self::Up { port }),
            ("opened", Some(held)) => Some(Self::Opened { port, held: held.parse().ok()? }),
            ("refused", Some(errno)) => {
                Some(Self::Refused { port, errno: Errno(errno.parse().ok()?) })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_survives_a_round_trip_and_other_lines_are_rejected() {
        for event in [
            ActorEvent::Up { port: 0 },
            ActorEvent::Opened { port: 40_001, held: 7 },
            ActorEvent::Refused { port: 40_001, errno: Errno::EADDRINUSE },
        ] {
            assert_eq!(ActorEvent::parse(event.to_string().as_bytes()), Some(event));
        }
        for bad in ["", "up", "up 0 0", "up 65536", "opened 1", "opened 1 -1", "refused 1 x", "b 1"]
        {
            assert_eq!(ActorEvent::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(ActorEvent::parse(b"up \xff"), None);
    }
}
