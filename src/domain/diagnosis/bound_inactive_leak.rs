//! `bound-inactive-leak`: a process binds ports and does not use them.

use crate::domain::{
    Evidence, Finding, OwnerUse, Party, Protocol, Severity, StateClass,
    diagnosis::{
        finding::{About, Figure},
        groups::{PartyGroup, groups},
        wording::{grouped, percent, steps},
    },
};

/// Ports of one owner in the range.
const LEAST: u32 = 16;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let size = evidence.analysis.range(Protocol::Tcp).size;
    let leaks = |owner: &&OwnerUse| {
        let ports = owner.by_class[StateClass::Bound as usize];
        !matches!(owner.party, Party::NotAsked) && ports >= LEAST && ports * 100 >= size
    };
    let owners = evidence.analysis.owners.iter().filter(leaks).map(|owner| (owner.party, owner));
    groups(evidence, owners, bound).iter().map(|group| of(evidence, group)).collect()
}

fn bound(owner: &OwnerUse) -> u32 {
    owner.by_class[StateClass::Bound as usize]
}

fn of(evidence: &Evidence<'_>, group: &PartyGroup<&OwnerUse>) -> Finding {
    let PartyGroup { name, program, .. } = group;
    let ports = group.sum(bound);
    let range = evidence.analysis.range(Protocol::Tcp);
    let left = evidence.analysis.unused_capacity();
    let share = f64::from(range.poisoned) / f64::from(range.size.max(1));
    let level = evidence.thresholds.level(share, left, None);
    let summary = if group.is_single() {
        format!(
            "{name} has bound {} ports of the range that neither listen nor are connected",
            grouped(ports)
        )
    } else {
        format!(
            "{name}: {}, {} ports of the range bound that neither listen nor are connected",
            group.each(bound),
            grouped(ports)
        )
    };
    let mut figures = vec![
        ("bound", Figure::Count(ports.into())),
        ("poisoned", Figure::Count(range.poisoned.into())),
        ("size", Figure::Count(range.size.into())),
        ("others_available", Figure::Count(left.into())),
    ];
    figures.extend(group.figures());
    Finding {
        rule: "bound-inactive-leak",
        severity: level.severity().max(Severity::Warning),
        about: About::Owner(group.first()),
        summary,
        cause: format!("{program} keeps them bound: no connect() gets these ports"),
        steps: steps(&["close sockets that failed", "IP_BIND_ADDRESS_NO_PORT"]),
        meaning: format!(
            "connect() skips such a port whatever its destination, and no bind(0) gets it: {} of \
             the range is lost to all programs, {} ports are left for a new destination. Most \
             tools do not even list these sockets.",
            percent(share),
            grouped(left)
        ),
        evidence: figures,
        advice: vec![
            format!(
                "fix {program}: close a socket whose connect() failed (a bound port outlives the \
                 failure), and do not bind ports in store"
            ),
            "bind only when needed; for connections set IP_BIND_ADDRESS_NO_PORT before bind(), \
             which then holds no port until connect()"
                .to_owned(),
            "to see them: portscope scan, state BOUND (or ss --bound-inactive from iproute2 6.8 on)"
                .to_owned(),
        ],
        avoid: vec![
            "do not use ss --kill: the port stays bound until the process closes its descriptor"
                .to_owned(),
        ],
    }
}
