//! Decides whether a bind() to one port would succeed (net/ipv4/inet_connection_sock.c,
//! `inet_csk_bind_conflict`; net/ipv4/udp.c, `udp_lib_lport_inuse`). Does not model the kernel's
//! own choice of a port.

use std::net::{IpAddr, Ipv6Addr};

use crate::domain::{
    Protocol, Snapshot, Socket, State,
    availability::{
        Answer, Bind, BindAddress, Reuse, blind_spot,
        bound_addresses::{BoundAddresses, Overlap},
    },
    notation,
    socket::canonical,
};

/// Returns the answer for a bind() to `port`. Checks occupancy only, not permissions or whether
/// this machine has the address. An IPv4-mapped address is treated as a bind() of an IPv4 socket to
/// the IPv4 address. A holder that is bound to an interface conflicts like any other, unless the
/// bind() names another interface (`BindAddress::Scoped`). VRF devices (`tcp_l3mdev_accept` 0) are
/// not considered.
pub fn bind_answer(snapshot: &Snapshot, port: u16, bind: Bind) -> Answer {
    let wanted = BoundAddresses::of_bind(bind.address);
    let mut undecided = None;
    let mut conflict: Option<&Socket> = None;
    let mut before: Option<&Socket> = None;
    for socket in snapshot.on_port(bind.protocol, port) {
        // A server has many connections with the same local endpoint, and the first one decides.
        if before.replace(socket).is_some_and(|before| is_bound_alike(before, socket)) {
            continue;
        }
        match overlap(snapshot, &wanted, socket) {
            Overlap::Undecided => undecided = undecided.or(Some(socket)),
            // Prefers a listening socket as the explanation: SO_REUSEADDR has no effect against it.
            Overlap::Certain if conflict.is_none() || socket.state == State::Listen => {
                conflict = Some(socket);
            }
            Overlap::Certain | Overlap::Never => {}
        }
    }
    match (conflict, undecided) {
        (Some(holder), _) => in_conflict(snapshot, &wanted, holder, bind),
        (None, Some(holder)) => Answer::unknown(why_undecided_to(snapshot, bind, holder)),
        (None, None) => {
            let because = no_conflict(snapshot, bind.protocol, port);
            let with_v4 = wanted.needs_v4();
            blind_spot::free_as_far_as_seen(snapshot, bind.protocol, port, with_v4, because)
        }
    }
}

/// Returns whether two sockets, which do not listen, conflict with the same calls of bind().
fn is_bound_alike(one: &Socket, other: &Socket) -> bool {
    let key = |socket: &Socket| {
        (socket.state, socket.local, socket.family, socket.interface, socket.cookie.is_some())
    };
    one.state != State::Listen && key(one) == key(other)
}

/// Returns whether a bind() to `wanted` conflicts with a socket, without reuse options. A conflict
/// with a socket in SYN-RECEIVED is undecided: its listener holds the port, not this socket.
pub fn overlap(snapshot: &Snapshot, wanted: &BoundAddresses, socket: &Socket) -> Overlap {
    match wanted.overlaps(&BoundAddresses::of_holder(snapshot, socket)) {
        Overlap::Certain if socket.state == State::SynReceived => Overlap::Undecided,
        overlap => overlap,
    }
}

/// Describes a socket: `LISTEN on 0.0.0.0`, or `LISTEN on fe80::1%eth0` with its interface, as
/// ss(8) prints it.
pub fn describe(snapshot: &Snapshot, socket: &Socket) -> String {
    format!("{} on {}", socket.state, local_address(snapshot, socket))
}

fn local_address(snapshot: &Snapshot, socket: &Socket) -> String {
    let address = match socket.local.address {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => "[::]".to_owned(),
        address => address.to_string(),
    };
    match socket.interface {
        Some(index) => format!("{address}%{}", snapshot.interfaces.label(index)),
        None => address,
    }
}

/// Explains how a holder on all addresses of a family blocks a port:
/// `LISTEN on 0.0.0.0 blocks every IPv4 address`. None: the holder is bound to a single address.
pub fn explain_wide(snapshot: &Snapshot, holder: &Socket) -> Option<String> {
    let bound_addresses = BoundAddresses::of_holder(snapshot, holder);
    bound_addresses
        .is_wide()
        .then(|| format!("{} blocks {bound_addresses}", describe(snapshot, holder)))
}

