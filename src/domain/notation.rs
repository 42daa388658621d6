//! Formats counts, shares, durations, rates and processes. Screens, findings and text reports use
//! only these formats; JSON, CSV and metrics have plain numbers.

use std::{borrow::Cow, fmt, time::Duration};

use crate::domain::Text;

/// Formats a number with a comma between groups of three digits: `28,232`.
pub fn grouped(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a count with its noun: `1 port`, `28,232 ports`, `2 processes`. `noun` is the singular;
/// the plural ends in `s`, or in `es` if `noun` ends in `ss`.
pub fn counted(number: impl Into<u64>, noun: &str) -> String {
    let number = number.into();
    let ending = match number {
        1 => "",
        _ if noun.ends_with("ss") => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", grouped(number))
}

/// Formats a share of 0 to 1 with one digit after the point: `17.1 %`. Only 0 gives `0 %`, and only
/// 1 gives `100 %`: shares close to them give `<0.1 %` and `>99.9 %`.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent <= 0.0 => "0 %".to_owned(),
        percent if percent >= 100.0 => "100 %".to_owned(),
        percent if percent < 0.1 => "<0.1 %".to_owned(),
        percent if percent >= 99.95 => ">99.9 %".to_owned(),
        percent => format!("{percent:.1} %"),
    }
}

/// Formats `part` as a share of `whole` ports, like [`percent`]. Returns `no ports` if `whole` is
/// 0.
pub fn percent_of(part: u32, whole: u32) -> String {
    if whole == 0 {
        return "no ports".to_owned();
    }
    percent(f64::from(part) / f64::from(whole))
}

/// Formats a share of 0 to 1 that is compared with an expected one, with two or three digits after
/// the point: `0.003 %`, `36.57 %`. Like [`percent`], gives `0 %` only for 0 and `100 %` only for
/// 1.
pub fn fine_percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent <= 0.0 => "0 %".to_owned(),
        percent if percent < 0.0005 => "<0.001 %".to_owned(),
        percent if percent < 0.0995 => format!("{percent:.3} %"),
        percent if percent < 99.995 => format!("{percent:.2} %"),
        percent if percent < 100.0 => ">99.99 %".to_owned(),
        _ => "100 %".to_owned(),
    }
}

/// Formats a mean of counts: `10.023`, and a whole number from 1,000 on: `1,234`.
pub fn mean(value: f64) -> String {
    if value < 999.5 { format!("{value:.3}") } else { grouped(value.round() as u64) }
}

/// Replaces the characters that are not in ASCII, for a terminal whose locale is not UTF-8. What
/// has no common replacement becomes an escape such as `\u{e9}`, as in scrubbed text.
pub fn ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let mut ascii = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match in_ascii(character) {
            Some(replacement) => ascii.push_str(replacement),
            None if character.is_ascii() => ascii.push(character),
            None => ascii.extend(character.escape_unicode()),
        }
    }
    ascii.into()
}

/// Returns the replacement of a symbol that is not in ASCII: `->` for `→`. None: it has none.
pub fn in_ascii(symbol: char) -> Option<&'static str> {
    Some(match symbol {
        '→' => "->",
        '·' | '–' | '−' => "-",
        '•' => "o",
        '×' => "x",
        '±' => "+-",
        '≈' => "~",
        '≤' => "<=",
        '≥' => ">=",
        'µ' => "u",
        '…' => "...",
        _ => return None,
    })
}

/// Formats a duration, rounded down to its two largest units: `7s`, `1m 12s`, `3h 10m`, `2d 04h`.
/// Below 48 hours, days are not used.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let [minutes, hours, days] = [seconds / 60, seconds / 3600, seconds / 86_400];
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {:02}s", seconds % 60),
        3600..172_800 => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

/// Formats an age or a forecast, in seconds, rounded to one unit: `12s`, `3m`, `5h`, `2d`.
pub fn rounded(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0}s"),
        seconds if seconds < 5400.0 => format!("{:.0}m", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.0}h", seconds / 3600.0),
        seconds => format!("{:.0}d", seconds / 86_400.0),
    }
}

