//! `descriptor-limit`: a process is near its limit of open files.

use crate::domain::{
    DescriptorUse, Evidence, Finding, Party, Severity,
    diagnosis::{
        finding::{About, Figure},
        wording::{grouped, process},
    },
};

/// Of the soft RLIMIT_NOFILE.
const WARNING: f64 = 0.80;
const CRITICAL: f64 = 0.95;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let rows = evidence.snapshot.vitals.descriptors.iter();
    rows.filter(|row| share(row) >= WARNING).map(|row| finding(evidence, row)).collect()
}

fn share(row: &DescriptorUse) -> f64 {
    f64::from(row.open) / row.limit.max(1) as f64
}

fn finding(evidence: &Evidence<'_>, row: &DescriptorUse) -> Finding {
    let share = share(row);
    let name = process(evidence, row.pid);
    let raised = row.limit.saturating_mul(4).max(65_536);
    Finding {
        rule: "descriptor-limit",
        severity: if share < CRITICAL { Severity::Warning } else { Severity::Critical },
        about: About::Owner(Party::Process(row.pid)),
        summary: format!(
            "{name} has {} of at most {} files open",
            grouped(row.open),
            grouped(row.limit),
        ),
        cause: String::new(),
        steps: Vec::new(),
        meaning:
            "At the limit socket() and accept() fail with EMFILE (\"Too many open files\"). It \
                  looks as if ports were exhausted, but is not: connections that wait to be \
                  accepted pile up while ports are left."
                .to_owned(),
        evidence: vec![
            ("pid", Figure::Count(row.pid.into())),
            ("open", Figure::Count(row.open.into())),
            ("limit", Figure::Count(row.limit)),
            ("open_share", Figure::Share(share)),
        ],
        advice: vec![
            format!(
                "raise it at once, without a restart: prlimit --pid {} --nofile={raised}",
                row.pid
            ),
            format!(
                "for good: LimitNOFILE={raised} in its systemd unit, or setrlimit() at its start"
            ),
            format!(
                "if the number only grows, it leaks: ls -l /proc/{}/fd shows of what kind",
                row.pid
            ),
        ],
        avoid: vec![
            "do not widen ip_local_port_range for this: EMFILE has nothing to do with ports"
                .to_owned(),
        ],
    }
}
