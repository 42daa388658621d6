//! Reads the fields of an actor's description from the arguments of its process.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use crate::{
    domain::{PortRange, Text},
    host::actor::{HoldTime, LocalPorts},
};

/// Why arguments describe no actor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadActor(Text);

impl BadActor {
    pub fn invalid(field: &str, value: &str, expected: &str) -> Self {
        Self(Text::scrub(format!("invalid value '{value}' for {field}: expected {expected}")))
    }
}

/// The arguments that are not read yet: the name and the value of each field, in a fixed order.
pub struct ActorFields<'a>(pub &'a [String]);

impl ActorFields<'_> {
    /// Reads the next field. Errors: it has another name, or `parse` returns None.
    pub fn next<T>(
        &mut self,
        field: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, BadActor> {
        match self.0 {
            [found, value, rest @ ..] if found == field => {
                self.0 = rest;
                parse(value).ok_or_else(|| BadActor::invalid(field, value, expected))
            }
            _ => {
                Err(BadActor(Text::scrub(format!("missing field '{field}': expected {expected}"))))
            }
        }
    }

    pub fn number<T: FromStr>(&mut self, field: &str) -> Result<T, BadActor> {
        let expected = format!("0 to 2^{} - 1", 8 * size_of::<T>());
        self.next(field, &expected, |word| word.parse().ok())
    }

    pub fn boolean(&mut self, field: &str) -> Result<bool, BadActor> {
        self.next(field, "true or false", |word| word.parse().ok())
    }

    pub fn rate(&mut self, field: &str) -> Result<f64, BadActor> {
        self.next(field, "a number above 0", |word| {
            word.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0)
        })
    }

    pub fn time(&mut self, field: &str) -> Result<Duration, BadActor> {
        self.next(field, "nanoseconds", parse_time)
    }

    /// Reads a hold time, which can be `UntilPeerCloses` if `has_peer`.
    pub fn hold_time(&mut self, has_peer: bool) -> Result<HoldTime, BadActor> {
        let peer = if has_peer { ", peer" } else { "" };
        self.next("hold", &format!("nanoseconds{peer} or forever"), |word| match word {
            "forever" => Some(HoldTime::Forever),
            "peer" if has_peer => Some(HoldTime::UntilPeerCloses),
            word => parse_time(word).map(HoldTime::For),
        })
    }

    pub fn endpoint(&mut self, field: &str) -> Result<SocketAddr, BadActor> {
        self.next(field, "ADDRESS:PORT", |word| word.parse().ok())
    }

    /// Reads a range without port 0.
    pub fn range(&mut self, field: &str) -> Result<PortRange, BadActor> {
        self.next(field, "FIRST-LAST, above 0", |word| {
            parse_range(word).filter(|range| range.first() > 0)
        })
    }

    pub fn local_ports(&mut self, field: &str) -> Result<LocalPorts, BadActor> {
        self.next(field, "ADDRESS:FIRST-LAST", parse_local_ports)
    }

    pub fn optional_local_ports(&mut self, field: &str) -> Result<Option<LocalPorts>, BadActor> {
        self.next(field, "ADDRESS:FIRST-LAST or none", |word| match word {
            "none" => Some(None),
            word => parse_local_ports(word).map(Some),
        })
    }

    pub fn end(self) -> Result<(), BadActor> {
        match self.0 {
            [] => Ok(()),
            [word, ..] => Err(BadActor(Text::scrub(format!("unexpected argument '{word}'")))),
        }
    }
}

/// Parses the output of `PortRange`'s `Display`.
fn parse_range(word: &str) -> Option<PortRange> {
    let (first, last) = word.split_once('-')?;
    PortRange::new(first.parse().ok()?, last.parse().ok()?).ok()
}

fn parse_time(word: &str) -> Option<Duration> {
    word.parse().ok().map(Duration::from_nanos)
}

/// Parses the output of `LocalPorts`' `Display`: a range without port 0, or 0-0.
fn parse_local_ports(word: &str) -> Option<LocalPorts> {
    let (address, ports) = word.rsplit_once(':')?;
    let ports = parse_range(ports).filter(|ports| ports.first() > 0 || ports.last() == 0)?;
    Some(LocalPorts { address: address.parse().ok()?, ports })
}
