//! `descriptor-limit`: a process is near its limit of open files.

use crate::domain::{
    DescriptorUse, Evidence, Finding, Party, Severity,
    diagnosis::{
        finding::{About, Figure},
        groups::{PartyGroup, groups},
        wording::grouped,
    },
};

/// Shares of the soft RLIMIT_NOFILE.
const WARNING: f64 = 0.80;
const CRITICAL: f64 = 0.95;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let rows = evidence.snapshot.vitals.descriptors.iter();
    let near = rows.filter(|row| share(row) >= WARNING);
    let near = near.map(|row| (Party::Process(row.pid), row));
    groups(evidence, near, per_mille).iter().map(finding).collect()
}

fn per_mille(row: &DescriptorUse) -> u32 {
    (share(row) * 1000.0).round() as u32
}

fn share(row: &DescriptorUse) -> f64 {
    f64::from(row.open) / row.limit.max(1) as f64
}

/// `name has 950 of at most 1,024 files open`
fn summary(group: &PartyGroup<&DescriptorUse>, row: &DescriptorUse) -> String {
    let name = &group.name;
    let is_one_limit = group.members.iter().all(|(_, other)| other.limit == row.limit);
    match (group.is_single(), is_one_limit) {
        (true, _) => {
            format!("{name} has {} of at most {} files open", grouped(row.open), grouped(row.limit))
        }
        (false, true) => format!(
            "{name}: {} of at most {} files open",
            group.each(|row| row.open),
            grouped(row.limit)
        ),
        (false, false) => format!(
            "{name}: {} files open, of at most {} in the one nearest to its limit",
            group.each(|row| row.open),
            grouped(row.limit)
        ),
    }
}

/// Returns the command that raises the limit of each process.
fn raise(group: &PartyGroup<&DescriptorUse>, limit: u64) -> String {
    let pids: Vec<String> = group.pids().map(|pid| pid.to_string()).collect();
    match pids.as_slice() {
        [pid] => format!("prlimit --pid {pid} --nofile={limit}"),
        pids => {
            format!("for pid in {}; do prlimit --pid $pid --nofile={limit}; done", pids.join(" "))
        }
    }
}

fn finding(group: &PartyGroup<&DescriptorUse>) -> Finding {
    let row = group.members[0].1;
    let share = share(row);
    let raised = row.limit.saturating_mul(4).max(65_536);
    let mut figures = vec![
        ("pid", Figure::Count(row.pid.into())),
        ("open", Figure::Count(row.open.into())),
        ("limit", Figure::Count(row.limit)),
        ("open_share", Figure::Share(share)),
    ];
    figures.extend(group.figures());
    Finding {
        rule: "descriptor-limit",
        severity: if share < CRITICAL { Severity::Warning } else { Severity::Critical },
        about: About::Owner(Party::Process(row.pid)),
        summary: summary(group, row),
        cause: String::new(),
        steps: Vec::new(),
        meaning:
            "At the limit socket() and accept() fail with EMFILE (\"Too many open files\"). It \
                  looks as if ports were exhausted, but is not: connections that wait to be \
                  accepted pile up while ports are left."
                .to_owned(),
        evidence: figures,
        advice: vec![
            format!("raise it at once, without a restart: {}", raise(group, raised)),
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