/// Describes a holder that is bound to a single address: `a socket on 127.0.0.1 is in LISTEN`.
pub fn describe_single(snapshot: &Snapshot, holder: &Socket) -> String {
    format!("a socket on {} {}", local_address(snapshot, holder), is_in(holder.state))
}

/// Explains a conflict. The kernel compares the addresses of both sockets
/// (net/ipv4/inet_connection_sock.c, `inet_rcv_saddr_equal`). The sockets conflict if the addresses
/// are equal, or if one address is a wildcard that includes the other.
///
/// Returns `LISTEN on 0.0.0.0 blocks every IPv4 address`, `a socket on 127.0.0.1 is in LISTEN`, or
/// `0.0.0.0 includes 127.0.0.1, on which a socket is in LISTEN`.
fn explain(snapshot: &Snapshot, wanted: &BoundAddresses, holder: &Socket) -> String {
    if let Some(words) = explain_wide(snapshot, holder) {
        return words;
    }
    match wanted.wildcard_around(canonical(holder.local.address)) {
        Some(wildcard) => format!(
            "{wildcard} includes {}, on which a socket {}",
            local_address(snapshot, holder),
            is_in(holder.state)
        ),
        None => describe_single(snapshot, holder),
    }
}

fn is_in(state: State) -> String {
    match state {
        State::Established | State::Bound | State::Unconnected | State::Connected => {
            format!("is {state}")
        }
        _ => format!("is in {state}"),
    }
}

/// Explains why it is unknown whether a holder blocks this `bind`.
fn why_undecided_to(snapshot: &Snapshot, bind: Bind, holder: &Socket) -> String {
    let unscoped = match bind.address {
        BindAddress::Scoped { address, .. } => {
            BoundAddresses::of_bind(BindAddress::At(address.into()))
        }
        address => BoundAddresses::of_bind(address),
    };
    if overlap(snapshot, &unscoped, holder) == Overlap::Certain {
        return format!(
            "{} blocks it unless that socket is bound to another interface, which /proc/net does \
             not show",
            describe(snapshot, holder)
        );
    }
    why_undecided(snapshot, holder)
}

/// Explains why it is unknown whether a holder blocks a bind(). Ignores interfaces.
pub fn why_undecided(snapshot: &Snapshot, holder: &Socket) -> String {
    let holder_words = describe(snapshot, holder);
    if holder.state == State::SynReceived {
        format!("{holder_words} is in the queue of a listener that is not listed")
    } else {
        format!(
            "{holder_words} blocks it unless that socket has IPV6_V6ONLY, which the kernel does \
             not show"
        )
    }
}

/// Returns the answer for a bind() that conflicts with `holder`. The explanation starts as for a
/// bind() without reuse options. After `; ` follows what the reuse option changes.
fn in_conflict(
    snapshot: &Snapshot,
    wanted: &BoundAddresses,
    holder: &Socket,
    bind: Bind,
) -> Answer {
    let conflict = explain(snapshot, wanted, holder);
    let is_listening = bind.protocol == Protocol::Tcp && holder.state == State::Listen;
    match bind.reuse {
        Reuse::None => Answer::in_use(conflict),
        Reuse::Address if is_listening => Answer::in_use(format!(
            "{conflict}; SO_REUSEADDR has no effect against a listening socket"
        )),
        Reuse::Address => depends_on("SO_REUSEADDR", &conflict),
        // For a holder in TIME-WAIT, the kernel does not compare the users.
        Reuse::Port if holder.state == State::TimeWait => depends_on("SO_REUSEPORT", &conflict),
        Reuse::Port => depends_on("the same user and SO_REUSEPORT", &conflict),
    }
}

fn depends_on(option: &str, conflict: &str) -> Answer {
    Answer::unknown(format!(
        "{conflict}; the result depends on whether the other socket has {option}, which the kernel \
         does not show"
    ))
}

/// Explains why a port is free: `no TCP socket is listed on the port`, or
/// `LISTEN on ::1 does not conflict with it`.
pub fn no_conflict(snapshot: &Snapshot, protocol: Protocol, port: u16) -> String {
    match snapshot.on_port(protocol, port) {
        [] => format!("no {} socket is listed on the port", protocol.name().to_uppercase()),
        [other] => format!("{} does not conflict with it", describe(snapshot, other)),
        others => format!(
            "none of the {} sockets on the port conflicts with it",
            notation::grouped(others.len() as u64)
        ),
    }
}
