//! The result of a rule: its severity, cause and advice.

use crate::domain::{Destination, OwnerKey, Protocol};

/// How serious a finding is, in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    #[default]
    Ok,
    /// Worth knowing; does not change the status.
    Notice,
    Warning,
    Critical,
}

impl Severity {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// How near a range or a destination is to exhaustion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    #[default]
    Ok,
    Watch,
    Exhausting,
    /// connect() or bind() fails intermittently. A scan that shows ports left does not disprove
    /// this: ports in TIME-WAIT become free in waves and are taken at once. So a range or
    /// destination is FAILING
    ///
    /// - for 10 s after a scan at which no port was left, or fewer than may be taken before the
    ///   next scan (`LastMinute::expected`);
    /// - for a minute after a scan at which no port was left, while its used share is critical.
    ///
    /// If no port is left now, it is EXHAUSTED instead. The alerts `PortscopeDestinationExhausted`
    /// and `PortscopeRangeExhausted` check something similar with one scan every 30 s: no port left
    /// now, or less than 15 % left now and no port left at some scan of the last ten minutes.
    Failing,
    Exhausted,
}

impl Level {
    pub const EACH: [Self; 5] =
        [Self::Ok, Self::Watch, Self::Exhausting, Self::Failing, Self::Exhausted];

    /// The name on screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Watch => "WATCH",
            Self::Exhausting => "EXHAUSTING",
            Self::Failing => "FAILING",
            Self::Exhausted => "EXHAUSTED",
        }
    }

    pub fn severity(self) -> Severity {
        match self {
            Self::Ok => Severity::Ok,
            Self::Watch => Severity::Warning,
            Self::Exhausting | Self::Failing | Self::Exhausted => Severity::Critical,
        }
    }
}

/// A value of the evidence.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    Count(u64),
    /// 0 to 1.
    Share(f64),
    Seconds(f64),
    PerSecond(f64),
    Text(String),
    List(Vec<String>),
}

/// What a finding is about, so that a screen can jump to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum About {
    Machine,
    Range(Protocol),
    Destination(Destination),
    Owner(OwnerKey),
    Port(Protocol, u16),
}

impl About {
    /// Returns None if the finding is not about a single protocol.
    pub fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Range(protocol) | Self::Port(protocol, _) => Some(protocol),
            // UDP has no destinations.
            Self::Destination(_) => Some(Protocol::Tcp),
            Self::Machine | Self::Owner(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The name of the rule.
    pub rule: &'static str,
    pub severity: Severity,
    pub about: About,
    /// What was found, in one line with numbers and the process.
    pub summary: String,
    /// The cause in about 70 characters, starting with the process; empty if the summary contains
    /// it.
    pub cause: String,
    /// The items of `advice` in a few words each; empty if there is no short form.
    pub steps: Vec<String>,
    /// The effect on programs of this machine, in a few sentences, with the errno that they get.
    pub meaning: String,
    /// Names and values. The names are stable JSON keys in snake_case.
    pub evidence: Vec<(&'static str, Figure)>,
    /// What to do, as exact commands or code changes. What helps at once comes first. The items are
    /// marked with `now:` and `for good:` if there are both kinds.
    pub advice: Vec<String>,
    /// What not to do, and why. Each item starts with `do not`.
    pub avoid: Vec<String>,
}
