//! `close-wait-leak`: a process does not close connections that its peers have closed.

use crate::domain::{
    Evidence, Finding, OwnerUse, Party, Protocol, Severity,
    diagnosis::{
        finding::{About, Figure},
        groups::{PartyGroup, groups},
        wording::steps,
    },
    notation::grouped,
};

/// Minimum number of sockets in CLOSE-WAIT. A few of them are normal at any time.
const LEAST: u32 = 32;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let size = evidence.analysis.range(Protocol::Tcp).size;
    let leaks = |owner: &&OwnerUse| {
        matches!(owner.party, Party::Process(_) | Party::Hidden(_))
            && owner.close_wait >= LEAST
            && (owner.close_wait * 10 >= owner.sockets || owner.close_wait * 20 >= size)
    };
    let owners = evidence.analysis.owners.iter().filter(leaks).map(|owner| (owner.party, owner));
    groups(evidence, owners, |owner| owner.close_wait).iter().map(of).collect()
}

fn of(group: &PartyGroup<&OwnerUse>) -> Finding {
    let PartyGroup { name, program, .. } = group;
    let close_wait = group.sum(|owner| owner.close_wait);
    let sockets = group.sum(|owner| owner.sockets);
    let summary = if group.is_single() {
        format!(
            "{name} leaves {} of its {} sockets in CLOSE-WAIT",
            grouped(close_wait),
            grouped(sockets)
        )
    } else {
        format!(
            "{name}: {} in CLOSE-WAIT, {} of their {} sockets",
            group.each(|owner| owner.close_wait),
            grouped(close_wait),
            grouped(sockets)
        )
    };
    let mut figures = vec![
        ("close_wait", Figure::Count(close_wait.into())),
        ("sockets", Figure::Count(sockets.into())),
    ];
    figures.extend(group.figures());
    Finding {
        rule: "close-wait-leak",
        severity: Severity::Warning,
        about: About::Owner(group.first()),
        summary,
        cause: format!("{program} does not call close()"),
        steps: steps(&["close when read() returns 0", "stopgap: restart it"]),
        meaning:
            "The peers have closed these connections, but the process has not called close(). \
                  Without SO_KEEPALIVE, ports and descriptors stay in use until it does. If \
                  the leak goes on, connect() fails with EADDRNOTAVAIL, or socket() with EMFILE."
                .to_owned(),
        evidence: figures,
        advice: vec![
            format!(
                "fix {program}: close the socket when read() returns 0, on every path, errors \
                 included (the usual cause in HTTP clients: a response body that is not read to \
                 its end, or not closed)"
            ),
            "stopgap: restart it, which closes all of them at once".to_owned(),
        ],
        avoid: vec![
            "do not tune tcp_fin_timeout or keep-alive: the descriptor stays open in any case"
                .to_owned(),
        ],
    }
}
