//! Ports as an option names them: a range, a list, and how many ports a range must have. Does not
//! read the machine.

use std::{num::NonZeroU32, str::FromStr};

use crate::{
    cli::{settings::BadInput, value::is_number},
    domain::{Ephemeral, PortRange, Text, notation, port},
};

const RANGE_FORMS: &str = "free, ephemeral, iana, registered, system, all, FIRST-LAST or PORT";

/// The requested ports. The ephemeral range is not known until the machine is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeChoice {
    Ephemeral,
    /// See [`Ephemeral::outside`].
    Free,
    Ports(PortRange),
}

impl RangeChoice {
    /// Returns the requested ports on a machine with this policy.
    pub fn resolve(self, policy: &Ephemeral) -> PortRange {
        match self {
            Self::Ephemeral => policy.range,
            Self::Free => policy.outside(),
            Self::Ports(range) => range,
        }
    }

    /// Parses a range of ports to allocate. Port 0 cannot be bound: a named range begins at 1
    /// instead, and FIRST-LAST with port 0 is an error.
    pub fn for_choosing(typed: &str) -> Result<Self, String> {
        let choice = Self::parse(typed, 1)?;
        let Self::Ports(range) = choice else { return Ok(choice) };
        let is_named = typed.starts_with(|c: char| c.is_ascii_alphabetic());
        if range.first() > 0 {
            return Ok(choice);
        }
        match PortRange::new(1, range.last()) {
            Ok(range) if is_named => Ok(Self::Ports(range)),
            Ok(range) => {
                Err(format!("expected {} (port 0 cannot be allocated)", range_text(range)))
            }
            Err(_) => Err("expected 1 to 65535".into()),
        }
    }

    /// Parses a range. `lowest` is the lowest port that an error names as accepted.
    fn parse(typed: &str, lowest: u16) -> Result<Self, String> {
        Ok(Self::Ports(match typed {
            "ephemeral" => return Ok(Self::Ephemeral),
            "free" => return Ok(Self::Free),
            "iana" => port::IANA_DYNAMIC,
            "registered" => port::REGISTERED,
            "system" => port::SYSTEM,
            "all" => port::ALL,
            _ => ports(typed, RANGE_FORMS, lowest)?,
        }))
    }
}

impl FromStr for RangeChoice {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        Self::parse(typed, 0)
    }
}

/// Parses PORT or FIRST-LAST, 0 to 65535. The error names `forms`, or the ports from `lowest`, as
/// the accepted values.
pub fn ports(typed: &str, forms: &str, lowest: u16) -> Result<PortRange, String> {
    let (first, last) = typed.split_once('-').unwrap_or((typed, typed));
    if !is_number(first) || !is_number(last) {
        return Err(format!("expected {forms}"));
    }
    let (Ok(first), Ok(last)) = (first.parse(), last.parse()) else {
        return Err(format!("expected ports {lowest} to 65535"));
    };
    PortRange::new(first, last)
        .map_err(|_| format!("expected {last}-{first}, the lower port first"))
}

/// Parses the comma-separated list of --exclude: PORT, FIRST-LAST and `browsers`. The result is
/// ascending; its ranges neither overlap nor touch.
pub fn port_list(typed: &str) -> Result<Box<[PortRange]>, BadInput> {
    let mut listed = Vec::new();
    for word in typed.split(',').map(str::trim) {
        if word == "browsers" {
            let single = |&port| PortRange::new(port, port).ok();
            listed.extend(port::BLOCKED_BY_BROWSERS.iter().filter_map(single));
        } else {
            listed.push(ports(word, "PORT, FIRST-LAST or browsers", 0).map_err(|expected| {
                let shown = Text::scrub(word);
                BadInput(format!("invalid value '{shown}' for --exclude: {expected}"))
            })?);
        }
    }
    Ok(PortRange::merged(listed).into())
}

/// Parses the comma-separated list of `reserve`: PORT and FIRST-LAST, 1 to 65535.
pub fn reserved_list(typed: &str) -> Result<Box<[PortRange]>, BadInput> {
    let mut listed = Vec::new();
    for word in typed.split(',').map(str::trim) {
        let range = ports(word, "PORT or FIRST-LAST", 1);
        let range = range.and_then(|range| match range.first() {
            0 => Err("expected ports 1 to 65535".to_owned()),
            _ => Ok(range),
        });
        listed.push(range.map_err(|expected| {
            let shown = Text::scrub(word);
            BadInput(format!("invalid ports '{shown}': {expected}"))
        })?);
    }
    Ok(PortRange::merged(listed).into())
}

/// Checks that the range has at least `count` candidates. `count` is the value of `option`;
/// `candidates` is the number of ports of the range that are neither reserved nor excluded.
pub fn check_count(
    option: &str,
    count: NonZeroU32,
    range: PortRange,
    candidates: u32,
) -> Result<(), BadInput> {
    if count.get() <= candidates {
        return Ok(());
    }
    let accepted = if candidates == 1 { "1".to_owned() } else { format!("1 to {candidates}") };
    let ports = notation::counted(range.len(), "port");
    let shown = range_text(range);
    let left_out = match range.len() - candidates {
        0 => String::new(),
        left_out => format!(", {} of them reserved or excluded", notation::grouped(left_out)),
    };
    Err(BadInput(format!(
        "invalid value '{count}' for {option}: expected {accepted} (range {shown} has \
         {ports}{left_out})"
    )))
}

/// Formats a range as `3000-3999`, or as `8080` if it has one port.
pub fn range_text(range: PortRange) -> String {
    if range.len() == 1 { range.first().to_string() } else { range.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_range_arguments_are_refused_with_the_expected_form() {
        for (typed, reported) in [
            ("9-8", "expected 8-9"),
            ("", "FIRST-LAST"),
            ("-", "FIRST-LAST"),
            ("1-", "FIRST-LAST"),
            ("+1-9", "FIRST-LAST"),
            ("1-2-3", "FIRST-LAST"),
            (" 1-2", "FIRST-LAST"),
            ("1-65536", "0 to 65535"),
            ("99999999999999999999", "0 to 65535"),
        ] {
            let message = RangeChoice::from_str(typed).unwrap_err();
            assert!(message.contains(reported), "{typed:?}: {message}");
        }
    }

    #[test]
    fn named_ranges_start_at_port_1_for_pick_and_port_0_is_refused() {
        let chosen = |typed| RangeChoice::for_choosing(typed);
        assert_eq!(chosen("all"), Ok(RangeChoice::Ports(PortRange::new(1, 65_535).unwrap())));
        assert_eq!(chosen("system"), Ok(RangeChoice::Ports(PortRange::new(1, 1023).unwrap())));
        assert!(chosen("0-9").unwrap_err().contains("expected 1-9"));
        assert!(chosen("0").is_err());
    }
}
