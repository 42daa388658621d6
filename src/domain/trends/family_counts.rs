//! Counts the sockets of the ephemeral range by protocol, and its sockets and ports by protocol and
//! family, in one pass. Computes no rates.

use super::tracked::Count;
use crate::domain::{Ephemeral, Protocol, ProtocolFamily, Snapshot, Socket, State};

pub(super) struct FamilyCounts {
    /// Numbers of sockets, in the order of `Protocol::EACH`.
    pub sockets: [u32; 2],
    /// Counts of each protocol and family, in the order of `ProtocolFamily::EACH`.
    pub protocol_families: [Count; 4],
}

impl FamilyCounts {
    /// Counts the sockets of a snapshot, which must be sorted by protocol and port.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut family_counts = Self { sockets: [0; 2], protocol_families: [Count::default(); 4] };
        for protocol in Protocol::EACH {
            let sockets = snapshot.of_protocol_in_range(protocol);
            for port in sockets.chunk_by(|a, b| a.local.port == b.local.port) {
                if !snapshot.ephemeral.is_reserved(port[0].local.port) {
                    family_counts.sockets[protocol as usize] += port.len() as u32;
                    family_counts.add(protocol, port);
                }
            }
        }
        family_counts
    }

    fn add(&mut self, protocol: Protocol, port: &[Socket]) {
        for protocol_family in ProtocolFamily::EACH
            .into_iter()
            .filter(|protocol_family| protocol_family.protocol() == protocol)
        {
            let (mut sockets, mut lasting) = (0, false);
            for socket in port.iter().filter(|socket| protocol_family.includes(socket)) {
                sockets += 1;
                lasting |= socket.state != State::TimeWait;
            }
            let count = &mut self.protocol_families[protocol_family as usize];
            count.sockets += sockets;
            count.taken += u32::from(sockets > 0);
            count.lasting += u32::from(lasting);
        }
    }
}

/// Returns whether the socket's port is one that the kernel may choose.
pub(super) fn is_automatic(socket: &Socket, ephemeral: &Ephemeral) -> bool {
    let port = socket.local.port;
    ephemeral.range.contains(port) && !ephemeral.is_reserved(port)
}
