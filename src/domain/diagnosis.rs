//! Rules that explain why ports run out, as findings with evidence and advice. One rule per file.

mod bind_before_connect;
mod bound_inactive_leak;
mod close_wait_leak;
mod conntrack_full;
mod counter;
mod descriptor_limit;
mod destination_exhausted;
pub mod finding;
mod groups;
mod listen_overflow;
mod listener_in_range;
mod nat_ports_exhausted;
mod no_source_address;
mod not_seen;
mod orphans_high;
mod port_range_of_socket;
mod range_exhausted;
mod range_narrow;
mod range_odd;
mod range_overlap;
mod remedies;
mod reservation;
mod reserved_large;
mod self_connected;
mod service_ports;
mod slow_zone;
mod syn_queue_full;
mod time_wait_overflow;
mod time_wait_pile;
mod udp_exhausted;
pub mod verdict;
mod wording;

use crate::domain::{
    Analysis, DestinationUse, Forecast, ProcessTable, RangeUse, Snapshot, Subject, Trend, Trends,
    Vitals,
};

pub use finding::{About, Figure, Finding, Level, Severity};
pub use verdict::{SubjectStatus, verdict};
pub use wording::at_most;

/// A diagnosis rule.
pub struct Rule {
    /// Stable identifier, also in JSON.
    pub id: &'static str,
    /// What the rule detects, in a few words.
    pub about: &'static str,
    /// Returns the findings; none if there is no problem. Depends on the evidence alone.
    pub check: fn(&Evidence<'_>) -> Vec<Finding>,
}

/// All rules, in the order in which findings of equal severity are reported.
pub const RULES: &[Rule] = &[
    // This rule precedes the rules for its consequences.
    Rule {
        id: "reserved-large",
        about: "reserved ports take a large part of the range",
        check: reserved_large::check,
    },
    Rule {
        id: "destination-exhausted",
        about: "connect() to one destination finds no port: now, intermittently or soon",
        check: destination_exhausted::check,
    },
    Rule {
        id: "range-exhausted",
        about: "bind() to port 0 finds no port: now, intermittently or soon",
        check: range_exhausted::check,
    },
    Rule {
        id: "slow-zone",
        about: "connect() to one destination searches half of the range each time",
        check: slow_zone::check,
    },
    Rule {
        id: "time-wait-pile",
        about: "TIME-WAIT holds a large part of the ports",
        check: time_wait_pile::check,
    },
    Rule {
        id: "close-wait-leak",
        about: "a process does not close connections that its peers have closed",
        check: close_wait_leak::check,
    },
    Rule {
        id: "bound-inactive-leak",
        about: "a process binds ports and does not use them",
        check: bound_inactive_leak::check,
    },
    Rule {
        id: "bind-before-connect",
        about: "ports bound before connect() cannot be shared between destinations",
        check: bind_before_connect::check,
    },
    Rule {
        id: "self-connected",
        about: "a TCP connection to itself holds the port of a server",
        check: self_connected::check,
    },
    Rule {
        id: "port-range-of-socket",
        about: "a process has used up the port range that it limits itself to",
        check: port_range_of_socket::check,
    },
    Rule {
        id: "listener-in-range",
        about: "a service listens on an unreserved port of the ephemeral range",
        check: listener_in_range::check,
    },
    Rule { id: "range-narrow", about: "the ephemeral range is small", check: range_narrow::check },
    Rule {
        id: "range-odd",
        about: "the ephemeral range has an odd number of ports",
        check: range_odd::check,
    },
    Rule {
        id: "udp-exhausted",
        about: "UDP finds no automatic port: now, intermittently or soon",
        check: udp_exhausted::check,
    },
    Rule {
        id: "time-wait-overflow",
        about: "the kernel's limit of TIME-WAIT sockets is reached",
        check: time_wait_overflow::check,
    },
    Rule {
        id: "orphans-high",
        about: "orphaned connections are near the kernel's limit",
        check: orphans_high::check,
    },
    Rule {
        id: "conntrack-full",
        about: "the connection tracking table is full, or nearly",
        check: conntrack_full::check,
    },
    Rule {
        id: "nat-ports-exhausted",
        about: "NAT finds no free port",
        check: nat_ports_exhausted::check,
    },
    Rule {
        id: "descriptor-limit",
        about: "a process is near its limit of file descriptors",
        check: descriptor_limit::check,
    },
    Rule {
        id: "listen-overflow",
        about: "a listener's queue of unaccepted connections is full",
        check: listen_overflow::check,
    },
    Rule {
        id: "syn-queue-full",
        about: "a listener's queue of half-open connections is full",
        check: syn_queue_full::check,
    },
    Rule {
        id: "no-source-address",
        about: "EADDRNOTAVAIL because an address is missing, not a port",
        check: no_source_address::check,
    },
    Rule {
        id: "range-overlap",
        about: "the ephemeral range overlaps a range that others allocate from",
        check: range_overlap::check,
    },
    Rule { id: "not-seen", about: "some data could not be read", check: not_seen::check },
];

/// The input of the rules.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    pub snapshot: &'a Snapshot,
    pub analysis: &'a Analysis,
    pub trends: &'a Trends,
    pub processes: &'a ProcessTable,
    /// The vitals of an earlier snapshot (at least a minute old, or else the first one), and the
    /// seconds since then. Kernel counters never decrease, so rules judge their increase. None:
    /// there is no earlier snapshot.
    pub before: Option<(&'a Vitals, f64)>,
    pub thresholds: Thresholds,
}

/// Shares (0 to 1) from which the level of a range or destination is WATCH (`warn`) or EXHAUSTING
/// (`critical`): see `SubjectStatus::share`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    pub warn: f64,
    pub critical: f64,
}

