//! `reserved-large`: reserved ports take a large part of the range.

use crate::domain::{
    Evidence, Finding, Severity,
    diagnosis::{
        finding::{About, Figure},
        wording::grouped,
    },
};

/// Shares of the range.
const NOTICE: f64 = 0.25;
const WARNING: f64 = 0.50;
/// What the advice lists at most.
const MOST_TOLD: usize = 8;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let ephemeral = &evidence.snapshot.ephemeral;
    let range = ephemeral.range;
    let reserved = ephemeral.reserved_in(range);
    let share = f64::from(reserved) / f64::from(range.len());
    if share < NOTICE {
        return Vec::new();
    }
    let severity = if share < WARNING { Severity::Notice } else { Severity::Warning };
    let within = ephemeral.reserved().iter().filter_map(|part| part.intersection(range));
    let parts: Vec<String> = within.take(MOST_TOLD).map(|part| part.to_string()).collect();
    let left = ephemeral.automatic_capacity();
    vec![Finding {
        rule: "reserved-large",
        severity,
        about: About::Machine,
        summary: format!(
            "{:.0} % of the ephemeral range is reserved: {} of {} ports are left for automatic \
             choice",
            share * 100.0,
            grouped(left),
            grouped(range.len()),
        ),
        cause: String::new(),
        steps: Vec::new(),
        meaning: "connect() and bind(0) never choose a reserved port, so they fail with \
                  EADDRNOTAVAIL and EADDRINUSE that much earlier. An explicit bind() to a \
                  reserved port works as before."
            .to_owned(),
        evidence: vec![
            ("reserved_ports", Figure::Count(reserved.into())),
            ("range_ports", Figure::Count(range.len().into())),
            ("automatic_ports", Figure::Count(left.into())),
            ("reserved_share", Figure::Share(share)),
            ("reserved", Figure::List(parts)),
        ],
        advice: vec![
            "reserve only ports that services really listen on: sysctl -w \
             net.ipv4.ip_local_reserved_ports=<ports>"
                .to_owned(),
            format!(
                "or move the range away from them: sysctl -w \
                 net.ipv4.ip_local_port_range=\"<first> <last>\" (now {} {})",
                range.first(),
                range.last(),
            ),
        ],
        avoid: vec![
            "do not clear the whole list: a service inside the range whose port connect() took \
             meanwhile cannot start (EADDRINUSE)"
                .to_owned(),
        ],
    }]
}
