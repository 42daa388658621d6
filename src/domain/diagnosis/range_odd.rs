//! `range-odd`: the ephemeral range has an odd number of ports, and each search leaves one out.

use crate::domain::{
    Evidence, Finding, PortRange, Protocol, Severity,
    diagnosis::{
        finding::{About, Figure},
        wording::{grouped, steps},
    },
};

/// `__inet_hash_connect` and `inet_csk_find_open_port` round the number of ports down to an even
/// one and start at a random port, so that each search skips one port of the low parity, another
/// one each time. A range of one port is searched completely.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let range = evidence.snapshot.ephemeral.range;
    if range.len() == 1 || range.len().is_multiple_of(2) {
        return Vec::new();
    }
    let Ok(even) = PortRange::new(range.first(), range.last() - 1) else { return Vec::new() };
    let parity = if range.first().is_multiple_of(2) { "even" } else { "odd" };
    vec![Finding {
        rule: "range-odd",
        severity: Severity::Notice,
        about: About::Range(Protocol::Tcp),
        summary: format!(
            "the ephemeral range {range} has an odd number of ports ({}): each connect() and \
             bind() to port 0 leaves one of them out of its search",
            grouped(range.len())
        ),
        cause: String::new(),
        steps: steps(&["first and last port of different parity"]),
        meaning: format!(
            "The TCP search takes two ports at a time. Where both ends of the range are {parity}, \
             one {parity} port is not looked at, another one in each search: connect() can fail \
             with EADDRNOTAVAIL, and bind() to port 0 with EADDRINUSE, although one port is left. \
             The kernel warns of such ends in its log. UDP is not affected."
        ),
        evidence: vec![
            ("first", Figure::Count(range.first().into())),
            ("last", Figure::Count(range.last().into())),
            ("size", Figure::Count(range.len().into())),
            ("searched", Figure::Count((range.len() - 1).into())),
        ],
        advice: vec![format!(
            "end the range one port earlier: sysctl -w net.ipv4.ip_local_port_range=\"{} {}\", \
             in this network namespace",
            even.first(),
            even.last()
        )],
        avoid: vec![
            "do not count on the last port of such a range: a retry may find it, or not".to_owned(),
        ],
    }]
}
