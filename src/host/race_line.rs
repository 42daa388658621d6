//! The lines that the holder of a race prints. Does not read or write pipes.

use std::{fmt, time::Duration};

use crate::domain::Text;

#[derive(Clone, Debug, PartialEq)]
pub enum RaceLine {
    /// The namespace exists, `RaceConfig::others` ports are held, and the competitor and the
    /// receiver run.
    Ready,
    /// The race cannot be run here, for this reason.
    Impossible(Text),
    Round(RoundReport),
    /// The race was aborted, for this reason.
    Failed(Text),
    /// All rounds were run.
    Over,
}

/// The result of one round. The holder closed one port and bound it again; it kept another port
/// open and passed its socket to the receiver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoundReport {
    /// Measured time from close() to the start of the bind() of the same port.
    pub window: Duration,
    /// Number of ports that the competitor could have bound, including the closed one; the mean
    /// over the window.
    pub free: f64,
    /// Whether the closed port could not be bound again (EADDRINUSE).
    pub is_stolen: bool,
    /// Whether the receiver got the kept socket, bound to its port and with the datagram sent to
    /// it.
    pub is_kept: bool,
    /// How often the competitor tried to bind the kept port.
    pub refused: u32,
    /// Number of ports that the competitor bound in the window.
    pub bound: u32,
}

/// A line that is not a valid [`RaceLine`]. The bytes are as received and must be scrubbed before
/// they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRaceLine(pub Vec<u8>);

impl fmt::Display for RaceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Impossible(why) => write!(f, "impossible {why}"),
            Self::Failed(why) => write!(f, "failed {why}"),
            Self::Over => f.write_str("over"),
            Self::Round(round) => write!(
                f,
                "round {} {:.3} {} {} {} {}",
                round.window.as_nanos(),
                round.free,
                u8::from(round.is_stolen),
                u8::from(round.is_kept),
                round.refused,
                round.bound,
            ),
        }
    }
}

impl RaceLine {
    pub fn parse(line: &[u8]) -> Result<Self, BadRaceLine> {
        let bad = || BadRaceLine(line.to_vec());
        let text = str::from_utf8(line).map_err(|_| bad())?;
        match text.split_once(' ') {
            None if text == "ready" => Some(Self::Ready),
            None if text == "over" => Some(Self::Over),
            Some(("impossible", why)) => Some(Self::Impossible(Text::around_scrubbed(why))),
            Some(("failed", why)) => Some(Self::Failed(Text::around_scrubbed(why))),
            Some(("round", rest)) => RoundReport::parse(rest).map(Self::Round),
            _ => None,
        }
        .ok_or_else(bad)
    }
}

impl RoundReport {
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [window, free, stolen, kept, refused, bound] = words[..] else { return None };
        let free: f64 = free.parse().ok()?;
        Some(Self {
            window: Duration::from_nanos(window.parse().ok()?),
            free: (1.0..=65_536.0).contains(&free).then_some(free)?,
            is_stolen: parse_bool(stolen)?,
            is_kept: parse_bool(kept)?,
            refused: refused.parse().ok()?,
            bound: bound.parse().ok()?,
        })
    }
}

fn parse_bool(word: &str) -> Option<bool> {
    match word {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: RoundReport = RoundReport {
        window: Duration::from_micros(10_060),
        free: 81.125,
        is_stolen: true,
        is_kept: true,
        refused: 2,
        bound: 998,
    };

    #[test]
    fn every_race_line_survives_a_round_trip() {
        let why = Text::scrub("could not make it: Operation not permitted");
        for line in [
            RaceLine::Ready,
            RaceLine::Impossible(why.clone()),
            RaceLine::Round(ROUND),
            RaceLine::Failed(why),
            RaceLine::Over,
        ] {
            assert_eq!(RaceLine::parse(line.to_string().as_bytes()), Ok(line));
        }
    }

    #[test]
    fn unknown_race_lines_are_rejected() {
        let good = RaceLine::Round(ROUND).to_string();
        for bad in [
            "",
            "ready ",
            "readyx",
            "over now",
            "failed",
            "round",
            &format!("{good} 1"),
            &format!(" {good}"),
            &good.replace("81.125", "NaN"),
            &good.replace("81.125", "0"),
            &good.replace("81.125", "-81.125"),
            &good.replace(" 1 1 ", " 2 1 "),
            &good.replace("10060000", "-1"),
            &good.replace("998", "99999999999999999999"),
        ] {
            assert!(RaceLine::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(RaceLine::parse(b"\x1b[2J\xff"), Err(BadRaceLine(b"\x1b[2J\xff".to_vec())));
    }
}
