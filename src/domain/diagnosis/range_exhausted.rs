//! `range-exhausted`: bind(0) finds no port, or will soon find none.

use crate::domain::{
    Evidence, Finding, Level, Party, Protocol, StateClass, Subject,
    diagnosis::{
        finding::{About, Figure},
        remedies,
        verdict::Standing,
        wording::{self, Call, by_address, left, party, ports, steps},
    },
    notation::{grouped, percent},
};

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let range = evidence.analysis.range(Protocol::Tcp);
    if range.size == 0 {
        // All of the range is reserved: see reserved-large.
        return Vec::new();
    }
    let trend = evidence.trend(Subject::Range(Protocol::Tcp));
    let forecast = trend.and_then(|trend| trend.until(range.available()));
    let standing = evidence.of_range(range);
    let level = standing.level;
    if level == Level::Ok {
        return Vec::new();
    }
    let connectable = evidence.analysis.new_destination();
    let scopes = by_address(evidence, Protocol::Tcp);
    let left = left(&standing);
    let left = if scopes.is_some() { format!("{left} for bind() on all addresses") } else { left };
    let mut figures = vec![
        ("size", Figure::Count(range.size.into())),
        ("occupied", Figure::Count(range.occupied.into())),
        ("available", Figure::Count(range.available().into())),
        ("share", Figure::Share(range.share())),
        ("time_wait", Figure::Count(range.time_wait.into())),
        ("unconnectable", Figure::Count(range.unconnectable.into())),
        ("others_available", Figure::Count(connectable.least.into())),
        ("others_available_most", Figure::Count(connectable.most.into())),
    ];
    figures.extend(scopes.clone().map(|scopes| ("left_by_address", Figure::Text(scopes))));
    figures.extend(trend.map(|trend| ("per_second", Figure::PerSecond(trend.per_second))));
    figures.extend(forecast.map(|f| ("seconds_to_exhaustion", Figure::Seconds(f.seconds))));
    vec![Finding {
        rule: "range-exhausted",
        severity: level.severity(),
        about: About::Range(Protocol::Tcp),
        summary: format!(
            "tcp: {} of {} ports in {} are {} ({}), {left}",
            grouped(range.occupied),
            grouped(range.size),
            range.range,
            if range.unlisted > 0 { "known to be in use" } else { "in use" },
            percent(range.used_share()),
        ),
        cause: String::new(),
        steps: if has_binders(evidence) {
            steps(&["close idle sockets", "IP_BIND_ADDRESS_NO_PORT", "widen ip_local_port_range"])
        } else {
            steps(&["close idle sockets", "widen ip_local_port_range"])
        },
        meaning: meaning(evidence, &standing, scopes),
        evidence: figures,
        advice: advice(evidence),
        avoid: vec![
            "do not retry bind(0) in a loop: on a full default range each one costs about 10ms \
             of CPU"
                .to_owned(),
        ],
    }]
}

fn meaning(evidence: &Evidence<'_>, standing: &Standing, scopes: Option<String>) -> String {
    let range = evidence.analysis.range(Protocol::Tcp);
    if range.is_bind_refused && range.left().most > 0 {
        return refused(evidence);
    }
    let bind = Call {
        name: match scopes {
            Some(_) => "bind() to port 0 on all addresses, and listen() without bind(),",
            None => "bind() to port 0, and listen() without bind(),",
        },
        is_plural: true,
        errno: "EADDRINUSE",
        time_wait: range.time_wait,
    };
    let scopes = scopes.map(|scopes| format!(" Left by address: {scopes}.")).unwrap_or_default();
    let reuse = if evidence.snapshot.ephemeral.autobind_reuse {
        " A bind() with SO_REUSEADDR still gets ports of sockets that have it, too \
         (ip_autobind_reuse 1)."
    } else {
        ""
    };
    let doubt = match range.unlisted {
        0 => String::new(),
        most => format!(" The number left is not exact: {}.", wording::unlisted(most)),
    };
    format!("{}{doubt}{scopes}{reuse} {}", bind.fails(standing), connect(evidence))
}

/// Explains that a bind() of portscope failed although the listed sockets do not fill the range.
fn refused(evidence: &Evidence<'_>) -> String {
    let left = evidence.analysis.range(Protocol::Tcp).left().most;
    format!(
        "bind() to port 0 fails with EADDRINUSE: portscope tried it on all addresses. Sockets that \
         are bound, but neither listen nor are connected, hold the other {}: they are not listed \
         here (see not-seen). connect() cannot use these ports either, whatever its destination, \
         and fails with EADDRNOTAVAIL.",
        ports(left)
    )
}

fn connect(evidence: &Evidence<'_>) -> String {
    let suspected = evidence.analysis.range(Protocol::Tcp).suspected;
    let left = evidence.analysis.new_destination();
    match left.most.saturating_sub(suspected) {
        0 => {
            "connect() to any destination fails with EADDRNOTAVAIL: on each port a socket listens \
              or was bound."
                .to_owned()
        }
        _ => format!(
            "connect() shares ports between destinations: a new one has {}{left} ports to choose from.",
            wording::at_most(evidence.snapshot)
        ),
    }
}

fn advice(evidence: &Evidence<'_>) -> Vec<String> {
    let mut owners = evidence.analysis.owners.iter();
    let most = owners.find(|owner| {
        owner.ports > 0 && matches!(owner.party, Party::Process(_) | Party::Hidden(_))
    });
    let first = most.map(|owner| {
        format!(
            "check what {} does with its {} of the range",
            party(evidence, owner.party),
            ports(owner.ports)
        )
    });
    let mut advice = vec![first.unwrap_or("list the holders: portscope scan".to_owned())];
    if has_binders(evidence) {
        advice.push(
            "if a program binds before it connects: setsockopt(fd, IPPROTO_IP, \
         IP_BIND_ADDRESS_NO_PORT, 1) before bind(), so that connect() chooses the port and shares \
         it (Linux 4.2)"
                .to_owned(),
        );
    }
    advice.extend(remedies::wider_range(&evidence.snapshot.ephemeral));
    advice
}

/// Whether some sockets were bound before connect(), or are bound and may connect later. Otherwise
/// advice about connect() does not apply.
fn has_binders(evidence: &Evidence<'_>) -> bool {
    let bound = StateClass::Bound as usize;
    evidence.analysis.range(Protocol::Tcp).suspected > 0
        || evidence.snapshot.numbered.as_ref().is_some_and(|ports| !ports.is_empty())
        || evidence.analysis.owners.iter().any(|owner| owner.by_class[bound] > 0)
}
