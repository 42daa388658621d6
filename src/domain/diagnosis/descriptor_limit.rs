//! `descriptor-limit`: a process is near its limit of open files.

use crate::domain::{
    DescriptorUse, Evidence, Finding, OwnerKey, Severity,
    diagnosis::{About, Advice, Figure, OwnerGroup, advice::marked, groups},
    notation::grouped,
};

/// Minimum share of the soft RLIMIT_NOFILE (0 to 1) for each severity.
const WARNING: f64 = 0.80;
const CRITICAL: f64 = 0.95;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let rows = evidence.snapshot.vitals.descriptors.iter();
    let near = rows.filter(|row| share(row) >= WARNING);
    let near = near.map(|row| (OwnerKey::Process(row.pid), row));
    groups(evidence, near, per_mille).iter().map(finding).collect()
}

fn per_mille(row: &DescriptorUse) -> u32 {
    (share(row) * 1000.0).round() as u32
}

fn share(row: &DescriptorUse) -> f64 {
    f64::from(row.open) / row.limit.max(1) as f64
}

/// Returns `name has 950 of 1,024 descriptors open`. `row` is the process nearest to its limit.
fn summary(group: &OwnerGroup<&DescriptorUse>, row: &DescriptorUse) -> String {
    let name = &group.name;
    let is_one_limit = group.members.iter().all(|(_, other)| other.limit == row.limit);
    match (group.is_single(), is_one_limit) {
        (true, _) => {
            format!("{name} has {} of {} descriptors open", grouped(row.open), grouped(row.limit))
        }
        (false, true) => format!(
            "{name}: {} of {} descriptors open",
            group.each(|row| row.open),
            grouped(row.limit)
        ),
        (false, false) => format!(
            "{name}: {} descriptors open, limit {} in the process nearest to it",
            group.each(|row| row.open),
            grouped(row.limit)
        ),
    }
}

/// Returns a higher soft limit for the processes of the group, and their hard limit, as `SOFT:HARD`.
/// A number alone would be both, and might lower the hard limit. The soft limit stays within the
/// hard one, unless that is reached.
fn raised(group: &OwnerGroup<&DescriptorUse>, limit: u64) -> String {
    let hard = group.members.iter().map(|(_, row)| row.hard_limit).fold(limit, u64::max);
    let soft = limit.saturating_mul(4).max(65_536);
    let soft = if hard > limit { soft.min(hard) } else { soft };
    format!("{soft}:{}", hard.max(soft))
}

/// Returns the command that sets the limits of each process of the group.
fn raise(group: &OwnerGroup<&DescriptorUse>, limits: &str) -> String {
    let pids: Vec<String> = group.pids().map(|pid| pid.to_string()).collect();
    match pids.as_slice() {
        [pid] => format!("prlimit --pid {pid} --nofile={limits}"),
        pids => {
            format!("for pid in {}; do prlimit --pid $pid --nofile={limits}; done", pids.join(" "))
        }
    }
}

fn finding(group: &OwnerGroup<&DescriptorUse>) -> Finding {
    let row = group.members[0].1;
    let share = share(row);
    let raised = raised(group, row.limit);
    let severity = if share < CRITICAL { Severity::Warning } else { Severity::Critical };
    let about = About::Owner(OwnerKey::Process(row.pid));
    let advice = Advice::default()
        .now(format!(
            "raise the limit, without a restart (as root): {}",
            marked(raise(group, &raised)),
        ))
        .for_good(format!(
            "set LimitNOFILE={raised} in the systemd unit, or call setrlimit() at the start"
        ))
        .for_good(format!(
            "if the number of descriptors only grows, fix the leak: {} lists them",
            marked(format_args!("ls -l /proc/{}/fd", row.pid)),
        ));
    Finding::new(severity, about, summary(group, row))
        .meaning(
            "At the limit socket() and accept() fail with EMFILE (\"Too many open files\"), and \
             new connections wait to be accepted. This looks like port exhaustion but is not: \
             ports are left.",
        )
        .figure("pid", row.pid)
        .figure("open", row.open)
        .figure("limit", row.limit)
        .figure("open_share", Figure::Share(share))
        .figures(group.figures())
        .advice(advice)
        .avoid("do not widen ip_local_port_range: EMFILE has nothing to do with ports")
}
