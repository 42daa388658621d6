//! Whether a bind() to one port would succeed (net/ipv4/inet_connection_sock.c,
//! `inet_csk_bind_conflict`; net/ipv4/udp.c, `udp_lib_lport_inuse`). Does not model the kernel's
//! own choice of a port.

use crate::domain::{
    Protocol, Snapshot, Socket, State,
    availability::{
        Answer, Bind, BindAddress, Reuse, Verdict, blind_spot,
        reach::{Meeting, Reach},
    },
};

const UNDECIDED: &str = "which the kernel's tables do not show; use --probe to test";

/// Returns the answer for a bind() to `port`. Checks occupancy only, not permissions or whether
/// this machine has the address. An IPv4-mapped address is treated as a bind() of an IPv4 socket to
/// the IPv4 address. A holder that is bound to an interface blocks the bind(), unless the bind()
/// names another interface (`BindAddress::Scoped`). VRF devices (`tcp_l3mdev_accept` 0) are not
/// considered.
pub fn bind_answer(snapshot: &Snapshot, port: u16, bind: Bind) -> Answer {
    let wanted = Reach::of_bind(bind.address);
    let mut undecided = None;
    let mut conflict: Option<&Socket> = None;
    for socket in snapshot.on_port(bind.protocol, port) {
        match meeting(snapshot, &wanted, socket) {
            Meeting::Undecided => undecided = undecided.or(Some(socket)),
            // Prefers a listening socket as the explanation: SO_REUSEADDR has no effect against it.
            Meeting::Surely if conflict.is_none() || socket.state == State::Listen => {
                conflict = Some(socket);
            }
            Meeting::Surely | Meeting::Never => {}
        }
    }
    match (conflict, undecided) {
        (Some(holder), _) => in_conflict(snapshot, &wanted, holder, bind),
        (None, Some(holder)) => {
            Answer::new(Verdict::Unknown, why_undecided_to(snapshot, bind, holder))
        }
        (None, None) => {
            let because = nothing_in_the_way(snapshot, port, bind);
            let with_v4 = wanted.needs_v4();
            blind_spot::free_as_far_as_seen(snapshot, bind.protocol, port, with_v4, because)
        }
    }
}

/// Returns whether `wanted` conflicts with a socket. A conflict with a socket in SYN-RECEIVED is
/// undecided: not this socket but its listener holds the port.
pub fn meeting(snapshot: &Snapshot, wanted: &Reach, socket: &Socket) -> Meeting {
    match wanted.meets(&Reach::of_holder(snapshot, socket)) {
        Meeting::Surely if socket.state == State::SynReceived => Meeting::Undecided,
        meeting => meeting,
    }
}

/// Describes a socket: `LISTEN on 0.0.0.0`, or with its interface, as ss(8) does:
/// `LISTEN on fe80::1%eth0`.
pub fn describe(snapshot: &Snapshot, socket: &Socket) -> String {
    let place = format!("{} on {}", socket.state, socket.local.address);
    match socket.interface {
        Some(index) => format!("{place}%{}", snapshot.interfaces.label(index)),
        None => place,
    }
}

/// Describes a conflict: `LISTEN on 0.0.0.0 blocks every IPv4 address`.
pub fn explain(snapshot: &Snapshot, wanted: &Reach, holder: &Socket) -> String {
    let reach = Reach::of_holder(snapshot, holder);
    let holder = describe(snapshot, holder);
    if reach.is_wide() {
        format!("{holder} blocks {reach}")
    } else if wanted.is_wide() {
        format!("{holder} blocks {wanted}")
    } else {
        format!("{holder} has exactly this address")
    }
}

/// Explains why it is unknown whether a holder blocks this `bind`.
fn why_undecided_to(snapshot: &Snapshot, bind: Bind, holder: &Socket) -> String {
    let unscoped = match bind.address {
        BindAddress::Scoped { address, .. } => Reach::of_bind(BindAddress::At(address.into())),
        address => Reach::of_bind(address),
    };
    if meeting(snapshot, &unscoped, holder) == Meeting::Surely {
        let place = describe(snapshot, holder);
        return format!("{place} blocks it unless it is bound to another interface, {UNDECIDED}");
    }
    why_undecided(snapshot, holder)
}

/// Explains why it is unknown whether a holder blocks a bind(), whatever its interface.
pub fn why_undecided(snapshot: &Snapshot, holder: &Socket) -> String {
    let place = describe(snapshot, holder);
    if holder.state == State::SynReceived {
        format!("{place} is in the queue of a listener that is not listed; use --probe to test")
    } else {
        format!("{place} also blocks IPv4 unless it has IPV6_V6ONLY, {UNDECIDED}")
    }
}

fn in_conflict(snapshot: &Snapshot, wanted: &Reach, holder: &Socket, bind: Bind) -> Answer {
    let conflict = explain(snapshot, wanted, holder);
    let is_listening = bind.protocol == Protocol::Tcp && holder.state == State::Listen;
    match bind.reuse {
        Reuse::None => Answer::new(Verdict::InUse, conflict),
        Reuse::Address if is_listening => Answer::new(
            Verdict::InUse,
            format!("{conflict}; SO_REUSEADDR has no effect against a listening socket"),
        ),
        Reuse::Address => Answer::new(
            Verdict::Unknown,
            format!("{conflict} unless it has SO_REUSEADDR, too, {UNDECIDED}"),
        ),
        Reuse::Port => Answer::new(
            Verdict::Unknown,
            format!("{conflict} unless it has SO_REUSEPORT and the same user, {UNDECIDED}"),
        ),
    }
}

fn nothing_in_the_way(snapshot: &Snapshot, port: u16, bind: Bind) -> String {
    match snapshot.on_port(bind.protocol, port).first() {
        None => format!("no {} socket is listed on the port", bind.protocol.name().to_uppercase()),
        Some(other) => format!("{} is on another address", describe(snapshot, other)),
    }
}
