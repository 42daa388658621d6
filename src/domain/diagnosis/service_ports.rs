//! Lists the ports of services: ports that programs bound by number to receive on. Does not judge
//! them.

use std::collections::BTreeMap;

use crate::domain::{Evidence, OwnerKey, Protocol, Socket, State};

/// Maximum number of UDP sockets of one process that count as services. A process with more (a
/// resolver, a media relay) chooses its own ports and soon uses others.
const MAX_PER_PROCESS: usize = 256;

/// Returns the services on ports for which `is_asked` is true: one socket for each port, sorted by
/// protocol and port.
///
/// If it is unknown which sockets were bound by number, the result includes all TCP listeners. It
/// then includes no UDP socket, because an unconnected UDP socket may be a client.
pub(super) fn services<'a>(
    evidence: &Evidence<'a>,
    is_asked: impl Fn(u16) -> bool,
) -> Vec<&'a Socket> {
    let sockets = evidence.snapshot.sockets.iter();
    let is_service = |socket: &&Socket| match socket.state {
        State::Listen => evidence.snapshot.vitals.is_bound_by_number(socket).unwrap_or(true),
        State::Unconnected => is_lasting(evidence, socket).unwrap_or(false),
        _ => false,
    };
    let asked = sockets.filter(|socket| is_asked(socket.local.port)).filter(is_service);
    let mut found: Vec<&Socket> = asked.collect();
    let busy = busy_owners(evidence, &found);
    found.retain(|socket| !is_of(evidence, socket, &busy));
    // The sockets are sorted by port. Several sockets on one port are one service.
    found.dedup_by_key(|socket| (socket.protocol, socket.local.port));
    found
}

/// Returns whether the socket was bound by number, and the earlier snapshot (`Evidence::before`)
/// does not show otherwise. This omits sockets that are newer than that snapshot, such as those of
/// a resolver. None: unknown.
fn is_lasting(evidence: &Evidence<'_>, socket: &Socket) -> Option<bool> {
    let before = evidence.before.and_then(|(vitals, _)| vitals.is_bound_by_number(socket));
    Some(evidence.snapshot.vitals.is_bound_by_number(socket)? && before != Some(false))
}

fn busy_owners(evidence: &Evidence<'_>, sockets: &[&Socket]) -> Vec<OwnerKey> {
    let mut counts: BTreeMap<OwnerKey, usize> = BTreeMap::new();
    for socket in sockets.iter().filter(|socket| socket.protocol == Protocol::Udp) {
        *counts.entry(OwnerKey::of(evidence.snapshot, socket)).or_default() += 1;
    }
    counts.retain(|owner_key, &mut count| count > MAX_PER_PROCESS && owner_key.is_process());
    counts.into_keys().collect()
}

fn is_of(evidence: &Evidence<'_>, socket: &Socket, owner_keys: &[OwnerKey]) -> bool {
    socket.protocol == Protocol::Udp
        && !owner_keys.is_empty()
        && owner_keys.contains(&OwnerKey::of(evidence.snapshot, socket))
}
