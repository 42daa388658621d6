//! `time-wait-pile`: TIME-WAIT holds a large part of the ports.

use crate::domain::{
    DestinationUse, Drain, Evidence, Finding, Protocol, Severity,
    diagnosis::{
        finding::{About, Figure},
        remedies::{self, NOT_FIN_TIMEOUT},
        wording::{client, maker},
    },
    ephemeral::TupleReuse,
    notation::{grouped, percent},
};

/// Minimum share of the ports of a range or a destination.
const LEAST_SHARE: f64 = 0.25;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let rows = &evidence.analysis.destinations;
    let towards = rows.iter().filter(|row| is_pile(row)).max_by_key(|row| row.time_wait);
    let finding = match towards {
        Some(row) => Some(of_destination(evidence, row)),
        None => of_range(evidence),
    };
    finding.into_iter().collect()
}

fn is_pile(row: &DestinationUse) -> bool {
    row.time_wait * 2 >= row.used
        && f64::from(row.time_wait) >= LEAST_SHARE * f64::from(row.capacity)
        && row.time_wait > 0
}

fn of_destination(evidence: &Evidence<'_>, row: &DestinationUse) -> Finding {
    let maker = maker(evidence, &row.owners);
    let remote = row.destination.remote;
    let drain = Drain::of(evidence.snapshot, Some(&row.destination));
    let client = client(evidence, &row.owners);
    let waits = row.reusable < row.time_wait;
    let setting = waits.then(|| remedies::reuse(&evidence.snapshot.ephemeral, &row.destination));
    let (steps, advice) = advice(&client, setting.flatten());
    let reuse = reuse(evidence, row);
    let mut figures = vec![
        ("destination", Figure::Text(remote.to_string())),
        ("time_wait", Figure::Count(row.time_wait.into())),
        ("used", Figure::Count(row.used.into())),
        ("capacity", Figure::Count(row.capacity.into())),
        ("reusable", Figure::Count(row.reusable.into())),
    ];
    let half = drain.seconds_until(row.time_wait.div_ceil(2));
    figures.extend(half.map(|s| ("seconds_until_half_is_free", Figure::Seconds(s.into()))));
    let all = drain.seconds_until(row.time_wait);
    figures.extend(all.map(|s| ("seconds_until_all_are_free", Figure::Seconds(s.into()))));
    let when = half.map_or(String::new(), |s| format!(", half of them free in {s}s"));
    Finding {
        rule: "time-wait-pile",
        severity: severity(row.reusable, row.time_wait),
        about: About::Destination(row.destination),
        summary: format!(
            "tcp → {remote}: {} of {} used ports in TIME-WAIT ({} of the usable ones){when}: {maker}",
            grouped(row.time_wait),
            grouped(row.used),
            percent(f64::from(row.time_wait) / f64::from(row.capacity.max(1))),
        ),
        cause: format!("{maker} closes first: each port stays 60s"),
        steps,
        meaning: format!(
            "The end that closes first keeps the port for 60s; here that is this host. This \
             limits how many connections it can open per minute. {reuse}"
        ),
        evidence: figures,
        advice,
        avoid: avoid(),
    }
}

/// Says whether connect() may reuse ports in TIME-WAIT, and how many of them now.
fn reuse(evidence: &Evidence<'_>, row: &DestinationUse) -> String {
    let policy = &evidence.snapshot.ephemeral;
    let value = |value: Option<u8>| value.map_or("unknown".to_owned(), |value| value.to_string());
    if row.reusable > 0 {
        let peer = match evidence.snapshot.allows_reuse(&row.destination) {
            TupleReuse::Yes => "",
            _ => " and the peer sends timestamps",
        };
        return format!(
            "connect() may already reuse {} of them, if it chose them itself{peer} (tcp_tw_reuse).",
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
            "connect() may reuse them after {delay}ms (tcp_tw_reuse {}, tcp_tw_reuse_delay).",
            value(policy.tw_reuse)
        ),
        (_, None) => "When connect() may reuse them is unknown: tcp_tw_reuse_delay cannot be read."
            .to_owned(),
    }
}

/// Reports TIME-WAIT that is spread over many destinations.
fn of_range(evidence: &Evidence<'_>) -> Option<Finding> {
    let range = evidence.analysis.range(Protocol::Tcp);
    let is_pile = range.time_wait * 2 >= range.occupied
        && f64::from(range.time_wait) >= LEAST_SHARE * f64::from(range.size)
        && range.time_wait > 0;
    if !is_pile {
        return None;
    }
    let half = Drain::of(evidence.snapshot, None).seconds_until(range.time_wait.div_ceil(2));
    let when = half.map_or(String::new(), |s| format!(", half of them free in {s}s"));
    let mut figures = vec![
        ("time_wait", Figure::Count(range.time_wait.into())),
        ("occupied", Figure::Count(range.occupied.into())),
        ("size", Figure::Count(range.size.into())),
    ];
    figures.extend(half.map(|s| ("seconds_until_half_is_free", Figure::Seconds(s.into()))));
    // The sysctls are those for the destination with most ports in TIME-WAIT.
    let any = evidence.analysis.destinations.iter().max_by_key(|row| row.time_wait)?;
    let setting = remedies::reuse(&evidence.snapshot.ephemeral, &any.destination);
    let (steps, advice) = advice("the clients", setting);
    Some(Finding {
        rule: "time-wait-pile",
        severity: Severity::Warning,
        about: About::Range(Protocol::Tcp),
        summary: format!(
            "tcp: {} of {} ports of the range are held by TIME-WAIT alone{when}, spread over {} \
             destinations",
            grouped(range.time_wait),
            grouped(range.size),
            grouped(evidence.analysis.destinations.len() as u64),
        ),
        cause: String::new(),
        steps,
        meaning: "The end that closes first keeps the port for 60s; here that is this host. \
                  bind() to port 0 cannot get these ports; connect() to other destinations can."
            .to_owned(),
        evidence: figures,
        advice,
        avoid: avoid(),
    })
}

/// Returns `Notice` if connect() may reuse at least 90 % of the ports: then only bind(0) is
/// affected.
fn severity(reusable: u32, time_wait: u32) -> Severity {
    if reusable * 10 >= time_wait * 9 { Severity::Notice } else { Severity::Warning }
}

/// Returns each advice in a few words, and each in full.
fn advice(client: &str, setting: Option<(String, String)>) -> (Vec<String>, Vec<String>) {
    let pool = (
        "pool connections".to_owned(),
        format!(
            "keep connections open and reuse them in {client} (keep-alive, a pool), or let the \
             other end close first"
        ),
    );
    std::iter::once(pool).chain(setting).unzip()
}

fn avoid() -> Vec<String> {
    vec![
        NOT_FIN_TIMEOUT.to_owned(),
        "do not lower tcp_max_tw_buckets or close with SO_LINGER 0: late segments of old \
         connections then reach new ones, and peers get ECONNRESET"
            .to_owned(),
    ]
}
