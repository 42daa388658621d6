//! `udp-exhausted`: UDP finds no automatic port, or will soon find none.

use crate::domain::{
    Evidence, Finding, Level, Protocol, Subject,
    diagnosis::{
        finding::{About, Figure},
        remedies,
        wording::{Call, by_address, left, party, steps},
    },
    notation::{grouped, percent},
};

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let range = evidence.analysis.range(Protocol::Udp);
    if range.size == 0 {
        // All of the range is reserved: see reserved-large.
        return Vec::new();
    }
    let trend = evidence.trend(Subject::Range(Protocol::Udp));
    let forecast = trend.and_then(|trend| trend.until(range.available()));
    let standing = evidence.of_range(range);
    let level = standing.level;
    if level == Level::Ok {
        return Vec::new();
    }
    let left = left(&standing);
    let scopes = by_address(evidence, Protocol::Udp);
    let by_scope =
        scopes.as_ref().map(|scopes| format!(" Left by address: {scopes}.")).unwrap_or_default();
    let owner = most_of_udp(evidence);
    let by = owner.as_ref().map(|(name, ports)| format!(": {name} has {}", grouped(*ports)));
    let calls = Call {
        name: "UDP connect() and sendto() of an unbound socket",
        is_plural: true,
        errno: "EAGAIN (\"Resource temporarily unavailable\"), bind() to port 0 with EADDRINUSE",
        time_wait: 0,
    };
    let mut figures = vec![
        ("size", Figure::Count(range.size.into())),
        ("occupied", Figure::Count(range.occupied.into())),
        ("available", Figure::Count(range.available().into())),
        ("share", Figure::Share(range.share())),
    ];
    figures.extend(scopes.map(|scopes| ("left_by_address", Figure::Text(scopes))));
    figures.extend(trend.map(|trend| ("per_second", Figure::PerSecond(trend.per_second))));
    figures.extend(forecast.map(|f| ("seconds_to_exhaustion", Figure::Seconds(f.seconds))));
    let mut advice = vec![match owner {
        Some((name, _)) => format!(
            "check what {name} does: one UDP socket can talk to any number of peers (sendto()), \
             one per request is not needed"
        ),
        None => "use one UDP socket for many peers (sendto()), not one per request".to_owned(),
    }];
    advice.push(
        "bind to single addresses instead of all: each local address has its own range".to_owned(),
    );
    advice.extend(remedies::wider_range(&evidence.snapshot.ephemeral));
    vec![Finding {
        rule: "udp-exhausted",
        severity: level.severity(),
        about: About::Range(Protocol::Udp),
        summary: format!(
            "udp: {} of {} ports in {} are in use ({}), {left}{}",
            grouped(range.occupied),
            grouped(range.size),
            range.range,
            percent(range.used_share()),
            by.unwrap_or_default(),
        ),
        cause: String::new(),
        steps: steps(&[
            "one UDP socket for many peers",
            "bind single addresses",
            "widen ip_local_port_range",
        ]),
        meaning: format!(
            "{} UDP never shares an automatic port, whatever the destination; TCP is not \
             affected.{by_scope}",
            calls.fails(&standing)
        ),
        evidence: figures,
        advice,
        avoid: vec![
            "do not set SO_REUSEADDR or SO_REUSEPORT before bind() to port 0 on UDP: the kernel \
             then gives ports that are in use, and the sockets get each other's datagrams"
                .to_owned(),
        ],
    }]
}

/// Returns the owner of most UDP ports of the range, and their number.
fn most_of_udp(evidence: &Evidence<'_>) -> Option<(String, u32)> {
    let class = crate::domain::StateClass::Udp as usize;
    let owners = evidence.analysis.owners.iter().filter(|owner| owner.by_class[class] > 0);
    let most = owners.max_by_key(|owner| owner.by_class[class])?;
    Some((party(evidence, most.party), most.by_class[class]))
}