/// Formats a measured time: `870ns`, `12.4µs`, `103ms`, `2.1s`. Values below 100 have one digit
/// after the point, except nanoseconds.
pub fn elapsed(time: Duration) -> String {
    let nanoseconds = time.as_nanos() as f64;
    let (value, unit) = match nanoseconds {
        n if n < 1e3 => return format!("{n:.0}ns"),
        n if n < 999_500.0 => (n / 1e3, "µs"),
        n if n < 999_500_000.0 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    if value < 99.95 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

/// Formats an age in milliseconds: `1s`, `250ms`.
pub fn age(milliseconds: u32) -> String {
    let age = Duration::from_millis(milliseconds.into());
    if age.subsec_nanos() == 0 { duration(age) } else { elapsed(age) }
}

/// Formats a time in seconds like [`elapsed`].
pub fn elapsed_seconds(seconds: f64) -> String {
    elapsed(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Formats how often something happens: `471/s`.
pub fn frequency(per_second: f64) -> String {
    rate(per_second).trim_start_matches('+').to_owned()
}

/// Formats a change per second: `+21/s`, `-3/s`, `+0.4/s`, `0/s`.
pub fn rate(per_second: f64) -> String {
    let digits = usize::from(per_second.abs() < 9.95);
    let number = format!("{per_second:+.digits$}");
    match number.strip_suffix(".0").unwrap_or(&number) {
        "+0" | "-0" => "0/s".to_owned(),
        number => format!("{number}/s"),
    }
}

/// Adds to a name the number of the others: `nginx[812] +4`. `all` includes the named one.
pub fn with_others(name: String, all: u64) -> String {
    match all {
        0 | 1 => name,
        more => format!("{name} +{}", grouped(more - 1)),
    }
}

/// Formats a time since 1970 in UTC for the name of a file: `2026-12-01T13-04-05`.
pub fn file_time(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let [hour, minute, second] = [second / 3600, second / 60 % 60, second % 60];
    format!("{year}-{month:02}-{:02}T{hour:02}-{minute:02}-{second:02}", days + 1)
}

/// A process: `nginx[812]`, or `pid 812` if its name is not known. The name is in quotation marks if
/// it is empty or has a character other than letters, digits and common punctuation.
#[derive(Clone, Copy, Debug)]
pub struct NamedProcess<'a> {
    pub name: Option<&'a Text>,
    pub pid: u32,
}

impl fmt::Display for NamedProcess<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, pid } = self;
        let Some(name) = name.map(Text::as_str) else { return write!(f, "pid {pid}") };
        // A space in a name must not look like the end of a column.
        let is_plain = |c: char| c.is_alphanumeric() || "._-+:@/\\{}…".contains(c);
        if !name.is_empty() && name.chars().all(is_plain) {
            write!(f, "{name}[{pid}]")
        } else {
            write!(f, "\"{}\"[{pid}]", name.replace('"', "\\u{22}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_a_name_is_that_of_the_calendar() {
        for (seconds, time) in [
            (0, "1970-01-01T00-00-00"),
            (951_782_400, "2000-02-29T00-00-00"),
            (1_709_251_199, "2024-02-29T23-59-59"),
            (1_735_689_599, "2024-12-31T23-59-59"),
            (4_107_542_400, "2100-03-01T00-00-00"),
        ] {
            assert_eq!(file_time(Duration::from_secs(seconds)), time);
        }
    }

    #[test]
    fn counts_are_grouped_and_their_nouns_agree() {
        assert_eq!(grouped(28_232u32), "28,232");
        assert_eq!(counted(1u32, "port"), "1 port");
        assert_eq!(counted(28_232u32, "port"), "28,232 ports");
        assert_eq!(counted(0u32, "process"), "0 processes");
    }

    #[test]
    fn only_nothing_is_0_percent_and_only_all_is_100() {
        assert_eq!([0.0, 1.0].map(percent), ["0 %", "100 %"]);
        assert_eq!([1e-9, 0.171, 0.9994].map(percent), ["<0.1 %", "17.1 %", "99.9 %"]);
        assert_eq!([0.9996, 1.0 - 1e-9].map(percent), [">99.9 %", ">99.9 %"]);
        assert_eq!(percent_of(1, 3), "33.3 %");
        assert_eq!(percent_of(0, 0), "no ports");
        assert_eq!(
            [0.0, 1e-9, 3e-5, 0.3657, 0.999_99].map(fine_percent),
            ["0 %", "<0.001 %", "0.003 %", "36.57 %", ">99.99 %"]
        );
    }

    #[test]
    fn text_in_ascii_keeps_the_meaning_of_each_character() {
        assert_eq!(
            ascii("10.0.0.7 → [::1]:443 · 12.4µs ± 2"),
            "10.0.0.7 -> [::1]:443 - 12.4us +- 2"
        );
        assert_eq!(ascii("café[812]"), "caf\\u{e9}[812]");
    }

    #[test]
    fn a_duration_has_at_most_two_units() {
        let of = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!([7, 72, 65].map(of), ["7s", "1m 12s", "1m 05s"]);
        assert_eq!([11_400, 187_200].map(of), ["3h 10m", "2d 04h"]);
        assert_eq!([45.0, 200.0, 7000.0, 180_000.0].map(rounded), ["45s", "3m", "2h", "2d"]);
        let of = |nanoseconds| elapsed(Duration::from_nanos(nanoseconds));
        assert_eq!([870, 12_400, 103_000_000].map(of), ["870ns", "12.4µs", "103ms"]);
        assert_eq!([99_960, 999_600].map(of), ["100µs", "1.0ms"]);
        assert_eq!([1000, 250, 60_000].map(age), ["1s", "250ms", "1m 00s"]);
    }

    #[test]
    fn a_rate_has_a_sign_unless_it_is_zero() {
        assert_eq!(
            [21.0, -3.0, 0.4, 0.01, -0.01, 9.96].map(rate),
            ["+21/s", "-3/s", "+0.4/s", "0/s", "0/s", "+10/s"]
        );
    }

    #[test]
    fn a_frequency_has_no_sign() {
        assert_eq!([471.3, 0.4].map(frequency), ["471/s", "0.4/s"]);
        assert_eq!([12.3, -1.0].map(elapsed_seconds), ["12.3s", "0ns"]);
    }

    #[test]
    fn a_name_that_could_imitate_a_column_is_quoted() {
        let named =
            |name: &str| NamedProcess { name: Some(&Text::scrub(name)), pid: 812 }.to_string();
        assert_eq!(named("nginx"), "nginx[812]");
        assert_eq!(named("tmux: server"), "\"tmux: server\"[812]");
        assert_eq!(NamedProcess { name: None, pid: 7 }.to_string(), "pid 7");
    }
}