/// Forecast limit in seconds. A range or destination that is expected to be full within this time
/// is EXHAUSTING if its share is at least half of `Thresholds::warn`.
pub const EXHAUSTING_SECONDS: f64 = 300.0;

/// All findings and the highest severity among them; `Ok` if there are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnosis {
    pub severity: Severity,
    /// Highest severity first, then in the order of `RULES`.
    pub findings: Vec<Finding>,
}

/// Runs all rules and sorts their findings.
pub fn diagnose(evidence: &Evidence<'_>) -> Diagnosis {
    let mut findings: Vec<Finding> = Vec::new();
    for rule in RULES {
        let found = (rule.check)(evidence);
        findings.extend(found.into_iter().map(|finding| Finding { rule: rule.id, ..finding }));
    }
    for finding in &mut findings {
        // If a rule leaves out its last items of advice, their steps are dropped, too.
        finding.steps.truncate(finding.advice.len());
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let severity = findings.iter().map(|finding| finding.severity).max().unwrap_or_default();
    Diagnosis { severity, findings }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { warn: 0.70, critical: 0.85 }
    }
}

impl Thresholds {
    /// Returns the level for a share (0 to 1), the lower bound of the ports left, and a forecast.
    /// Never returns `Level::Failing`, which depends on earlier scans: see `SubjectStatus`.
    pub fn level(&self, share: f64, available: u32, forecast: Option<Forecast>) -> Level {
        let is_soon =
            share >= self.warn / 2.0 && forecast.is_some_and(|f| f.seconds <= EXHAUSTING_SECONDS);
        match share {
            _ if available == 0 => Level::Exhausted,
            share if share >= self.critical || is_soon => Level::Exhausting,
            share if share >= self.warn => Level::Watch,
            _ => Level::Ok,
        }
    }
}

impl Evidence<'_> {
    pub fn trend(&self, subject: Subject) -> Option<Trend> {
        self.trends.of(subject)
    }

    /// Returns when no port will be left for the destination at the measured rate. None: as for
    /// `SubjectStatus::forecast`.
    pub fn forecast(&self, row: &DestinationUse) -> Option<Forecast> {
        self.trend(Subject::Destination(row.destination))?.until(row.available())
    }

    pub fn of_destination(&self, row: &DestinationUse) -> SubjectStatus {
        SubjectStatus::of_destination(row, self.trends, self.thresholds)
    }

    pub fn of_range(&self, row: &RangeUse) -> SubjectStatus {
        SubjectStatus::of_range(row, self.trends, self.thresholds)
    }
}
