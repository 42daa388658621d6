//! What the victim says, a line each. Neither reads nor writes pipes.

use std::{fmt, str::FromStr, time::Duration};

use crate::domain::Text;

#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// The namespace is made, its ports are held, thief and heir run.
    Ready,
    /// The race cannot be run here, for that reason.
    Impossible(Text),
    Round(Round),
    /// The race goes on no more, for that reason.
    Failed(Text),
    /// All rounds were run.
    Over,
}

/// One round: of two ports one was closed and bound again, the other kept and handed over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// Measured, from close() to the bind() of the same port.
    pub window: Duration,
    /// Ports that the thief could have bound, the closed one included, in the mean of the window.
    pub free: f64,
    /// The closed port could not be bound again.
    pub is_stolen: bool,
    /// The heir got the kept socket, bound to its port, with what was sent to it meanwhile.
    pub is_kept: bool,
    /// How often the thief tried the kept port.
    pub refused: u32,
    /// Ports that the thief bound, and the time, since the first round began.
    pub bound: u64,
    pub elapsed: Duration,
}

/// A line that says nothing that a victim says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it said \"{0}\"")]
pub struct BadLine(pub Text);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Impossible(why) => write!(f, "impossible {why}"),
            Self::Failed(why) => write!(f, "failed {why}"),
            Self::Over => f.write_str("over"),
            Self::Round(round) => write!(
                f,
                "round {} {:.3} {} {} {} {} {}",
                round.window.as_nanos(),
                round.free,
                u8::from(round.is_stolen),
                u8::from(round.is_kept),
                round.refused,
                round.bound,
                round.elapsed.as_nanos(),
            ),
        }
    }
}

impl Line {
    pub fn parse(line: &[u8]) -> Result<Self, BadLine> {
        let bad = || BadLine(Text::scrub_up_to(line, 60));
        let text = str::from_utf8(line).map_err(|_| bad())?;
        match text.split_once(' ').unwrap_or((text, "")) {
            ("ready", "") => Some(Self::Ready),
            ("over", "") => Some(Self::Over),
            ("impossible", why) if !why.is_empty() => Some(Self::Impossible(Text::scrub(why))),
            ("failed", why) if !why.is_empty() => Some(Self::Failed(Text::scrub(why))),
            ("round", rest) => Round::parse(rest).map(Self::Round),
            _ => None,
        }
        .ok_or_else(bad)
    }
}

impl Round {
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [window, free, stolen, kept, refused, bound, elapsed] = words[..] else { return None };
        let free: f64 = number(free)?;
        Some(Self {
            window: Duration::from_nanos(number(window)?),
            free: (1.0..=65_536.0).contains(&free).then_some(free)?,
            is_stolen: yes_or_no(stolen)?,
            is_kept: yes_or_no(kept)?,
            refused: number(refused)?,
            bound: number(bound)?,
            elapsed: Duration::from_nanos(number(elapsed)?),
        })
    }
}

fn number<T: FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}

fn yes_or_no(word: &str) -> Option<bool> {
    match word {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Round = Round {
        window: Duration::from_micros(10_060),
        free: 81.125,
        is_stolen: true,
        is_kept: true,
        refused: 2,
        bound: 998,
        elapsed: Duration::from_secs(1),
    };

    #[test]
    fn every_line_comes_back_as_it_was_said() {
        let why = Text::scrub("could not make it: Operation not permitted");
        for line in [
            Line::Ready,
            Line::Impossible(why.clone()),
            Line::Round(ROUND),
            Line::Failed(why),
            Line::Over,
        ] {
            assert_eq!(Line::parse(line.to_string().as_bytes()), Ok(line));
        }
    }

    #[test]
    fn what_no_victim_says_is_a_bad_line() {
        let good = Line::Round(ROUND).to_string();
        for bad in [
            "",
            "ready ",
            "readyx",
            "over now",
            "failed",
            "failed ",
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
            assert!(Line::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let BadLine(shown) = Line::parse(b"\x1b[2J\xff").unwrap_err();
        assert_eq!(shown.as_str(), r"\u{1b}[2J\xff");
    }
}
