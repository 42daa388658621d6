//! Descriptions of actors, and their form as arguments of a process. Runs no actor.
//!
//! An actor is a child process that uses ports as an application does. It ends with the process
//! that started it.

mod actor_event;
mod actor_fields;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{domain::PortRange, host::race_config::RaceConfig};

pub use actor_event::ActorEvent;
pub use actor_fields::{ActorFields, BadActor};

#[derive(Clone, Debug, PartialEq)]
pub struct Actor {
    /// Name of the process, which `ps -o comm` shows: 1 to 15 bytes.
    pub name: String,
    pub role: ActorRole,
}

/// What an actor does.
#[derive(Clone, Debug, PartialEq)]
pub enum ActorRole {
    /// Used by tests only.
    Listen(ListenRole),
    /// The competitor of a race uses `UdpBind`; the other calls are used by tests only.
    Open(OpenRole),
    /// Creates a private network namespace, starts the competitor and the receiver in it, and runs
    /// the rounds of a race.
    RaceHolder(RaceConfig),
    /// Receives the sockets that the holder of a race hands over.
    RaceReceiver,
}

/// Listens for TCP connections, and accepts each one at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListenRole {
    /// Port 0: the kernel chooses the port.
    pub at: SocketAddr,
    /// Whether to set SO_REUSEADDR before bind().
    pub reuse_address: bool,
    pub hold: HoldTime,
}

/// Opens sockets one after another, and holds each. Goes on after a refusal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenRole {
    pub call: OpenCall,
    /// Whether to set SO_REUSEADDR before bind().
    pub reuse_address: bool,
    /// Whether to set IP_BIND_ADDRESS_NO_PORT before bind().
    pub bind_no_port: bool,
    /// Number of sockets to open, those that the kernel refuses included. u64::MAX: without end.
    pub count: u64,
    /// Sockets to open per second, above 0. The times between them are exponentially distributed.
    pub per_second: f64,
    /// Maximum number of sockets held at once. While it holds that many, it opens no
    /// other.
    pub most: u32,
    pub hold: HoldTime,
    /// Seed of the times and of the ports.
    pub seed: u64,
}

/// How an actor opens a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenCall {
    /// TCP: connect(), with `from` after a bind(). The actor waits for the answer of the peer.
    Connect { from: Option<LocalPorts>, to: SocketAddr },
    /// TCP: bind() alone.
    Bind { from: LocalPorts },
    /// UDP: bind() alone.
    UdpBind { from: LocalPorts },
    /// UDP: sends one datagram, from a port that the kernel chooses.
    UdpSend { to: SocketAddr },
}

/// An address and the ports of which bind() gets one, drawn at random. 0-0: the kernel chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalPorts {
    pub address: IpAddr,
    pub ports: PortRange,
}

/// When an actor closes a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldTime {
    /// After this time, whether or not the peer has closed its end.
    For(Duration),
    /// When the peer has closed its end. For TCP connections only.
    UntilPeerCloses,
    /// Never, whether or not the peer has closed its end.
    Forever,
}

/// Returns the time between two events of a Poisson process, at most one hour. `fraction` is drawn
/// from [0, 1) at random.
pub fn exponential_gap(per_second: f64, fraction: f64) -> Duration {
    Duration::from_secs_f64((-(1.0 - fraction).ln() / per_second).min(3600.0))
}

impl Actor {
    /// Returns the seed of the actor's generator; 0: it draws no random numbers.
    pub fn seed(&self) -> u64 {
        match &self.role {
            ActorRole::Open(role) => role.seed,
            ActorRole::RaceHolder(config) => config.seed,
            ActorRole::Listen(_) | ActorRole::RaceReceiver => 0,
        }
    }

