//! `bound-inactive-leak`: a process binds ports and does nothing with them.

use crate::domain::{
    Evidence, Finding, OwnerUse, Party, Protocol, Severity, StateClass,
    diagnosis::{
        finding::{About, Figure},
        wording::{grouped, party, percent, steps},
    },
};

/// Of one owner, in the range.
const LEAST: u32 = 16;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let size = evidence.analysis.range(Protocol::Tcp).size;
    let leaks = |owner: &&OwnerUse| {
        let ports = owner.by_class[StateClass::Bound as usize];
        !matches!(owner.party, Party::NotAsked) && ports >= LEAST && ports * 100 >= size
    };
    evidence.analysis.owners.iter().filter(leaks).map(|owner| of(evidence, owner)).collect()
}

fn of(evidence: &Evidence<'_>, owner: &OwnerUse) -> Finding {
    let (name, ports) = (party(evidence, owner.party), owner.by_class[StateClass::Bound as usize]);
    let range = evidence.analysis.range(Protocol::Tcp);
    let left = evidence.analysis.unused_capacity();
    let share = f64::from(range.poisoned) / f64::from(range.size.max(1));
    let level = evidence.thresholds.level(share, left, None);
    Finding {
        rule: "bound-inactive-leak",
        severity: level.severity().max(Severity::Warning),
        about: About::Owner(owner.party),
        summary: format!(
            "{name} has bound {} ports of the range that neither listen nor are connected",
            grouped(ports)
        ),
        cause: format!("{name} keeps them bound: no connect() gets these ports"),
        steps: steps(&["close sockets that failed", "IP_BIND_ADDRESS_NO_PORT"]),
        meaning: format!(
            "connect() skips such a port whatever its destination, and no bind(0) gets it: {} of \
             the range is lost to all programs, {} ports are left for a new destination. Most \
             tools do not even list these sockets.",
            percent(share),
            grouped(left)
        ),
        evidence: vec![
            ("bound", Figure::Count(ports.into())),
            ("poisoned", Figure::Count(range.poisoned.into())),
            ("size", Figure::Count(range.size.into())),
            ("others_available", Figure::Count(left.into())),
        ],
        advice: vec![
            format!(
                "mend {name}: close a socket whose connect() failed (a bound port outlives the \
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
