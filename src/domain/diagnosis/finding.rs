//! The result of a rule: its severity, cause and advice.

use crate::domain::{
    Destination, OwnerKey, Protocol, RangeUse, Subject,
    diagnosis::{Advice, SubjectStatus},
};

/// Maximum number of findings of a rule that examines each destination or socket.
pub(super) const MAX_FINDINGS: usize = 8;

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
    /// The cause in about 70 characters, usually starting with the process. Empty if the summary
    /// names the cause.
    pub cause: String,
    /// Short forms of those items of `advice` that have one, in the same order.
    pub steps: Vec<String>,
    /// The effect on the programs of this machine in a few sentences, with the errno of the calls
    /// that fail.
    pub meaning: String,
    /// Names and values of what the rule read. The names are stable JSON keys in snake_case.
    pub evidence: Vec<(&'static str, Figure)>,
    /// What to do, as exact commands or code changes. What helps at once comes first. If there are
    /// both kinds, each item starts with `now:` or `for good:`.
    pub advice: Vec<String>,
    /// The commands in the item of `advice` with the same index, in their order.
    pub commands: Vec<Vec<String>>,
    /// What not to do, and why. Each item starts with `do not`.
    pub avoid: Vec<String>,
}

impl Finding {
    /// Returns each item of the advice in parts: its words and its commands.
    pub fn advice_parts(&self) -> impl Iterator<Item = Vec<AdvicePart<'_>>> {
        self.advice.iter().zip(&self.commands).map(|(advice, commands)| parts(advice, commands))
    }
}

/// A part of an item of advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdvicePart<'a> {
    Words(&'a str),
    /// A command to paste into a shell.
    Command(&'a str),
}

/// Splits an item of advice at its commands. Leaves out the punctuation after a command.
fn parts<'a>(advice: &'a str, commands: &'a [String]) -> Vec<AdvicePart<'a>> {
    let mut parts = Vec::new();
    let mut rest = advice;
    for command in commands {
        let Some((words, after)) = rest.split_once(command.as_str()) else { continue };
        parts.extend([AdvicePart::Words(words), AdvicePart::Command(command)]);
        rest = after.trim_start_matches([';', ',', '.', ' ']);
    }
    parts.push(AdvicePart::Words(rest));
    let trimmed = parts.into_iter().map(|part| match part {
        AdvicePart::Words(words) => AdvicePart::Words(words.trim().trim_end_matches(',')),
        command @ AdvicePart::Command(_) => command,
    });
    trimmed.filter(|part| *part != AdvicePart::Words("")).collect()
}

/// Builds a finding; the fields that are not set stay empty.
impl Finding {
    pub(super) fn new(severity: Severity, about: About, summary: impl Into<String>) -> Self {
        Self { severity, about, summary: summary.into(), ..Self::default() }
    }

    /// Starts a finding about a range that is short of ports.
    pub(super) fn of_range(range: &RangeUse, status: &SubjectStatus, summary: String) -> Self {
        Self::new(status.level.severity(), About::Range(range.protocol), summary)
            .figure("size", range.size)
            .figure("occupied", range.occupied)
            .figure("available", range.available())
            .figure("share", Figure::Share(range.share()))
    }

    pub(super) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = cause.into();
        self
    }

    pub(super) fn meaning(mut self, meaning: impl Into<String>) -> Self {
        self.meaning = meaning.into();
        self
    }

    /// Adds a value to the evidence.
    pub(super) fn figure(self, name: &'static str, figure: impl Into<Figure>) -> Self {
        self.figures([(name, figure.into())])
    }

    /// Adds a value to the evidence if it is known.
    pub(super) fn figure_if(self, name: &'static str, figure: Option<impl Into<Figure>>) -> Self {
        self.figures(figure.map(|figure| (name, figure.into())))
    }

    pub(super) fn figures(
        mut self,
        figures: impl IntoIterator<Item = (&'static str, Figure)>,
    ) -> Self {
        self.evidence.extend(figures);
        self
    }

    /// Adds the trend and the forecast to the evidence if they are known.
    pub(super) fn trend(self, status: &SubjectStatus) -> Self {
        let opened = status.trend.filter(|_| matches!(status.subject, Subject::Destination(_)));
        self.figure_if("per_second", status.trend.map(|t| Figure::PerSecond(t.per_second)))
            .figure_if("opened_per_second", opened.map(|t| Figure::PerSecond(t.opened_per_second)))
            .figure_if("seconds_to_exhaustion", status.forecast.map(|f| Figure::Seconds(f.seconds)))
    }

    pub(super) fn advice(mut self, advice: Advice) -> Self {
        (self.steps, self.advice, self.commands) = advice.into_words();
        self
    }

    /// Adds an item to `avoid`.
    pub(super) fn avoid(mut self, words: impl Into<String>) -> Self {
        self.avoid.push(words.into());
        self
    }
}

impl From<u16> for Figure {
    fn from(count: u16) -> Self {
        Self::Count(count.into())
    }
}

impl From<u32> for Figure {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<u64> for Figure {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<&str> for Figure {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Figure {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<String>> for Figure {
    fn from(list: Vec<String>) -> Self {
        Self::List(list)
    }
}

#[cfg(test)]
mod tests {
    use super::{AdvicePart::*, *};
    use crate::domain::diagnosis::advice::marked;

    #[test]
    fn each_command_of_the_advice_is_a_part_of_its_own() {
        let [first, second] = ["conntrack -S", "nft list ruleset"].map(marked);
        let limit = marked("sysctl -w net.core.somaxconn=4096");
        let advice = Advice::default()
            .now(format!("watch the failures: {first} (insert_failed); show the ranges: {second}"))
            .now(format!("increase the backlog, and its limit, {limit}; then restart it"))
            .now("keep connections open and reuse them");
        let finding = Finding::default().advice(advice);
        assert_eq!(
            finding.advice[1],
            "increase the backlog, and its limit, sysctl -w net.core.somaxconn=4096; then restart \
             it"
        );
        let parts: Vec<_> = finding.advice_parts().collect();
        assert_eq!(
            parts,
            [
                vec![
                    Words("watch the failures:"),
                    Command("conntrack -S"),
                    Words("(insert_failed); show the ranges:"),
                    Command("nft list ruleset"),
                ],
                vec![
                    Words("increase the backlog, and its limit"),
                    Command("sysctl -w net.core.somaxconn=4096"),
                    Words("then restart it"),
                ],
                vec![Words("keep connections open and reuse them")],
            ]
        );
    }
}
