//! `range-exhausted`: bind() to port 0 finds no TCP port, or will soon find none.

use crate::domain::{
    Evidence, Finding, OwnerUse, Protocol, RangeUse, StateClass,
    diagnosis::{
        Advice, Remedy, SubjectStatus, remedies,
        wording::{self, Call, by_address, left, owner_key, ports},
    },
    notation::{grouped, percent},
};

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some((range, status)) = evidence.short_range(Protocol::Tcp) else { return Vec::new() };
    let scopes = by_address(evidence, Protocol::Tcp);
    let connectable = evidence.analysis.new_destination();
    let finding = Finding::of_range(range, &status, summary(range, &status, scopes.is_some()))
        .meaning(meaning(evidence, range, &status, scopes.as_deref()))
        .figure("time_wait", range.time_wait)
        .figure("unconnectable", range.unconnectable)
        .figure("others_available", connectable.least)
        .figure("others_available_most", connectable.most)
        .figure_if("left_by_address", scopes)
        .trend(&status)
        .advice(advice(evidence, range))
        .avoid(
            "do not retry bind() to port 0 in a loop: on a full default range each call costs \
             about 10ms of CPU",
        );
    vec![finding]
}

fn summary(range: &RangeUse, subject_status: &SubjectStatus, differs_by_address: bool) -> String {
    let of = if differs_by_address { " for bind() to 0.0.0.0 or [::]" } else { "" };
    let time_wait = if is_mostly_time_wait(range) {
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
fn is_mostly_time_wait(range: &RangeUse) -> bool {
    range.time_wait > range.occupied / 2
}

fn meaning(
    evidence: &Evidence<'_>,
    range: &RangeUse,
    subject_status: &SubjectStatus,
    scopes: Option<&str>,
) -> String {
    if range.is_bind_refused && range.left().most > 0 {
        return refused(range.left().most);
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
    let reuse = if evidence.snapshot.ephemeral.autobind_reuse == Some(true) {
        " A bind() with SO_REUSEADDR can still get the ports of sockets that have it, too \
         (ip_autobind_reuse 1)."
    } else {
        ""
    };
    let uncertainty = match range.unlisted {
        0 => String::new(),
        most => format!(" The number left is not exact: {}.", wording::unlisted(most)),
    };
    format!(
        "{}{uncertainty}{scopes}{reuse} {}",
        bind.fails(subject_status),
        connect(evidence, range)
    )
}

/// Explains that a bind() of portscope failed although the listed sockets leave `left` ports.
fn refused(left: u32) -> String {
    format!(
        "bind() to port 0 fails with EADDRINUSE: portscope tried it on all addresses. Sockets that \
         are bound, but neither listening nor connected, hold the other {}: they are not listed \
         here (see rule not-seen). connect() cannot use these ports either, whatever its \
         destination, and fails with EADDRNOTAVAIL.",
        ports(left)
    )
}

fn connect(evidence: &Evidence<'_>, range: &RangeUse) -> String {
    let left = evidence.analysis.new_destination();
    match left.most.saturating_sub(range.suspected) {
        0 if range.suspected > 0 => {
            "connect() to any destination very likely fails with EADDRNOTAVAIL: a socket listens on \
             each port, or very likely was bound to it."
                .to_owned()
        }
        0 => {
            "connect() to any destination fails with EADDRNOTAVAIL: a socket listens on each port, \
             or was bound to it."
                .to_owned()
        }
        _ => format!(
            "connect() shares ports between destinations: {}{} left for a new \
             destination.",
            wording::at_most(evidence.snapshot),
            wording::ports_are(left)
        ),
    }
}

fn advice(evidence: &Evidence<'_>, range: &RangeUse) -> Advice {
    let mut advice = Advice::default();
    if is_mostly_time_wait(range) {
        let half = remedies::half_free_in(evidence.snapshot, None, range.time_wait);
        advice = advice
            .now_if(half.map(|half| remedies::wait(range.time_wait, half)))
            .for_good(remedies::reuse_connections("the clients"));
    } else {
        advice = advice.now(inspect(evidence));
    }
    if has_binders(evidence, range) {
        let full = "if a program binds before it connects: setsockopt(fd, IPPROTO_IP, \
                    IP_BIND_ADDRESS_NO_PORT, 1) before bind(), so that connect() chooses the port \
                    and shares it (Linux 4.2)";
        advice = advice.for_good(("set IP_BIND_ADDRESS_NO_PORT", full.to_owned()));
    }
    advice.change(remedies::wider_range(evidence))
}

/// Returns the advice to find out what holds the ports.
fn inspect(evidence: &Evidence<'_>) -> Remedy {
    let processes = evidence.analysis.owners.iter().filter(|owner| owner.owner_key.is_process());
    let most = processes.rev().max_by_key(|owner| tcp_ports(owner));
    let Some(owner) = most.filter(|owner| tcp_ports(owner) > 0) else {
        let full = "list the sockets (portscope scan), and close those that are not needed";
        return ("close idle sockets", full.to_owned()).into();
    };
    let (name, ports) = (owner_key(evidence, owner.owner_key), ports(tcp_ports(owner)));
    let full = format!(
        "check what {name} does with its {ports} of the range, and close sockets that it does not \
         need"
    );
    (format!("close idle sockets of {name}"), full).into()
}

/// Returns the number of TCP ports of the range that the owner uses.
fn tcp_ports(owner: &OwnerUse) -> u32 {
    owner.ports - owner.by_class[StateClass::Udp as usize]
}

/// Returns whether some sockets were bound before connect(), or are bound and may connect later. If
/// not, the advice to set IP_BIND_ADDRESS_NO_PORT does not apply.
fn has_binders(evidence: &Evidence<'_>, range: &RangeUse) -> bool {
    let bound = StateClass::Bound as usize;
    range.suspected > 0
        || evidence.snapshot.numbered.as_ref().is_some_and(|ports| !ports.is_empty())
        || evidence.analysis.owners.iter().any(|owner| owner.by_class[bound] > 0)
}
