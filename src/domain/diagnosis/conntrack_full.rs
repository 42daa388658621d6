//! `conntrack-full`: the connection tracking table is full, or nearly.

use crate::domain::{
    Conntrack, Evidence, Finding, Severity, Vitals,
    diagnosis::{About, Advice, Counter, Figure, advice::marked},
    notation::{counted, grouped},
};

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(conntrack) = &evidence.snapshot.vitals.conntrack else { return Vec::new() };
    // A limit of 0 means no limit (`__nf_conntrack_alloc`).
    if conntrack.max == 0 {
        return Vec::new();
    }
    let drops = Counter::of(evidence, dropped_as_full);
    let Some(severity) = severity(evidence, conntrack, drops) else { return Vec::new() };
    let finding = Finding::new(severity, About::Machine, summary(conntrack, drops))
        .meaning(
            "When the table is full, and the kernel finds no entry without [ASSURED] to replace, \
             the first packet of each new connection is dropped: connect() hangs and fails with \
             ETIMEDOUT after minutes; a UDP sendto() fails with EPERM. The kernel logs \
             \"nf_conntrack: table full\". Ports are not exhausted.",
        )
        .figure("tracked", conntrack.count)
        .figure("max_tracked", conntrack.max)
        .figure("tracked_share", Figure::Share(share(conntrack)))
        .figures(drops.figures("dropped", "dropped_per_second"))
        .advice(advice(conntrack))
        .avoid(
            "do not flush the table (conntrack -F): active connections through NAT lose their \
             translation and break",
        );
    vec![finding]
}

fn advice(conntrack: &Conntrack) -> Advice {
    let larger = conntrack.max.saturating_mul(2);
    Advice::default()
        .now(format!(
            "raise the limit: {} (about 0.3 KiB of memory per entry; on the host, not in a \
             container)",
            marked(format_args!("sysctl -w net.netfilter.nf_conntrack_max={larger}")),
        ))
        .now(format!(
            "stop tracking a port of this host that needs no NAT, such as 443 (the firewall must \
             accept untracked packets): {}; {}",
            marked("iptables -t raw -A PREROUTING -p tcp --dport 443 -j CT --notrack"),
            marked("iptables -t raw -A OUTPUT -p tcp --sport 443 -j CT --notrack"),
        ))
        .now(format!(
            "drop idle connections after 1 day, not after 5 (the default): {}",
            marked("sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=86400"),
        ))
        .setting(format!("net.netfilter.nf_conntrack_max = {larger}"))
        .setting("net.netfilter.nf_conntrack_tcp_timeout_established = 86400")
}

/// Returns the number of packets dropped because the table was full. The counter `drop` includes
/// `insert_failed`, which is subtracted: `nat-ports-exhausted` reports those flows. None:
/// connection tracking was not read.
fn dropped_as_full(vitals: &Vitals) -> Option<u64> {
    let conntrack = vitals.conntrack.as_ref()?;
    Some(conntrack.dropped.saturating_sub(conntrack.insert_failed))
}

fn share(conntrack: &Conntrack) -> f64 {
    f64::from(conntrack.count) / f64::from(conntrack.max)
}

fn severity(evidence: &Evidence<'_>, conntrack: &Conntrack, drops: Counter) -> Option<Severity> {
    let limits = evidence.thresholds;
    let share = share(conntrack);
    match drops {
        _ if share >= limits.critical => Some(Severity::Critical),
        Counter::Growing { .. } => Some(Severity::Critical),
        _ if share >= limits.warn => Some(Severity::Warning),
        Counter::Past { .. } => Some(Severity::Notice),
        Counter::Still => None,
    }
}

fn summary(conntrack: &Conntrack, drops: Counter) -> String {
    let full = format!(
        "connection tracking: {} of {} entries in use",
        grouped(conntrack.count),
        grouped(conntrack.max),
    );
    match drops.events() {
        Some((count, when)) => format!("{full}; {} dropped {when}", counted(count, "packet")),
        None => full,
    }
}
