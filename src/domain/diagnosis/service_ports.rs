//! Ports that programs bound by number, to serve on. Does not judge them.

use std::collections::BTreeMap;

use crate::domain::{Evidence, Party, Protocol, Socket, State};

/// A process with more UDP sockets in the range chooses its own ports (a resolver, a media relay):
/// a moment later it uses other ports.
const MOST_OF_A_PROCESS: usize = 256;

/// A service's port, and one of its sockets.
#[derive(Clone, Copy)]
pub(super) struct Service<'a> {
    pub protocol: Protocol,
    pub port: u16,
    pub socket: &'a Socket,
}

/// Returns the services on ports for which `is_asked` is true, sorted by protocol and port, each
/// port once.
///
/// If the kernel could not be asked which sockets were bound by number, includes all TCP listeners
/// and no UDP socket: an unconnected one may be a client.
pub(super) fn services<'a>(
    evidence: &Evidence<'a>,
    is_asked: impl Fn(u16) -> bool,
) -> Vec<Service<'a>> {
    let sockets = evidence.snapshot.sockets.iter();
    let is_service = |socket: &&Socket| match socket.state {
        State::Listen => is_by_number(evidence, socket).unwrap_or(true),
        State::Unconnected => is_lasting(evidence, socket).unwrap_or(false),
        _ => false,
    };
    let asked = sockets.filter(|socket| is_asked(socket.local.port)).filter(is_service);
    let mut found: Vec<&Socket> = asked.collect();
    let busy = busy_parties(evidence, &found);
    found.retain(|socket| !is_of(evidence, socket, &busy));
    // Sorted by port: several sockets of one port are one service.
    found.dedup_by_key(|socket| (socket.protocol, socket.local.port));
    let service =
        |socket: &'a Socket| Service { protocol: socket.protocol, port: socket.local.port, socket };
    found.into_iter().map(service).collect()
}

/// Whether the socket was bound by number; None: unknown.
fn is_by_number(evidence: &Evidence<'_>, socket: &Socket) -> Option<bool> {
    evidence.snapshot.vitals.is_bound_by_number(socket)
}

/// Whether it was bound by number, in both snapshots if there are two: a resolver uses a socket
/// only for a moment.
fn is_lasting(evidence: &Evidence<'_>, socket: &Socket) -> Option<bool> {
    let before = evidence.before.and_then(|(vitals, _)| vitals.is_bound_by_number(socket));
    Some(is_by_number(evidence, socket)? && before != Some(false))
}

fn busy_parties(evidence: &Evidence<'_>, sockets: &[&Socket]) -> Vec<Party> {
    let mut counts: BTreeMap<Party, usize> = BTreeMap::new();
    for socket in sockets.iter().filter(|socket| socket.protocol == Protocol::Udp) {
        *counts.entry(Party::of(evidence.snapshot, socket)).or_default() += 1;
    }
    counts.retain(|party, &mut count| {
        count > MOST_OF_A_PROCESS && matches!(party, Party::Process(_) | Party::Hidden(_))
    });
    counts.into_keys().collect()
}

fn is_of(evidence: &Evidence<'_>, socket: &Socket, parties: &[Party]) -> bool {
    socket.protocol == Protocol::Udp
        && !parties.is_empty()
        && parties.contains(&Party::of(evidence.snapshot, socket))
}
