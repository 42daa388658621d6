//! `range-narrow`: the ephemeral range has fewer than 16,384 ports.

use crate::domain::{
    Evidence, Finding, Protocol, Severity,
    diagnosis::{
        finding::{About, Figure},
        remedies::{kept, marked},
        wording::steps,
    },
    notation::{counted, grouped},
};

/// Maximum size for which the finding can be a warning. A server soon uses up such a range.
const TINY: u32 = 1024;
/// The number of dynamic ports of IANA, 49152-65535 (RFC 6335), which other operating systems use.
const IANA_SIZE: u32 = 16_384;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let range = evidence.snapshot.ephemeral.range;
    let size = range.len();
    if size >= IANA_SIZE {
        return Vec::new();
    }
    let is_used = evidence.analysis.ranges.iter().any(|range| range.used_share() >= 0.5);
    // A narrow range does no harm while few of its ports are used.
    let severity = if size <= TINY && is_used { Severity::Warning } else { Severity::Notice };
    let usable = evidence.analysis.range(Protocol::Tcp).size;
    vec![Finding {
        severity,
        about: About::Range(Protocol::Tcp),
        summary: format!(
            "the ephemeral range {range} has {}{}; the Linux default has 28,232",
            counted(size, "port"),
            match size.saturating_sub(usable) {
                0 => String::new(),
                reserved => format!(" ({} reserved)", grouped(reserved)),
            }
        ),
        steps: steps(&["set ip_local_port_range to 32768 60999"]),
        meaning: format!(
            "Each destination can have at most {} from one address of this host, including those \
             in TIME-WAIT. Beyond that connect() fails with EADDRNOTAVAIL. UDP has {} for all \
             destinations together; beyond that it fails with EAGAIN.",
            counted(usable, "connection"),
            counted(usable, "automatic port")
        ),
        evidence: vec![
            ("first", Figure::Count(range.first().into())),
            ("last", Figure::Count(range.last().into())),
            ("size", Figure::Count(size.into())),
        ],
        advice: advice(),
        avoid: avoid(),
        ..Finding::default()
    }]
}

fn advice() -> Vec<String> {
    let now = "restore the default: sysctl -w net.ipv4.ip_local_port_range=\"32768 60999\" (28,232 \
               ports; takes effect at once). Each network namespace has its own range; for that of \
               another process: nsenter -t PID -n sysctl -w ...";
    let kept = kept(&["net.ipv4.ip_local_port_range = 32768 60999"]);
    marked(vec![now.to_owned()], kept.into_iter().collect())
}

fn avoid() -> Vec<String> {
    vec![
        "do not narrow the range to protect the ports of services: reserve these ports instead \
         (net.ipv4.ip_local_reserved_ports)"
            .to_owned(),
        "do not set the socket option IP_LOCAL_PORT_RANGE to widen the range: the kernel ignores \
         values outside of it, without an error"
            .to_owned(),
    ]
}
