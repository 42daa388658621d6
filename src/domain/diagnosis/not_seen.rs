//! `not-seen`: some data could not be read.

use crate::domain::{
    Evidence, Finding, Gap, Severity,
    diagnosis::{About, Advice},
    notation::counted,
};

/// Returns one finding per gap.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let snapshot = evidence.snapshot;
    snapshot.gaps.iter().chain(&snapshot.vitals.gaps).map(finding).collect()
}

fn finding(gap: &Gap) -> Finding {
    let of = match (gap, gap.count()) {
        (_, None | Some(0)) => String::new(),
        (Gap::PortsInDoubt { .. }, Some(count)) => format!(" on {}", counted(count, "port")),
        (Gap::PortsUnread { .. }, Some(count)) => format!(" among {}", counted(count, "socket")),
        (_, Some(count)) => format!(" of {}", counted(count, "socket")),
    };
    let summary = format!("could not read {}{of}: {}", gap.what(), gap.why());
    Finding::new(severity(gap), About::Machine, summary)
        .meaning(meaning(gap))
        .figure("what", gap.what())
        .figure("why", gap.why())
        // The number of ports for `PortsInDoubt`.
        .figure_if("sockets", gap.count())
        .advice(Advice::default().now(gap.remedy()))
        .avoid("do not assume that all is well: rules that need this data may miss a problem")
}

/// Returns `Warning` if a socket table is missing or incomplete, because other rules may then miss
/// a problem, or if the range is assumed, because the number of ports left may then be wrong.
fn severity(gap: &Gap) -> Severity {
    if gap.table().is_some() || gap.hides_capacity() { Severity::Warning } else { Severity::Notice }
}

fn meaning(gap: &Gap) -> &'static str {
    match gap {
        Gap::TableRefused { .. } | Gap::DumpInterrupted { .. } | Gap::DumpTruncated { .. } => {
            "Sockets are missing: ports that this report counts as left may be in use, and some \
             problems may not be reported."
        }
        Gap::OwnersHidden { .. }
        | Gap::OwnersRefused { .. }
        | Gap::OwnersInvisible { .. }
        | Gap::OwnersElsewhere { .. }
        | Gap::OwnersOfThreads { .. }
        | Gap::OwnersUnreadable { .. }
        | Gap::ProcessesUnread { .. } => {
            "All ports and destinations are counted. Only the processes that hold some of them are \
             unknown: if one of them leaks sockets, the finding does not name it."
        }
        Gap::NetlinkRefused { .. }
        | Gap::BoundInactiveUnlisted { .. }
        | Gap::PortsUnread { .. }
        | Gap::PortsInDoubt { .. } => {
            "Some or all TCP sockets that are bound, but neither listening nor connected, are not \
             listed, although no connect() can use their ports. More ports may be in use than \
             counted."
        }
        Gap::DualStackUnknown { .. } => {
            "Whether an IPv6 socket also blocks IPv4 is unknown. The counts are correct; which \
             bind() such a socket blocks is uncertain."
        }
        Gap::PolicyAssumed { .. } => {
            "The kernel may choose ports in a way other than the one assumed here. Capacities \
             and the numbers left may be wrong."
        }
        Gap::VitalsUnread { .. } => {
            "All sockets are counted. The rules that need this data report nothing, even if there \
             is a problem."
        }
    }
}
