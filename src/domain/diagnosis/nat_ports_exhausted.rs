//! `nat-ports-exhausted`: address translation finds no free port.

use crate::domain::{
    Conntrack, Evidence, Finding, Protocol, Severity, Translation,
    diagnosis::{About, Advice, Counter, advice::marked},
    notation::grouped,
};

/// Number of ports for a translation without a range of its own: 1024-65535, if the original port
/// is not below 1024 (net/netfilter/nf_nat_core.c, `nf_nat_l4proto_unique_tuple`).
const WHOLE: u32 = 64_512;

/// A range counts as full if at least this share (0 to 1) of the ports between its lowest and its
/// highest used port is in use. In a large range, the kernel tries only about 250 ports (128, then
/// 64, 32, 16 and 8 from random ports), so it fails before all are in use.
const DENSE: f64 = 0.95;

/// Minimum number of used ports to report a full range without failures. Fewer may be adjacent at
/// random.
const MIN_IN_A_ROW: u32 = 4;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(conntrack) = &evidence.snapshot.vitals.conntrack else { return Vec::new() };
    let failures = Counter::of(evidence, |vitals| Some(vitals.conntrack.as_ref()?.insert_failed));
    let rows = conntrack.translated.iter().flatten();
    let named: Vec<Finding> = rows
        .filter_map(|row| Some(of_translation(row, severity(evidence, row, failures)?, failures)))
        .collect();
    if named.is_empty() { of_failures(conntrack, failures).into_iter().collect() } else { named }
}

/// Returns the severity for one translation. None: enough ports are left.
fn severity(evidence: &Evidence<'_>, row: &Translation, failures: Counter) -> Option<Severity> {
    let limits = evidence.thresholds;
    let of_whole = f64::from(row.ports) / f64::from(WHOLE);
    let fails = failures != Counter::Still;
    match row.ports {
        _ if of_whole >= limits.critical => Some(Severity::Critical),
        1.. if is_dense(row) && failures.is_growing() => Some(Severity::Critical),
        2.. if is_dense(row) && fails => Some(Severity::Critical),
        MIN_IN_A_ROW.. if is_dense(row) => Some(Severity::Warning),
        _ if of_whole >= limits.warn => Some(Severity::Warning),
        _ => None,
    }
}

/// Returns whether the translation has a range of its own that is full: its ports have nearly no
/// gaps, and NAT chose at least half of them. A client that uses consecutive source ports leaves no
/// gaps either, but NAT does not change those ports.
pub(super) fn is_dense(row: &Translation) -> bool {
    f64::from(row.ports) >= DENSE * f64::from(row.seen.len()) && row.moved * 2 >= row.ports
}

fn of_translation(row: &Translation, severity: Severity, failures: Counter) -> Finding {
    Finding::new(severity, About::Machine, summary(row))
        .meaning(meaning(row.protocol))
        .figure("protocol", row.protocol.name())
        .figure("source", row.source.to_string())
        .figure("destination", row.destination.to_string())
        .figure("ports", row.ports)
        .figure("first_seen_port", row.seen.first())
        .figure("last_seen_port", row.seen.last())
        .figures(failures.figures("insert_failed", "insert_failed_per_second"))
        .advice(advice(row))
        .avoid(AVOID_WIDER)
        .avoid(AVOID_FLUSH)
}

fn summary(row: &Translation) -> String {
    let Translation { protocol, source, destination, ports, seen, .. } = row;
    let to = format!("{} to {destination} as {source}", protocol.name().to_uppercase());
    if is_dense(row) {
        let all = if seen.len() == *ports { "every port" } else { "nearly every port" };
        format!("NAT of {to} uses {all} from {} to {}", seen.first(), seen.last())
    } else {
        format!("NAT of {to} uses {} of {} ports", grouped(*ports), grouped(WHOLE))
    }
}

/// Explains the failure. Only the firewall's rules contain the range of the NAT rule, and they are
/// not read.
fn meaning(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => {
            "New connections to this destination get no answer: NAT drops the SYN, and connect() \
             hangs until it fails with ETIMEDOUT. Other destinations work. No socket table shows \
             these ports. The range of the NAT rule cannot be read, so the first and last port are \
             inferred from the ports in use."
        }
        Protocol::Udp => {
            "New flows to this destination are dropped: sendto() on this host fails with EPERM, \
             forwarded packets get no answer. No socket table shows these ports. The range of the \
             NAT rule cannot be read, so the first and last port are inferred from the ports in \
             use."
        }
    }
}

fn advice(row: &Translation) -> Advice {
    let name = row.protocol.name();
    let Translation { source, destination, .. } = row;
    let to = if source.is_ipv6() { format!("[{source}]") } else { source.to_string() };
    let mut advice = Advice::default();
    if is_dense(row) {
        advice = advice.now(format!(
            "widen the port range of the NAT rule: find it (nft -a list ruleset, or iptables -t \
             nat -S), then set: meta l4proto {name} masquerade to :1024-65535, or snat to \
             {to}:1024-65535",
        ));
    }
    advice = advice
        .now(format!(
            "add addresses to the rule, each of which has its own ports: {name} dport {} snat to \
             {source}-<last address>",
            destination.port,
        ))
        .for_good(format!(
            "use fewer connections to {destination}: keep them open and reuse them, or give the \
             destination a second address or port"
        ));
    if row.protocol == Protocol::Udp {
        return advice;
    }
    let setting = "net.netfilter.nf_conntrack_tcp_timeout_time_wait";
    advice
        .now(format!(
            "free the ports of finished connections after 30s: {} (the default is 120)",
            marked(format_args!("sysctl -w {setting}=30")),
        ))
        .setting(format!("{setting} = 30"))
}

const AVOID_WIDER: &str = "do not widen ip_local_port_range: NAT does not choose from it";
const AVOID_FLUSH: &str =
    "do not flush the table (conntrack -F): active connections through NAT break";

/// Reports failures that no listed translation explains. Possible reasons: the table was not
/// readable, the flows have ended, or NAT is not the cause.
fn of_failures(conntrack: &Conntrack, failures: Counter) -> Option<Finding> {
    let (severity, times) = failures.severity_and_times()?;
    let summary = format!("connection tracking failed to insert a flow {times}");
    let rows = conntrack.translated.iter().flatten().take(3);
    let largest = rows.map(|row| format!("{} by {}", row.destination, grouped(row.ports)));
    let advice = Advice::default()
        .now(format!(
            "watch the failures: {} (insert_failed); find the destination with most flows: {}; \
             show the ranges of masquerade and snat: {}",
            marked("conntrack -S"),
            marked("conntrack -L"),
            marked("nft list ruleset"),
        ))
        .now(
            "if it is DNS over UDP, make the resolver of glibc send one query at a time: options \
             single-request in /etc/resolv.conf",
        );
    let finding = Finding::new(severity, About::Machine, summary)
        .meaning(
            "The first packet of such a flow is dropped: TCP sends it again and connect() takes a \
             second longer, or hangs if NAT has no port left; a UDP sendto() may fail with EPERM. \
             No NAT rule appears to be full. Two packets of one flow at the same time (DNS over \
             UDP) are counted here, too.",
        )
        .figure("largest_translations", largest.collect::<Vec<_>>())
        .figures(failures.figures("insert_failed", "insert_failed_per_second"))
        .advice(advice)
        .avoid(AVOID_WIDER)
        .avoid(AVOID_FLUSH);
    Some(finding)
}
