//! `bound-inactive-leak`: a process binds ports and does not use them.

use crate::domain::{
    Evidence, Finding, OwnerKey, OwnerUse, Protocol, Severity, StateClass,
    diagnosis::{
        finding::{About, Figure},
        groups::{OwnerGroup, groups},
        wording::steps,
    },
    notation::{counted, percent},
};

/// Minimum number of bound ports of one owner in the range.
const MIN_PORTS: u32 = 16;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let size = evidence.analysis.range(Protocol::Tcp).size;
    let leaks = |owner: &&OwnerUse| {
        let ports = owner.by_class[StateClass::Bound as usize];
        !matches!(owner.owner_key, OwnerKey::NotAsked) && ports >= MIN_PORTS && ports * 100 >= size
    };
    let owners =
        evidence.analysis.owners.iter().filter(leaks).map(|owner| (owner.owner_key, owner));
    groups(evidence, owners, bound).iter().map(|group| of(evidence, group)).collect()
}

fn bound(owner: &OwnerUse) -> u32 {
    owner.by_class[StateClass::Bound as usize]
}

fn of(evidence: &Evidence<'_>, group: &OwnerGroup<&OwnerUse>) -> Finding {
    let program = &group.program;
    let range = evidence.analysis.range(Protocol::Tcp);
    let left = evidence.analysis.unused_capacity();
    let share = f64::from(range.unconnectable) / f64::from(range.size.max(1));
    let level = evidence.thresholds.level(share, left, None);
    let mut figures = vec![
        ("bound", Figure::Count(group.sum(bound).into())),
        ("unconnectable", Figure::Count(range.unconnectable.into())),
        ("size", Figure::Count(range.size.into())),
        ("others_available", Figure::Count(left.into())),
    ];
    figures.extend(group.figures());
    Finding {
        severity: level.severity().max(Severity::Warning),
        about: About::Owner(group.first()),
        summary: summary(group),
        cause: format!("{program} keeps ports bound without use: no connect() can use them"),
        steps: steps(&["close unused sockets", "set IP_BIND_ADDRESS_NO_PORT"]),
        meaning: format!(
            "No connect() and no bind() to port 0 can use such a port: {} of the range is unusable \
             for connect(). Left for a new destination: {}. Most tools do not list these sockets.",
            percent(share),
            counted(left, "port"),
        ),
        evidence: figures,
        advice: advice(program),
        avoid: vec![
            "do not use ss --kill: the port stays bound until the process closes its descriptor"
                .to_owned(),
        ],
        ..Finding::default()
    }
}

fn summary(group: &OwnerGroup<&OwnerUse>) -> String {
    let each = if group.is_single() { String::new() } else { format!(" ({})", group.each(bound)) };
    format!(
        "{}: {} of the range{each} are held by sockets that are bound, but neither listening nor \
         connected",
        group.name,
        counted(group.sum(bound), "port")
    )
}

fn advice(program: &str) -> Vec<String> {
    vec![
        format!(
            "fix {program}: close a socket when its connect() fails (the port stays bound until \
             then), and do not bind ports in advance"
        ),
        "for connections set IP_BIND_ADDRESS_NO_PORT before bind(), which then holds no port until \
         connect()"
            .to_owned(),
        "list these sockets: portscope scan, state BOUND (or ss --bound-inactive, iproute2 6.8 or \
         newer)"
            .to_owned(),
    ]
}
