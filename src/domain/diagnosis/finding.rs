//! The result of a rule: its severity, cause and advice.

use crate::domain::{Destination, OwnerKey, Protocol};

/// How serious a finding is, in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    #[default]
    Ok,
    /// Worth knowing. Does not change the exit code of `portscope diagnose`.
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

/// How near a range or a destination is to exhaustion, in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    #[default]
    Ok,
    /// The share is at least `Thresholds::warn`.
    Watch,
    /// The share is at least `Thresholds::critical`, or the ports will soon be used up
    /// (`EXHAUSTING_SECONDS`).
    Exhausting,
    /// connect() or bind() fails intermittently. A scan at which ports are left does not disprove
    /// this: ports in TIME-WAIT become free in waves and are taken at once. Therefore, a range or
    /// destination is FAILING
    ///
    /// - for 10 s after a scan at which no port was left, or fewer than may be taken before the
    ///   next scan (`LastMinute::expected`);
    /// - for a minute after a scan at which no port was left, while its share is at least
    ///   `Thresholds::critical`.
    ///
    /// If no port is left now, the level is EXHAUSTED instead. The alerts
    /// `PortscopeDestinationExhausted` and `PortscopeRangeExhausted`
    /// (assets/prometheus/portscope.rules.yml) apply a similar rule to one scan every 30 s: no port
    /// is left now, or less than 15 % are left now and none was left at some scan of the last ten
    /// minutes.
    Failing,
    /// No port is certain to be left.
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
    /// A share, 0 to 1.
    Share(f64),
    Seconds(f64),
    PerSecond(f64),
    Text(String),
    List(Vec<String>),
}

/// What a finding is about, so that a screen can jump to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum About {
    #[default]
    Machine,
    Range(Protocol),
    Destination(Destination),
    Owner(OwnerKey),
    Port(Protocol, u16),
}

impl About {
    /// Returns the protocol; None if the finding is not about a single one.
    pub fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Range(protocol) | Self::Port(protocol, _) => Some(protocol),
            // Only TCP has destinations: see `Destination::of`.
            Self::Destination(_) => Some(Protocol::Tcp),
            Self::Machine | Self::Owner(_) => None,
        }
    }
}

/// A problem that a rule found, with evidence and advice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finding {
    /// `Rule::id`; set by `diagnose`.
    pub rule: &'static str,
    pub severity: Severity,
    pub about: About,
    /// What was found, in one line with numbers and the process.
    pub summary: String,
    /// The cause in about 70 characters, starting with the process. Empty if the summary names the
    /// cause.
    pub cause: String,
    /// A short form of the items of `advice`, in the same order. Empty if there is none.
    pub steps: Vec<String>,
    /// The effect on the programs of this machine in a few sentences, with the errno of the calls
    /// that fail.
    pub meaning: String,
    /// Names and values of what the rule read. The names are stable JSON keys in snake_case.
    pub evidence: Vec<(&'static str, Figure)>,
    /// What to do, as exact commands or code changes. What helps at once comes first. If there are
    /// both kinds, each item starts with `now:` or `for good:`.
    pub advice: Vec<String>,
    /// What not to do, and why. Each item starts with `do not`.
    pub avoid: Vec<String>,
}
