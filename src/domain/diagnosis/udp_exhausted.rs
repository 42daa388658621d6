//! `udp-exhausted`: UDP finds no automatic port, or will soon find none.

use crate::domain::{
    Evidence, Finding, Level, Protocol, RangeUse, Subject,
    diagnosis::{
        finding::{About, Figure},
        remedies,
        verdict::SubjectStatus,
        wording::{Call, by, by_address, left, owner_key},
    },
    notation::{grouped, percent},
};

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let range = evidence.analysis.range(Protocol::Udp);
    if range.size == 0 {
        // All ports of the range are reserved: see reserved-large.
        return Vec::new();
    }
    let subject_status = evidence.of_range(range);
    let level = subject_status.level;
    if level == Level::Ok {
        return Vec::new();
    }
    let owner = most_of_udp(evidence);
    let by = owner.as_ref().map(|(name, ports)| format!(", {}", by(name, *ports, range.occupied)));
    let scopes = by_address(evidence, Protocol::Udp);
    let (steps, advice) = advice(evidence, owner.as_ref().map(|(name, _)| name.as_str()));
    vec![Finding {
        severity: level.severity(),
        about: About::Range(Protocol::Udp),
        summary: format!(
            "UDP: {} of {} ports in {} are in use ({}){}: {}",
            grouped(range.occupied),
            grouped(range.size),
            range.range,
            percent(range.used_share()),
            by.unwrap_or_default(),
            left(&subject_status, ""),
        ),
        steps,
        meaning: meaning(&subject_status, scopes.as_deref()),
        evidence: figures(evidence, range, scopes),
        advice,
        avoid: vec![
            "do not set SO_REUSEADDR or SO_REUSEPORT before bind() to port 0 on UDP: the kernel \
             may assign ports that other sockets use, and the sockets get each other's datagrams"
                .to_owned(),
        ],
        ..Finding::default()
    }]
}

fn meaning(subject_status: &SubjectStatus, scopes: Option<&str>) -> String {
    let calls = Call {
        name: "UDP connect() and sendto() of an unbound socket",
        is_plural: true,
        errno: "EAGAIN (\"Resource temporarily unavailable\"), bind() to port 0 with EADDRINUSE",
        time_wait: 0,
    };
    let scopes = scopes.map(|scopes| format!(" Left by address: {scopes}.")).unwrap_or_default();
    format!(
        "{} UDP never shares an automatic port, whatever the destination. TCP is not \
         affected.{scopes}",
        calls.fails(subject_status)
    )
}

fn figures(
    evidence: &Evidence<'_>,
    range: &RangeUse,
    scopes: Option<String>,
) -> Vec<(&'static str, Figure)> {
    let trend = evidence.trend(Subject::Range(Protocol::Udp));
    let forecast = trend.and_then(|trend| trend.until(range.available()));
    let mut figures = vec![
        ("size", Figure::Count(range.size.into())),
        ("occupied", Figure::Count(range.occupied.into())),
        ("available", Figure::Count(range.available().into())),
        ("share", Figure::Share(range.share())),
    ];
    figures.extend(scopes.map(|scopes| ("left_by_address", Figure::Text(scopes))));
    figures.extend(trend.map(|trend| ("per_second", Figure::PerSecond(trend.per_second))));
    figures.extend(forecast.map(|f| ("seconds_to_exhaustion", Figure::Seconds(f.seconds))));
    figures
}

/// Returns each advice in a few words, and each in full. `owner` holds most UDP ports; None: no
/// owner is known.
fn advice(evidence: &Evidence<'_>, owner: Option<&str>) -> (Vec<String>, Vec<String>) {
    let one_socket = match owner {
        Some(name) => format!(
            "check what {name} does: one UDP socket can send to any number of peers (sendto()), \
             one socket per request is not needed"
        ),
        None => "use one UDP socket for many peers (sendto()), not one per request".to_owned(),
    };
    let addresses = "bind to single addresses instead of all: each local address has its own range";
    let wider = remedies::wider_range(evidence);
    let kept = wider.as_ref().and_then(|wider| remedies::kept(&wider.lines));
    let now = wider.map(|wider| (wider.step, wider.command));
    let for_good = vec![
        ("use one UDP socket for many peers".to_owned(), one_socket),
        ("bind to single addresses".to_owned(), addresses.to_owned()),
    ];
    remedies::with_steps(now.into_iter().collect(), for_good, kept)
}

/// Returns the owner that holds most UDP ports of the range, and their number. None: no UDP port is
/// in use.
fn most_of_udp(evidence: &Evidence<'_>) -> Option<(String, u32)> {
    let class = crate::domain::StateClass::Udp as usize;
    let owners = evidence.analysis.owners.iter().filter(|owner| owner.by_class[class] > 0);
    let most = owners.max_by_key(|owner| owner.by_class[class])?;
    Some((owner_key(evidence, most.owner_key), most.by_class[class]))
}