    /// Returns the description as arguments, which `parse` reads: the role, then the name and the
    /// value of each field.
    pub fn words(&self) -> Vec<String> {
        let (role, fields) = match &self.role {
            ActorRole::Listen(role) => ("listen", role.fields()),
            ActorRole::Open(role) => role.fields(),
            ActorRole::RaceHolder(config) => ("holder", config.fields()),
            ActorRole::RaceReceiver => ("receiver", Vec::new()),
        };
        let mut words = vec![role.to_owned(), "name".to_owned(), self.name.clone()];
        words.extend(fields.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
        words
    }

    /// Parses the output of `words`. Errors: the words describe no actor; the error names the
    /// field.
    pub fn parse(words: &[String]) -> Result<Self, BadActor> {
        let (role, rest) = words.split_first().map_or(("", words), |(role, rest)| (role, rest));
        let mut fields = ActorFields(rest);
        let name = fields.next("name", "1 to 15 bytes", |name| {
            (1..=15).contains(&name.len()).then(|| name.to_owned())
        })?;
        let role = match role {
            "listen" => ActorRole::Listen(ListenRole::parse(&mut fields)?),
            "holder" => ActorRole::RaceHolder(RaceConfig::parse(&mut fields)?),
            "receiver" => ActorRole::RaceReceiver,
            role => ActorRole::Open(OpenRole::parse(role, &mut fields)?),
        };
        fields.end()?;
        Ok(Self { name, role })
    }
}

impl ListenRole {
    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("at", self.at.to_string()),
            ("reuse_address", self.reuse_address.to_string()),
            ("hold", self.hold.to_string()),
        ]
    }

    fn parse(fields: &mut ActorFields<'_>) -> Result<Self, BadActor> {
        Ok(Self {
            at: fields.endpoint("at")?,
            reuse_address: fields.boolean("reuse_address")?,
            hold: fields.hold_time(true)?,
        })
    }
}

impl OpenRole {
    /// Returns the name of the call, and the fields.
    fn fields(&self) -> (&'static str, Vec<(&'static str, String)>) {
        let (call, mut fields) = match self.call {
            OpenCall::Connect { from, to } => {
                let from = from.map_or_else(|| "none".to_owned(), |from| from.to_string());
                ("connect", vec![("from", from), ("to", to.to_string())])
            }
            OpenCall::Bind { from } => ("bind", vec![("from", from.to_string())]),
            OpenCall::UdpBind { from } => ("udp-bind", vec![("from", from.to_string())]),
            OpenCall::UdpSend { to } => ("udp-send", vec![("to", to.to_string())]),
        };
        fields.extend([
            ("reuse_address", self.reuse_address.to_string()),
            ("bind_no_port", self.bind_no_port.to_string()),
            ("count", self.count.to_string()),
            ("rate", self.per_second.to_string()),
            ("most", self.most.to_string()),
            ("hold", self.hold.to_string()),
            ("seed", self.seed.to_string()),
        ]);
        (call, fields)
    }

    fn parse(role: &str, fields: &mut ActorFields<'_>) -> Result<Self, BadActor> {
        let call = match role {
            "connect" => OpenCall::Connect {
                from: fields.optional_local_ports("from")?,
                to: fields.endpoint("to")?,
            },
            "bind" => OpenCall::Bind { from: fields.local_ports("from")? },
            "udp-bind" => OpenCall::UdpBind { from: fields.local_ports("from")? },
            "udp-send" => OpenCall::UdpSend { to: fields.endpoint("to")? },
            role => {
                let roles = "listen, connect, bind, udp-bind, udp-send, holder or receiver";
                return Err(BadActor::invalid("role", role, roles));
            }
        };
        Ok(Self {
            call,
            reuse_address: fields.boolean("reuse_address")?,
            bind_no_port: fields.boolean("bind_no_port")?,
            count: fields.number("count")?,
            per_second: fields.rate("rate")?,
            most: fields.number("most")?,
            hold: fields.hold_time(matches!(call, OpenCall::Connect { .. }))?,
            seed: fields.number("seed")?,
        })
    }
}

impl fmt::Display for LocalPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.address, self.ports)
    }
}

