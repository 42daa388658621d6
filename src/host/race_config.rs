//! The configuration of a race, and its actors. Runs nothing.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use crate::{
    domain::PortRange,
    host::actor::{
        Actor, ActorFields, ActorRole, BadActor, HoldTime, LocalPorts, OpenCall, OpenRole,
    },
};

/// A race: the holder closes a port and binds it again after the window, while the competitor binds
/// ports at random all the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RaceConfig {
    /// The ports of the race; port 0 is not among them.
    pub range: PortRange,
    /// Number of these ports that other sockets hold from the beginning to the end.
    pub others: u32,
    /// Time from close() to the bind() of the same port.
    pub window: Duration,
    /// How long the competitor keeps a port: longer than the window, so that no theft is missed.
    pub hold: Duration,
    /// Maximum number of ports that the competitor holds at once. While it holds that many, it
    /// binds no other.
    pub most: u32,
    /// Binds per second that the competitor aims for, above 0. The binds that it really makes are
    /// counted.
    pub per_second: f64,
    pub rounds: u32,
    pub seed: u64,
}

impl RaceConfig {
    /// Returns the actor that runs the race.
    pub fn holder(self) -> Actor {
        Actor { name: "race-holder".to_owned(), role: ActorRole::RaceHolder(self) }
    }

    /// Returns the actor that binds ports at random, and knows nothing of the holder.
    pub fn competitor(&self) -> Actor {
        let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let role = OpenRole {
            call: OpenCall::UdpBind { from: LocalPorts { address, ports: self.range } },
            reuse_address: false,
            bind_no_port: false,
            count: u64::MAX,
            per_second: self.per_second,
            most: self.most,
            hold: HoldTime::For(self.hold),
            // Different from the holder's.
            seed: !self.seed,
        };
        Actor { name: "race-competitor".to_owned(), role: ActorRole::Open(role) }
    }

    /// Returns the names and values of the fields, which `parse` reads.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("range", self.range.to_string()),
            ("others", self.others.to_string()),
            ("window", self.window.as_nanos().to_string()),
            ("hold", self.hold.as_nanos().to_string()),
            ("most", self.most.to_string()),
            ("rate", self.per_second.to_string()),
            ("rounds", self.rounds.to_string()),
            ("seed", self.seed.to_string()),
        ]
    }

    pub fn parse(fields: &mut ActorFields<'_>) -> Result<Self, BadActor> {
        Ok(Self {
            range: fields.range("range")?,
            others: fields.number("others")?,
            window: fields.time("window")?,
            hold: fields.time("hold")?,
            most: fields.number("most")?,
            per_second: fields.rate("rate")?,
            rounds: fields.number("rounds")?,
            seed: fields.number("seed")?,
        })
    }
}
