//! `range-exhausted`: bind() to port 0 finds no TCP port, or will soon find none.

use crate::domain::{
    Evidence, Finding, Level, OwnerKey, Protocol, StateClass, Subject,
    diagnosis::{
        finding::{About, Figure},
        remedies,
        verdict::SubjectStatus,
        wording::{self, Call, by_address, left, owner_key, ports},
    },
    notation::{grouped, percent},
};

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let range = evidence.analysis.range(Protocol::Tcp);
    if range.size == 0 {
        // All ports of the range are reserved: see reserved-large.
        return Vec::new();
    }
    let subject_status = evidence.of_range(range);
    let level = subject_status.level;
    if level == Level::Ok {
        return Vec::new();
    }
    let scopes = by_address(evidence, Protocol::Tcp);
    let (steps, advice) = advice(evidence);
    vec![Finding {
        severity: level.severity(),
        about: About::Range(Protocol::Tcp),
        summary: summary(evidence, &subject_status, scopes.is_some()),
        steps,
        evidence: figures(evidence, scopes.clone()),
        meaning: meaning(evidence, &subject_status, scopes),
        advice,
        avoid: vec![
            "do not retry bind() to port 0 in a loop: on a full default range each call costs \
             about 10ms of CPU"
                .to_owned(),
        ],
        ..Finding::default()
    }]
}

fn summary(
    evidence: &Evidence<'_>,
    subject_status: &SubjectStatus,
    differs_by_address: bool,
) -> String {
    let range = evidence.analysis.range(Protocol::Tcp);
    let of = if differs_by_address { " for bind() on all addresses" } else { "" };
    let time_wait = if is_mostly_time_wait(evidence) {
        format!("; {} are in TIME-WAIT", grouped(range.time_wait))
    } else {
        String::new()
    };
    format!(
        "TCP: {} of {} ports in {} are {} ({}), {}{time_wait}",
        grouped(range.occupied),
        grouped(range.size),
        range.range,
        if range.unlisted > 0 { "known to be in use" } else { "in use" },
        percent(range.used_share()),
        left(subject_status, of),
    )
}

/// Returns whether more than half of the used ports have only sockets in TIME-WAIT.
fn is_mostly_time_wait(evidence: &Evidence<'_>) -> bool {
    let range = evidence.analysis.range(Protocol::Tcp);
    range.time_wait > range.occupied / 2
}

fn figures(evidence: &Evidence<'_>, scopes: Option<String>) -> Vec<(&'static str, Figure)> {
    let range = evidence.analysis.range(Protocol::Tcp);
    let connectable = evidence.analysis.new_destination();
    let trend = evidence.trend(Subject::Range(Protocol::Tcp));
    let forecast = trend.and_then(|trend| trend.until(range.available()));
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
    figures.extend(scopes.map(|scopes| ("left_by_address", Figure::Text(scopes))));
    figures.extend(trend.map(|trend| ("per_second", Figure::PerSecond(trend.per_second))));
    figures.extend(forecast.map(|f| ("seconds_to_exhaustion", Figure::Seconds(f.seconds))));
    figures
}

fn meaning(
    evidence: &Evidence<'_>,
    subject_status: &SubjectStatus,
    scopes: Option<String>,
) -> String {
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
        " A bind() with SO_REUSEADDR can still get the ports of sockets that have it, too \
         (ip_autobind_reuse 1)."
    } else {
        ""
    };
    let uncertainty = match range.unlisted {
        0 => String::new(),
        most => format!(" The number left is not exact: {}.", wording::unlisted(most)),
    };
    format!("{}{uncertainty}{scopes}{reuse} {}", bind.fails(subject_status), connect(evidence))
}

/// Explains that a bind() of portscope failed although the listed sockets do not fill the range.
fn refused(evidence: &Evidence<'_>) -> String {
    let left = evidence.analysis.range(Protocol::Tcp).left().most;
    format!(
        "bind() to port 0 fails with EADDRINUSE: portscope tried it on all addresses. Sockets that \
         are bound, but neither listening nor connected, hold the other {}: they are not listed \
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
            "connect() to any destination fails with EADDRNOTAVAIL: a socket listens on each port, \
             or was bound to it."
                .to_owned()
        }
        _ => format!(
            "connect() shares ports between destinations: a new one has {}{left} ports to choose \
             from.",
            wording::at_most(evidence.snapshot)
        ),
    }
}

/// Returns each advice in a few words, and each in full.
fn advice(evidence: &Evidence<'_>) -> (Vec<String>, Vec<String>) {
    let (mut now, mut for_good) = (Vec::new(), Vec::new());
    if is_mostly_time_wait(evidence) {
        let time_wait = evidence.analysis.range(Protocol::Tcp).time_wait;
        let half = remedies::half_free_in(evidence.snapshot, None, time_wait);
        now.extend(half.map(|half| remedies::wait(time_wait, half)));
        for_good.push(remedies::reuse_connections("the clients"));
    } else {
        now.push(inspect(evidence));
    }
    if has_binders(evidence) {
        for_good.push((
            "set IP_BIND_ADDRESS_NO_PORT".to_owned(),
            "if a program binds before it connects: setsockopt(fd, IPPROTO_IP, \
             IP_BIND_ADDRESS_NO_PORT, 1) before bind(), so that connect() chooses the port and \
             shares it (Linux 4.2)"
                .to_owned(),
        ));
    }
    let wider = remedies::wider_range(evidence);
    let kept = wider.as_ref().and_then(|wider| remedies::kept(&wider.lines));
    now.extend(wider.map(|wider| (wider.step, wider.command)));
    remedies::with_steps(now, for_good, kept)
}

/// Returns the advice to find out what holds the ports, in a few words and in full.
fn inspect(evidence: &Evidence<'_>) -> (String, String) {
    let mut owners = evidence.analysis.owners.iter();
    let most = owners.find(|owner| {
        owner.ports > 0 && matches!(owner.owner_key, OwnerKey::Process(_) | OwnerKey::Hidden(_))
    });
    let Some(owner) = most else {
        let full = "list the sockets (portscope scan), and close those that are not needed";
        return ("close idle sockets".to_owned(), full.to_owned());
    };
    let (name, ports) = (owner_key(evidence, owner.owner_key), ports(owner.ports));
    let full = format!(
        "check what {name} does with its {ports} of the range, and close sockets that it does not \
         need"
    );
    (format!("close idle sockets of {name}"), full)
}

/// Returns whether some sockets were bound before connect(), or are bound and may connect later. If
/// not, the advice to set IP_BIND_ADDRESS_NO_PORT does not apply.
fn has_binders(evidence: &Evidence<'_>) -> bool {
    let bound = StateClass::Bound as usize;
    evidence.analysis.range(Protocol::Tcp).suspected > 0
        || evidence.snapshot.numbered.as_ref().is_some_and(|ports| !ports.is_empty())
        || evidence.analysis.owners.iter().any(|owner| owner.by_class[bound] > 0)
}
