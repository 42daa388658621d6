//! `range-narrow`: the ephemeral range has fewer than 16,384 ports.

use crate::domain::{
    Evidence, Finding, Protocol, Severity,
    diagnosis::{
        finding::{About, Figure},
        wording::steps,
    },
    notation::counted,
};

/// A server soon uses up a range of this size.
const TINY: u32 = 1024;
/// The size of IANA's dynamic range, which other systems use.
const NARROW: u32 = 16_384;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let range = evidence.snapshot.ephemeral.range;
    let size = range.len();
    if size >= NARROW {
        return Vec::new();
    }
    let is_used = evidence.analysis.ranges.iter().any(|range| range.used_share() >= 0.5);
    // A narrow range does no harm while few of its ports are used.
    let severity = if size <= TINY && is_used { Severity::Warning } else { Severity::Notice };
    let avoid = vec![
        "do not narrow it to keep services apart: reserve their ports instead \
         (net.ipv4.ip_local_reserved_ports)"
            .to_owned(),
        "IP_LOCAL_PORT_RANGE of a socket cannot widen it: the kernel limits it to the sysctl's \
         range, and ignores it without an error outside"
            .to_owned(),
    ];
    vec![Finding {
        rule: "range-narrow",
        severity,
        about: About::Range(Protocol::Tcp),
        summary: format!(
            "the ephemeral range {range} has {}; the Linux default has 28,232",
            counted(size, "port")
        ),
        cause: String::new(),
        steps: steps(&["ip_local_port_range=\"32768 60999\""]),
        meaning: format!(
            "Each destination can have at most {} from one address of this host, including those \
             in TIME-WAIT. Beyond that connect() fails with EADDRNOTAVAIL, UDP with EAGAIN.",
            counted(evidence.analysis.range(Protocol::Tcp).size, "connection")
        ),
        evidence: vec![
            ("first", Figure::Count(range.first().into())),
            ("last", Figure::Count(range.last().into())),
            ("size", Figure::Count(size.into())),
        ],
        advice: vec![
            "restore the default: sysctl -w net.ipv4.ip_local_port_range=\"32768 60999\"; each \
             network namespace has its own range, so run it in the container"
                .to_owned(),
        ],
        avoid,
    }]
}
