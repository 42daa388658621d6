//! `udp-exhausted`: UDP finds no automatic port, or will soon find none.

use crate::domain::{
    Evidence, Finding, Protocol, StateClass,
    diagnosis::{
        Advice, SubjectStatus, remedies,
        wording::{Call, by, by_address, left, owner_key},
    },
    notation::{grouped, percent},
};

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some((range, status)) = evidence.short_range(Protocol::Udp) else { return Vec::new() };
    let owner = most_of_udp(evidence);
    let by = owner.as_ref().map(|(name, ports)| format!(", {}", by(name, *ports, range.occupied)));
    let scopes = by_address(evidence, Protocol::Udp);
    let summary = format!(
        "UDP: {} of {} ports in {} are in use ({}){}: {}",
        grouped(range.occupied),
        grouped(range.size),
        range.range,
        percent(range.used_share()),
        by.unwrap_or_default(),
        left(&status, ""),
    );
    let finding = Finding::of_range(range, &status, summary)
        .meaning(meaning(&status, scopes.as_deref()))
        .figure_if("left_by_address", scopes)
        .trend(&status)
        .advice(advice(evidence, owner.as_ref().map(|(name, _)| name.as_str())))
        .avoid(
            "do not set SO_REUSEADDR or SO_REUSEPORT before bind() to port 0 on UDP: the kernel \
             may assign ports that other sockets use, and the sockets get each other's datagrams",
        );
    vec![finding]
}

fn meaning(subject_status: &SubjectStatus, scopes: Option<&str>) -> String {
    let calls = Call {
        name: "UDP connect() and sendto() of an unbound socket",
        is_plural: true,
        errno: "EAGAIN (\"Resource temporarily unavailable\"), and bind() to port 0 with \
                EADDRINUSE",
        time_wait: 0,
    };
    let scopes = scopes.map(|scopes| format!(" Left by address: {scopes}.")).unwrap_or_default();
    format!(
        "{} UDP never shares a port that the kernel chose, whatever the destination. TCP is not \
         affected.{scopes}",
        calls.fails(subject_status)
    )
}

/// `owner` holds most UDP ports; None: no owner is known.
fn advice(evidence: &Evidence<'_>, owner: Option<&str>) -> Advice {
    let one_socket = match owner {
        Some(name) => format!(
            "check what {name} does: one UDP socket can send to any number of peers (sendto()), \
             one socket per request is not needed"
        ),
        None => "use one UDP socket for many peers (sendto()), not one per request".to_owned(),
    };
    let addresses = "bind to single addresses instead of all: each local address has its own range";
    Advice::default()
        .change(remedies::wider_range(evidence))
        .for_good(("use one UDP socket for many peers", one_socket))
        .for_good(("bind to single addresses", addresses.to_owned()))
}

/// Returns the owner that holds most UDP ports of the range, and their number. None: no UDP port is
/// in use.
fn most_of_udp(evidence: &Evidence<'_>) -> Option<(String, u32)> {
    let class = StateClass::Udp as usize;
    let owners = evidence.analysis.owners.iter().filter(|owner| owner.by_class[class] > 0);
    let most = owners.max_by_key(|owner| owner.by_class[class])?;
    Some((owner_key(evidence, most.owner_key), most.by_class[class]))
}
