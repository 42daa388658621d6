//! Decides whether connect() could choose a port (net/ipv4/inet_hashtables.c,
//! `__inet_hash_connect`; net/ipv4/udp.c, `udp_lib_get_port`). Does not predict which port
//! connect() chooses.

use std::net::IpAddr;

use crate::domain::{
    Destination, PortSet, Protocol, Snapshot, Socket, Source, State,
    availability::{
        Answer, BindAddress, Verdict,
        bind::{describe, describe_single, explain_wide, no_conflict, overlap, why_undecided},
        blind_spot,
        bound_addresses::{BoundAddresses, Overlap},
    },
    ephemeral::TupleReuse,
    notation::age,
};

/// Returns whether connect() of an unbound TCP or UDP socket could choose `port`. If `destination`
/// is None, the answer is for a destination to which no socket on the port is connected. For an
/// IPv4 destination, the connecting socket is assumed to be an IPv4 socket.
pub fn connect_answer(
    snapshot: &Snapshot,
    protocol: Protocol,
    port: u16,
    destination: Option<&Destination>,
) -> Answer {
    let answer = match (never_chosen(snapshot, port), protocol) {
        (Some(because), _) => Answer { verdict: Verdict::Never, because },
        (None, Protocol::Tcp) => tcp_answer(snapshot, port, destination),
        (None, Protocol::Udp) => udp_answer(snapshot, port, destination),
    };
    let depends_on_policy = matches!(answer.verdict, Verdict::Never | Verdict::Free);
    if depends_on_policy && !snapshot.knows_range() {
        return Answer::unknown(format!(
            "{} (port range assumed: its sysctls could not be read)",
            answer.because
        ));
    }
    answer
}

fn never_chosen(snapshot: &Snapshot, port: u16) -> Option<String> {
    let policy = &snapshot.ephemeral;
    if !policy.range.contains(port) {
        Some(format!("the port is not in the ephemeral range {}", policy.range))
    } else if policy.is_reserved(port) {
        Some("the port is reserved (ip_local_reserved_ports)".to_owned())
    } else {
        None
    }
}

fn tcp_answer(snapshot: &Snapshot, port: u16, destination: Option<&Destination>) -> Answer {
    let sockets = snapshot.on_port(Protocol::Tcp, port);
    if let Some(holder) = sockets.iter().find(|socket| socket.state.blocks_connect()) {
        let holder = describe(snapshot, holder);
        return Answer::in_use(format!("{holder} blocks connect() to every destination"));
    }
    let goes_to_destination =
        |s: &&Socket| destination.is_some() && Destination::of(s).as_ref() == destination;
    if let Some(holder) = sockets.iter().find(goes_to_destination) {
        return tuple_answer(snapshot, holder);
    }
    let is_numbered = |ports: &Option<PortSet>| ports.as_ref().is_some_and(|p| p.contains(port));
    match sockets.first() {
        Some(holder) if is_numbered(&snapshot.numbered) => Answer::in_use(format!(
            "the port was given to bind() ({}), so no connect() can share it",
            describe(snapshot, holder)
        )),
        Some(holder) if is_numbered(&snapshot.listened) => Answer::in_use(format!(
            "the port had a listening or bound socket and has been in use since ({}), so no \
             connect() can share it",
            describe(snapshot, holder)
        )),
        None => {
            let because = no_conflict(snapshot, Protocol::Tcp, port);
            blind_spot::free_as_far_as_seen(snapshot, Protocol::Tcp, port, true, because)
        }
        Some(holder) => Answer::unknown(format!(
            "{} can share the port with another destination only if connect() chose the port \
             rather than bind(), which the kernel does not show",
            describe(snapshot, holder)
        )),
    }
}

