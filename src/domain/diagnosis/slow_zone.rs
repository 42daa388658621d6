//! `slow-zone`: connect() to one destination walks half of the range each time.

use crate::domain::{
    DestinationUse, Evidence, Finding, Severity,
    diagnosis::{
        finding::{About, Figure},
        wording::{grouped, maker, steps},
    },
};

/// A port that connect() looks at in vain (measured on Linux 6.18: 1.65 ms for 14,116 ports).
const WALK_NANOSECONDS: u32 = 117;
/// A connect() on loopback that finds a port at once takes so long.
const USUAL_NANOSECONDS: u32 = 13_500;
/// To walk fewer ports than these costs less than a connect() does anyway.
const LEAST: u32 = 512;
/// Told at most.
const MOST: usize = 8;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let rows = evidence.analysis.destinations.iter();
    rows.filter(|row| is_slow(row)).map(|row| of(evidence, row)).take(MOST).collect()
}

/// connect() looks for ports of the low parity first and takes the other ones only when it found
/// none (`__inet_hash_connect`); a few that came free again change little,
/// and a TIME-WAIT that it may take ends the walk.
fn is_slow(row: &DestinationUse) -> bool {
    row.low_parity_capacity >= LEAST
        && row.available() > 0
        && (row.low_parity_available() + row.reusable) * 100 <= row.low_parity_capacity
}

fn of(evidence: &Evidence<'_>, row: &DestinationUse) -> Finding {
    let walk = row.low_parity_capacity * WALK_NANOSECONDS;
    let milliseconds = f64::from(walk) / 1e6;
    let times = f64::from(walk + USUAL_NANOSECONDS) / f64::from(USUAL_NANOSECONDS);
    let remote = row.destination.remote;
    let maker = maker(evidence, &row.owners);
    let parity =
        if evidence.snapshot.ephemeral.range.first().is_multiple_of(2) { "even" } else { "odd" };
    Finding {
        rule: "slow-zone",
        severity: Severity::Warning,
        about: About::Destination(row.destination),
        summary: format!(
            "tcp → {remote}: of {} {parity} ports {} are left, so that a connect() costs up to \
             {milliseconds:.2} ms more: {maker}",
            grouped(row.low_parity_capacity),
            grouped(row.low_parity_available()),
        ),
        cause: format!(
            "{maker}: each connect() walks {} ports first",
            grouped(row.low_parity_capacity)
        ),
        steps: steps(&["keep fewer open at once", "add a source address", "IP_LOCAL_PORT_RANGE"]),
        meaning: format!(
            "connect() tries all {parity} ports before it takes another one, about \
             {WALK_NANOSECONDS} ns a port, so from half use on it costs some {times:.0} times as \
             much CPU although {} ports are left. No error tells of it; connections to other \
             destinations are as fast as ever.",
            grouped(row.available()),
        ),
        evidence: vec![
            ("source", Figure::Text(row.destination.source.to_string())),
            ("destination", Figure::Text(remote.to_string())),
            ("low_parity_capacity", Figure::Count(row.low_parity_capacity.into())),
            ("low_parity_available", Figure::Count(row.low_parity_available().into())),
            ("available", Figure::Count(row.available().into())),
            ("walk_seconds", Figure::Seconds(f64::from(walk) / 1e9)),
        ],
        advice: vec![
            format!(
                "keep fewer connections to {remote} open at once, or keep them longer: {maker}"
            ),
            "spread them over more source or destination addresses: each pair has both halves of \
             the range to itself"
                .to_owned(),
            "choose ports in the program: setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, …) \
             makes connect() ignore the parity (Linux 6.8)"
                .to_owned(),
        ],
        avoid: vec!["do not widen the range for this: more ports make the walk longer".to_owned()],
    }
}
