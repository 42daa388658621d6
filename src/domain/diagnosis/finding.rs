//! What a rule found: how bad, why, what to do. Not how it was found.

use crate::domain::{Destination, Party, Protocol};

/// In growing order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    #[default]
    Ok,
    /// Worth knowing; the status stays as it is.
    Notice,
    Warning,
    Critical,
}

impl Severity {
    /// In JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// How near a range or a destination is to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    #[default]
    Ok,
    Watch,
    Exhausting,
    /// connect() or bind() fails on and off. One scan that sees ports left proves nothing: ports in
    /// TIME-WAIT come back in waves, and what comes back is taken at once. So a subject is FAILING
    ///
    /// - for 10 s after a scan at which no port was left, or fewer than may be taken before the next
    ///   scan (`LastMinute::expected`);
    /// - for a minute after a scan at which no port was left, while its used share is critical.
    ///
    /// With no port left now it is EXHAUSTED. The alerts `PortscopeDestinationExhausted` and
    /// `PortscopeRangeExhausted` ask the same of one scan in 30 s, over ten minutes: 0 now, or 0
    /// lately and less than 15 % left since.
    Failing,
    Exhausted,
}

impl Level {
    pub const EACH: [Self; 5] =
        [Self::Ok, Self::Watch, Self::Exhausting, Self::Failing, Self::Exhausted];

    /// On screen.
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

/// What a finding is about, so that a screen can lead there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum About {
    Machine,
    Range(Protocol),
    Destination(Destination),
    Owner(Party),
    Port(Protocol, u16),
}

impl About {
    /// None: not of one protocol alone.
    pub fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Range(protocol) | Self::Port(protocol, _) => Some(protocol),
            // UDP has none.
            Self::Destination(_) => Some(Protocol::Tcp),
            Self::Machine | Self::Owner(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Of its rule.
    pub rule: &'static str,
    pub severity: Severity,
    pub about: About,
    /// One line: what, how much, who.
    pub summary: String,
    /// The summary's reason in some 70 characters, the process first; empty: the summary says it.
    pub cause: String,
    /// `advice` in two to six words each, in its order; empty: there is no short way to say it.
    pub steps: Vec<String>,
    /// Two sentences: what it means for programs on this machine (the errno they get, or none).
    pub meaning: String,
    /// Names are stable keys of JSON, in snake_case.
    pub evidence: Vec<(&'static str, Figure)>,
    /// What to do, most effective first: the exact command or change of code.
    pub advice: Vec<String>,
    /// What not to do, and why.
    pub avoid: Vec<String>,
}
