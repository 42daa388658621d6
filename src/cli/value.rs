//! Parses the values of options. An error says only what is expected: `refusal` adds the value and
//! the option.

use std::{
    error::Error, ffi::OsStr, num::NonZeroU32, ops::RangeInclusive, str::FromStr, time::Duration,
};

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};

use crate::{
    allocator::{ALLOCATORS, AllocatorRow},
    cli::settings::BadInput,
    domain::Filter,
    host::{HostError, lease_socket::SocketPath, linux::services, seed},
};

/// All seeds are smaller than 2^53, so that every JSON reader keeps them exact (RFC 8259, section
/// 6).
const SEED_LIMIT: u64 = 1 << 53;

/// Upper limit of --top, because each destination has about 15 time series.
const MAX_LISTED: usize = 1000;

/// A percentage, 1 to 100.
#[derive(Clone, Debug, PartialEq)]
pub struct Percent {
    pub typed: String,
    pub value: f64,
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let value = decimal(1.0..=100.0, " percent")(typed)?;
        Ok(Self { typed: typed.to_owned(), value })
    }
}

/// Whether the text consists of digits only: no sign, no space.
pub fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn whole<T: FromStr>(typed: &str) -> Option<T> {
    is_number(typed).then(|| typed.parse().ok()).flatten()
}

/// Parses a whole number from 1 to `most`.
pub fn number(most: u32) -> impl Fn(&str) -> Result<NonZeroU32, String> + Clone {
    move |typed: &str| {
        let number = whole(typed).filter(|number: &NonZeroU32| number.get() <= most);
        number.ok_or_else(|| format!("expected a whole number, 1 to {most}"))
    }
}

/// Parses a number without sign or exponent, such as `10` or `0.5`.
pub fn decimal(
    accepted: RangeInclusive<f64>,
    unit: &'static str,
) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |typed: &str| {
        let is_plain = typed.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let value = typed.parse().ok().filter(|value| is_plain && accepted.contains(value));
        value.ok_or_else(|| format!("expected {} to {}{unit}", accepted.start(), accepted.end()))
    }
}

/// Parses a time from 0 to `most` seconds.
pub fn seconds(most: f64) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    let parse = decimal(0.0..=most, " seconds");
    move |typed: &str| parse(typed).map(Duration::from_secs_f64)
}

pub fn interval(typed: &str) -> Result<Duration, &'static str> {
    let seconds = typed.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or("expected 0.1 to 3600 seconds")
}

pub fn seed(typed: &str) -> Result<u64, &'static str> {
    let seed = whole(typed).filter(|&seed| seed < SEED_LIMIT);
    seed.ok_or("expected a whole number below 2^53")
}

/// Returns the requested seed, or a random one below `SEED_LIMIT`.
pub fn seed_or_drawn(asked: Option<u64>) -> Result<u64, HostError> {
    asked.map_or_else(|| Ok(seed::draw()? % SEED_LIMIT), Ok)
}

pub fn top(typed: &str) -> Result<usize, String> {
    let top = whole(typed).filter(|&top| top <= MAX_LISTED);
    top.ok_or_else(|| format!("expected 0 to {MAX_LISTED}"))
}

/// Parses a filter. The error shows the part that is not understood in its surroundings.
pub fn filter(typed: &str) -> Result<Filter, BadInput> {
    Filter::parse(typed, &services::read()).map_err(|error| {
        let [line, mark] = error.marked(typed);
        BadInput(format!("invalid value for --filter: {error}\n  {line}\n  {mark}"))
    })
}

pub fn band(typed: &str) -> Result<u32, &'static str> {
    whole(typed).ok_or("expected a whole number, 0 or more")
}

pub fn socket(typed: &OsStr) -> Result<SocketPath, &'static str> {
    SocketPath::parse(typed).ok_or("expected a path or @NAME")
}

/// Parses the name of a strategy.
pub fn strategy() -> impl TypedValueParser<Value = &'static AllocatorRow> {
    let names = PossibleValuesParser::new(ALLOCATORS.iter().map(|row| row.name));
    names.map(|name| AllocatorRow::named(&name).expect("it is the name of a row"))
}

/// Returns a parser of values that need not be UTF-8.
pub fn bytes<T, E>(
    parse: impl Fn(&OsStr) -> Result<T, E> + Clone + Send + Sync + 'static,
) -> impl TypedValueParser<Value = T>
where
    T: Clone + Send + Sync + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    OsStringValueParser::new().try_map(move |typed| parse(&typed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_decimal_numbers_from_1_to_100() {
        assert_eq!("99.50".parse(), Ok(Percent { typed: "99.50".into(), value: 99.5 }));
        for typed in ["100.1", "0", "0.9", "-1", "NaN", "inf", "1e1", "70%", "", "."] {
            assert!(typed.parse::<Percent>().is_err(), "{typed}");
        }
    }

    #[test]
    fn up_to_a_thousand_destinations_are_listed() {
        assert_eq!((top("0"), top("1000")), (Ok(0), Ok(1000)));
        for typed in ["1001", "-1", "+1", "1.5", "", "all", "99999999999999999999"] {
            assert!(top(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn times_are_seconds_up_to_a_limit() {
        assert_eq!(seconds(60.0)("0"), Ok(Duration::ZERO));
        assert_eq!(seconds(60.0)("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds(86_400.0)("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds(86_400.0)("86400"), Ok(Duration::from_hours(24)));
        assert!(seconds(60.0)("60.1").is_err() && seconds(60.0)("soon").is_err());
        for typed in ["-1", "86401", "", "1s", "inf", "\u{1b}[2J"] {
            assert_eq!(seconds(86_400.0)(typed), Err("expected 0 to 86400 seconds".into()));
        }
    }

    #[test]
    fn fill_is_a_decimal_number_from_0_to_1() {
        let fill = decimal(0.0..=1.0, "");
        assert_eq!((fill("0"), fill("1"), fill("0.5")), (Ok(0.0), Ok(1.0), Ok(0.5)));
        for typed in ["1.0001", "-0", "+1", "1e-1", "inf", "NaN", "", ".", "50%", "\u{1b}[2J"] {
            assert_eq!(fill(typed), Err("expected 0 to 1".into()));
        }
    }

    #[test]
    fn seeds_of_2_to_the_53_or_more_are_refused() {
        assert_eq!(seed("9007199254740991"), Ok(SEED_LIMIT - 1));
        assert!(seed("9007199254740992").is_err() && seed("-1").is_err());
    }
}
