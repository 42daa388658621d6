//! `not-seen`: some data could not be read.

use crate::domain::{
    Evidence, Finding, Gap, Severity,
    diagnosis::finding::{About, Figure},
};

/// Returns one finding per gap.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let snapshot = evidence.snapshot;
    snapshot.gaps.iter().chain(&snapshot.vitals.gaps).map(finding).collect()
}

fn finding(gap: &Gap) -> Finding {
    let mut figures =
        vec![("what", Figure::Text(gap.what().to_owned())), ("why", Figure::Text(gap.why()))];
    figures.extend(gap.count().map(|count| ("sockets", Figure::Count(count.into()))));
    let of = gap
        .count()
        .filter(|&count| count > 0)
        .map(|count| format!(" of {count} {}", if count == 1 { "socket" } else { "sockets" }))
        .unwrap_or_default();
    Finding {
        rule: "not-seen",
        severity: severity(gap),
        about: About::Machine,
        summary: format!("could not see {}{of}: {}", gap.what(), gap.why()),
        cause: String::new(),
        steps: Vec::new(),
        meaning: meaning(gap).to_owned(),
        evidence: figures,
        advice: vec![gap.remedy().to_owned()],
        avoid: vec![
            "do not take the silence of other rules for health while this is missing".to_owned(),
        ],
    }
}

/// If sockets are missing, other rules may be silent without reason; if the range is unknown, so is
/// the number of ports left.
fn severity(gap: &Gap) -> Severity {
    match gap {
        Gap::TableRefused { .. } | Gap::DumpInterrupted { .. } | Gap::DumpTruncated { .. } => {
            Severity::Warning
        }
        Gap::PolicyAssumed { .. } if gap.hides_capacity() => Severity::Warning,
        _ => Severity::Notice,
    }
}

fn meaning(gap: &Gap) -> &'static str {
    match gap {
        Gap::TableRefused { .. } | Gap::DumpInterrupted { .. } | Gap::DumpTruncated { .. } => {
            "Sockets are missing, so that ports may be used that this report counts as left. \
             What it does report is true; what it does not report may still be."
        }
        Gap::OwnersHidden { .. }
        | Gap::OwnersRefused { .. }
        | Gap::OwnersInvisible { .. }
        | Gap::OwnersElsewhere { .. }
        | Gap::OwnersOfThreads { .. }
        | Gap::OwnersUnreadable { .. }
        | Gap::ProcessesUnread { .. } => {
            "Ports and destinations are counted in full; only the processes that hold some of \
             them have no name here. A leak of such a process is not ascribed to it."
        }
        Gap::NetlinkRefused { .. }
        | Gap::BoundInactiveUnlisted { .. }
        | Gap::PortsUnread { .. }
        | Gap::PortsInDoubt { .. } => {
            "A TCP socket that is bound, but neither listens nor is connected, is not listed, \
             yet its port is taken for bind() and for all connect(). More ports may be used than \
             counted."
        }
        Gap::DualStackUntold { .. } => {
            "Whether an IPv6 socket takes IPv4 too is not told. The counts hold; which bind() \
             such a socket refuses is uncertain."
        }
        Gap::PolicyAssumed { .. } => {
            "The kernel may choose ports by another rule than the one assumed here. Capacities \
             and what is left may be wrong."
        }
        Gap::VitalsUnread { .. } => {
            "The sockets are counted in full; the rules that need this stay silent. Their \
             silence is no proof that all is well."
        }
    }
}
