//! `range-odd`: the ephemeral range has an odd number of ports, and each search skips one of them.

use crate::domain::{
    Evidence, Finding, PortRange, Protocol, Severity,
    diagnosis::{
        finding::{About, Figure},
        remedies::{kept, marked},
        wording::steps,
    },
    notation::grouped,
};

/// Reports a range with an odd number of ports. `__inet_hash_connect` and `inet_csk_find_open_port`
/// round the number of ports down to an even one and start at a random port. Depending on the
/// start, each search skips the first or the last port of the range. A range of one port is
/// searched completely.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let range = evidence.snapshot.ephemeral.range;
    if range.len() == 1 || range.len().is_multiple_of(2) {
        return Vec::new();
    }
    let Ok(even) = PortRange::new(range.first(), range.last() - 1) else { return Vec::new() };
    let parity = if range.first().is_multiple_of(2) { "even" } else { "odd" };
    vec![Finding {
        severity: Severity::Notice,
        about: About::Range(Protocol::Tcp),
        summary: format!(
            "the ephemeral range {range} has an odd number of ports ({}): each connect() and \
             bind() to port 0 skips one of them",
            grouped(range.len())
        ),
        steps: steps(&[&format!("set ip_local_port_range to {} {}", even.first(), even.last())]),
        meaning: format!(
            "The kernel searches TCP ports in pairs. Both ends of this range are {parity}, so each \
             search skips the first or the last port: connect() can fail with EADDRNOTAVAIL, and \
             bind() to port 0 with EADDRINUSE, although one port is left. The kernel logs a \
             warning about such ranges. UDP is not affected."
        ),
        evidence: vec![
            ("first", Figure::Count(range.first().into())),
            ("last", Figure::Count(range.last().into())),
            ("size", Figure::Count(range.len().into())),
            ("searched", Figure::Count((range.len() - 1).into())),
        ],
        advice: advice(even),
        avoid: vec![
            "do not rely on the last free port of such a range: a retry may or may not find it"
                .to_owned(),
        ],
        ..Finding::default()
    }]
}

fn advice(even: PortRange) -> Vec<String> {
    let ports = format!("{} {}", even.first(), even.last());
    let now = format!(
        "end the range one port earlier: sysctl -w net.ipv4.ip_local_port_range=\"{ports}\" (takes \
         effect at once, in this network namespace)"
    );
    let kept = kept(&[format!("net.ipv4.ip_local_port_range = {ports}")]);
    marked(vec![now], kept.into_iter().collect())
}
