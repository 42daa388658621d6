//! `range-narrow`: the ephemeral range has fewer than 16,384 ports.

use crate::domain::{
    Evidence, Finding, Protocol, Severity,
    diagnosis::{About, Advice, SysctlChange, remedies},
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
    let summary = format!(
        "the ephemeral range {range} has {}{}; the Linux default has 28,232",
        counted(size, "port"),
        match size.saturating_sub(usable) {
            0 => String::new(),
            reserved => format!(" ({} reserved)", grouped(reserved)),
        }
    );
    let finding = Finding::new(severity, About::Range(Protocol::Tcp), summary)
        .meaning(meaning(usable))
        .figure("first", range.first())
        .figure("last", range.last())
        .figure("size", size)
        .advice(Advice::default().change(wider_range(evidence)))
        .avoid(
            "do not narrow the range to protect the ports of services: reserve these ports instead \
             (net.ipv4.ip_local_reserved_ports)",
        )
        .avoid(
            "do not set the socket option IP_LOCAL_PORT_RANGE to widen the range: the kernel \
             ignores values outside of it, without an error",
        );
    vec![finding]
}

fn wider_range(evidence: &Evidence<'_>) -> Option<SysctlChange> {
    let wider = remedies::instead_of_narrow(evidence)?;
    let full = format!(
        "{}. Each network namespace has its own range; for that of another process: nsenter -t PID \
         -n sysctl -w ...",
        wider.full
    );
    Some(SysctlChange { full, ..wider })
}

/// Explains the limits of a range with `usable` ports that are not reserved.
fn meaning(usable: u32) -> String {
    format!(
        "Each destination can have at most {} from one address of this host, including those in \
         TIME-WAIT. Beyond that connect() fails with EADDRNOTAVAIL. UDP sockets share {} of the \
         range, whatever the destination; when all are in use, connect() and sendto() fail with EAGAIN, bind() \
         to port 0 with EADDRINUSE.",
        counted(usable, "connection"),
        counted(usable, "port")
    )
}
