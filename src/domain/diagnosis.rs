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

const fn rule(
    id: &'static str,
    about: &'static str,
    check: fn(&Evidence<'_>) -> Vec<Finding>,
) -> Rule {
    Rule { id, about, check }
}

/// All rules, in the order in which findings of equal severity are reported.
pub const RULES: &[Rule] = &[
    // This rule precedes the rules for its consequences.
    rule("reserved-large", "reserved ports take a large part of the range", reserved_large::check),
    rule(
        "destination-exhausted",
        "connect() to one destination finds no port: now, intermittently or soon",
        destination_exhausted::check,
    ),
    rule(
        "range-exhausted",
        "bind() to port 0 finds no port: now, intermittently or soon",
        range_exhausted::check,
    ),
    rule(
        "slow-zone",
        "connect() to one destination searches many ports each time",
        slow_zone::check,
    ),
    rule("time-wait-pile", "TIME-WAIT holds a large part of the ports", time_wait_pile::check),
    rule(
        "close-wait-leak",
        "a process does not close connections that its peers have closed",
        close_wait_leak::check,
    ),
    rule(
        "bound-inactive-leak",
        "a process binds ports and does not use them",
        bound_inactive_leak::check,
    ),
    rule(
        "bind-before-connect",
        "ports bound before connect() cannot be shared between destinations",
        bind_before_connect::check,
    ),
    rule(
        "self-connected",
        "a TCP socket connected to itself holds the port of a server",
        self_connected::check,
    ),
    rule(
        "port-range-of-socket",
        "a process has used up the port range that it limits itself to",
        port_range_of_socket::check,
    ),
    rule(
        "listener-in-range",
        "a service listens on an unreserved port of the ephemeral range",
        listener_in_range::check,
    ),
    rule("range-narrow", "the ephemeral range is small", range_narrow::check),
    rule("range-odd", "the ephemeral range has an odd number of ports", range_odd::check),
    rule(
        "udp-exhausted",
        "UDP finds no automatic port: now, intermittently or soon",
        udp_exhausted::check,
    ),
    rule(
        "time-wait-overflow",
        "the kernel's limit of TIME-WAIT sockets is reached, or nearly",
        time_wait_overflow::check,
    ),
    rule("orphans-high", "orphaned connections are near the kernel's limit", orphans_high::check),
    rule(
        "conntrack-full",
        "the connection tracking table is full, or nearly",
        conntrack_full::check,
    ),
    rule(
        "nat-ports-exhausted",
        "NAT has no free port for a destination, or nearly none",
        nat_ports_exhausted::check,
    ),
    rule(
        "descriptor-limit",
        "a process is near its limit of file descriptors",
        descriptor_limit::check,
    ),
    rule(
        "listen-overflow",
        "a listener's queue of unaccepted connections is full",
        listen_overflow::check,
    ),
    rule(
        "syn-queue-full",
        "a listener's queue of half-open connections is full",
        syn_queue_full::check,
    ),
    rule(
        "no-source-address",
        "EADDRNOTAVAIL because an address is missing, not a port",
        no_source_address::check,
    ),
    rule(
        "range-overlap",
        "the ephemeral range overlaps a range that others allocate from",
        range_overlap::check,
    ),
    rule("not-seen", "some data could not be read", not_seen::check),
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