/// Returns the answer for the destination to which `holder` is connected.
fn tuple_answer(snapshot: &Snapshot, holder: &Socket) -> Answer {
    let tuple = format!("{} is connected to this destination", describe(snapshot, holder));
    if holder.interface.is_some() || snapshot.source == Source::Procfs {
        return Answer::unknown(format!(
            "{tuple}; if it is bound to an interface, it blocks only sockets bound to the same one"
        ));
    }
    if is_small_orphan(holder) && snapshot.machine.is_at_least((6, 12)) != Some(true) {
        return Answer::unknown(format!(
            "{tuple}, but some kernels before Linux 6.12 let connect() reuse the port"
        ));
    }
    let policy = &snapshot.ephemeral;
    let destination = Destination::of(holder).filter(|_| holder.state == State::TimeWait);
    let allowed = destination.map_or(TupleReuse::No, |to| snapshot.allows_reuse(&to));
    if allowed == TupleReuse::No {
        return Answer::in_use(tuple);
    }
    let is_old = destination.is_some_and(|to| snapshot.tuple_reuse(holder, &to) != TupleReuse::No);
    let since = match policy.tw_reuse_delay_ms {
        _ if is_old => "now".to_owned(),
        Some(delay) => format!("once the socket is {} old (tcp_tw_reuse_delay)", age(delay)),
        None => "after tcp_tw_reuse_delay (could not be read)".to_owned(),
    };
    let peer = match allowed {
        TupleReuse::Yes => "",
        _ => "both ends send timestamps and ",
    };
    Answer::unknown(format!(
        "{tuple}; tcp_tw_reuse may let connect() reuse the port {since}, but only if \
         {peer}connect() chose it, which the kernel does not show"
    ))
}

/// Returns whether the socket is in FIN-WAIT-2 and closed by its process. The kernel keeps such a
/// socket in the same small structure as TIME-WAIT, and connect() could reuse its port before
/// commit 0d9e5df4a257 (Linux 6.12, and the stable releases from 5.10 on).
fn is_small_orphan(holder: &Socket) -> bool {
    holder.state == State::FinWait2 && holder.is_closed_by_process()
}

/// Returns the answer for UDP, which never shares an automatic port: each socket that conflicts
/// with a wildcard bind() blocks the port.
fn udp_answer(snapshot: &Snapshot, port: u16, destination: Option<&Destination>) -> Answer {
    // The two wildcard binds to check. For each: which call can still get the port if only this
    // bind is blocked.
    let (wanted, other_can) = match destination.map(|to| to.remote.address.to_canonical()) {
        Some(IpAddr::V4(_)) => ([BindAddress::Any4; 2], [""; 2]),
        Some(IpAddr::V6(_)) => (
            [BindAddress::Any6, BindAddress::AnyDual],
            ["", "a connecting socket with IPV6_V6ONLY"],
        ),
        None => (
            [BindAddress::Any4, BindAddress::Any6],
            ["a connect() to an IPv6 destination", "a connect() to an IPv4 destination"],
        ),
    };
    let [one, other] = wanted.map(|address| udp_wildcard(snapshot, port, address));
    match (one.verdict, other.verdict) {
        (Verdict::Unknown, _) => one,
        (a, b) if a == b => one,
        (_, Verdict::Unknown) => other,
        (verdict, _) => {
            let [of_one, of_other] = other_can;
            let is_one = verdict == Verdict::InUse;
            let (conflict, exception) = if is_one { (one, of_one) } else { (other, of_other) };
            Answer::unknown(format!("{}; {exception} can get the port", conflict.because))
        }
    }
}

fn udp_wildcard(snapshot: &Snapshot, port: u16, address: BindAddress) -> Answer {
    let wanted = BoundAddresses::of_bind(address);
    let sockets = snapshot.on_port(Protocol::Udp, port);
    let that = |kind| sockets.iter().find(|s| overlap(snapshot, &wanted, s) == kind);
    if let Some(holder) = that(Overlap::Certain) {
        let because = explain_wide(snapshot, holder).unwrap_or_else(|| {
            format!(
                "connect() takes a UDP port only if it is free on all addresses of the family, and \
                 {}",
                describe_single(snapshot, holder)
            )
        });
        return Answer::in_use(because);
    }
    if let Some(holder) = that(Overlap::Undecided) {
        return Answer::unknown(why_undecided(snapshot, holder));
    }
    let because = no_conflict(snapshot, Protocol::Udp, port);
    blind_spot::free_as_far_as_seen(snapshot, Protocol::Udp, port, wanted.needs_v4(), because)
}
