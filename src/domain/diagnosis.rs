//! Rules that explain why ports run out, as findings with evidence and advice. One rule per file.

mod advice;
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
    Analysis, DestinationUse, Forecast, ProcessTable, Protocol, RangeUse, Snapshot, Trends, Vitals,
};

pub use finding::{About, AdvicePart, Figure, Finding, Level, Severity};
pub use verdict::{SubjectStatus, verdict};
pub use wording::{at_most, span};

use self::{
    advice::{Advice, Remedy},
    counter::Counter,
    finding::MAX_FINDINGS,
    groups::{OwnerGroup, groups},
    remedies::SysctlChange,
};

/// A diagnosis rule. The head of its file describes what it detects.
pub struct Rule {
    /// Stable identifier, also in JSON.
    pub id: &'static str,
    /// Returns the findings; none if there is no problem. Depends on the evidence alone.
    check: fn(&Evidence<'_>) -> Vec<Finding>,
}

/// All rules, in the order in which findings of equal severity are reported.
pub const RULES: &[Rule] = &[
    // This rule precedes the rules for its consequences.
    Rule { id: "reserved-large", check: reserved_large::check },
    Rule { id: "destination-exhausted", check: destination_exhausted::check },
    Rule { id: "range-exhausted", check: range_exhausted::check },
    Rule { id: "slow-zone", check: slow_zone::check },
    Rule { id: "time-wait-pile", check: time_wait_pile::check },
    Rule { id: "close-wait-leak", check: close_wait_leak::check },
    Rule { id: "bound-inactive-leak", check: bound_inactive_leak::check },
    Rule { id: "bind-before-connect", check: bind_before_connect::check },
    Rule { id: "self-connected", check: self_connected::check },
    Rule { id: "port-range-of-socket", check: port_range_of_socket::check },
    Rule { id: "listener-in-range", check: listener_in_range::check },
    Rule { id: "range-narrow", check: range_narrow::check },
    Rule { id: "range-odd", check: range_odd::check },
    Rule { id: "udp-exhausted", check: udp_exhausted::check },
    Rule { id: "time-wait-overflow", check: time_wait_overflow::check },
    Rule { id: "orphans-high", check: orphans_high::check },
    Rule { id: "conntrack-full", check: conntrack_full::check },
    Rule { id: "nat-ports-exhausted", check: nat_ports_exhausted::check },
    Rule { id: "descriptor-limit", check: descriptor_limit::check },
    Rule { id: "listen-overflow", check: listen_overflow::check },
    Rule { id: "syn-queue-full", check: syn_queue_full::check },
    Rule { id: "no-source-address", check: no_source_address::check },
    Rule { id: "range-overlap", check: range_overlap::check },
    Rule { id: "not-seen", check: not_seen::check },
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
    pub fn of_destination(&self, row: &DestinationUse) -> SubjectStatus {
        SubjectStatus::of_destination(row, self.trends, self.thresholds)
    }

    pub fn of_range(&self, row: &RangeUse) -> SubjectStatus {
        SubjectStatus::of_range(row, self.trends, self.thresholds)
    }

    /// Returns the range of the protocol and its status if it is short of ports. None: it is not,
    /// or all its ports are reserved (see `reserved-large`).
    fn short_range(&self, protocol: Protocol) -> Option<(&RangeUse, SubjectStatus)> {
        let range = self.analysis.range(protocol);
        let status = self.of_range(range);
        (range.size > 0 && status.level != Level::Ok).then_some((range, status))
    }
}
