//! `bound-inactive-leak`: a process binds ports and does not use them.

use crate::domain::{
    Evidence, Finding, OwnerKey, OwnerUse, Protocol, Severity, StateClass,
    diagnosis::{About, Advice, OwnerGroup, advice::marked, groups},
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
    let severity = level.severity().max(Severity::Warning);
    Finding::new(severity, About::Owner(group.first()), summary(group))
        .cause(format!("{program} keeps ports bound without use: no connect() can use them"))
        .meaning(format!(
            "No connect() and no bind() to port 0 can use such a port: {} of the range is unusable \
             for connect(). Left for a new destination: {}. Most tools do not list these sockets.",
            percent(share),
            counted(left, "port"),
        ))
        .figure("bound", group.sum(bound))
        .figure("unconnectable", range.unconnectable)
        .figure("size", range.size)
        .figure("others_available", left)
        .figures(group.figures())
        .advice(advice(program))
        .avoid("do not use ss --kill: the port stays bound until the process closes its descriptor")
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

fn advice(program: &str) -> Advice {
    let close = format!(
        "fix {program}: close a socket when its connect() fails (until it is closed, its \
             port stays bound), and do not bind ports in advance"
    );
    let no_port = "for connections set IP_BIND_ADDRESS_NO_PORT before bind(), which then holds no \
                   port until connect()";
    Advice::default()
        .now(("close unused sockets", close))
        .now(("set IP_BIND_ADDRESS_NO_PORT", no_port.to_owned()))
        .now(format!(
            "list these sockets: {}, state BOUND (or ss --bound-inactive, iproute2 6.8 or newer)",
            marked("portscope scan"),
        ))
}
