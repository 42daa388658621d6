//! The subject of the Overview's first line, and how long it stays. Does not write its text.

use std::time::Duration;

use crate::{
    app::LatestScan,
    domain::{
        Finding, Level, Severity, Subject, Thresholds, Trends,
        diagnosis::{self, About, SubjectStatus},
    },
};

/// Minimum time for which a headline is shown, unless a worse one replaces it or its finding or
/// destination no longer exists.
const MIN_DISPLAY_TIME: Duration = Duration::from_secs(10);

/// What the first line is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Headline {
    /// The state of the range or destination that the headline is about. If the headline is about a
    /// finding, this is the state of the range or destination that was the worst at `since`.
    pub subject_status: SubjectStatus,
    /// Rule and subject of the finding that the headline is about; at `since`, the finding was
    /// worse than `subject_status`. None: the headline is about `subject_status`.
    pub finding: Option<(&'static str, About)>,
    /// Whether the headline or any finding is of severity `Warning` or worse, or one was within the
    /// last 10 s. While true, the lines below the headline do not move.
    pub is_bad: bool,
    /// When the headline was first shown, as time since the program's start.
    since: Duration,
    /// The worst rank of the headline since `since`.
    peak: Rank,
    /// When the headline or a finding was last of severity `Warning` or worse; None: never.
    bad_since: Option<Duration>,
}

/// Rank of a headline; a worse one has a higher rank. Of equal severity, the state of a range or
/// destination outranks a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    severity: Severity,
    /// None: the headline is about a finding.
    level: Option<Level>,
}

impl Headline {
    /// Returns the headline after a scan, or after more has become known about its processes. `now`
    /// is the time since the program's start.
    pub(in crate::app) fn after(
        before: Option<&Self>,
        now: Duration,
        scan: &LatestScan,
        trends: &Trends,
        thresholds: Thresholds,
    ) -> Self {
        let fresh = Self::fresh(now, scan, trends, thresholds);
        let stays = |held: &Self| {
            let rank = held.rank(scan);
            let is_recent = now < held.since + MIN_DISPLAY_TIME;
            is_recent && rank.severity >= fresh.peak.severity && fresh.peak <= held.peak
        };
        let held = before.and_then(|before| before.again(scan, trends, thresholds));
        let mut headline = held.filter(stays).unwrap_or(fresh);
        headline.peak = headline.peak.max(headline.rank(scan));
        let is_bad = scan.diagnosis.severity.max(headline.rank(scan).severity);
        let bad_since = before.and_then(|before| before.bad_since);
        headline.bad_since = if is_bad >= Severity::Warning { Some(now) } else { bad_since };
        headline.is_bad = headline.bad_since.is_some_and(|at| now < at + MIN_DISPLAY_TIME);
        headline
    }

    fn fresh(now: Duration, scan: &LatestScan, trends: &Trends, thresholds: Thresholds) -> Self {
        let subject_status = diagnosis::verdict(&scan.analysis, trends, thresholds);
        let finding = most_severe(scan, subject_status.subject)
            // Keeps the finding only if it is worse than the state of the range or destination,
            // and worse than `Notice`.
            .filter(|found| found.severity > subject_status.level.severity().max(Severity::Notice))
            .map(|finding| (finding.rule, finding.about));
        let peak = Rank { severity: Severity::Ok, level: None };
        let mut fresh =
            Self { subject_status, finding, is_bad: false, since: now, peak, bad_since: None };
        fresh.peak = fresh.rank(scan);
        fresh
    }

    /// Returns the same headline with the values of this scan. None: the scan no longer has the
    /// headline's finding or subject.
    fn again(&self, scan: &LatestScan, trends: &Trends, thresholds: Thresholds) -> Option<Self> {
        let analysis = &scan.analysis;
        if self.finding.is_some() && self.own_finding(scan).is_none() {
            return None;
        }
        let subject_status = match self.subject_status.subject {
            Subject::Destination(destination) => analysis
                .destination(&destination)
                .map(|row| SubjectStatus::of_destination(row, trends, thresholds)),
            Subject::Range(protocol) => {
                Some(SubjectStatus::of_range(analysis.range(protocol), trends, thresholds))
            }
            Subject::ProtocolFamily(_) => None,
        };
        Some(Self { subject_status: subject_status?, ..*self })
    }

    /// The finding that the headline is about. None: it is about a range or destination.
    pub fn own_finding<'a>(&self, scan: &'a LatestScan) -> Option<&'a Finding> {
        let (rule, about) = self.finding?;
        scan.diagnosis.findings.iter().find(|found| found.rule == rule && found.about == about)
    }

    /// The finding that explains the headline: its own finding or, if it has none, the most severe
    /// one. None: no finding is of `Severity::Notice` or worse.
    pub fn why<'a>(&self, scan: &'a LatestScan) -> Option<&'a Finding> {
        self.own_finding(scan).or_else(|| most_severe(scan, self.subject_status.subject))
    }

    fn rank(&self, scan: &LatestScan) -> Rank {
        if let Some(finding) = self.own_finding(scan) {
            return Rank { severity: finding.severity, level: None };
        }
        let level = self.subject_status.level;
        Rank { severity: level.severity(), level: Some(level) }
    }
}

/// Returns the most severe finding. If several are equally severe, returns the first one about this
/// subject or, if there is none, the first of all. None: all are below `Severity::Notice`.
fn most_severe(scan: &LatestScan, subject: Subject) -> Option<&Finding> {
    let findings = &scan.diagnosis.findings;
    let worst = findings.iter().map(|finding| finding.severity).max()?;
    let mut severe = findings.iter().filter(|finding| finding.severity == worst);
    let own = severe.clone().find(|finding| is_about(finding, subject));
    own.or_else(|| severe.next()).filter(|_| worst >= Severity::Notice)
}

/// Whether the finding is about this range or destination.
pub fn is_about(finding: &Finding, subject: Subject) -> bool {
    finding.about
        == match subject {
            Subject::Destination(destination) => About::Destination(destination),
            Subject::Range(protocol) => About::Range(protocol),
            Subject::ProtocolFamily(protocol_family) => About::Range(protocol_family.protocol()),
        }
}
