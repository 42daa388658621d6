//! The report of `portscope diagnose`: ranges, destinations, findings and a status. Applies no
//! rules.

pub mod json;
pub mod prometheus;
pub mod text;

use crate::{
    domain::{
        Analysis, DestinationUse, Diagnosis, Filter, Gap, Level, OwnerKey, Protocol, Protocols,
        RangeUse, Severity, Subject, Thresholds, Trends, UnseenNamespaces,
        diagnosis::{self, SubjectStatus},
    },
    report::Scan,
};

/// The status that the exit code shows, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Ok,
    Warning,
    /// A socket table, the ephemeral range, the reserved ports or a network namespace could not be
    /// read, and nothing that was found is critical.
    Unknown,
    Critical,
}

impl Status {
    /// Returns the worst status of several namespaces: at least `Unknown` if some may be missing,
    /// and `Unknown` if there are none.
    pub fn worst(healths: &[Health<'_>], unseen: &[UnseenNamespaces]) -> Self {
        let seen = healths.iter().map(Health::status).max().unwrap_or(Self::Unknown);
        if unseen.is_empty() { seen } else { seen.max(Self::Unknown) }
    }

    /// Returns the name in JSON. The text output begins with this name in capitals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }
}

/// The scan of a network namespace, and its diagnosis.
#[derive(Clone, Copy)]
pub struct Health<'a> {
    pub scan: Scan<'a>,
    pub analysis: &'a Analysis,
    pub trends: &'a Trends,
    pub diagnosis: &'a Diagnosis,
    pub protocols: Protocols,
    pub thresholds: Thresholds,
    /// Seconds from the first scan to the last. None: there was only one scan.
    pub sampled: Option<f64>,
    /// Maximum number of destinations listed. None: the default of the output format.
    pub top: Option<usize>,
    /// Limits destinations and findings to those of matching sockets; not the ranges. None: all.
    pub filter: Option<&'a Filter>,
}

impl<'a> Health<'a> {
    pub fn status(&self) -> Status {
        match self.severity() {
            Severity::Critical => Status::Critical,
            _ if self.unlisted().is_some() || !self.knows_range() => Status::Unknown,
            Severity::Warning => Status::Warning,
            Severity::Ok | Severity::Notice => Status::Ok,
        }
    }

    /// Returns the severity of the worst finding, or of the worst range or destination if that is
    /// higher. A range or destination may be full without a finding.
    fn severity(&self) -> Severity {
        self.diagnosis.severity.max(self.worst().level.severity())
    }

    fn worst(&self) -> SubjectStatus {
        diagnosis::verdict(self.analysis, self.trends, self.thresholds)
    }

    /// Returns whether the ephemeral range and the reserved ports were read. If they are assumed,
    /// the metrics have no samples about them, and the status is never OK.
    fn knows_range(&self) -> bool {
        self.scan.snapshot.knows_range()
    }

    /// Returns the name of a level; UNKNOWN instead of OK if `is_unknown`.
    fn level_name(&self, subject_status: &SubjectStatus) -> &'static str {
        if self.is_unknown(subject_status) { "UNKNOWN" } else { subject_status.level.name() }
    }

    /// Returns whether the level is OK only because the range is assumed, or because sockets are
    /// missing.
    fn is_unknown(&self, subject_status: &SubjectStatus) -> bool {
        let protocol = match subject_status.subject {
            Subject::Range(protocol) => protocol,
            Subject::ProtocolFamily(protocol_family) => protocol_family.protocol(),
            Subject::Destination(_) => Protocol::Tcp,
        };
        subject_status.level == Level::Ok && !(self.knows_range() && self.lists(protocol))
    }

    /// Returns the first gap of a socket table that is missing or incomplete. None: there is none.
    fn unlisted(&self) -> Option<&'a Gap> {
        self.unlisted_tables().next()
    }

    fn unlisted_tables(&self) -> impl Iterator<Item = &'a Gap> {
        self.scan.snapshot.gaps.iter().filter(|gap| gap.table().is_some())
    }

    /// Returns whether no socket table of the protocol is missing or incomplete. If one is, the
    /// protocol's counts may be too low.
    fn lists(&self, protocol: Protocol) -> bool {
        self.unlisted_tables().all(|gap| gap.protocol() != Some(protocol))
    }

    fn ranges(&self) -> impl Iterator<Item = &'a RangeUse> {
        let protocols = self.protocols;
        self.analysis.ranges.iter().filter(move |range| protocols.includes(range.protocol))
    }

    /// Returns the destinations with at least one port in use, fullest first.
    fn destinations(&self) -> impl Iterator<Item = &'a DestinationUse> {
        self.analysis.destinations.iter().filter(|row| row.used > 0)
    }

    fn of_range(&self, row: &RangeUse) -> SubjectStatus {
        SubjectStatus::of_range(row, self.trends, self.thresholds)
    }

    fn of_destination(&self, row: &DestinationUse) -> SubjectStatus {
        SubjectStatus::of_destination(row, self.trends, self.thresholds)
    }

    /// Formats an owner for a table: `nginx[812]`, `hidden (user ann)`, `kernel`.
    fn owner_key(&self, owner_key: OwnerKey) -> String {
        match owner_key {
            OwnerKey::Process(pid) => self.scan.processes.named(pid).to_string(),
            OwnerKey::Hidden(uid) => {
                let users = &self.scan.snapshot.machine.users;
                let Some(uid) = uid else { return "hidden".to_owned() };
                let name = users.name(uid).map(|name| format!("user {name}"));
                let user = name.or_else(|| users.unmapped(uid));
                format!("hidden ({})", user.unwrap_or_else(|| format!("user {uid}")))
            }
            OwnerKey::Kernel => "kernel".to_owned(),
            OwnerKey::Nobody => "none".to_owned(),
            OwnerKey::Unresolved => "unresolved".to_owned(),
            OwnerKey::NotAsked => "-".to_owned(),
        }
    }

    fn includes(&self, protocol: Protocol) -> bool {
        self.protocols.includes(protocol)
    }
}

/// Returns the kind of owner for JSON and metrics. None: owners were not looked up.
pub(super) fn kind(owner_key: OwnerKey) -> Option<&'static str> {
    match owner_key {
        OwnerKey::Process(_) => Some("process"),
        OwnerKey::Hidden(_) => Some("hidden"),
        OwnerKey::Kernel => Some("kernel"),
        OwnerKey::Nobody => Some("none"),
        OwnerKey::Unresolved => Some("unresolved"),
        OwnerKey::NotAsked => None,
    }
}
