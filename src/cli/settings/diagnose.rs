//! Checks and interprets the arguments of `diagnose`.

use std::time::Duration;

use crate::{
    cli::{
        args::{DiagnoseArguments, DiagnoseFormat},
        namespaces::Choices,
        output::OutputTarget,
        settings::{BadInput, destination},
    },
    domain::{Protocols, Text, Thresholds},
    report::diagnose::prometheus::MARK,
};

/// Upper limit of --top, because each destination has about 15 time series.
const MAX_LISTED: usize = 1000;

pub struct DiagnoseSettings {
    pub protocols: Protocols,
    pub namespaces: Choices,
    pub thresholds: Thresholds,
    /// Time from the first scan to the last; zero: one scan only.
    pub sample: Duration,
    /// Maximum number of destinations listed; None: the default of the format.
    pub top: Option<usize>,
    pub format: DiagnoseFormat,
    pub destination: OutputTarget,
}

impl TryFrom<DiagnoseArguments> for DiagnoseSettings {
    type Error = BadInput;

    fn try_from(typed: DiagnoseArguments) -> Result<Self, BadInput> {
        Ok(Self {
            protocols: typed.protocol.into(),
            namespaces: typed.netns.try_into()?,
            thresholds: thresholds(&typed.warn, &typed.critical)?,
            sample: sample(&typed.sample)?,
            format: typed.format,
            top: typed.top.as_deref().map(top).transpose()?,
            destination: match (typed.format, destination(typed.output)?) {
                (DiagnoseFormat::Prometheus, OutputTarget::File(path)) => {
                    OutputTarget::OwnFile { path, mark: MARK }
                }
                (_, destination) => destination,
            },
        })
    }
}

fn thresholds(warn: &str, critical: &str) -> Result<Thresholds, BadInput> {
    let shares = (percent("--warn", warn)?, percent("--critical", critical)?);
    if shares.0 > shares.1 {
        return Err(BadInput(format!(
            "--warn {warn} is above --critical {critical}: lower --warn, or raise --critical"
        )));
    }
    Ok(Thresholds { warn: shares.0 / 100.0, critical: shares.1 / 100.0 })
}

fn percent(option: &str, typed: &str) -> Result<f64, BadInput> {
    decimal(typed).filter(|percent| (1.0..=100.0).contains(percent)).ok_or_else(|| {
        let shown = Text::scrub(typed);
        BadInput(format!("invalid value '{shown}' for {option}: expected 1 to 100 percent"))
    })
}

fn sample(typed: &str) -> Result<Duration, BadInput> {
    let seconds = decimal(typed).filter(|seconds| (0.0..=60.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| {
        let shown = Text::scrub(typed);
        BadInput(format!("invalid value '{shown}' for --sample: expected 0 to 60 seconds"))
    })
}

fn top(typed: &str) -> Result<usize, BadInput> {
    let is_plain = typed.bytes().all(|b| b.is_ascii_digit());
    typed.parse().ok().filter(|&top| is_plain && top <= MAX_LISTED).ok_or_else(|| {
        let shown = Text::scrub(typed);
        BadInput(format!("invalid value '{shown}' for --top: expected 0 to {MAX_LISTED}"))
    })
}

/// Parses a number without sign or exponent, such as `10` or `0.5`. None: the text is anything
/// else.
pub(super) fn decimal(typed: &str) -> Option<f64> {
    typed.parse().ok().filter(|_| typed.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_percent_and_the_warning_comes_first() {
        assert_eq!(thresholds("70", "85"), Ok(Thresholds::default()));
        assert_eq!(thresholds("99.5", "99.5"), Ok(Thresholds { warn: 0.995, critical: 0.995 }));
        for (warn, critical) in [
            ("90", "85"),
            ("70", "100.1"),
            ("0", "85"),
            ("0.9", "85"),
            ("-1", "85"),
            ("NaN", "85"),
            ("inf", "85"),
            ("1e1", "85"),
            ("70%", "85"),
            ("", "85"),
            (".", "85"),
        ] {
            assert!(thresholds(warn, critical).is_err(), "{warn} {critical}");
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
    fn sample_time_is_0_to_60_seconds() {
        assert_eq!(sample("0"), Ok(Duration::ZERO));
        assert_eq!(sample("0.25"), Ok(Duration::from_millis(250)));
        assert!(sample("60.1").is_err() && sample("-1").is_err() && sample("soon").is_err());
    }
}
