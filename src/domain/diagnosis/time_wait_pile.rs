//! `time-wait-pile`: TIME-WAIT holds a large part of the ports.

use crate::domain::{
    DestinationUse, Drain, Evidence, Finding, Protocol, Severity,
    diagnosis::{
        About, Advice, Figure, SysctlChange,
        remedies::{self, AVOID_FIN_TIMEOUT, half_free_in},
        wording::{client, used_by},
    },
    ephemeral::TupleReuse,
    notation::{age, counted, grouped, percent_of, rounded},
};

/// Minimum share of the ports of a range or a destination that must be in TIME-WAIT, 0 to 1.
const MIN_SHARE: f64 = 0.25;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let rows = &evidence.analysis.destinations;
    let is_pile = |row: &&DestinationUse| is_pile(row.time_wait, row.used, row.capacity);
    let towards = rows.iter().filter(is_pile).max_by_key(|row| row.time_wait);
    let finding = match towards {
        Some(row) => Some(of_destination(evidence, row)),
        None => of_range(evidence),
    };
    finding.into_iter().collect()
}

fn is_pile(time_wait: u32, used: u32, size: u32) -> bool {
    time_wait > 0 && time_wait * 2 >= used && f64::from(time_wait) >= MIN_SHARE * f64::from(size)
}

fn of_destination(evidence: &Evidence<'_>, row: &DestinationUse) -> Finding {
    let remote = row.destination.remote;
    let client = client(evidence, row);
    let waits = row.reusable < row.time_wait;
    let setting = waits.then(|| {
        let waiting = row.time_wait - row.reusable;
        remedies::reuse(&evidence.snapshot.ephemeral, &row.destination, waiting)
    });
    let advice = Advice::default()
        .change(setting.flatten())
        .now_if(remedies::find_client(row))
        .for_good(remedies::reuse_connections(&client));
    let half = half_free_in(evidence.snapshot, Some(&row.destination), row.time_wait);
    let all = Drain::of(evidence.snapshot, Some(&row.destination)).seconds_until(row.time_wait);
    let summary = format!(
        "{} of {} ports ({}) are in TIME-WAIT, TCP → {remote}{}{}",
        grouped(row.time_wait),
        grouped(row.capacity),
        percent_of(row.time_wait, row.capacity),
        used(evidence, row),
        free_in(half),
    );
    let severity = severity(row.reusable, row.time_wait);
    Finding::new(severity, About::Destination(row.destination), summary)
        .cause(format!("{client} closes first: each port stays in TIME-WAIT for 60s"))
        .meaning(format!(
            "The end that closes first keeps the port for 60s; here that is this host. This \
             limits how many connections it can open per minute. {}",
            reuse(evidence, row)
        ))
        .figure("destination", remote.to_string())
        .figure("time_wait", row.time_wait)
        .figure("used", row.used)
        .figure("capacity", row.capacity)
        .figure("reusable", row.reusable)
        .figure_if("seconds_until_half_is_free", half.map(seconds))
        .figure_if("seconds_until_all_are_free", all.map(seconds))
        .advice(advice)
        .avoid(AVOID_FIN_TIMEOUT)
        .avoid(AVOID_LINGER)
}

fn seconds(seconds: u32) -> Figure {
    Figure::Seconds(seconds.into())
}

/// Returns `, by nginx[812]`, or `; 300 are in use, most by nginx[812]` if the destination also
/// uses ports that are not in TIME-WAIT.
fn used(evidence: &Evidence<'_>, row: &DestinationUse) -> String {
    let by = used_by(evidence, row);
    if row.used == row.time_wait {
        format!(", {by}")
    } else {
        format!("; {} are in use, {by}", grouped(row.used))
    }
}

/// Returns `; half of those in TIME-WAIT are free in 58s if no connection is added`, or an empty
/// string if the time is unknown.
fn free_in(half: Option<u32>) -> String {
    half.map_or(String::new(), |s| {
        let when = rounded(s.into());
        format!("; half of those in TIME-WAIT are free in {when} if no connection is added")
    })
}

