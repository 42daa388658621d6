//! `bind-before-connect`: ports bound before connect() are taken for all destinations.

use std::cmp::Reverse;

use crate::domain::{
    Evidence, Finding, Party, Protocol, Severity,
    diagnosis::{
        finding::{About, Figure},
        groups::groups,
        wording::{grouped, percent, steps},
    },
};

/// Fewer may be chance.
const LEAST: u32 = 8;
/// Of the range: less harms nobody.
const LEAST_SHARE: f64 = 0.05;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let range = evidence.analysis.range(Protocol::Tcp);
    let share = f64::from(range.suspected) / f64::from(range.size.max(1));
    if range.suspected < LEAST || share < LEAST_SHARE {
        return Vec::new();
    }
    let lost = range.suspected + range.poisoned;
    let left = range.size.saturating_sub(lost);
    let level =
        evidence.thresholds.level(f64::from(lost) / f64::from(range.size.max(1)), left, None);
    let makers = groups(evidence, makers(evidence), |sockets| sockets);
    // A process before who is not known.
    let most = makers.iter().min_by_key(|group| {
        let is_process = matches!(group.first(), Party::Process(_));
        Reverse((is_process, group.sum(|sockets| sockets)))
    });
    let [name, program] = match most {
        Some(group) => [group.name.clone(), group.program.clone()],
        None => [(); 2].map(|()| "a process not seen".to_owned()),
    };
    let mut figures = vec![
        ("suspected", Figure::Count(range.suspected.into())),
        ("poisoned", Figure::Count(range.poisoned.into())),
        ("size", Figure::Count(range.size.into())),
        ("others_available", Figure::Count(left.into())),
    ];
    figures.extend(most.iter().flat_map(|group| group.figures()));
    vec![Finding {
        rule: "bind-before-connect",
        severity: level.severity().max(Severity::Warning),
        about: most.map_or(About::Machine, |group| About::Owner(group.first())),
        summary: format!(
            "{} connected ports were very likely bound before connect() ({} of the range): {name}",
            grouped(range.suspected),
            percent(share)
        ),
        cause: format!("{program} binds before connect(): taken for all destinations"),
        steps: steps(&["IP_BIND_ADDRESS_NO_PORT before bind()", "or no bind() at all"]),
        meaning: format!(
            "A port that bind() chose is taken for all destinations, not only for its own: any \
             other connect() has some {} ports left, and fails with EADDRNOTAVAIL when there are \
             none. It is inferred, for the kernel's tables do not tell: connect() gives ports of \
             one parity first, bind() to port 0 the other, and these came in bind()'s order.",
            grouped(left)
        ),
        evidence: figures,
        advice: vec![
            format!(
                "in {program}: setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) before \
                 bind(address, 0) (Linux 4.2): connect() then chooses the port and shares it \
                 between destinations"
            ),
            "where the source address does not matter: leave bind() out".to_owned(),
        ],
        avoid: vec![
            "do not set SO_REUSEADDR instead: bind() to port 0 gives each port once all the same"
                .to_owned(),
        ],
    }]
}

/// Who has connections on the suspected ports, most first.
fn makers(evidence: &Evidence<'_>) -> Vec<(Party, u32)> {
    let mut makers: Vec<(Party, u32)> = Vec::new();
    for socket in &evidence.snapshot.sockets {
        let is_suspect = socket.protocol == Protocol::Tcp
            && socket.remote.is_some()
            && evidence.analysis.suspected.contains(socket.local.port);
        if !is_suspect {
            continue;
        }
        let party = Party::of(evidence.snapshot, socket);
        match makers.iter_mut().find(|(known, _)| *known == party) {
            Some((_, sockets)) => *sockets += 1,
            None => makers.push((party, 1)),
        }
    }
    makers.sort_by_key(|&(_, sockets)| Reverse(sockets));
    makers
}