impl fmt::Display for HoldTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(time) => write!(f, "{}", time.as_nanos()),
            Self::UntilPeerCloses => f.write_str("peer"),
            Self::Forever => f.write_str("forever"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_millis(20);

    fn open(call: OpenCall, hold: HoldTime) -> ActorRole {
        ActorRole::Open(OpenRole {
            call,
            reuse_address: true,
            bind_no_port: false,
            count: u64::MAX,
            per_second: 1000.1,
            most: 51,
            hold,
            seed: (1 << 53) - 1,
        })
    }

    fn roles() -> Vec<ActorRole> {
        let from = |ports| LocalPorts { address: "::1".parse().unwrap(), ports };
        let some = from(PortRange::new(49_152, 50_175).unwrap());
        let any = from(PortRange::new(0, 0).unwrap());
        let to = "[::1]:53".parse().unwrap();
        let race = RaceConfig {
            range: some.ports,
            others: 922,
            window: Duration::from_micros(10_001),
            hold: HOLD,
            most: 51,
            per_second: 1000.1,
            rounds: 1000,
            seed: 7,
        };
        vec![
            ActorRole::Listen(ListenRole { at: to, reuse_address: true, hold: HoldTime::Forever }),
            open(OpenCall::Connect { from: None, to }, HoldTime::UntilPeerCloses),
            open(OpenCall::Connect { from: Some(any), to }, HoldTime::For(HOLD)),
            open(OpenCall::Bind { from: some }, HoldTime::Forever),
            open(OpenCall::UdpBind { from: some }, HoldTime::For(HOLD)),
            open(OpenCall::UdpSend { to }, HoldTime::For(HOLD)),
            ActorRole::RaceHolder(race),
            ActorRole::RaceReceiver,
        ]
    }

    #[test]
    fn each_actor_survives_a_round_trip_through_arguments() {
        for role in roles() {
            let actor = Actor { name: "payments".to_owned(), role };
            assert_eq!(Actor::parse(&actor.words()).as_ref(), Ok(&actor));
        }
    }

    #[test]
    fn a_bad_description_is_refused_with_the_name_of_the_field() {
        let refusal = |words: &[String]| Actor::parse(words).unwrap_err().to_string();
        for role in roles() {
            let words = Actor { name: "payments".to_owned(), role }.words();
            for place in (1..words.len()).step_by(2) {
                let field = &words[place];
                for bad in ["", "-1", "NaN", "sixteen letters.\x1b[2J", "0-5", "::1:0-5"] {
                    let mut bad_words = words.clone();
                    bad.clone_into(&mut bad_words[place + 1]);
                    if field == "name" && (1..=15).contains(&bad.len()) {
                        continue;
                    }
                    let refused = refusal(&bad_words);
                    assert!(refused.starts_with("invalid value '"), "{refused}");
                    assert!(refused.contains(&format!("' for {field}: expected ")), "{refused}");
                    assert!(!refused.contains('\x1b'), "{refused}");
                }
                let missing = format!("missing field '{field}': expected ");
                assert!(refusal(&words[..place]).starts_with(&missing));
                assert!(refusal(&words[..=place]).starts_with(&missing));
            }
            let more = [words, vec!["more".to_owned()]].concat();
            assert_eq!(refusal(&more), "unexpected argument 'more'");
        }
    }

    #[test]
    fn only_a_connection_can_be_held_until_the_peer_closes() {
        for role in roles() {
            let is_connection = matches!(
                &role,
                ActorRole::Listen(_)
                    | ActorRole::Open(OpenRole { call: OpenCall::Connect { .. }, .. })
            );
            let mut words = Actor { name: "payments".to_owned(), role }.words();
            let Some(place) = words.iter().position(|word| word == "hold") else { continue };
            "peer".clone_into(&mut words[place + 1]);
            assert_eq!(Actor::parse(&words).is_ok(), is_connection, "{words:?}");
        }
    }
}