/// Explains whether connect() may reuse ports in TIME-WAIT, and how many of them now.
fn reuse(evidence: &Evidence<'_>, row: &DestinationUse) -> String {
    let policy = &evidence.snapshot.ephemeral;
    let value = |value: Option<u8>| value.map_or("unknown".to_owned(), |value| value.to_string());
    if row.reusable > 0 {
        let peer = match evidence.snapshot.allows_reuse(&row.destination) {
            TupleReuse::Yes => "",
            _ => ", if the peer sends timestamps",
        };
        return format!(
            "connect() may already reuse {} of them{peer} (tcp_tw_reuse). Ports chosen by bind() \
             cannot be reused.",
            grouped(row.reusable)
        );
    }
    if policy.timestamps == Some(0) {
        return "connect() cannot reuse them before TIME-WAIT ends: without tcp_timestamps \
                tcp_tw_reuse has no effect."
            .to_owned();
    }
    match (evidence.snapshot.allows_reuse(&row.destination), policy.tw_reuse_delay_ms) {
        (TupleReuse::No, _) => format!(
            "connect() cannot reuse them before TIME-WAIT ends (tcp_tw_reuse {}).",
            value(policy.tw_reuse)
        ),
        (_, Some(delay)) => format!(
            "connect() may reuse them after {} (tcp_tw_reuse {}, tcp_tw_reuse_delay).",
            age(delay),
            value(policy.tw_reuse)
        ),
        (_, None) => "When connect() may reuse them is unknown: tcp_tw_reuse_delay cannot be read."
            .to_owned(),
    }
}

/// Reports TIME-WAIT that is spread over many destinations.
fn of_range(evidence: &Evidence<'_>) -> Option<Finding> {
    let range = evidence.analysis.range(Protocol::Tcp);
    if !is_pile(range.time_wait, range.occupied, range.size) {
        return None;
    }
    let half = half_free_in(evidence.snapshot, None, range.time_wait);
    // Advises the sysctls that help the destination with most ports in TIME-WAIT.
    let rows = evidence.analysis.destinations.iter().filter(|row| row.time_wait > 0);
    let any = rows.clone().max_by_key(|row| row.time_wait)?;
    // The setting frees ports of single destinations, not of the range.
    let setting = remedies::reuse(&evidence.snapshot.ephemeral, &any.destination, any.time_wait);
    let advice = Advice::default()
        .change(setting.map(|change| SysctlChange { step: change.command.clone(), ..change }))
        .for_good(remedies::reuse_connections("the clients"));
    let summary = format!(
        "TCP: {} of {} ports ({}) have only connections in TIME-WAIT, to {}{}",
        grouped(range.time_wait),
        grouped(range.size),
        percent_of(range.time_wait, range.size),
        counted(rows.count() as u64, "destination"),
        free_in(half),
    );
    let finding = Finding::new(Severity::Warning, About::Range(Protocol::Tcp), summary)
        .meaning(
            "The end that closes first keeps the port for 60s; here that is this host. bind() to \
             port 0 on all addresses cannot get these ports; connect() to other destinations can.",
        )
        .figure("time_wait", range.time_wait)
        .figure("occupied", range.occupied)
        .figure("size", range.size)
        .figure_if("seconds_until_half_is_free", half.map(seconds))
        .advice(advice)
        .avoid(AVOID_FIN_TIMEOUT)
        .avoid(AVOID_LINGER);
    Some(finding)
}

/// Returns `Notice` if connect() may reuse at least 90 % of the ports: then only bind() to port 0
/// is affected.
fn severity(reusable: u32, time_wait: u32) -> Severity {
    if reusable * 10 >= time_wait * 9 { Severity::Notice } else { Severity::Warning }
}

const AVOID_LINGER: &str = "do not lower tcp_max_tw_buckets or close with SO_LINGER 0: late \
    segments of old connections may then reach new ones, and SO_LINGER 0 gives peers ECONNRESET";
