//! Checks and interprets the arguments of `serve`. Does not read the machine.

use std::{num::NonZeroU32, os::unix::ffi::OsStrExt as _, time::Duration};

use crate::{
    allocator::Quarantine,
    cli::{
        args::ServeArguments,
        namespaces::NamespaceChoice,
        settings::{BadInput, RangeChoice, address, diagnose::decimal, number, seed},
    },
    domain::{LocalAddress, Protocols, Text},
    host::lease_socket::SocketPath,
};

/// Default quarantine, if neither --quarantine nor --drain is given.
const QUARANTINE: Duration = Duration::from_secs(2);

/// Longest quarantine, in seconds: a day.
const MAX_QUARANTINE_SECONDS: f64 = 86_400.0;

pub struct ServeSettings {
    pub socket_path: SocketPath,
    pub range: RangeChoice,
    pub protocols: Protocols,
    pub namespace: NamespaceChoice,
    pub max_attempts: NonZeroU32,
    pub seed: Option<u64>,
    pub address: Option<LocalAddress>,
    pub ignore_reserved: bool,
    pub quarantine: Quarantine,
    pub trace: bool,
}

impl TryFrom<ServeArguments> for ServeSettings {
    type Error = BadInput;

    fn try_from(typed: ServeArguments) -> Result<Self, BadInput> {
        let socket_path = SocketPath::parse(&typed.socket).ok_or_else(|| {
            let shown = Text::scrub(typed.socket.as_bytes());
            BadInput(format!("invalid value '{shown}' for --socket: expected a path or @NAME"))
        })?;
        let quarantine = match (&typed.quarantine, &typed.drain) {
            (Some(typed), _) => Quarantine::Time(rest("--quarantine", typed)?),
            (None, Some(typed)) => Quarantine::Drain(rest("--drain", typed)?),
            (None, None) => Quarantine::Time(QUARANTINE),
        };
        Ok(Self {
            socket_path,
            range: RangeChoice::for_choosing(&typed.range)?,
            protocols: typed.protocol.into(),
            namespace: typed.netns.try_into()?,
            max_attempts: number("--max-attempts", &typed.max_attempts)?,
            seed: typed.seed.as_deref().map(seed).transpose()?,
            address: typed.address.as_deref().map(address).transpose()?,
            ignore_reserved: typed.ignore_reserved,
            quarantine,
            trace: typed.trace,
        })
    }
}

fn rest(option: &str, typed: &str) -> Result<Duration, BadInput> {
    let seconds = decimal(typed).filter(|seconds| (0.0..=MAX_QUARANTINE_SECONDS).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| {
        let shown = Text::scrub(typed);
        BadInput(format!(
            "invalid value '{shown}' for {option}: expected 0 to {MAX_QUARANTINE_SECONDS} seconds"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarantine_is_0_to_86400_seconds() {
        assert_eq!(rest("--drain", "0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(rest("--drain", "86400"), Ok(Duration::from_hours(24)));
        for typed in ["-1", "86401", "", "1s", "inf", "\u{1b}[2J"] {
            let BadInput(reported) = rest("--drain", typed).unwrap_err();
            assert!(reported.contains("0 to 86400") && !reported.contains('\u{1b}'), "{reported}");
        }
    }
}
