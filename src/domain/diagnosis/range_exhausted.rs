//! `range-exhausted`: bind(0) finds no port, or soon none.

use crate::domain::{
    Evidence, Finding, Level, Party, Protocol, Subject,
    diagnosis::{
        finding::{About, Figure},
        remedies,
        verdict::Standing,
        wording::{Call, grouped, left, party, percent, steps},
    },
};

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let range = evidence.analysis.range(Protocol::Tcp);
    let trend = evidence.trend(Subject::Range(Protocol::Tcp));
    let forecast = trend.and_then(|trend| trend.until(range.available()));
    let standing = evidence.of_range(range);
    let level = standing.level;
    if level == Level::Ok {
        return Vec::new();
    }
    // Suspected ports are no choice for another destination.
    let connectable = evidence.analysis.unused_capacity().saturating_sub(range.suspected);
    let left = left(&standing);
    let mut figures = vec![
        ("size", Figure::Count(range.size.into())),
        ("occupied", Figure::Count(range.occupied.into())),
        ("available", Figure::Count(range.available().into())),
        ("share", Figure::Share(range.share())),
        ("time_wait", Figure::Count(range.time_wait.into())),
        ("poisoned", Figure::Count(range.poisoned.into())),
        ("others_available", Figure::Count(connectable.into())),
    ];
    figures.extend(trend.map(|trend| ("per_second", Figure::PerSecond(trend.per_second))));
    figures.extend(forecast.map(|f| ("seconds_to_exhaustion", Figure::Seconds(f.seconds))));
    vec![Finding {
        rule: "range-exhausted",
        severity: level.severity(),
        about: About::Range(Protocol::Tcp),
        summary: format!(
            "tcp: {} of the {} ports of {} are taken ({}), {left}",
            grouped(range.occupied),
            grouped(range.size),
            range.range,
            percent(range.share()),
        ),
        cause: String::new(),
        steps: steps(&[
            "close what holds most",
            "IP_BIND_ADDRESS_NO_PORT",
            "widen ip_local_port_range",
        ]),
        meaning: meaning(&standing, range.time_wait, connectable),
        evidence: figures,
        advice: advice(evidence),
        avoid: vec![
            "do not retry bind(0) in a loop: on a full default range each one costs about 10 ms \
             of CPU"
                .to_owned(),
        ],
    }]
}

fn meaning(standing: &Standing, time_wait: u32, connectable: u32) -> String {
    let bind = Call {
        name: "bind() to port 0, and listen() without bind(),",
        is_plural: true,
        errno: "EADDRINUSE",
        time_wait,
    };
    let connect = match connectable {
        0 => "connect() fails with EADDRNOTAVAIL whatever its destination: on each port a socket \
              listens or was bound."
            .to_owned(),
        ports => format!(
            "connect() shares ports between destinations: a new one has at most {} ports to choose from.",
            grouped(ports)
        ),
    };
    format!("{} {connect}", bind.fails(standing))
}

fn advice(evidence: &Evidence<'_>) -> Vec<String> {
    let mut owners = evidence.analysis.owners.iter();
    let most = owners.find(|owner| {
        owner.ports > 0 && matches!(owner.party, Party::Process(_) | Party::Hidden(_))
    });
    let first = most.map(|owner| {
        format!(
            "see what {} does with its {} ports of the range",
            party(evidence, owner.party),
            grouped(owner.ports)
        )
    });
    let mut advice = vec![first.unwrap_or("see who holds them: portscope scan".to_owned())];
    advice.push(
        "where a program binds before it connects: setsockopt(fd, IPPROTO_IP, \
         IP_BIND_ADDRESS_NO_PORT, 1) before bind(), so that connect() chooses the port and shares \
         it (Linux 4.2)"
            .to_owned(),
    );
    advice.extend(remedies::wider_range(&evidence.snapshot.ephemeral));
    advice
}
